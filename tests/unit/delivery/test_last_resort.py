"""What could not be delivered, as JSON lines."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path

import pytest
from helpers import check_python, python_path, wait_until

from forklog.delivery.sinks import private_file
from forklog.delivery.sinks.last_resort import write_last_resort
from forklog.delivery.sinks.private_file import append_lines
from forklog.stderr.reporter import StderrReporter
from forklog.stderr.waits import Waits

_OPEN = Path("/proc/self/fd")
_ENTRIES = [b'{"textPayload":"eins"}', '{"textPayload":"zwölf"}'.encode()]


@pytest.fixture
def complaints() -> list[str]:
    """Return what was written to stderr besides the entries."""
    return []


@pytest.fixture
def report(complaints: list[str]) -> StderrReporter:
    """Return a report into the list."""
    return StderrReporter(complaints.append)


def test_stderr_gets_one_entry_a_line(
    capsys: pytest.CaptureFixture[str], report: StderrReporter
) -> None:
    """Each line is one whole JSON entry."""
    write_last_resort("stderr", _ENTRIES, report)
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["textPayload"] for line in lines] == ["eins", "zwölf"]


def test_a_file_is_private_and_appended_to(tmp_path: Path, report: StderrReporter) -> None:
    """The file is readable by its user alone, and what it held stays."""
    path = tmp_path / "lost.json"
    write_last_resort(str(path), _ENTRIES[:1], report)
    write_last_resort(str(path), _ENTRIES[1:], report)
    assert path.read_bytes() == b"\n".join(_ENTRIES) + b"\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_stays_open(tmp_path: Path, report: StderrReporter) -> None:
    """Whether it was written or refused, the file is closed."""
    before = len(list(_OPEN.iterdir()))
    (tmp_path / "other").write_bytes(b"")
    os.link(tmp_path / "other", tmp_path / "linked")
    for name in ("plain", "linked"):
        for _ in range(3):
            write_last_resort(str(tmp_path / name), _ENTRIES, report)
    assert len(list(_OPEN.iterdir())) == before


def test_a_symbolic_link_is_not_followed(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A link planted at the path leads nowhere: its target stays, stderr gets the entries."""
    target = tmp_path / "victim"
    target.write_text("mine")
    link = tmp_path / "lost.json"
    link.symlink_to(target)
    write_last_resort(str(link), _ENTRIES, report)
    assert target.read_text() == "mine"
    assert "zwölf" in capsys.readouterr().err
    assert len(complaints) == 1
    assert str(link) in complaints[0]


def test_a_planted_link_in_the_way_is_not_followed(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder that is another user's link leads nowhere; one of our own, or root's, does."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a link of another user")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = tmp_path / "link" / "lost.json"
    write_last_resort(str(path), _ENTRIES, report)
    assert path.read_bytes().count(b"\n") == 2
    os.lchown(tmp_path / "link", 12345, 12345)
    write_last_resort(str(path), _ENTRIES, report)
    assert path.read_bytes().count(b"\n") == 2
    assert "another user" in complaints[0]
    assert "eins" in capsys.readouterr().err


@pytest.mark.parametrize("planted", ["pipe", "read pipe", "hard link", "folder", "stranger"])
def test_what_was_planted_is_not_written(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
    planted: str,
) -> None:
    """Pipe, second name of a file, folder, another user's file: at once stderr gets the entries."""
    path, victim = tmp_path / "lost.json", tmp_path / "victim"
    victim.write_text("mine")
    reader = None
    if "pipe" in planted:
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if planted == "read pipe" else None
    elif planted == "hard link":
        path.hardlink_to(victim)
    elif planted == "folder":
        path.mkdir()
    elif os.geteuid() != 0:
        pytest.skip("only root can make a file of another user")
    else:
        path.touch()
        os.chown(path, 12345, 12345)
    write_last_resort(str(path), _ENTRIES, report)
    assert victim.read_text() == "mine"
    assert len(complaints) == 1
    assert str(path) in complaints[0]
    assert "eins" in capsys.readouterr().err
    if reader is not None:
        os.close(reader)


def test_a_stuck_reader_of_stderr_does_not_stop_the_exit() -> None:
    """With stderr a full pipe without a reader, a process with much to write ends all the same."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 4096):
            pass
    os.set_blocking(writing, True)
    body = """
        import forklog, logging, sys
        from forklog.testing import FakeTransport, Fail
        handler = forklog.CloudLoggingHandler(
            transport=FakeTransport(Fail(503, times=10**6)), shutdown_timeout=0.2)
        logging.getLogger().addHandler(handler)
        for n in range(1000):
            logging.warning("x" * 1000)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body)],
        stderr=writing,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    os.close(writing)
    try:
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def test_none_writes_nothing(capsys: pytest.CaptureFixture[str], report: StderrReporter) -> None:
    """Whoever asks for silence has it."""
    write_last_resort("none", _ENTRIES, report)
    assert capsys.readouterr().err == ""


