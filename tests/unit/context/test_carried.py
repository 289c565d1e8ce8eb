"""What a process that sends a task hands on of the trace, without a middleware of forklog."""

from __future__ import annotations

import pytest
from helpers import check_python

_WITHIN = {
    "a request of Flask": (
        "with flask.Flask('shop').test_request_context(headers={'traceparent': HEADER}):"
    ),
    "a live span": (
        "with trace.use_span(trace.NonRecordingSpan(trace.SpanContext("
        "int(TRACE, 16), 1, is_remote=False, trace_flags=trace.TraceFlags(1)))):"
    ),
}
_BEGIN = """
import sys

import celery.signals, flask, rq, rq.worker
from opentelemetry import trace

import forklog
from forklog.testing import FakeTransport

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADER = f"00-{TRACE}-0000000000000001-01"
handler = forklog.CloudLoggingHandler(transport=FakeTransport(), project="p")
"""
_SEND = """
    headers = {}
    celery.signals.before_task_publish.send("task", headers=headers)
    assert headers == {"forklog_trace": f"{TRACE}/1;o=1"}, headers
    job = rq.job.Job.create("os.getpid", connection=object())
    assert job.meta == {"forklog_trace": f"{TRACE}/1;o=1"}, job.meta
headers = {}
celery.signals.before_task_publish.send("task", headers=headers)
job = rq.job.Job.create("os.getpid", connection=object())
assert not headers and not job.meta, (headers, job.meta)
handler.close()
"""


@pytest.mark.parametrize("place", _WITHIN)
def test_a_task_carries_the_trace_of_what_is_known(place: str) -> None:
    """Messages of celery and jobs of RQ have the trace that the records of the sender have.

    Closes: they had none without a middleware of forklog.
    """
    check_python(f"{_BEGIN}{_WITHIN[place]}{_SEND}")
