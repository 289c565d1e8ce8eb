"""`forklog tail` as a process of its own, on the emulator and on one that stands for the cloud."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import further
from helpers import python_path, wait_until
from wire import RawServer, account_file, answer, make_key, read_request

from forklog import CloudLoggingHandler
from forklog.emulator.process import Emulator

if TYPE_CHECKING:
    import socket

_SECONDS = 60
_NOWHERE = "http://127.0.0.1:1"
_COMMAND = [sys.executable, "-m", "forklog", "tail"]


def _environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if "GOOGLE" not in k and k != "NO_COLOR"}
    kept.pop("LOGGING_EMULATOR_HOST", None)
    return {**kept, "PYTHONPATH": python_path(), "NO_GCE_CHECK": "true", **more}


def _once(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments],
        env=_environ(**environ),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


class Following:
    """A running `forklog tail`, with what it has printed so far."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        """Start it."""
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*_COMMAND, *arguments],
                env=_environ(**environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def lines(self) -> list[str]:
        """Return the whole lines on stdout."""
        return self.out.read_text().splitlines()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text was printed so often."""
        wait_until(lambda: self.out.read_text().count(text) >= times, _SECONDS, text)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS)


@contextlib.contextmanager
def _following(folder: Path, *arguments: str, **environ: str) -> Iterator[Following]:
    running = Following(folder, *arguments, **environ)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@contextlib.contextmanager
def _logger(emulator: Emulator, project: str = "p") -> Iterator[logging.Logger]:
    handler = CloudLoggingHandler(endpoint=emulator.url, project=project, log_name="shop")
    logger = logging.Logger("shop", logging.DEBUG)  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def test_entries_are_followed_until_ctrl_c(emulator: Emulator, tmp_path: Path) -> None:
    """What was there and what comes is shown, each entry once; Ctrl-C ends it with 130."""
    with _logger(emulator) as logger:
        logger.info("before")
        logger.handlers[0].flush()
        with _following(tmp_path, LOGGING_EMULATOR_HOST=emulator.host) as tail:
            tail.wait_for("before")
            for number in range(500):
                logger.info("entry %d!", number)
            logger.error("evil \x1b]0;title\x07\nsecond line")
            tail.wait_for("evil")
            tail.wait_for("entry 499!")
            assert tail.end() == 130
    text = tail.out.read_text()
    assert text.count("before") == 1
    assert [text.count(f"entry {n}!") for n in range(500)] == [1] * 500
    assert r"evil \x1b]0;title\x07" in text
    assert "    second line" in tail.lines()
    assert "\x1b" not in text
    assert tail.err.read_text() == ""


def test_json_and_a_filter(emulator: Emulator, tmp_path: Path) -> None:
    """With --json each entry that matches is one line of JSON, as the API has it."""
    with _logger(emulator) as logger:
        url = ("--emulator", emulator.url)
        with _following(tmp_path, "severity>=WARNING", "--json", *url) as tail:
            logger.info("not wanted")
            logger.warning("wanted \x1b[1m")
            tail.wait_for("wanted")
            tail.end()
    (entry,) = map(json.loads, tail.lines())
    assert entry == emulator.entries("severity>=WARNING")[0]
    assert "\x1b" not in tail.out.read_text()


def test_the_newest_without_following(emulator: Emulator) -> None:
    """`-n` and `--no-follow` show the newest entries, the oldest first, and end with 0."""
    with _logger(emulator) as logger, _logger(emulator, "other") as other:
        for number in range(5):
            logger.info("number %d", number)
            logger.handlers[0].flush()
        other.info("of another project")
    arguments = ("--emulator", emulator.host, "--no-follow")
    done = _once("-n", "2", "--project", "p", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()[1:]] == ["3", "4"]
    assert "of another project" in _once(*arguments).stdout
    assert "of another project" not in _once("--project", "p", *arguments).stdout