def test_a_missing_folder_falls_back_to_stderr(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that cannot be made is complained about, with the reason, and costs no entry."""
    write_last_resort(str(tmp_path / "no" / "lost.json"), _ENTRIES, report)
    assert os.strerror(2) in complaints[0]
    assert "eins" in capsys.readouterr().err


def test_a_path_that_cannot_be_falls_back_to_stderr(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A path with a null byte, which no file can have, is complained about and costs no entry."""
    write_last_resort(f"{tmp_path}/a\0b", _ENTRIES, report)
    assert "null" in complaints[0]
    assert "eins" in capsys.readouterr().err


def test_a_dead_stderr_is_borne(monkeypatch: pytest.MonkeyPatch, report: StderrReporter) -> None:
    """Nothing is raised where there is nowhere left to write."""
    monkeypatch.setattr(sys, "stderr", None)
    write_last_resort("stderr", _ENTRIES, report)


def test_what_stands_in_for_stderr_and_logs_is_passed_by() -> None:
    """Where celery has put a logger in stderr's place, entries and lines go to the real one."""
    done = check_python("""
        import logging, sys
        from celery.utils.log import LoggingProxy
        import forklog
        from forklog.testing import FakeTransport, Hang
        handler = forklog.CloudLoggingHandler(transport=FakeTransport(Hang()), shutdown_timeout=0.1)
        logging.getLogger().addHandler(handler)
        sys.stderr = LoggingProxy(logging.getLogger("redirected"), "WARNING")
        logging.warning("lost")
        handler.close()
        assert handler.stats().accepted == 1, handler.stats()
    """)
    assert '"textPayload":"lost"' in done.stderr
    assert "wrote 1 undelivered log entries to stderr (shutdown)" in done.stderr


def test_a_slow_reader_gets_whole_lines(tmp_path: Path, report: StderrReporter) -> None:
    """More than one write is needed for much data; all of it arrives."""
    path = tmp_path / "lost.json"
    many = [b'{"n":%d,"x":"%b"}' % (n, b"x" * 1000) for n in range(3000)]
    write_last_resort(str(path), many, report)
    assert path.read_bytes().splitlines() == many


def test_an_ascii_stderr_still_gets_the_entries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: StderrReporter
) -> None:
    """Under a C locale, where stderr cannot hold every character, no entry is lost."""
    path = tmp_path / "stderr"
    with path.open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        write_last_resort("stderr", _ENTRIES, report)
    assert [json.loads(line)["textPayload"] for line in path.read_bytes().splitlines()] == [
        "eins",
        "zwölf",
    ]


def test_a_fork_while_another_thread_writes_leaves_stderr_usable() -> None:
    """The lock of Python's stderr may be held at the fork: the child's lines come all the same."""
    check_python("""
        import os, sys, threading, warnings
        from forklog.stderr.reporter import StderrReporter
        warnings.simplefilter("ignore")  # Python's own about the fork would wait for the lock
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        held = threading.Event()

        def fill():
            held.set()
            sys.stderr.buffer.write(b"x" * 2_000_000)  # more than the pipe takes: holds the lock
            sys.stderr.buffer.flush()

        threading.Thread(target=fill, daemon=True).start()
        held.wait()
        while len(os.read(reading, 65_536)) == 65_536 and not fill.__doc__:
            fill.__doc__ = "the thread is in the middle of its write now"
        pid = os.fork()
        if not pid:
            rest, end = os.pipe()
            os.dup2(end, 2)
            StderrReporter().say("key", "from the child")
            ok = b"from the child" in os.read(rest, 1000)
            os._exit(DONE if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
        os._exit(DONE)
    """)


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path,
    report: StderrReporter,
    complaints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever owns a folder on the way decides what stands below it: stderr gets the entries.

    Class of fault: trust in a path of which another user holds a part; siblings:
    `test_a_planted_link_in_the_way_is_not_followed`, `test_the_folder_of_another_user_is_refused`,
    `test_a_link_in_place_of_the_folder_is_refused`.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder of another user")
    path = tmp_path / "theirs" / "ours" / "lost.json"
    path.parent.mkdir(parents=True)
    os.chown(tmp_path / "theirs", 12345, 12345)
    written = write_last_resort(str(path), _ENTRIES, report)
    assert not path.exists()
    assert "another user" in complaints[0]
    assert "eins" in capsys.readouterr().err
    assert written == {"stderr": 2}


