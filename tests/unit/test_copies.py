"""A handler and its copies: one pipeline, and each as good as the first."""

from __future__ import annotations

import copy
import gc
import logging
import weakref

from helpers import check_python

from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport


def _record(msg: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": msg, "name": "app", "levelno": logging.INFO})


def test_the_copies_learn_the_project() -> None:
    """What the flush thread finds out, each of them knows."""
    handler = CloudLoggingHandler(transport=FakeTransport())
    twin = copy.copy(handler)
    handler._copies.learn("found")
    assert (handler.project_id, twin.project_id) == ("found", "found")
    handler.close()


def test_a_copy_outlives_the_handler() -> None:
    """The pipeline ends with the last of them, not with the first."""
    transport = FakeTransport()
    handler = CloudLoggingHandler(project="p", transport=transport)
    twin, first = copy.copy(handler), weakref.ref(handler)
    twin.handle(_record("one"))
    assert twin.flush()
    ended = []
    twin._copies.on_end = lambda: ended.append(True)
    del handler
    gc.collect()
    assert first() is None
    assert not ended
    twin.project_id = "q"
    twin.handle(_record("two"))
    assert twin.flush()
    assert [entry["textPayload"] for entry in transport.entries] == ["one", "two"]
    twin.close()
    del twin
    gc.collect()
    assert ended


def test_the_copies_name_their_process() -> None:
    """After a fork the labels are those of the child, by whichever of them it logs."""
    check_python("""
        import copy, logging, os
        import forklog
        from forklog.testing import FakeTransport
        transport = FakeTransport()
        handler = forklog.CloudLoggingHandler(project="p", transport=transport, process_labels=True)
        twin = copy.copy(handler)
        def site(which):
            which.handle(logging.makeLogRecord({"msg": "m", "name": "app"}))
        for which in (handler, twin):
            site(which)
        assert handler.flush()
        child = os.fork()
        if not child:
            for which in (twin, handler):
                site(which)
            is_sent = twin.flush()
            mine = [e["labels"]["process_id"] == str(os.getpid()) for e in transport.entries[-2:]]
            os._exit(42 if is_sent and mine == [True, True] else 3)
        status = os.waitpid(child, 0)[1]
        handler.close()
        assert os.waitstatus_to_exitcode(status) == 42, status
    """)
