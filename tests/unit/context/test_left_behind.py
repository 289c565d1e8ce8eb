"""An exception that leaves a request: whose traceback it is, and what else keeps the object."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest
from records import EncoderBench, record_of

import forklog
from forklog.context.base import CURRENT
from forklog.middleware import WSGIMiddleware

TRACE = "a" * 32


@pytest.fixture(autouse=True)
def _own_context() -> Any:
    """Leave no scope behind, whatever a test does."""
    token = CURRENT.set(None)
    yield
    CURRENT.reset(token)


def _left(**fields: Any) -> OSError:
    """Return an exception that has left a request with such fields."""
    error = OSError("pool is down")

    def app(_environ: Any, _start: Any) -> Any:
        forklog.bind(**fields)
        raise error

    with pytest.raises(OSError, match="pool is down"):
        WSGIMiddleware(app)({"HTTP_TRACEPARENT": f"00-{TRACE}-{'1' * 16}-01"}, lambda *_: None)
    return error


def _entry(error: OSError) -> dict[str, Any]:
    return EncoderBench().one(record_of(exc_info=(OSError, error, error.__traceback__)))


def test_the_traceback_is_of_the_request_in_its_thread_alone() -> None:
    """The server logs it in the thread of the request; another thread may share the object.

    Closes: a background thread that logged a shared exception had the trace of a request.
    """
    error, seen = _left(user=7), []
    thread = threading.Thread(target=lambda: seen.append(_entry(error)))
    thread.start()
    thread.join()
    assert "trace" not in seen[0]
    assert "httpRequest" not in seen[0]
    assert _entry(error)["trace"] == f"projects/p/traces/{TRACE}"
    assert _entry(error)["jsonPayload"]["user"] == 7


def test_the_exception_can_be_copied() -> None:
    """What it keeps of the request is neither copied nor pickled, whatever was bound.

    Closes: an exception could not be pickled where a lock was bound in its request.
    """
    error = _left(lock=threading.Lock())
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301 - our own
        assert other.args == error.args
        assert "trace" not in _entry(other)
