"""`forklog recover` beside others, over broken files, without a server, and where it is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from cases import few, further
from heads import HEAD, put
from helpers import python_path, wait_until

from forklog.options import Options
from forklog.recovery.last_resort import LastResortFile
from forklog.recovery.outcome import Outcome
from forklog.recovery.send import Sending
from forklog.recovery.spools import recover_spools
from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES, segment_header, segment_name
from forklog.spool.head import new_name

if TYPE_CHECKING:
    from forklog.emulator import Emulator

_REFUSED_PORT = "http://127.0.0.1:1"
_NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())  # the emulator keeps 30 days
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _Server(socketserver.ThreadingTCPServer):
    """Answers so many requests, then says nothing until it is closed, or hangs up."""

    daemon_threads = True

    def __init__(self, answers: int = 0, *, hangs_up: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.answers, self.hangs_up = answers, hangs_up
        self.requests = 0
        self.on_request: Callable[[], object] = lambda: None
        self.answer_to: Callable[[int], bytes] = lambda _number: _ANSWER
        self.is_over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Request(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while line := self.rfile.readline():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
            if line == b"\r\n":
                self.rfile.read(size)
                self.server.requests += 1
                self.server.on_request()
                if self.server.requests > self.server.answers:
                    if not self.server.hangs_up:
                        self.server.is_over.wait(60)
                    return
                self.wfile.write(self.server.answer_to(self.server.requests))


@contextlib.contextmanager
def _running(server: _Server) -> Iterator[_Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()


def _orphan(place: Path, number: int, url: str, entries: int = 5, **changes: object) -> str:
    """Put what a dead process left; return the name of its head."""
    folder, prefix = Folder(str(place), 2**30), f"{number:019x}"
    name = f"forklog-{prefix}-00000000.head"
    put(folder, name, orjson.dumps({**HEAD, "endpoint": url, **changes}))
    content = segment_header(0, SEGMENT_BYTES[0])
    content += b"".join(_entry(f"{number}/{n}", number, n) for n in range(entries))
    put(folder, segment_name(prefix, 0), content.ljust(SEGMENT_BYTES[0], b"\0"))
    folder.close()
    return name


def _entry(text: str, process: int, number: int, **fields: object) -> bytes:
    entry = {"insertId": f"{process:019x}{number:010x}", "timestamp": _NOW}
    return orjson.dumps({**entry, "textPayload": text, **fields}) + b"\n"


def _call(path: Path, url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "forklog", "recover", str(path), "--endpoint", url, *options]


def _environ() -> dict[str, str]:
    hidden = {"GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**environ, "PYTHONPATH": python_path()}


def _recover(path: Path, url: str, *options: str, limit: int = 0) -> tuple[int, str, str]:
    numbers = (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    before = partial(resource.setrlimit, resource.RLIMIT_NOFILE, numbers) if limit else None
    done = subprocess.run(
        _call(path, url, *options),
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def _started(path: Path, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a recovery in the background; it is killed at the end if it still runs."""
    call, pipe = _call(path, url, *options), subprocess.PIPE
    with subprocess.Popen(call, env=_environ(), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_another_recovery_sends_is_no_living_process(tmp_path: Path) -> None:
    """The second call, and a dry run, name it and exit with 1."""
    folder, server = tmp_path / "spool", _Server()
    with _running(server):
        name = _orphan(folder, 1, server.url)
        with _started(folder, server.url) as first:
            wait_until(lambda: server.requests == 1, 30)
            for options in ((), ("--dry-run",)):
                status, output, _ = _recover(folder, server.url, *options)
                assert status == 1
                assert f"{name}: another process sends it now" in output
                assert "living" not in output
            first.send_signal(signal.SIGTERM)
            output, errors = first.communicate(timeout=30)
            assert first.returncode == 143, errors
            assert "sent 0 log entries" in output
            assert "the rest stays there: terminated" in output
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("behind", few(["", "/", "/."], "", "/."))
def test_a_link_to_a_spool_is_no_spool(tmp_path: Path, behind: str) -> None:
    """Also with a slash behind it, where the kernel would follow it: nothing is sent."""
    _orphan(tmp_path / "spool", 1, _REFUSED_PORT)
    (tmp_path / "link").symlink_to(tmp_path / "spool")
    call = _call(Path(), _REFUSED_PORT, "--dry-run")
    call[call.index(".")] = f"{tmp_path}/link{behind}"
    done = subprocess.run(
        call, env=_environ(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stdout
    assert "cannot be opened" in done.stderr
    assert done.stdout == ""


def test_a_living_process_is_counted(tmp_path: Path) -> None:
    """Its lock covers all of the head; nothing is left to do."""
    body = f"""
import logging, sys, forklog
from forklog.testing import FakeTransport, Hang
handler = forklog.CloudLoggingHandler(
    project="p", endpoint={_REFUSED_PORT!r}, spool={str(tmp_path / "spool")!r},
    transport=FakeTransport(Hang(times=1000)), shutdown_timeout=0.1)
handler.handle(logging.makeLogRecord({{"msg": "x"}}))
print("ready", flush=True)
sys.stdin.read()
"""
    call = [sys.executable, "-c", body]
    pipe = subprocess.PIPE
    with subprocess.Popen(call, env=_environ(), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        status, output, _ = _recover(tmp_path / "spool", _REFUSED_PORT)
        assert (status, "1 living process sends its own" in output) == (0, True), output


def test_there_may_be_more_orphans_than_descriptors(tmp_path: Path, emulator: Emulator) -> None:
    """A recovery claims a few at a time, and sends them all."""
    for number in range(1, 71):
        _orphan(tmp_path / "spool", number, emulator.url, entries=1)
    status, output, errors = _recover(tmp_path / "spool", emulator.url, limit=48)
    assert status == 0, output + errors
    assert "sent 70 log entries" in output
    assert len(emulator.entries()) == 70
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("project", ["BAD-A!!", "\x1b[31mred", *further("", "p" * 5000)])
def test_a_head_of_no_project_holds_up_no_other(
    tmp_path: Path, emulator: Emulator, project: str
) -> None:
    """It is named and stays; what other processes left is sent."""
    bad = _orphan(tmp_path / "spool", 1, emulator.url, project=project)
    _orphan(tmp_path / "spool", 2, emulator.url)
    status, output, _ = _recover(tmp_path / "spool", emulator.url)
    assert status == 1
    assert "sent 5 log entries" in output
    assert bad in output
    assert "broken, or not this user's alone" in output
    assert "\x1b" not in output
    assert len(emulator.entries()) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"logName": "projects/BAD!/logs/x"},
        {"logName": "projects/p/logs/x", "resource": "none"},
        *further(
            {"logName": "projects/p/logs/"},
            {"logName": 7},
            {"logName": "projects/p/logs/x%20y"},
            {},
        ),
    ],
)
def test_a_line_that_cannot_be_sent_holds_up_no_other(
    tmp_path: Path, emulator: Emulator, fields: dict[str, object]
) -> None:
    """It is counted apart, and so it is in a dry run; the lines behind it are sent."""
    good = {"logName": "projects/p/logs/l", "resource": {"type": "global"}}
    lines = [_entry(str(n), 1, n, **(fields if n == 3 else good)) for n in range(6)]
    path = tmp_path / "saved.json"
    path.write_bytes(b"".join(lines))
    for options, verb in ((("--dry-run",), "would send"), ((), "sent")):
        status, output, errors = _recover(path, emulator.url, *options)
        assert (status, errors) == (1, "")
        first = f"{path}: {verb} 5 log entries, 1 log entry without a valid log or project"
        assert output.splitlines()[0] == first
    assert len(emulator.entries()) == 5


def _listing(folder: Path) -> list[tuple[object, ...]]:
    found = [(path.name, path.lstat()) for path in sorted(folder.iterdir())]
    return [(name, seen.st_ino, seen.st_size, seen.st_mtime_ns) for name, seen in found]


def test_a_dry_run_changes_nothing_and_names_what_is_broken(tmp_path: Path) -> None:
    """No file is renamed or removed, however old; each that holds lost entries has a line."""
    place, week = tmp_path / "spool", 8 * 24 * 3600
    _orphan(place, 1, _REFUSED_PORT)
    folder = Folder(str(place), 2**30)
    broken = put(folder, segment_name(f"{1:019x}", 1), b"XXXXXXXX" + bytes(100))
    head = put(folder, f"forklog-{2:019x}-00000000.head", b"no JSON")
    aside = put(folder, segment_name(f"{3:019x}", 0) + ".bad", b"XXXXXXXX")
    headless = put(folder, segment_name(f"{4:019x}", 0), segment_header(0, SEGMENT_BYTES[0]))
    other = put(folder, f"forklog-{5:019x}-00000000.head", b'{"format": 99}')
    unfinished = put(folder, new_name(f"{6:019x}"), b"")
    folder.close()
    for path in (aside, headless, unfinished):
        os.utime(path, (time.time() - week,) * 2)
    before = _listing(place)
    for _ in range(2):
        status, output, _ = _recover(place, _REFUSED_PORT, "--dry-run")
        assert status == 1
        assert "would send 5 log entries" in output
        for name in (broken.name, head.name, f"{aside.name}: 8 d old", headless.name, other.name):
            assert name in output, output
        assert unfinished.name not in output
        assert _listing(place) == before


def test_a_broken_segment_is_lost_in_no_run(tmp_path: Path) -> None:
    """Where nothing but a broken one is there, a dry run, a real one and the next exit with 1."""
    place = tmp_path / "spool"
    _orphan(place, 1, _REFUSED_PORT)
    [segment] = place.glob("*.log")
    segment.write_bytes(b"X" * SEGMENT_BYTES[0])
    for options in (("--dry-run",), (), ("--dry-run",), ()):
        status, output, _ = _recover(place, _REFUSED_PORT, *options)
        assert status == 1
        assert output.count(segment.name) == 1, output
    assert [path.name for path in place.iterdir()] == [f"{segment.name}.bad"]


@pytest.mark.parametrize("is_json", few([False, True], False))
def test_ctrl_c_prints_what_was_sent(tmp_path: Path, *, is_json: bool) -> None:
    """Status 130, and the numbers; what was not sent stays, and can be sent at once."""
    folder, server = tmp_path / "spool", _Server(answers=1)
    with _running(server):
        for number in (1, 2):
            _orphan(folder, number, server.url, entries=20 * number)
        with _started(folder, server.url, *(["--json"] if is_json else [])) as process:
            wait_until(lambda: server.requests == 2, 30)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (130, "")
        if is_json:
            outcome = json.loads(output)
            assert (outcome["sent"], outcome["stopped"]) == (20, "interrupted")
        else:
            assert f"{folder}: sent 20 log entries" in output
            assert "the rest stays there: interrupted" in output
        status, output, _ = _recover(folder, server.url, "--dry-run")
        assert (status, "would send 40 log entries" in output) == (1, True)


def test_a_wrong_call_prints_json_where_it_is_asked_for(tmp_path: Path) -> None:
    """With status 2; the line on stderr is the same."""
    status, output, errors = _recover(tmp_path / "none", _REFUSED_PORT, "--json")
    assert status == 2
    outcome = json.loads(output)
    assert (outcome["sent"], outcome["path"]) == (0, str(tmp_path / "none"))
    assert errors == f"forklog recover: {outcome['stopped']}\n"


class _Clock:
    """Time that passes where it is slept, and where a request costs some."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += seconds

    def passes(self, seconds: float) -> None:
        self.now += seconds


def _outcome(place: Path, url: str, clock: _Clock) -> Outcome:
    options = Options(project="p", endpoint=url)
    sending = Sending(options, is_dry_run=False, clock=lambda: clock.now, sleep=clock.sleep)
    outcome = Outcome(str(place))
    if place.is_file():
        LastResortFile(str(place), options, is_named=True).recover(sending, outcome)
        sending.close()
        return outcome
    folder = Folder(str(place), 2**62, is_made=False)
    try:
        recover_spools(folder, options, sending, outcome)
    finally:
        sending.close()
        folder.close()
    return outcome


@pytest.mark.parametrize("orphans", few([1, 20], 20))
def test_a_server_that_is_gone_costs_seconds_whatever_is_left(tmp_path: Path, orphans: int) -> None:
    """One batch is tried again; neither its parts nor what other processes left wait so long."""
    for number in range(1, orphans + 1):
        _orphan(tmp_path / "spool", number, _REFUSED_PORT, entries=50)
    clock = _Clock()
    outcome = _outcome(tmp_path / "spool", _REFUSED_PORT, clock)
    assert (outcome.sent, outcome.left) == (0, 50 * orphans)
    assert clock.slept == 0.5 + 1 + 2
    assert len(outcome.notes) == orphans
    assert "no connection to the server" in outcome.notes[0]
    server = _Server(hangs_up=True)
    with _running(server):
        for head in (tmp_path / "spool").glob("*.head"):
            head.write_bytes(orjson.dumps({**HEAD, "endpoint": server.url}))
        clock = _Clock()
        outcome = _outcome(tmp_path / "spool", server.url, clock)
        assert (outcome.left, clock.slept) == (50 * orphans, 3.5)
        assert server.requests <= 4 + 6 + 3


def test_a_server_that_never_answers_costs_half_a_minute_and_one_request(tmp_path: Path) -> None:
    """No request begins once nothing was delivered for 30 s."""
    server, clock = _Server(hangs_up=True), _Clock()
    server.on_request = partial(clock.passes, 20.0)
    with _running(server):
        for number in range(1, 6):
            _orphan(tmp_path / "spool", number, server.url, entries=50)
        outcome = _outcome(tmp_path / "spool", server.url, clock)
    assert (outcome.sent, outcome.left) == (0, 250)
    assert server.requests == 2
    assert clock.now <= 30 + 20


def _http(status: int, content: object) -> bytes:
    body = orjson.dumps(content)
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


_LATER = {"5": {"code": 8, "message": "later"}}  # RESOURCE_EXHAUSTED
_TYPE = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
_PARTIAL = {"code": 429, "details": [{"@type": _TYPE, "logEntryErrors": _LATER}]}


@pytest.mark.parametrize(
    ("answers", "sent"),
    [
        ([_http(429, {"error": _PARTIAL})], 5),
        ([_http(503, {}), _http(503, {}), _http(413, {})], 0),
        ([_http(503, {}), _http(503, {}), _http(400, {})], 0),
    ],
)
@pytest.mark.parametrize("is_file", [False, True])
def test_no_entry_is_settled_by_the_answer_to_others(
    tmp_path: Path, answers: list[bytes], sent: int, *, is_file: bool
) -> None:
    """Once no request is made any more, what was not sent is left, whatever the last answer was."""
    server, clock = _Server(answers=1_000), _Clock()
    server.on_request = partial(clock.passes, 8.0)
    server.answer_to = lambda number: answers[min(number, len(answers)) - 1]
    place = tmp_path / "spool"
    with _running(server):
        _orphan(place, 1, server.url, entries=40)
        if is_file:
            known = {"logName": "projects/p/logs/l", "resource": {"type": "global"}}
            place = tmp_path / "saved.json"
            place.write_bytes(b"".join(_entry(str(n), 1, n, **known) for n in range(40)))
        outcome = _outcome(place, server.url, clock)
    assert server.requests <= 5
    assert (outcome.sent, outcome.refused, outcome.left) == (sent, 0, 40 - sent)
    assert outcome.has_left
    assert outcome.notes
    if not is_file:
        assert len(list(place.iterdir())) == 2
