"""`forklog.testing`: the fake transport, the fixtures, and the documented examples."""

from __future__ import annotations

import logging
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers import check_python, python_path, wait_until

import forklog.testing
from forklog.testing import Deliver, Disconnect, Fail, FakeTransport, Hang, Refuse
from forklog.transports.base import Kind, WireError

if TYPE_CHECKING:
    from forklog.testing.plugin import CloudLog
    from forklog.transports.base import Transport

_PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
_QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:ddtrace", "-W", "error")
_A, _B = b'{"textPayload":"a"}', b'{"textPayload":"b"}'


def test_the_public_names_are_these() -> None:
    """The list of names that users import is fixed."""
    assert forklog.testing.__all__ == [
        "Deliver",
        "Disconnect",
        "Fail",
        "FakeTransport",
        "Hang",
        "Outcome",
        "Refuse",
        "Request",
    ]


def test_pytest_is_not_needed() -> None:
    """`forklog.testing` can be imported, and used, where pytest is not installed."""
    check_python("""
        import sys
        sys.modules["pytest"] = None
        from forklog.testing import FakeTransport
        FakeTransport().open().send([b"{}"], 1)
    """)


def test_everything_is_delivered_without_a_script(forklog_transport: FakeTransport) -> None:
    """Without a script each request is stored, and its bytes can be looked at."""
    transport: Transport = forklog_transport
    assert transport.open().send([_A, _B], 1).kind is Kind.DELIVERED
    (request,) = forklog_transport.sent
    assert (request.pid, request.outcome) == (os.getpid(), "deliver")
    assert request.lines == [_A, _B]
    assert forklog_transport.entries == request.entries == request.stored
    assert forklog_transport.entries == [{"textPayload": "a"}, {"textPayload": "b"}]