def test_a_folder_that_is_swapped_meanwhile_is_not_followed(
    tmp_path: Path, report: StderrReporter
) -> None:
    """While a folder and another user's link change places, no entry gets to the link's target.

    Class of fault: a path that is checked and then opened by its name; siblings:
    `test_a_symbolic_link_is_not_followed`, `test_what_was_planted_is_not_written`,
    `test_a_link_that_takes_the_place_of_a_new_folder_is_not_followed`.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make a link of another user")
    for name in ("real", "victim"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.lchown(tmp_path / "link", 12345, 12345)
    (tmp_path / "spot").mkdir()
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (tmp_path / "spot").rename(tmp_path / "away")
            (tmp_path / "link").rename(tmp_path / "spot")
            (tmp_path / "spot").rename(tmp_path / "link")
            (tmp_path / "away").rename(tmp_path / "spot")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(3000):
            with contextlib.suppress(OSError):
                append_lines(str(tmp_path / "spot" / "lost.json"), b"{}\n")
    finally:
        over.set()
        thread.join()
    assert not list((tmp_path / "victim").iterdir())
    assert write_last_resort(str(tmp_path / "spot" / "lost.json"), _ENTRIES, report)["file"] == 2


@pytest.mark.parametrize(("before", "after"), [(0o666, 0o640), (0o640, 0o640), (0o600, 0o600)])
def test_an_existing_file_is_made_private(
    tmp_path: Path, report: StderrReporter, before: int, after: int
) -> None:
    """An existing file that everybody may read or write is so no longer.

    Class of fault: other users have rights on what holds entries; siblings:
    `test_a_file_is_private_and_appended_to`, `test_folders_that_are_made_are_private`,
    `test_a_folder_that_others_may_enter_is_refused`.
    """
    path = tmp_path / "lost.json"
    path.touch()
    path.chmod(before)
    write_last_resort(str(path), _ENTRIES, report)
    assert path.stat().st_mode & 0o777 == after


def test_a_torn_line_stays_alone(tmp_path: Path, report: StderrReporter) -> None:
    """After a line that a full disk has cut, entries begin on a line of their own.

    Class of fault: an entry is joined to a line that was cut; siblings:
    `test_a_line_that_another_process_writes_at_this_moment_is_not_torn`,
    `test_many_processes_append_to_one_file`, `test_a_line_that_was_torn_is_ended`.
    """
    path = tmp_path / "lost.json"
    path.write_bytes(b'{"textPayload":"to')
    write_last_resort(str(path), _ENTRIES, report)
    assert path.read_bytes().splitlines()[1:] == _ENTRIES


def test_a_line_that_another_process_writes_at_this_moment_is_not_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No empty line comes to stand in the file; whoever keeps the lock is not waited for."""
    path, waits = tmp_path / "lost.json", threading.Event()
    monkeypatch.setattr(private_file, "_LOCK_SECONDS", 60.0)
    monkeypatch.setattr(private_file, "_waits", Waits())
    monkeypatch.setattr("forklog.stderr.waits._MAX_SECONDS", 60.0)
    monkeypatch.setattr(private_file, "_sleep", lambda _: waits.set())
    with path.open("ab", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b'{"textPayload":"to')
        thread = threading.Thread(target=append_lines, args=(str(path), b"{}\n"))
        thread.start()
        wait_until(lambda: waits.is_set() or not thread.is_alive(), 60)
        other.write(b'day"}\n')
        fcntl.flock(other, fcntl.LOCK_UN)
        thread.join(60)
        assert path.read_bytes() == b'{"textPayload":"today"}\n{}\n'
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(private_file, "_LOCK_SECONDS", 0.05)
        append_lines(str(path), b"[]\n")
    assert path.read_bytes().endswith(b"\n{}\n[]\n")


def test_many_processes_append_to_one_file(tmp_path: Path) -> None:
    """Each line of each is there, whole, and no other."""
    path = tmp_path / "lost.json"
    code = """
        import sys
        from forklog.delivery.sinks import private_file
        is_locked = private_file._is_locked
        # On a busy machine another process may take longer than a call waits.
        private_file._is_locked = lambda file, _: is_locked(file, float("inf"))
        for number in range(50):
            private_file.append_lines(sys.argv[1], b'{"x":"%b"}\\n' % (b"x" * 30_000) * 10)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    environ = {**os.environ, "PYTHONPATH": python_path()}
    for process in [subprocess.Popen(command, env=environ) for _ in range(4)]:
        assert process.wait(60) == 0
    lines = path.read_bytes().splitlines()
    assert Counter(map(len, lines)) == {30_008: 2000}


def test_what_a_full_disk_does_not_take_goes_to_stderr() -> None:
    """Each entry is written once: those that fit to the file, the others to stderr."""
    done = check_python(
        """
        import os, resource, tempfile
        from forklog.delivery.sinks.last_resort import write_last_resort
        from forklog.stderr.reporter import StderrReporter
        path = os.path.join(tempfile.mkdtemp(), "lost.json")
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
        entries = [b'{"n":%d,"x":"%b"}' % (n, b"x" * 80) for n in range(5)]
        said = []
        written = write_last_resort(path, entries, StderrReporter(said.append))
        assert written == {"file": 2, "stderr": 3}, written
        assert "large" in said[0], said
        kept = open(path, "rb").read().splitlines()
        assert kept[:2] == entries[:2]
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
    """,
        is_covered=False,
    )  # the limit would cut the file of the coverage, too
    assert [json.loads(line)["n"] for line in done.stderr.splitlines()] == [2, 3, 4]
