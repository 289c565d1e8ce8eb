"""`forklog.doctor()` in this very process, against the emulator and against what goes wrong."""

from __future__ import annotations

import gc
import io
import json
import logging
import logging.handlers
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from heads import HEAD, put
from helpers import check_python, python_path
from wire import JsonHandler, served

import forklog
from forklog.diagnosis import Report, Severity, examine
from forklog.diagnosis.bounded import gather
from forklog.diagnosis.facts import Process, Role
from forklog.drops import remedy_of
from forklog.errors import OptionError
from forklog.spool.folder import Folder
from forklog.testing import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator
    from forklog.testing import FakeTransport

TOKEN = "ya29.the-token"  # noqa: S105 - it opens nothing
GENEROUS = 20.0


@pytest.fixture(autouse=True)
def _quiet_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have no credentials, no metadata server, no emulator and no production but the test's."""
    for name in ("LOGGING_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "K_SERVICE",
                 "GOOGLE_CLOUD_PROJECT", "KUBERNETES_SERVICE_HOST"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    gc.collect()  # handlers of earlier tests
    yield
    for logger in (logging.getLogger("doctored"), logging.getLogger("doctored.below")):
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = True


def attach(name: str = "doctored", **options: Any) -> forklog.CloudLoggingHandler:
    """Attach a handler to a logger of these tests."""
    given = {"project": "p", "last_resort": "/dev/null", "shutdown_timeout": 1, **options}
    handler = forklog.CloudLoggingHandler(**given)
    logging.getLogger(name).addHandler(handler)
    return handler


def problems(report: Report) -> list[str]:
    """Return the codes of what was found to be wrong."""
    return [f.code for f in report.findings if f.severity is Severity.PROBLEM]


def notes(report: Report) -> list[str]:
    """Return the codes of what is worth knowing."""
    return [f.code for f in report.findings if f.severity is Severity.NOTE]


def test_all_is_well(emulator: Emulator) -> None:
    """One dry run reaches the server, nothing is stored, the handler's numbers stay."""
    handler = attach(endpoint=emulator.url, labels={"env": "test"}, log_name="web")
    report = forklog.doctor(GENEROUS)
    assert (problems(report), report.is_healthy) == ([], True)
    stats = emulator.stats()
    assert (stats["dry_run"], stats["entries_stored"], stats["writes"]) == (1, 0, 1)
    [delivery] = report.deliveries
    assert (delivery.outcome, delivery.status, delivery.step) == ("accepted", 200, "done")
    assert (delivery.project, delivery.project_from) == ("p", "the option project")
    assert (delivery.log_name, delivery.credentials) == ("web", "none needed")
    assert handler.stats().state == "inert"
    assert report.process.pid == os.getpid()
    assert report.process.role.server == "plain"
    json.dumps(report.as_dict())
    assert "accepted a dry run" in str(report)


@pytest.mark.parametrize(
    ("status", "body", "code", "remedy"),
    [
        (403, "PERMISSION_DENIED", "dry-run-refused", "roles/logging.logWriter"),
        (404, "NOT_FOUND", "dry-run-refused", "options project"),
        (401, "UNAUTHENTICATED", "dry-run-refused", "renew"),
        (503, "UNAVAILABLE", "dry-run-failed", "takes no entries for now"),
    ],
)
def test_a_server_that_refuses(
    emulator: Emulator, status: int, body: str, code: str, remedy: str
) -> None:
    """Its status, its own words and what to grant are shown; the process is not healthy."""
    attach(endpoint=emulator.url)
    error = {"error": {"code": status, "status": body, "message": "said by the server\n\x1b[1m"}}
    emulator.fault("status", status=status, body=json.dumps(error))
    report = forklog.doctor(GENEROUS)
    assert problems(report) == [code]
    [finding] = [f for f in report.findings if f.code == code]
    assert f"{status} {body}" in finding.text
    assert finding.text.count("said by the server") == 1
    assert "said by the server" not in finding.remedy
    assert "\x1b" not in str(report)
    assert remedy in finding.remedy


def test_a_server_that_refuses_the_entry(emulator: Emulator) -> None:
    """The options are to be checked then."""
    attach(endpoint=emulator.url)
    emulator.fault("refuse", index=0, code=3)
    assert problems(forklog.doctor(GENEROUS)) == ["dry-run-refused"]


class _Other(BaseHTTPRequestHandler):
    """A server that knows no POST, as `python -m http.server`."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_server_of_another_kind() -> None:
    """It is not Cloud Logging, which no minute of waiting changes."""
    server = HTTPServer(("127.0.0.1", 0), _Other)
    with served(server) as url:
        attach(endpoint=url)
        report = forklog.doctor(GENEROUS)
    assert problems(report) == ["dry-run-failed"]
    assert f"{server.server_port} answered 501 with text/html" in report.findings[0].text
    assert "not as Cloud Logging does; records wait in memory" in report.findings[0].text
    assert "check the network and the option endpoint" in report.findings[0].remedy


def test_a_server_that_is_down() -> None:
    """The system's own words are shown, and that an emulator is to be started."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    os.environ["LOGGING_EMULATOR_HOST"] = f"127.0.0.1:{port}"
    try:
        attach()
        report = forklog.doctor(GENEROUS)
    finally:
        del os.environ["LOGGING_EMULATOR_HOST"]
    assert problems(report) == ["unreachable"]
    assert "Connection refused" in report.findings[0].text
    assert f"forklog emulator --port {port}" in report.findings[0].remedy


def test_a_server_that_never_answers(emulator: Emulator) -> None:
    """The call returns within its time all the same, and says what it waited for."""
    attach(endpoint=emulator.url)
    emulator.fault("hang", count=1, when="before")
    began = time.monotonic()
    report = forklog.doctor(timeout=0.5)
    assert time.monotonic() - began < GENEROUS
    emulator.clear_faults()
    assert set(problems(report)) <= {"unreachable", "dry-run-unfinished"}
    assert not report.is_healthy


def test_a_metadata_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that hangs is named when the time is over."""
    monkeypatch.delenv("NO_GCE_CHECK")
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("GCE_METADATA_HOST", host)
        monkeypatch.setenv("GCE_METADATA_IP", host)
        attach()
        began = time.monotonic()
        report = forklog.doctor(timeout=0.3)
        assert time.monotonic() - began < GENEROUS
        assert problems(report) == ["dry-run-unfinished"]
        assert "looking for credentials" in report.findings[0].text
    for thread in threading.enumerate():
        if thread.name == "forklog-doctor":  # it was left behind; the server is gone now
            thread.join(60)


def test_no_credentials() -> None:
    """It says that records go to stderr, and how to get credentials."""
    attach()
    report = forklog.doctor(GENEROUS)
    assert problems(report) == ["no-credentials"]
    assert "gcloud auth application-default login" in report.findings[0].remedy


def test_no_handler() -> None:
    """A process whose loggers have no handler of ours sends nothing, which is the first finding."""
    report = forklog.doctor(GENEROUS)
    assert report.findings[0].code == "no-handler"


@pytest.fixture
def cloud_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the variables of Cloud Run."""
    for name in ("K_SERVICE", "K_REVISION", "K_CONFIGURATION"):
        monkeypatch.setenv(name, "web")


@pytest.mark.usefixtures("cloud_run")
def test_what_is_printed_for_an_agent_is_well() -> None:
    """Where forklog prints for the platform's agent, no dry run is made and nothing is missed."""
    logger, handler = logging.getLogger("doctored"), forklog.StructuredLogHandler()
    logger.addHandler(handler)
    report = forklog.doctor(GENEROUS)
    assert (problems(report), report.deliveries) == ([], ())
    assert "are printed for the platform's agent" in str(report)
    logger.propagate = False
    below = logging.getLogger("doctored.below")
    below.addHandler(forklog.StructuredLogHandler())
    assert problems(forklog.doctor(GENEROUS)) == ["doubled"]
    below.propagate = False
    below.handlers[:] = [logging.StreamHandler()]
    assert "unreached" in notes(forklog.doctor(GENEROUS))


@pytest.mark.usefixtures("cloud_run")
def test_what_is_printed_elsewhere_is_not_collected() -> None:
    """A stream that is neither stdout nor stderr is no agent's."""
    logging.getLogger("doctored").addHandler(forklog.StructuredLogHandler(stream=io.StringIO()))
    assert "no-handler" in problems(forklog.doctor(GENEROUS))


@pytest.mark.usefixtures("cloud_run")
def test_a_handler_beside_the_printed_lines_is_examined(emulator: Emulator) -> None:
    """With both kinds of handlers the dry run is made, and records that come twice are noted."""
    logging.getLogger("doctored").addHandler(forklog.StructuredLogHandler())
    attach(endpoint=emulator.url)
    report = forklog.doctor(GENEROUS)
    assert report.deliveries[0].outcome == "accepted"
    assert "printed-too" in notes(report)


class _Tokens(JsonHandler):
    """Give a token to whoever asks; or, at /refused, none."""

    def post(self) -> None:
        self.content()
        is_refused = self.path == "/refused"
        answer = {"error": "invalid_grant"} if is_refused else {"access_token": TOKEN}
        body = json.dumps({**answer, "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.reply(400 if is_refused else 200, body, Content_Type="application/json")


@pytest.fixture
def tokens() -> Iterator[str]:
    """Run a server that gives tokens."""
    with served(HTTPServer(("127.0.0.1", 0), _Tokens)) as url:
        yield url


@pytest.mark.parametrize("path", ["/", "/refused"])
def test_credentials_are_named_and_never_shown(
    emulator: Emulator, tokens: str, tmp_path: Path, path: str
) -> None:
    """Kind, place and account of the credentials are shown; key and token are in no form of it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = tmp_path / "key.json"
    account = "writer@p.iam.gserviceaccount.com"
    file.write_text(
        json.dumps({
            "type": "service_account", "client_email": account, "private_key": key.decode(),
            "private_key_id": "key-id", "token_uri": tokens + path, "project_id": "from-file",
        })
    )  # fmt: skip
    attach(
        endpoint=emulator.url, credentials=str(file), project=None,
        resource={"type": "global", "labels": {}},
    )  # fmt: skip
    report = forklog.doctor(GENEROUS)
    [delivery] = report.deliveries
    assert delivery.credentials == "service account key"
    assert delivery.credentials_from == f"the option credentials, file {file}"
    assert (delivery.account, delivery.project) == (account, "from-file")
    assert delivery.project_from == "the credentials"
    if path == "/":
        assert (problems(report), delivery.outcome) == ([], "accepted")
    else:
        assert problems(report) == ["no-access"]
        assert "renew or replace them" in report.findings[0].remedy
    for shown in (str(report), json.dumps(report.as_dict()), repr(report)):
        assert TOKEN not in shown
        assert "PRIVATE KEY" not in shown
        assert key.decode().splitlines()[1] not in shown


def test_overrides_and_wrong_ones(emulator: Emulator) -> None:
    """What is given counts in place of the options; a wrong value is a finding and no error."""
    attach(endpoint="http://127.0.0.1:1")
    report = forklog.doctor(GENEROUS, endpoint=emulator.url, project="other")
    assert (problems(report), report.deliveries[0].project) == ([], "other")
    report = forklog.doctor(GENEROUS, endpoint="gopher://x")
    assert problems(report) == ["doctor-failed"]
    assert "endpoint='gopher://x'" in report.findings[0].text


def test_who_gets_what(emulator: Emulator) -> None:
    """Doubled, unattached and queued handlers are found among the loggers of this process."""
    below = logging.getLogger("doctored.below")
    attach(endpoint=emulator.url)
    assert problems(forklog.doctor(GENEROUS)) == []
    attach("doctored.below", endpoint=emulator.url)
    report = forklog.doctor(GENEROUS)
    assert (problems(report), report.routes.doubled) == (["doubled"], ("doctored.below",))
    assert len(report.deliveries) == 1
    below.propagate = False
    assert problems(forklog.doctor(GENEROUS)) == []
    target = below.handlers.pop()
    assert problems(forklog.doctor(GENEROUS)) == ["unattached"]
    below.addHandler(logging.handlers.QueueHandler(queue.SimpleQueue()))
    report = forklog.doctor(GENEROUS)
    assert problems(report) == ["queue-in-front"]
    below.handlers[:] = [logging.handlers.MemoryHandler(10, target=target)]
    assert problems(forklog.doctor(GENEROUS)) == ["held-in-front"]
    below.handlers[:] = [logging.StreamHandler()]
    target.close()
    del target
    gc.collect()
    report = forklog.doctor(GENEROUS)
    assert problems(report) == []
    assert "doctored.below" in report.routes.unreached
    assert "doctored" not in report.routes.unreached


def test_googles_own_handler_beside_ours(emulator: Emulator) -> None:
    """The stock handler is found by its class, where it is attached."""
    handlers = pytest.importorskip("google.cloud.logging_v2.handlers.handlers")
    attach(endpoint=emulator.url)
    stock = handlers.CloudLoggingHandler.__new__(handlers.CloudLoggingHandler)  # no thread of its
    logging.StreamHandler.__init__(stock)
    stock.close = lambda: None
    logging.getLogger("doctored").addHandler(stock)
    assert problems(forklog.doctor(GENEROUS)) == ["second-shipper"]


def test_production_with_an_emulator(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOGGING_EMULATOR_HOST is a problem on Kubernetes and a note on a desk."""
    attach()
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", emulator.host)
    assert "emulator" in notes(forklog.doctor(GENEROUS))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    report = forklog.doctor(GENEROUS)
    assert problems(report) == ["emulator-in-production"]
    assert forklog.doctor(GENEROUS, accept=["emulator-in-production"]).is_healthy


def test_numbers_and_another_transport(forklog_transport: FakeTransport) -> None:
    """Drops are problems; a handler with another transport is described without a dry run."""
    handler = attach(transport=forklog_transport)
    logging.getLogger("doctored").error("one")
    assert handler.flush(GENEROUS)
    report = forklog.doctor(GENEROUS)
    assert (problems(report), notes(report)[:1]) == ([], ["dry-run-skipped"])
    [described] = report.routes.handlers
    assert (described.state, dict(described.stats)["delivered"]) == ("running", 1)
    forklog_transport.then(Refuse(0))
    logging.getLogger("doctored").error("two")
    assert not handler.flush(GENEROUS)  # settled, but not delivered
    assert problems(forklog.doctor(GENEROUS)) == ["dropped-refused"]
    handler.close()
    assert "closed" in notes(forklog.doctor(GENEROUS))


def test_what_no_last_resort_keeps_is_lost() -> None:
    """An entry that a shutdown drops is nowhere, and the report does not claim that it is kept."""
    handler = attach(endpoint="http://127.0.0.1:9", last_resort="none", shutdown_timeout=0.1)
    logging.getLogger("doctored").warning("lost")
    handler.close()
    numbers = handler.stats()
    assert (dict(numbers.dropped), dict(numbers.diverted)) == ({"shutdown": 1}, {})
    report = forklog.doctor(GENEROUS)
    [found] = [finding for finding in report.findings if finding.code == "dropped-shutdown"]
    assert found.remedy == remedy_of("shutdown")
    assert "records are in" not in str(report)


@pytest.mark.parametrize("in_child", [False, True], ids=["thread", "child"])
def test_a_step_that_hangs_is_left(*, in_child: bool) -> None:
    """What came before the time was over is kept; a child is gone, a thread is a daemon."""
    release = threading.Event()

    def step(say: Any) -> None:
        say(one=1, pid=os.getpid())
        say(two=2, one=3)
        release.wait(60)

    began = time.monotonic()
    found = gather(step, 0.5, in_child=in_child)
    assert time.monotonic() - began < GENEROUS
    child = found.pop("pid")
    assert found == {"one": 3, "two": 2}
    assert (child != os.getpid()) is in_child
    if in_child:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    release.set()


@pytest.mark.parametrize("in_child", [False, True], ids=["thread", "child"])
def test_a_step_that_fails_is_reported(*, in_child: bool) -> None:
    """Nothing is raised; the kind of the error becomes known."""

    def step(say: Any) -> None:
        say(step="dividing")
        say(reason=1 / 0)

    expected = {"step": "dividing", "outcome": "failed", "reason": "ZeroDivisionError"}
    assert gather(step, GENEROUS, in_child=in_child) == expected


ROLES = """
import atexit, multiprocessing, os, sys
import forklog

def name(pipe=None):
    role = forklog.doctor(10).process.role
    said = f"{role.server} {role.model}"
    return pipe.send(said) if pipe else said

if __name__ == "__main__":
    print(name())
    for method in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        child = context.Process(target=name, args=(there,))
        child.start()
        print(here.recv() if here.poll(60) else "nothing")
        child.join()
    atexit.register(lambda: print(bool(forklog.doctor(10).findings), flush=True))
    if not os.fork():
        print(name(), flush=True)
        os._exit(0)
    os.wait()
"""


def test_processes_without_a_server(tmp_path: Path) -> None:
    """Plain, forked and each kind of child know what they are; at exit nothing is raised."""
    (tmp_path / "roles.py").write_text(ROLES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "roles.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "plain ",
        *(f"multiprocessing {method}" for method in ("fork", "forkserver", "spawn")),
        "fork os.fork",
        "True",
    ], done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("timeout", ["x", 0, -1, None, float("nan"), float("inf"), True])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    """The message names the argument, its value and the rule.

    Class of fault: a wrong argument raises an error that does not name it; siblings:
    `test_overrides_and_wrong_ones`, `test_a_wrong_call`.
    """
    with pytest.raises(OptionError, match=r"option timeout=.* must be a number of seconds > 0"):
        forklog.doctor(timeout)


@pytest.mark.parametrize("server", ["gunicorn", "plain"])
def test_a_framework_without_a_middleware_is_noted(server: str) -> None:
    """In a web server an imported framework is named until a middleware of forklog is made."""
    done = check_python(f"""
        import flask
        from forklog.diagnosis.facts import Process, Role
        from forklog.diagnosis.judge.frameworks import judge_frameworks
        from forklog.diagnosis.look.frameworks import look_at_frameworks
        from forklog.middleware import WSGIMiddleware
        process = Process(pid=1, role=Role(server={server!r}), python="", has_threads=True)
        def codes():
            found = look_at_frameworks(process)
            return [f"{{f.code}}: {{f.remedy}}" for f in judge_frameworks(process, found)]
        print(codes())
        WSGIMiddleware(None)
        print(codes())
    """)
    first, second = done.stdout.splitlines()
    assert ("no-middleware: app.wsgi_app" in first) == (server == "gunicorn")
    assert second == "[]"


@pytest.mark.parametrize("ending", ["uvicorn", "uvicorn.error", "uvicorn.access"])
def test_only_loggers_that_uvicorn_logs_by_have_to_reach_forklog(ending: str) -> None:
    """Their parent may end elsewhere where they have the handler themselves."""
    done = check_python(f"""
        import logging
        import forklog
        from forklog.diagnosis.facts import Process, Role
        from forklog.diagnosis.look.frameworks import look_at_frameworks
        handler = forklog.CloudLoggingHandler(project="p")
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.handlers = [] if name == {ending!r} else [handler]
        role = Role(server="uvicorn")
        print(look_at_frameworks(Process(pid=1, role=role, python="", has_threads=True)).kept)
        handler.close()
    """)
    expected = () if ending == "uvicorn" else (ending,)
    assert done.stdout.strip() == str(expected)


@pytest.mark.parametrize("is_loader", [False, True])
def test_what_dead_processes_left_in_a_spool_is_listed(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_loader: bool
) -> None:
    """Those of this kind are counted; what no process like this sends is named, with its age.

    In a process that is going to fork, a child looks. Nothing is locked, renamed or sent after it.
    """
    if is_loader:
        loader = Process(pid=os.getpid(), role=Role(is_loader=True), python="", has_threads=False)
        monkeypatch.setattr(examine, "look_at_process", lambda **_: loader)
    place = tmp_path / "spool"
    place.mkdir(mode=0o700)
    folder = Folder(str(place), 2**30)
    ours, old = {**HEAD, "endpoint": emulator.url}, time.time() - 3 * 3600
    for number, head in enumerate([ours, {**ours, "project": "other"}, {**ours, "format": 2}]):
        put(folder, f"forklog-{number:019x}-00000000.head", orjson.dumps(head))
    for number in range(3, 6):
        put(folder, f"forklog-{number:019x}-00000000.head.bad", b"?")
    folder.close()
    for path in place.iterdir():
        os.utime(path, (old, old))
    before = sorted(path.name for path in place.iterdir())
    handler = attach(endpoint=emulator.url, spool=str(place))
    report = forklog.doctor(timeout=GENEROUS)
    text = str(report)
    handler.close()
    assert "spool-off" not in problems(report)
    assert sorted(path.name for path in place.iterdir()) == before
    [found] = (spool for spool in report.spools if spool.path == str(place))
    assert (found.path, found.waiting, len(found.kept)) == (str(place), 1, 5)
    assert {line.split(":")[1].split(",")[0].strip() for line in found.kept} == {"3 h old"}
    words = " ".join(text.split())
    assert f"1 dead process has left entries in the spool {place}" in words
    assert "of project other at" in words
    assert "; and 2 more [spool-kept]" in words
    assert f"-> see: forklog recover --dry-run {place}" in words


def test_a_spool_without_a_folder_is_no_finding(emulator: Emulator, tmp_path: Path) -> None:
    """As long as no process has logged there is none, and the doctor makes none."""
    handler = attach(endpoint=emulator.url, spool=str(tmp_path / "spool"))
    report = forklog.doctor(timeout=GENEROUS)
    handler.close()
    [found] = (spool for spool in report.spools if spool.path == str(tmp_path / "spool"))
    assert (found.unfit, found.waiting, found.kept) == ("", 0, ())
    assert problems(report) == []
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("has_logged", [False, True])
def test_a_folder_that_cannot_hold_a_spool_is_a_problem(
    emulator: Emulator, tmp_path: Path, *, has_logged: bool
) -> None:
    """Before the first record as after it: once, with the reason."""
    place = tmp_path / "spool"
    place.mkdir(mode=0o755)
    handler = attach(endpoint=emulator.url, spool=str(place))
    if has_logged:
        logging.getLogger("doctored").error("there")
    report = forklog.doctor(timeout=GENEROUS)
    handler.close()
    [found] = (f for f in report.findings if f.code == "spool-off")
    assert f"the folder {place} has mode 0755" in found.text
    assert found.severity is Severity.PROBLEM
