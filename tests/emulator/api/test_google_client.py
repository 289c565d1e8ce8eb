"""The proof: Google's unmodified client writes to the emulator and lists from it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import logging as google_logging
from google.cloud.logging_v2.handlers import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]

# The client adds one entry about itself to the first write of a process.
MINE = "NOT jsonPayload:instrumentation_source"


def test_text_and_struct_come_back_as_written(
    google_client: google_logging.Client, emulator: Emulator
) -> None:
    """log_text, log_struct and log_empty arrive with all that can be given to them."""
    when = datetime.now(timezone.utc) - timedelta(minutes=5)
    logger = google_client.logger("web", labels={"app": "shop"})
    logger.log_text(
        "hello",
        severity="ERROR",
        insert_id="one",
        timestamp=when,
        labels={"k": "v"},
        trace="projects/p/traces/t",
        span_id="00000000000000aa",
        trace_sampled=True,
        http_request={"requestMethod": "GET", "requestUrl": "/a", "status": 500},
        source_location={"file": "a.py", "line": 12, "function": "f"},
        resource=google_logging.Resource(type="gce_instance", labels={"zone": "z"}),
    )
    logger.log_struct({"message": "hi", "n": 1, "deep": {"list": [1, None]}}, severity=200)
    logger.log_empty(severity="NOTICE")
    text, struct, empty = google_client.list_entries(filter_=MINE)
    assert (text.payload, text.severity, text.insert_id) == ("hello", "ERROR", "one")
    assert (text.timestamp, text.labels) == (when, {"k": "v"})
    assert (text.trace, text.span_id, text.trace_sampled) == (
        "projects/p/traces/t",
        "00000000000000aa",
        True,
    )
    assert text.http_request["status"] == 500
    assert text.source_location == {"file": "a.py", "line": 12, "function": "f"}
    assert (text.resource.type, text.logger.name) == ("gce_instance", "web")
    assert struct.payload == {"message": "hi", "n": 1, "deep": {"list": [1, None]}}
    assert (struct.severity, struct.labels) == ("INFO", {"app": "shop"})
    assert (empty.payload, empty.severity) == (None, "NOTICE")
    assert emulator.stats()["refused"] == 0


def test_a_batch_arrives_and_is_listed_in_pages(google_client: google_logging.Client) -> None:
    """A batch is one write; listing walks its pages in either order."""
    with google_client.logger("web").batch() as batch:
        for number in range(7):
            batch.log_text(str(number))
    listed = google_client.list_entries(filter_=MINE, page_size=3)
    assert [entry.payload for entry in listed] == list("0123456")
    newest = google_client.list_entries(
        filter_=MINE, order_by=google_logging.DESCENDING, page_size=3, max_results=4
    )
    times = [entry.timestamp for entry in newest]
    assert len(times) == 4
    assert times == sorted(times, reverse=True)


def test_filters_of_the_client_work(google_client: google_logging.Client) -> None:
    """Its own additions (log name, the last day) and a user's filter select entries."""
    for name, severity in (("a", "INFO"), ("a", "ERROR"), ("b", "ERROR")):
        google_client.logger(name).log_text(f"{name} {severity}", severity=severity)
    own = google_client.logger("a").list_entries(filter_="severity>=WARNING")
    assert [entry.payload for entry in own] == ["a ERROR"]
    both = google_client.list_entries(filter_='severity=ERROR OR textPayload:"a i"')
    assert len(list(both)) == 3
    with pytest.raises(exceptions.BadRequest, match="Unparseable filter"):
        list(google_client.list_entries(filter_="severity>="))


def test_the_stock_handler_delivers(
    google_client: google_logging.Client, emulator: Emulator
) -> None:
    """Records of CloudLoggingHandler arrive with severity, labels and source location."""
    handler = CloudLoggingHandler(google_client, name="app", labels={"env": "test"})
    log = logging.Logger("shop.cart")  # noqa: LOG001  no handler of the root shall see it
    log.addHandler(handler)
    log.warning("cart %d", 7, extra={"json_fields": {"size": 3}})
    handler.flush()
    handler.transport.worker.stop()
    (entry,) = emulator.wait_for(lambda found: len(found) == 1, 10, 'logName:"logs/app"')
    assert entry["jsonPayload"] == {"message": "cart 7", "size": 3}
    assert (entry["severity"], entry["labels"]["env"]) == ("WARNING", "test")
    assert entry["sourceLocation"]["function"] == "test_the_stock_handler_delivers"


def test_errors_reach_the_client(google_client: google_logging.Client) -> None:
    """A refused entry is BadRequest with its details; deleting a log twice is NotFound."""
    logger = google_client.logger("web")
    with pytest.raises(exceptions.BadRequest, match="exceeds maximum size") as caught:
        logger.log_text("x" * 300_000)
    assert "logEntryErrors" in caught.value.details[0]
    logger.log_text("small")
    logger.delete()
    with pytest.raises(exceptions.NotFound):
        logger.delete()


def test_a_transient_error_reaches_the_client(
    google_client: google_logging.Client, emulator: Emulator
) -> None:
    """An armed 503 is ServiceUnavailable for the client."""
    emulator.fault("status", status=503, count=1)
    with pytest.raises(exceptions.ServiceUnavailable):
        google_client.logger("web").log_text("a")
