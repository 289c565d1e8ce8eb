"""Credentials that come late, expire or fail: google.auth itself, and servers on loopback."""

from __future__ import annotations

import importlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from cases import few
from helpers import check_python, state_numbers, wait_until
from wire import Metadata, RawServer, account_file, answer, make_key, read_request

from forklog.options import Options
from forklog.transports import pools
from forklog.transports.google.access import READ, find_access
from forklog.transports.google.loading import request_on

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from forklog import CloudLoggingHandler

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_QUICK = {"answer_timeout": 0.5, "connect_timeout": 0.5}  # for a server that never answers alone
_GRACE = 10.0


@pytest.fixture(scope="module")
def pem() -> str:
    """Return the private key of a service account."""
    return make_key()[1]


class _Cloud:
    """An endpoint for entries and one for tokens; what the latter says is up to the test."""

    def __init__(self) -> None:
        self.tokens = 0
        self.stored: list[str] = []
        self._known: set[str] = set()  # a busy machine may have an entry sent again
        self.accounts: list[str] = []
        self.token: Callable[[socket.socket], object] = self.give_token
        self.life = 3600
        self.valid = ""
        self.has_login_alone = False
        self.quota_projects: set[str] = set()
        self.server = RawServer(self._serve)
        self.url = self.server.url

    def _serve(self, connection: socket.socket) -> None:
        while True:
            head, body = read_request(connection)
            if head.startswith("POST /token"):
                self.tokens += 1
                if self.has_login_alone and b"scope=" in body:
                    answer(connection, 400, {"error": "invalid_scope"})
                    continue
                self.token(connection)
            else:
                self._write(connection, head, body)

    def _write(self, connection: socket.socket, head: str, body: bytes) -> None:
        given = next(line for line in head.splitlines() if line.lower().startswith("authoriz"))
        if self.valid and self.valid not in given:
            answer(connection, 401, {"error": {"status": "UNAUTHENTICATED"}})
            return
        lines = [line.partition(": ") for line in head.splitlines()]
        self.quota_projects |= {v for k, _, v in lines if k.lower() == "x-goog-user-project"}
        new = {entry["insertId"]: entry["textPayload"] for entry in json.loads(body)["entries"]}
        self.stored += [text for key, text in new.items() if key not in self._known]
        self._known |= new.keys()
        answer(connection, 200)

    def give_token(self, connection: socket.socket) -> None:
        token = f"token-{self.tokens}"
        answer(connection, 200, {"access_token": token, "expires_in": self.life})

    def fail(self, status: int, error: str) -> None:
        self.token = lambda connection: answer(connection, status, {"error": error})

    def hang(self) -> None:
        self.token = lambda _connection: self.server.over.wait(60)

    def repair(self) -> None:
        self.token = self.give_token


@pytest.fixture
def cloud() -> Iterator[_Cloud]:
    """Run both endpoints."""
    running = _Cloud()
    yield running
    running.server.close()


@pytest.fixture
def account(tmp_path: Path, cloud: _Cloud, pem: str) -> Path:
    """Return the file of a service account whose tokens come from the cloud of the test."""
    return account_file(tmp_path / "account.json", f"{cloud.url}/token", pem)


def _make(make_logger: Make, cloud: _Cloud, credentials: object, **options: Any) -> Any:
    return make_logger(
        endpoint=cloud.url, credentials=str(credentials), max_retry_delay=0.1, **options
    )


def _check(handler: CloudLoggingHandler, delivered: int) -> None:
    stats = handler.stats()
    assert (stats.delivered, dict(stats.dropped), stats.pending) == (delivered, {}, 0)


def test_a_token_is_fetched_once_and_renewed_when_it_expires(
    make_logger: Make, cloud: _Cloud, account: Path
) -> None:
    """As long as a token lives one is enough; an expired one is renewed before the request."""
    logger, handler = _make(make_logger, cloud, account)
    for _ in range(3):
        logger.info("a")
        assert handler.flush(_GRACE)
    assert cloud.tokens == 1
    cloud.life = 1  # google.auth renews what has less than some minutes left
    handler.close()
    for _ in range(3):
        logger.info("b")
        assert handler.flush(_GRACE)
    assert cloud.tokens == 4
    assert cloud.stored == ["a"] * 3 + ["b"] * 3