@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_reader_that_has_gone_ends_it(emulator: Emulator, *, is_quiet: bool) -> None:
    """It ends with 141 and no word, also while no entry comes."""
    with _logger(emulator) as logger:
        logger.info("first")
        logger.handlers[0].flush()
        process = subprocess.Popen(
            [*_COMMAND, "--emulator", emulator.url],
            env=_environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            process.stdout.readline()
            process.stdout.readline()
            process.stdout.close()
            if not is_quiet:
                logger.info("second")
            assert process.wait(_SECONDS) == 141
            assert process.stderr.read() == b""


def test_colours(emulator: Emulator) -> None:
    """With rich a severity has its colour; without, and in a pipe, the text is plain."""
    pytest.importorskip("rich", reason="the extra `cli` has it")
    with _logger(emulator) as logger:
        logger.error("red")
    arguments = ("--emulator", emulator.url, "--no-follow")
    plain, styled = _once(*arguments).stdout, _once(*arguments, "--color", "always").stdout
    assert "\x1b[31mERROR" in styled
    assert "\x1b" not in plain
    blocked = "import sys; sys.modules['rich'] = None; from forklog.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "tail", *arguments, "--color", "always"],
        env=_environ(), capture_output=True, text=True, timeout=_SECONDS, check=True,
    )  # fmt: skip
    assert done.stdout == plain


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("severity >= ",), 2, "filter"),
        *further(
            (("--endpoint", _NOWHERE, "--emulator", _NOWHERE), 2, "--emulator"),
            (("--project", "NOT A PROJECT"), 2, "project"),
        ),
        (("--emulator", _NOWHERE), 1, "cannot be reached"),
        *further((("--emulator", "foo:bar"), 2, "option emulator='foo:bar': must be HOST:PORT")),
        (("--emulator", ""), 2, "option emulator='': must be HOST:PORT"),
        (("-n", "1001"), 2, "1000"),
    ],
    ids=["filter", "both", "project", "unreachable", "no address", "empty address", "lines"],
)
def test_a_call_that_fails_says_why(
    emulator: Emulator, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """One line on stderr, status 2 for a wrong call and 1 for a server that cannot be read."""
    done = _once(*arguments, LOGGING_EMULATOR_HOST=emulator.host)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("status", "body", "date", "code"),
    [
        (200, b"[" * 200_000, "", 1),
        *further(
            (400, b'{"error":' + b"[" * 200_000, "", 1),
            (200, b'{"entries":[],"nextPageToken":[1]}', "", 0),
            (200, b'{"entries":7}', "", 1),
            (400, b'{"error":{"message":"' + b"line\\n" * 3_000 + b'"}}', "", 2),
        ),
        (200, b'{"entries":[1,2]}', "", 0),
        (200, b"{}", "Date: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n", 0),
        (400, b'{"error":{"message":"' + b"x" * 300_000 + b'"}}', "", 2),
    ],
)
def test_a_foreign_answer_is_no_traceback_and_no_flood(
    status: int, body: bytes, date: str, code: int
) -> None:
    """Whatever answers in the place of the server, the command says so in a few lines."""

    def act(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 {status} .\r\n{date}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with RawServer(act) as server:
        done = _once("-n", "5", "--no-follow", "--emulator", server.url.removeprefix("http://"))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 5_000
    assert len(done.stderr.splitlines()) < 25


def test_without_credentials(tmp_path: Path) -> None:
    """The remedy is named."""
    done = _once("--project", "p", CLOUDSDK_CONFIG=str(tmp_path))
    assert done.returncode == 1
    assert "gcloud auth application-default login" in done.stderr


class Cloud:
    """The emulator behind a server that demands a token, as Cloud Logging does."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        """Listen; the file of credentials is `account`."""
        self._emulator = emulator
        self.reads: list[float] = []
        self.bodies: list[dict[str, object]] = []
        self.scopes: list[str] = []
        self.statuses: list[int] = []
        self.empty_pages = 0
        self.token = "the-token"  # noqa: S105 - it opens nothing
        self.server = RawServer(self._serve)
        self.url = self.server.url
        self.account = account_file(folder / "account.json", f"{self.url}/token", make_key()[1])

    def _serve(self, connection: socket.socket) -> None:
        while True:
            head, body = read_request(connection)
            if head.startswith("POST /token"):
                self._give_token(connection, body)
                continue
            assert head.startswith("POST /v2/entries:list "), head
            self.reads.append(time.monotonic())
            asked = json.loads(body)
            self.bodies.append(asked)
            given = "".join(ln for ln in head.splitlines() if ln.lower().startswith("authoriz"))
            if not given.endswith(f"Bearer {self.token}"):
                answer(connection, 401, {"error": {"status": "UNAUTHENTICATED", "message": "no"}})
            elif self.statuses and (status := self.statuses.pop(0)) != 200:
                error = {"status": "X", "message": "of the test"}
                answer(connection, status, {"error": error}, "Retry-After: 1")
            elif self.empty_pages:
                self.empty_pages -= 1
                answer(connection, 200, {"nextPageToken": f"{self.empty_pages}"})
            else:
                assert asked.pop("orderBy") in ("timestamp asc", "timestamp desc")
                found = self._emulator.entries(asked["filter"], project="p")
                answer(connection, 200, {"entries": found})

    def _give_token(self, connection: socket.socket, body: bytes) -> None:
        assertion = urllib.parse.parse_qs(body.decode())["assertion"][0]
        claims = assertion.split(".")[1]
        claims += "=" * (-len(claims) % 4)
        self.scopes.append(json.loads(base64.urlsafe_b64decode(claims))["scope"])
        answer(connection, 200, {"access_token": self.token, "expires_in": 3600})


@pytest.fixture
def cloud(emulator: Emulator, tmp_path: Path) -> Iterator[Cloud]:
    """Run a cloud."""
    running = Cloud(emulator, tmp_path)
    yield running
    running.server.close()


def test_cloud_logging_is_read_as_the_user_within_its_quota(
    emulator: Emulator, cloud: Cloud, tmp_path: Path
) -> None:
    """With a token of the scope to read, of one project, and less than 60 reads a minute."""
    arguments = ("--endpoint", cloud.url, "--credentials", str(cloud.account))
    with _logger(emulator) as logger, _following(tmp_path, *arguments) as tail:
        wait_until(lambda: cloud.reads, _SECONDS)
        logger.info("one")
        tail.wait_for("one")
        logger.info("two")
        tail.wait_for("two")
        wait_until(lambda: len(cloud.reads) >= 4, _SECONDS)
        assert tail.end() == 130
    assert (tail.out.read_text().count("one"), tail.out.read_text().count("two")) == (1, 1)
    assert cloud.scopes == ["https://www.googleapis.com/auth/logging.read"]
    assert {tuple(body["resourceNames"]) for body in cloud.bodies} == {("projects/p",)}  # type: ignore[arg-type]
    pauses = [b - a for a, b in zip(cloud.reads, cloud.reads[1:], strict=False)]
    assert min(pauses) > 1.0
    assert tail.err.read_text() == ""


def test_pages_are_read_within_the_quota(emulator: Emulator, cloud: Cloud) -> None:
    """An answer may have a token and no entry; the next page waits its turn."""
    with _logger(emulator) as logger:
        logger.info("behind empty pages")
    cloud.empty_pages = 3
    arguments = ("--endpoint", cloud.url, "--credentials", str(cloud.account), "--no-follow")
    done = _once(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "behind empty pages" in done.stdout
    assert [body.get("pageToken") for body in cloud.bodies] == [None, "2", "1", "0"]
    assert cloud.reads[3] - cloud.reads[0] > 2  # 3.3 s, less what a busy machine may take away


def test_no_proxy_and_no_netrc(emulator: Emulator, cloud: Cloud, tmp_path: Path) -> None:
    """The token of the credentials counts, whatever ~/.netrc has; loopback has no proxy."""
    with _logger(emulator) as logger:
        logger.info("direct")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    arguments = ("--endpoint", cloud.url, "--credentials", str(cloud.account), "--no-follow")
    done = _once(*arguments, NETRC=str(netrc))
    assert (done.returncode, done.stderr) == (0, "")
    assert "direct" in done.stdout
    proxy = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    assert "direct" in _once("--emulator", emulator.url, "--no-follow", **proxy).stdout


def test_a_passing_failure_is_waited_out(emulator: Emulator, cloud: Cloud, tmp_path: Path) -> None:
    """A quota that is used up, or an outage, costs one line, and no entry."""
    cloud.statuses = [200, 429, 503]
    arguments = ("--endpoint", cloud.url, "--credentials", str(cloud.account))
    with _logger(emulator) as logger, _following(tmp_path, *arguments) as tail:
        wait_until(lambda: cloud.reads, _SECONDS)
        logger.info("meanwhile")
        wait_until(lambda: "reads again" in tail.err.read_text(), _SECONDS, "the end of it")
        tail.wait_for("meanwhile")
        assert tail.end() == 130
    assert tail.out.read_text().count("meanwhile") == 1
    assert tail.err.read_text().splitlines() == [
        "forklog tail: the server refuses (429): of the test; trying again",
        "forklog tail: reads again",
    ]


@pytest.mark.parametrize("status", [403, 404])
def test_a_missing_permission_names_the_role(cloud: Cloud, status: int) -> None:
    """It ends with 1."""
    cloud.statuses = [status]
    done = _once("--endpoint", cloud.url, "--credentials", str(cloud.account))
    assert done.returncode == 1
    assert f"({status}): of the test; grant roles/logging.viewer" in done.stderr


def test_a_token_that_is_refused_is_renewed(emulator: Emulator, cloud: Cloud) -> None:
    """Once; with the new token the read goes on."""
    with _logger(emulator) as logger:
        logger.info("here")
    cloud.token = "another"  # noqa: S105 - it opens nothing
    cloud._give_token = lambda connection, body: _give_old_then_new(cloud, connection, body)  # type: ignore[method-assign]
    arguments = ("--endpoint", cloud.url, "--credentials", str(cloud.account), "--no-follow")
    done = _once(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "here" in done.stdout
    assert len(cloud.scopes) == 2


def _give_old_then_new(cloud: Cloud, connection: socket.socket, _body: bytes) -> None:
    token = cloud.token if cloud.scopes else "old"
    cloud.scopes.append("")
    answer(connection, 200, {"access_token": token, "expires_in": 3600})