@pytest.mark.skipif(not hasattr(os, "pread"), reason="Windows reads otherwise")
def test_more_is_recorded_than_one_call_reads(
    forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read of the system gives 2 GiB at most; what lies behind them is seen, too."""
    connection = forklog_transport.open()
    for number in range(9):
        connection.send([b'{"textPayload":"%d"}' % number], 1.0)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, start: pread(file, min(size, 70), start))
    assert [entry["textPayload"] for entry in forklog_transport.entries] == [*"012345678"]


def test_the_script_is_followed_in_order(forklog_transport: FakeTransport) -> None:
    """Each outcome holds for its number of requests; what is appended comes after."""
    forklog_transport.then(Fail(503, times=2), Deliver(), Refuse(1))
    forklog_transport.then(Disconnect())
    connection = forklog_transport.open()
    verdicts = [connection.send([_A, _B], 1) for _ in range(4)]
    assert [v.kind for v in verdicts] == [Kind.RETRY, Kind.RETRY, Kind.DELIVERED, Kind.DELIVERED]
    assert [v.refused for v in verdicts] == [{}, {}, {}, {1: "refused"}]
    with pytest.raises(WireError):
        connection.send([_A], 1)
    assert connection.send([_A], 1).kind is Kind.DELIVERED
    outcomes = [request.outcome for request in forklog_transport.sent]
    assert outcomes == ["fail", "fail", "deliver", "refuse", "disconnect", "deliver"]
    assert [len(request.stored) for request in forklog_transport.sent] == [0, 0, 2, 1, 0, 1]


@pytest.mark.parametrize("wrong", [Fail, Deliver, 503, None])
def test_what_is_no_outcome_is_refused_at_once(wrong: Any) -> None:
    """A class without its parentheses raises at construction, not in the flush thread.

    Class of fault: a wrong argument raises later, in another thread; siblings: each other value, a
    parameter of this test.
    """
    with pytest.raises(TypeError, match=r"a value such as Fail\(503\)"):
        FakeTransport(wrong)


def test_a_failure_may_last_for_a_time(forklog_transport: FakeTransport) -> None:
    """``seconds`` counts from the first request that fails."""
    forklog_transport.then(Fail(429, seconds=0.1, retry_after=3))
    connection = forklog_transport.open()
    first = connection.send([_A], 1)
    assert (first.kind, first.delay) == (Kind.RETRY, 3)
    assert first.reason.startswith("429")
    wait_until(lambda: connection.send([_A], 1).kind is Kind.DELIVERED)


def test_what_a_refusal_says_is_what_the_sender_reads() -> None:
    """The entry named by `Refuse` is dropped, its neighbours are delivered."""
    transport = FakeTransport(Refuse(1))
    handler = forklog.CloudLoggingHandler(transport=transport, max_latency=0.2)
    for text in ("zero", "a", "b", "c"):
        handler.handle(logging.makeLogRecord({"msg": text, "levelno": 20}))
    handler.close()
    stats = handler.stats()
    assert stats.delivered + stats.dropped.get("refused", 0) == 4 + len(
        [e for e in transport.entries if "jsonPayload" in e]
    )
    transport.close()


def test_a_hang_lasts_until_the_release(forklog_transport: FakeTransport) -> None:
    """A hanging request is in the journal, then ends by the release, and no other one hangs."""
    forklog_transport.then(Hang(times=2))
    connection = forklog_transport.open()
    with pytest.raises(WireError, match="in time"):
        connection.send([_A], 0.05)
    kinds: list[Kind] = []
    thread = threading.Thread(target=lambda: kinds.append(connection.send([_A], 10).kind))
    thread.start()
    wait_until(lambda: len(forklog_transport.sent) == 2)
    assert not kinds
    assert forklog_transport.entries == []
    forklog_transport.release()
    thread.join(10)
    assert kinds == [Kind.DELIVERED]
    forklog_transport.then(Hang())
    assert connection.send([_B], 10).kind is Kind.DELIVERED


def test_a_lost_answer_has_stored_the_entries(forklog_transport: FakeTransport) -> None:
    """``is_stored`` breaks the connection after the server took the request."""
    forklog_transport.then(Disconnect(is_stored=True, is_stale=True))
    with pytest.raises(WireError) as caught:
        forklog_transport.open().send([_A], 1)
    assert caught.value.is_stale_connection
    assert forklog_transport.entries == [{"textPayload": "a"}]


def test_a_wait_that_fails_says_what_is_there(forklog_transport: FakeTransport) -> None:
    """The TimeoutError shows the requests so far."""
    forklog_transport.open().send([_A], 1)
    with pytest.raises(TimeoutError, match=r"no 2 entries within 0.05 s.*'deliver', 1"):
        forklog_transport.wait_for(2, timeout=0.05)


def test_children_and_their_children_are_seen() -> None:
    """Forty processes that send at once: every entry is seen by the parent, with its PID."""
    check_python("""
        import os
        from forklog.testing import FakeTransport
        transport = FakeTransport()
        pids = []
        for n in range(20):
            pid = os.fork()
            if not pid:
                grandchild = os.fork()
                connection = transport.open()
                for k in range(20):
                    connection.send([b'{"n":%d,"x":"%b"}' % (k, b"x" * 5000)], 1)
                if grandchild:
                    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
                os._exit(DONE)
            pids.append(pid)
        for pid in pids:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
            assert [e["n"] for e in transport.entries_of(pid)] == list(range(20))
        assert len(transport.entries) == 800
        assert len({request.pid for request in transport.sent}) == 40
    """)


def test_the_release_reaches_other_processes() -> None:
    """A child that hangs goes on when the parent says so."""
    check_python("""
        import os
        from forklog.testing import FakeTransport, Hang
        transport = FakeTransport(Hang())
        pid = os.fork()
        if not pid:
            os._exit(DONE if transport.open().send([b"{}"], 20).kind.name == "DELIVERED" else 1)
        transport.wait_until(lambda: bool(transport.sent))
        assert transport.sent[0].outcome == "hang"
        transport.release()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
        assert len(transport.entries_of(pid)) == 1
    """)


def test_a_daemon_that_closed_all_files_harms_none() -> None:
    """Where another file has the journal's number nothing is written into it."""
    check_python("""
        import os, tempfile
        from forklog.testing import FakeTransport
        transport = FakeTransport()
        with tempfile.NamedTemporaryFile() as other:
            pid = os.fork()
            if not pid:
                os.closerange(3, 100)
                for _ in range(50):
                    os.open(other.name, os.O_WRONLY)
                os._exit(DONE if transport.open().send([b"{}"], 1).kind.name == "DELIVERED" else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == DONE
            assert os.path.getsize(other.name) == 0
    """)


def test_a_forgotten_transport_leaves_no_file_open() -> None:
    """Its file is unlinked from the start, and closed when the transport is collected."""

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    transport = FakeTransport()
    assert open_files() == before + 1
    del transport
    assert open_files() == before


def test_the_fixture_shows_messages(cloud_logging: CloudLog) -> None:
    """Texts and JSON messages are listed in the order of the log calls, of all levels."""
    logging.getLogger("x").debug("one")
    logging.getLogger("y").error("two", extra={"json_fields": {"n": 2}})
    logging.getLogger("y").info({"message": "three"})
    assert cloud_logging.messages == ["one", "two", "three"]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder for a suite of a user, which can import forklog."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    return pytester


def test_the_fixture_leaves_the_root_logger_as_it_was(suite: pytest.Pytester) -> None:
    """Handlers and level of the root logger are after a test what they were before it."""
    suite.makeconftest('pytest_plugins = ["forklog.testing.plugin"]')
    suite.makepyfile("""
        import logging, pytest, threading

        @pytest.fixture(autouse=True)
        def same():
            root = logging.getLogger()
            before = (root.level, list(root.handlers))
            yield
            assert (root.level, root.handlers) == before
            assert not [t for t in threading.enumerate() if t.name.startswith("forklog")]

        def test_one(cloud_logging):
            logging.getLogger("a").debug("x")
            assert cloud_logging.messages == ["x"]

        def test_two(cloud_logging):
            assert cloud_logging.messages == []
    """)
    suite.runpytest_subprocess(*_QUIET).assert_outcomes(passed=2)


def _examples() -> dict[str, str]:
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    return dict(blocks)


def test_every_code_block_of_the_page_has_a_file_name() -> None:
    """No example of the page can escape the test below."""
    assert len(_examples()) == _PAGE.read_text().count("```python") == 6


def test_the_documented_examples_pass(suite: pytest.Pytester) -> None:
    """All examples of docs/testing.md, as they stand there, are a suite that passes."""
    for name, text in _examples().items():
        (suite.path / name).write_text(text)
    result = suite.runpytest_subprocess(*_QUIET, timeout=100)
    result.assert_outcomes(passed=6)