def test_a_users_file_asks_for_no_scope(
    make_logger: Make, cloud: _Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login has its scopes; a token that is asked for with others is refused.

    So the file of ``gcloud auth application-default login`` works as the option ``credentials``,
    and as that of ``forklog tail``, as it does where google.auth finds it.
    """
    users = importlib.import_module("google.oauth2.credentials")
    monkeypatch.setattr(users, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{cloud.url}/token")
    login = {"type": "authorized_user", "client_id": "c", "client_secret": "s"}
    path = tmp_path / "application_default_credentials.json"
    path.write_text(json.dumps({**login, "refresh_token": "r", "quota_project_id": "q"}))
    cloud.has_login_alone = True
    logger, handler = _make(make_logger, cloud, path)
    logger.info("a")
    assert handler.flush(_GRACE)
    assert (cloud.stored, cloud.quota_projects) == (["a"], {"q"})
    options = Options(project="p", endpoint=cloud.url, credentials=str(path))
    reader = find_access(options, READ).credentials
    assert reader.scopes is None
    reader.refresh(request_on(pools.session()))
    assert reader.token == f"token-{cloud.tokens}"


def test_a_401_renews_the_token_once_and_then_blocks(
    make_logger: Make, cloud: _Cloud, account: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token that is revoked is renewed silently; if the new one is refused too, one line."""
    logger, handler = _make(make_logger, cloud, account)
    logger.info("a")
    assert handler.flush(_GRACE)
    cloud.valid = "token-2"
    logger.info("b")
    assert handler.flush(_GRACE)
    assert (cloud.tokens, capsys.readouterr().err) == (2, "")
    cloud.valid = "none of them"
    logger.info("c")
    wait_until(lambda: cloud.tokens >= 4)  # the next attempt begins with a token of its own
    cloud.valid = ""
    assert handler.flush(_GRACE)
    assert cloud.stored == ["a", "b", "c"]
    trouble, again = capsys.readouterr().err.splitlines()
    assert "401" in trouble
    assert "logger@p.iam.gserviceaccount.com" in trouble
    assert "again" in again


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (503, "unavailable", "the credentials' server answered 503: http"),
        (429, "slow down", "the credentials' server answered 429"),
        (400, "invalid_grant", "could not be refreshed (RefreshError): option credentials="),
        (0, "hang", "in time"),
    ],
)
def test_a_token_that_cannot_be_had_loses_nothing(  # noqa: PLR0913 - its row, its fixtures
    make_logger: Make,
    cloud: _Cloud,
    account: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    error: str,
    said: str,
) -> None:
    """Whatever the token server says, flush obeys its timeout, one line tells, nothing is lost."""
    if status:
        cloud.fail(status, error)
    else:
        cloud.hang()
    logger, handler = _make(make_logger, cloud, account, **({} if status else _QUICK))
    for n in range(50):
        logger.info("%d", n)
    start = time.monotonic()
    assert not handler.flush(0.3)
    assert time.monotonic() - start < _GRACE
    # google.auth itself would sleep for seconds between three attempts, and nothing could end that.
    wait_until(lambda: cloud.tokens >= 4, 20)
    assert handler.stats().pending == 50
    took = time.monotonic() - start
    cloud.repair()
    assert handler.flush(20)
    assert sorted(map(int, cloud.stored)) == list(range(50))
    _check(handler, 50)
    state_numbers(f"{error}: 4 attempts within {took:.1f} s, 50 of 50 records delivered after it")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert said in lines[0] or "did not answer" in lines[0]
    assert "log delivery works again" in lines[1]
    assert "token-" not in "".join(lines)


def test_an_exit_does_not_wait_for_a_token(cloud: _Cloud, account: Path) -> None:
    """With a token server that hangs the process ends in time; its entries are on stderr."""
    cloud.hang()
    done = check_python(f"""
        import forklog, logging, time
        handler = forklog.CloudLoggingHandler(
            endpoint={cloud.url!r}, credentials={str(account)!r}, shutdown_timeout=0.5)
        logging.getLogger().addHandler(handler)
        logging.warning("kept")
        import atexit
        start = time.monotonic()
        atexit.register(lambda: print(time.monotonic() - start))
    """)
    assert '"textPayload":"kept"' in done.stderr
    assert "wrote 1 undelivered log entries to stderr (shutdown)" in done.stderr
    took = float(done.stdout) if done.stdout.strip() else 0.0
    state_numbers(f"exit took {took:.2f} s at a shutdown_timeout of 0.5 s")
    assert took < _GRACE


