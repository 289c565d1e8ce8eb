"""The command `forklog doctor` as a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from browser import write
from cases import few
from helpers import check_python, python_path, wait_until

from forklog.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from forklog.emulator.process import Emulator

CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "cloud": {"class": "forklog.CloudLoggingHandler", "log_name": "web", "project": "p"},
        "file": {"class": "logging.FileHandler", "filename": "/nonexistent/folder/file"},
        "odd": {"()": "no.such.module.Handler", "level": "ERROR"},
    },
    "root": {"level": "DEBUG", "handlers": ["cloud", "file", "odd"]},
}


def doctor(
    folder: Path, *arguments: str, emulator: Emulator | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, without credentials."""
    env = {
        **{name: value for name, value in os.environ.items() if "GOOGLE" not in name},
        "PYTHONPATH": python_path(),
        "CLOUDSDK_CONFIG": str(folder),
        "NO_GCE_CHECK": "true",
        **environ,
    }
    env.pop("LOGGING_EMULATOR_HOST", None)
    if emulator:
        env["LOGGING_EMULATOR_HOST"] = emulator.host
    call = [sys.executable, "-m", "forklog", "doctor", *arguments]
    return subprocess.run(
        call, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_healthy_and_not(emulator: Emulator, tmp_path: Path) -> None:
    """Its status is 0 with the emulator, and 1 when that refuses; the findings come first."""
    done = doctor(tmp_path, emulator=emulator)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("forklog ")
    assert "accepted a dry run" in done.stdout
    emulator.fault("status", status=403)
    done = doctor(tmp_path, "--project", "mine", emulator=emulator)
    assert done.returncode == 1
    assert done.stdout.splitlines()[2].startswith("PROBLEM  ")
    assert "roles/logging.logWriter" in done.stdout
    assert "mine (from the option project)" in done.stdout


def test_no_credentials(tmp_path: Path) -> None:
    """Without any credentials the status is 1."""
    done = doctor(tmp_path)
    assert done.returncode == 1
    assert "[no-credentials]" in done.stdout


@pytest.mark.parametrize("kind", ["json", "python", "module"])
def test_the_configuration_of_an_application(emulator: Emulator, tmp_path: Path, kind: str) -> None:
    """Its own handlers are made, others only stood in for; nothing is logged or stored by it."""
    if kind == "json":
        (tmp_path / "logging.json").write_text(json.dumps(CONFIG))
    else:
        name = "LOGGING" if kind == "module" else "logconfig_dict"
        (tmp_path / "settings.py").write_text(f"{name} = {CONFIG!r}")
    place = {"json": "logging.json", "python": "settings.py", "module": "settings:LOGGING"}[kind]
    done = doctor(tmp_path, "--config", place, "--json", emulator=emulator)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    [handler] = report["routes"]["handlers"]
    assert (handler["name"], handler["loggers"]) == ("cloud", ["root"])
    assert handler["options"]["log_name"] == "web"
    assert handler["state"] == "inert"
    assert report["deliveries"][0]["log_name"] == "web"
    assert emulator.stats()["dry_run"] == 1
    assert emulator.stats()["entries_stored"] == 0


def test_a_handler_behind_another_is_kept() -> None:
    """What no stand-in holds is there all the same, whenever garbage is collected."""
    check_python("""
        import gc
        from forklog.diagnosis import config
        from forklog.diagnosis.look import routes

        held = {"class": "logging.handlers.MemoryHandler", "capacity": 5, "target": "cloud"}
        cloud = {"class": "forklog.CloudLoggingHandler", "project": "p"}
        handlers = {"cloud": cloud, "held": held}
        config.apply({"version": 1, "handlers": handlers, "root": {"handlers": ["held"]}})
        gc.collect()
        assert len(routes.our_handlers()) == 1
    """)


def test_configurations_that_lose_or_fail(emulator: Emulator, tmp_path: Path) -> None:
    """A handler behind a MemoryHandler is found, and so is an option that cannot work."""
    held = {"class": "logging.handlers.MemoryHandler", "capacity": 5, "target": "cloud"}
    config = {
        **CONFIG,
        "handlers": {**CONFIG["handlers"], "held": held},
        "root": {"handlers": ["held"]},
    }
    (tmp_path / "held.json").write_text(json.dumps(config))
    done = doctor(tmp_path, "--config", "held.json", emulator=emulator)
    assert (done.returncode, "[held-in-front]" in done.stdout) == (1, True), done.stdout
    wrong = {"class": "forklog.CloudLoggingHandler", "max_latency": -1}
    (tmp_path / "wrong.json").write_text(json.dumps({**CONFIG, "handlers": {"cloud": wrong}}))
    done = doctor(tmp_path, "--config", "wrong.json", emulator=emulator)
    assert (done.returncode, "[config]" in done.stdout) == (1, True)
    assert "max_latency=-1" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--config", "absent.json"), ("--config", "os:path"), ("--endpoint", "gopher://x"),
     ("--timeout", "0"), ("--config", "nothing"), ("--config", "")],
)  # fmt: skip
def test_a_wrong_call(
    tmp_path: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be examined at all gives status 2 and one line that says why."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["doctor", *arguments]))
    assert ended.value.code == 2
    assert "forklog doctor: " in capsys.readouterr().err


def test_a_configuration_without_our_handler_is_a_problem(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Nothing of such an application is sent, so the status is 1."""
    handlers = {"console": {"class": "logging.StreamHandler"}}
    config = {"version": 1, "handlers": handlers, "root": {"handlers": ["console"]}}
    (tmp_path / "none.json").write_text(json.dumps(config))
    done = doctor(tmp_path, "--config", "none.json", emulator=emulator)
    assert (done.returncode, "[no-handler]" in done.stdout) == (1, True), done.stdout
    assert "no logging configuration was given" not in done.stdout


def test_a_configuration_of_printed_lines_is_well(tmp_path: Path) -> None:
    """On Cloud Run a StructuredLogHandler is all that is needed; no dry run is made."""
    printed = {"class": "forklog.StructuredLogHandler"}
    config = {"version": 1, "handlers": {"out": printed}, "root": {"handlers": ["out"]}}
    (tmp_path / "printed.json").write_text(json.dumps(config))
    done = doctor(tmp_path, "--config", "printed.json", "--json", K_SERVICE="web")
    report = json.loads(done.stdout)
    assert (done.returncode, report["deliveries"], done.stderr) == (0, [], "")
    assert "printed" in [finding["code"] for finding in report["findings"]]


WRONG = {
    "handlers = 5": "'handlers' is int",
    "handlers = ['a']": "'handlers' is list",
    "import sys; sys.exit(3)": "SystemExit: 3",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_configuration_that_cannot_be_one_is_refused(tmp_path: Path, line: str) -> None:
    """One line names what is wrong, whatever the file does or holds."""
    (tmp_path / "c.py").write_text(f"handlers = {{}}\n{line}\nLOGGING = {{'handlers': handlers}}\n")
    done = doctor(tmp_path, "--config", "c.py")
    assert (done.returncode, done.stdout) == (2, "")
    [line_shown] = done.stderr.splitlines()
    assert WRONG[line] in line_shown


def test_what_a_configuration_prints_is_not_in_the_report(
    emulator: Emulator, tmp_path: Path
) -> None:
    """It goes to stderr, at its import and while it is applied.

    Closes: it stood before the JSON, which did not parse then.
    """
    (tmp_path / "c.py").write_text(
        "class Loud:\n    def __init__(self): print('applied')\n"
        "print('imported')\n"
        "LOGGING = {'version': 1, 'filters': {'loud': {'()': Loud}}}\n"
    )
    done = doctor(tmp_path, "--config", "c.py", "--json", emulator=emulator)
    assert done.stderr.splitlines() == ["imported", "applied"]
    assert "findings" in json.loads(done.stdout)


def test_a_configuration_that_wraps_stdout_leaves_stderr_open(tmp_path: Path) -> None:
    """What it sets as stdout lives as long as the doctor: once collected, it closes its buffer."""
    wrapped = "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')"
    (tmp_path / "c.py").write_text(f"import io, sys\n{wrapped}\n")
    done = doctor(tmp_path, "--config", "c.py:LOGGING")
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no LOGGING" in done.stderr


def test_a_configuration_that_ends_the_process_is_a_problem(tmp_path: Path) -> None:
    """A SystemExit while it is applied is a finding.

    Closes: the report was empty, and the status of `SystemExit(0)` was that of a healthy process.
    """
    (tmp_path / "ends.py").write_text("class Ends:\n    def __init__(self): raise SystemExit(0)\n")
    config = {"version": 1, "filters": {"ends": {"()": "ends.Ends"}}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    done = doctor(tmp_path, "--config", "c.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "[config]" in done.stdout
    assert "SystemExit: 0" in done.stdout


def test_a_configuration_with_a_wrong_target_is_a_problem(tmp_path: Path) -> None:
    """What dictConfig would not take either becomes a finding, and no traceback."""
    held = {"class": "logging.handlers.MemoryHandler", "target": 5}
    (tmp_path / "c.json").write_text(json.dumps({"version": 1, "handlers": {"held": held}}))
    done = doctor(tmp_path, "--config", "c.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "[config]" in done.stdout


@pytest.mark.parametrize(
    ("is_buffered", "command"),
    few(
        itertools.product([True, False], ["doctor", "doctor --json", "--help"]),
        *[(True, "doctor"), (False, "doctor --json"), (True, "--help")],
    ),
)
def test_a_reader_that_has_gone_causes_no_traceback(
    emulator: Emulator, tmp_path: Path, command: str, *, is_buffered: bool
) -> None:
    """`forklog doctor | head` prints nothing on stderr, whenever the pipe breaks.

    Class of fault: an output that cannot be written ends a command by a traceback; siblings:
    `test_an_output_that_cannot_be_written_is_one_line`, `test_a_help_that_cannot_be_written`,
    `test_an_emulator_whose_output_is_not_read_ends_quietly`, `test_a_reader_that_has_gone_ends_it`.
    """
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": python_path(), "LOGGING_EMULATOR_HOST": emulator.host}
    if not is_buffered:
        env["PYTHONUNBUFFERED"] = "1"
    call = [sys.executable, "-m", "forklog", *command.split()]
    done = subprocess.run(
        call, cwd=tmp_path, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


ENTRY: dict[str, Any] = {"logName": "projects/p/logs/l", "resource": {"type": "global"}}
WRITING = ["doctor", "tail --no-follow", "emulator --port 0"]


@pytest.mark.parametrize(
    ("target", "command"),
    few(
        itertools.product([">/dev/full", ">&-", ">/dev/full 2>&1", ">&- 2>&-"], WRITING),
        *[(">/dev/full", "doctor"), (">&-", "tail --no-follow")],
        *[(">/dev/full 2>&1", "emulator --port 0"), (">&- 2>&-", "doctor")],
    ),
)
def test_an_output_that_cannot_be_written_is_one_line(
    emulator: Emulator, tmp_path: Path, command: str, target: str
) -> None:
    """A full disk or a closed stdout ends a command with status 74, and one line if it can."""
    write(emulator.host, [{**ENTRY, "textPayload": "an entry"}])
    env = {**os.environ, "PYTHONPATH": python_path(), "LOGGING_EMULATOR_HOST": emulator.host}
    call = ["sh", "-c", f'exec "$0" -m forklog {command} {target}', sys.executable]
    done = subprocess.run(
        call, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    name = f"forklog {command.split(maxsplit=1)[0]}"
    reason = "stdout is closed" if "&-" in target else "No space left on device"
    assert done.returncode == 74
    assert done.stderr == ("" if "2>" in target else f"{name}: {reason}\n")


@pytest.mark.parametrize(
    "command", few(["--version", "--help", "tail --help"], "--version", "tail --help")
)
def test_a_help_that_cannot_be_written(command: str) -> None:
    """What argparse prints ends with 74 as well, with and without a buffer in front of the disk.

    Closes: without a buffer it ended with 0, because argparse hides what its printing raises.
    """
    for unbuffered in ("", "1"):
        env = {**os.environ, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            done = subprocess.run(
                [sys.executable, "-m", "forklog", *command.split()],
                env=env, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
            )  # fmt: skip
        assert done.returncode == 74
        assert done.stderr.endswith(b": No space left on device\n")


@pytest.mark.parametrize("command", ["doctor", "recover"])
def test_ctrl_c_causes_no_traceback(emulator: Emulator, tmp_path: Path, command: str) -> None:
    """A command that waits for a server ends with 130, and no word on stderr; with what it did."""
    emulator.fault("hang")
    left = tmp_path / "left.jsonl"
    left.write_text('{"insertId":"1","logName":"projects/p/logs/l","textPayload":"t"}\n')
    arguments = ["--timeout", "60"] if command == "doctor" else [str(left)]
    env = {**os.environ, "PYTHONPATH": python_path(), "LOGGING_EMULATOR_HOST": emulator.host}
    process = subprocess.Popen(
        [sys.executable, "-m", "forklog", command, *arguments],
        cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_until(lambda: emulator.stats()["faults"], 60, "the request")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        emulator.clear_faults()
        process.kill()
        process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert (b"sent 0 log entries" in out) == (command == "recover")
    assert out.endswith(b": interrupted\n" if command == "recover" else b"")


def test_an_emulator_whose_output_is_not_read_ends_quietly(tmp_path: Path) -> None:
    """A broken pipe is not taken for an address on which it cannot listen."""
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": python_path()}
    call = [sys.executable, "-m", "forklog", "emulator", "--port", "0"]
    done = subprocess.run(
        call, cwd=tmp_path, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"
PASTED = {
    "a key": KEY,
    "a key without its lines": KEY.replace("\n", "\\n"),
    "a file's content": json.dumps({"type": "service_account", "private_key": KEY}),
    "the middle of a key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 20,
}
VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")


@pytest.mark.parametrize(
    ("name", "variable"),
    few(
        itertools.product(PASTED, VARIABLES), *zip(PASTED, [*VARIABLES, VARIABLES[0]], strict=True)
    ),
)
def test_a_key_pasted_into_a_variable_is_not_shown(
    emulator: Emulator, tmp_path: Path, name: str, variable: str
) -> None:
    """Neither the report nor a line on stderr has any part of it; the report stands."""
    for form, target in (((), emulator), (("--json",), None)):
        done = doctor(tmp_path, *form, emulator=target, **{variable: PASTED[name]})
        assert done.returncode in (0, 1), done.stderr
        shown = "".join((done.stdout + done.stderr).split())
        assert "MIIEvQIBADAN" not in shown, shown
        assert "BEGINPRIVATE" not in shown, shown
