"""The first page of the documentation: a newcomer's five minutes, exactly as the page has them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import python_path
from pages import DOCS, Entry, blocks_of

from forklog.emulator.process import Emulator

_PAGE = DOCS / "index.md"
_PROJECT = (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
_PORTS = ("8000", "8085")
# A person waits until a server answers before typing the next command.
_READY = """\
for port in {0} {1}; do
    until (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do sleep 0.1; done
done
"""
_ARRIVED = """\
wanted='log_id("shop-requests") OR textPayload:"order"'
until [ $(forklog tail -n 50 --no-follow --json "$wanted" | wc -l) -ge 6 ]; do sleep 0.1; done
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_page_says_happens(tmp_path: Path) -> None:
    """Set up, run, ask, see: each request has its records in one trace, and names its worker."""
    pytest.importorskip("fastapi", reason="the extra `test` has it")
    blocks = blocks_of(_PAGE)
    (program,) = (block for block in blocks if block.title == "app.py")
    (tmp_path / "app.py").write_text(program.text)
    run, ask, tail, listing = (b.text for b in blocks if b.language == "sh" and not b.title)
    ports = [str(_free_port()) for _ in _PORTS]
    parts = [run, _READY.format(*ports), ask, _ARRIVED, "echo '--tail'", tail, "echo '--list'"]
    script = "\n".join([*parts, listing])
    for port, free in zip(_PORTS, ports, strict=True):
        script = re.sub(rf"\b{port}\b", free, script)
    environ = {k: v for k, v in os.environ.items() if k != "LOGGING_EMULATOR_HOST"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    environ["PYTHONPATH"] = python_path()
    ending = "trap 'kill %2; wait %2; kill %1; wait %1' EXIT\n"
    done = subprocess.run(
        ["bash", "-e", "-c", ending + script],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 143), done.stdout + done.stderr
    shown, _, listed = done.stdout.partition("--tail")[2].partition("--list")
    _check_tail(shown)
    _check_list(json.loads(listed[listed.index("{") : listed.rindex("}") + 1])["entries"])


def _check_tail(shown: str) -> None:
    for number in (17, 18):
        lines = [
            ln for ln in shown.splitlines() if f"order {number} " in ln or f"/{number} 200" in ln
        ]
        assert len(lines) == 3, shown
        assert len({ln.rpartition("trace=")[2] for ln in lines}) == 1
        assert len(set(re.findall(r" shop(?:-requests)?\[(\d+)\]", "\n".join(lines)))) == 1


def _is_parent(entry: Entry, number: int) -> bool:
    url = entry.get("httpRequest", {}).get("requestUrl", "")
    return entry["logName"].endswith("/shop-requests") and url.endswith(f"/{number}")


def _check_list(entries: list[Entry]) -> None:
    for number in (17, 18):
        (parent,) = (e for e in entries if _is_parent(e, number))
        children = [
            e for e in entries
            if e.get("trace") == parent["trace"] and e["labels"].get("python_logger") == "shop"
        ]  # fmt: skip
        assert [c["textPayload"] for c in children] == [
            f"order {number} is read", f"order {number} has no address",
        ]  # fmt: skip
        for key in ("process_id", "process_name", "host"):
            assert {e["labels"][key] for e in (parent, *children)} == {parent["labels"][key]}


def test_the_extras_and_packages_that_are_installed_exist() -> None:
    """The line that installs names extras of the package, and what the program imports."""
    (install,) = (b.text for b in blocks_of(_PAGE) if b.title == "install")
    extras = _PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    for extra in re.findall(r"forklog\[([\w,]+)\]", install)[0].split(","):
        assert re.search(rf"^{extra} = \[", extras, re.MULTILINE), extra
    for package in install.split("' ")[1].split():
        assert re.search(rf'"{package}>=', extras), package


def test_the_doctor_of_the_page_runs(emulator: Emulator) -> None:
    """The command is shown as it is called, with nothing else."""
    (command,) = (b.text for b in blocks_of(_PAGE) if b.title == "doctor")
    assert command == "forklog doctor\n"
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env={**os.environ, "LOGGING_EMULATOR_HOST": emulator.host, "PYTHONPATH": python_path()},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