def test_a_file_that_appears_late_is_used(
    make_logger: Make, cloud: _Cloud, tmp_path: Path, pem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret that is mounted after the start: one line until then, and nothing lost."""
    path = tmp_path / "late.json"
    logger, handler = _make(make_logger, cloud, path)
    logger.info("early")
    wait_until(lambda: handler.stats().requests >= 2)
    account_file(path, f"{cloud.url}/token", pem)
    assert handler.flush(_GRACE)
    _check(handler, 1)
    trouble, again = capsys.readouterr().err.splitlines()
    assert f"the credentials file is missing: option credentials={str(path)!r}; correct" in trouble
    assert "again" in again


def test_a_file_that_was_replaced_is_read_again(
    make_logger: Make, cloud: _Cloud, account: Path, pem: str
) -> None:
    """A revoked key that is replaced on the disk needs no restart."""
    cloud.fail(400, "invalid_grant")
    logger, handler = _make(make_logger, cloud, account)
    logger.info("a")
    wait_until(lambda: cloud.tokens >= 2)
    other = _Cloud()
    account_file(account, f"{other.url}/token", pem)
    try:
        assert handler.flush(_GRACE)
    finally:
        other.server.close()
    assert (other.tokens, cloud.stored) == (1, ["a"])


def test_a_project_that_is_found_later_is_used(
    make_logger: Make, cloud: _Cloud, account: Path, monkeypatch: pytest.MonkeyPatch, pem: str
) -> None:
    """Without a project nothing can be sent and nothing is lost; once it is known, all is."""
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    account_file(account, f"{cloud.url}/token", pem, project_id=None)
    logger, handler = _make(make_logger, cloud, account, project=None)
    logger.info("a")
    wait_until(lambda: handler.stats().requests >= 2)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "found")
    assert handler.flush(_GRACE)
    _check(handler, 1)


# -- the metadata server -----------------------------------------------------------------------

_KINDS = [
    "forklog.transports.google.machine.MachineAccount",
    "google.auth.compute_engine.Credentials",
]
_ON_MACHINE = """
    import importlib, logging, os, time
    import forklog
    module, _, name = os.environ["KIND"].rpartition(".")
    handler = forklog.CloudLoggingHandler(
        project="p", endpoint=os.environ["ENDPOINT"], answer_timeout=1.0, max_retry_delay=0.2,
        credentials=getattr(importlib.import_module(module), name)(), shutdown_timeout=0.5)
    logging.getLogger().addHandler(handler)
    logging.warning("kept")
    start = time.monotonic()
"""


@pytest.mark.parametrize(
    ("way", "bad", "kind"),
    few(
        [(*way, kind) for way in [("slow", 0), ("hangs", 3), ("fails", 3)] for kind in _KINDS],
        *[("slow", 0, _KINDS[1]), ("hangs", 3, _KINDS[0]), ("fails", 3, _KINDS[1])],
    ),
)
def test_a_metadata_server_in_trouble_loses_nothing(
    cloud: _Cloud, way: str, bad: int, kind: str
) -> None:
    """Slow, hanging or failing at first: no hang, and the record comes with the right resource."""
    metadata = Metadata(way, bad)
    try:
        done = check_python(
            _ON_MACHINE
            + """
    assert handler.flush(25)
    print(time.monotonic() - start)
    assert handler.stats().delivered == 1
""",
            env={"ENDPOINT": cloud.url, "KIND": kind, **metadata.environ},
        )
    finally:
        metadata.server.close()
    assert cloud.stored == ["kept"]
    state_numbers(f"metadata server {way}: delivered after {float(done.stdout):.1f} s")


@pytest.mark.parametrize("kind", few(_KINDS, _KINDS[0]))
def test_a_metadata_server_that_is_gone_holds_no_process(cloud: _Cloud, kind: str) -> None:
    """It refuses for good: flush and exit obey their timeouts, the entry is on stderr."""
    metadata = Metadata("gone", 0)
    metadata.server.close()
    done = check_python(
        _ON_MACHINE + "\n    assert not handler.flush(0.5)\n    print(time.monotonic() - start)\n",
        env={"ENDPOINT": cloud.url, "KIND": kind, **metadata.environ},
    )
    assert float(done.stdout) < _GRACE
    assert '"textPayload":"kept"' in done.stderr
    assert cloud.stored == []


def test_the_project_of_the_metadata_server_is_found() -> None:
    """With nothing but a metadata server, it says project and credentials."""
    metadata = Metadata("slow", 0)
    clean = {name: "" for name in os.environ if name.startswith(("GOOGLE_", "GCLOUD_"))}
    try:
        check_python(
            """
            import os
            for name in [n for n in os.environ if not os.environ[n]]:
                del os.environ[name]
            from forklog.options import Options
            from forklog.transports.google.access import find_access
            access = find_access(Options())
            assert access.project == "meta-project", access
            assert type(access.credentials).__name__ == "MachineAccount"
            """,
            env={**clean, **metadata.environ, "HOME": "/nonexistent", "PATH": ""},
        )
    finally:
        metadata.server.close()


def test_a_login_after_the_start_is_noticed(cloud: _Cloud, tmp_path: Path, pem: str) -> None:
    """Without credentials entries go to stderr; once a person logs in, they are delivered."""
    account = account_file(tmp_path / "key.json", f"{cloud.url}/token", pem)
    clean = {name: "" for name in os.environ if name.startswith(("GOOGLE_", "GCLOUD_"))}
    done = check_python(
        f"""
        import os
        for name in [n for n in os.environ if not os.environ[n]]:
            del os.environ[name]
        import forklog, logging
        from forklog.transports.stderr import StderrConnection
        from forklog.transports.google import access
        from forklog.transports.http import HttpTransport
        from forklog.options import Options
        options = Options(project="p", endpoint="https://logging.example")
        connection = HttpTransport(options, lambda project: None).open()
        assert isinstance(connection, StderrConnection)
        assert connection.send([b'{{"n":1}}'], 5).is_diverted
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = {str(account)!r}
        try:
            connection.send([b'{{"n":2}}'], 5)
        except forklog.ForklogError as error:
            print(error)
        connection.close()
        """,
        env={**clean, "HOME": "/nonexistent", "NO_GCE_CHECK": "true", "PATH": ""},
    )
    assert '{"n":1}' in done.stderr
    assert '{"n":2}' not in done.stderr
    assert "credentials found, delivers logs from now on" in done.stderr
    assert cloud.tokens == 1
