"""structlog, loguru and `LoggerAdapter`: their bound fields, with the real libraries."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import forklog
from forklog.testing import FakeTransport

Make = Callable[..., tuple[logging.Logger, forklog.CloudLoggingHandler]]


@pytest.fixture
def own_logger() -> Iterator[logging.Logger]:
    """Return a logger of the real hierarchy, as structlog asks for it by name."""
    logger = logging.getLogger("of-a-test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.handlers.clear()


def _only(handler: forklog.CloudLoggingHandler, transport: FakeTransport) -> dict[str, Any]:
    assert handler.flush(10)
    (entry,) = transport.entries
    return entry


def test_structlog_by_our_processor(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """Fields of an event become fields of the payload; those of an entry are the entry's."""
    structlog = pytest.importorskip("structlog", reason="the extra `test` has it")
    _, handler = make_logger()
    own = structlog.stdlib._FixedFindCallerLogger("of-a-test")  # what its LoggerFactory makes
    own.addHandler(handler)
    logger = structlog.wrap_logger(
        own,
        processors=[forklog.structlog_processor],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind(user=7)
    try:
        raise ValueError("of the application")
    except ValueError:
        logger.exception("packed", item="x", labels={"shop": "a"})
    entry = _only(handler, forklog_transport)
    payload = entry["jsonPayload"]
    assert payload["message"].startswith("packed\nTraceback")
    assert payload["user"] == 7
    assert payload["item"] == "x"
    assert entry["labels"]["shop"] == "a"
    assert entry["severity"] == "ERROR"
    assert entry["sourceLocation"]["function"] == "test_structlog_by_our_processor"


def test_structlog_by_its_own(
    make_logger: Make, forklog_transport: FakeTransport, own_logger: logging.Logger
) -> None:
    """With `extra_fields` structlog's own last processor does as well."""
    structlog = pytest.importorskip("structlog", reason="the extra `test` has it")
    _, handler = make_logger(extra_fields=True)
    own_logger.addHandler(handler)
    logger = structlog.wrap_logger(
        own_logger,
        processors=[structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logger.info("packed", item=3)
    entry = _only(handler, forklog_transport)
    assert entry["jsonPayload"] == {"message": "packed", "item": 3}


def test_loguru(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """The fields that loguru has bound become fields of the payload."""
    loguru = pytest.importorskip("loguru", reason="the extra `test` has it")
    _, handler = make_logger(extra_fields=True)
    number = loguru.logger.add(handler, format="{message}")
    try:
        with loguru.logger.contextualize(request="r"):
            loguru.logger.bind(user=7).info("packed")
        entry = _only(handler, forklog_transport)
    finally:
        loguru.logger.remove(number)
    assert entry["jsonPayload"] == {"message": "packed", "user": 7, "request": "r"}


@pytest.mark.parametrize("has_option", [True, False])
def test_an_adapter(
    make_logger: Make, forklog_transport: FakeTransport, *, has_option: bool
) -> None:
    """Unknown names of ``extra=`` arrive with the option, and are dropped without."""
    logger, handler = make_logger(extra_fields=has_option)
    logging.LoggerAdapter(logger, {"user": 7, "labels": {"a": "b"}}).info("packed")
    entry = _only(handler, forklog_transport)
    if has_option:
        assert entry["jsonPayload"] == {"message": "packed", "user": 7}
    else:
        assert entry["textPayload"] == "packed"
    assert entry["labels"]["a"] == "b"


@pytest.mark.parametrize("level", [logging.ERROR, logging.WARNING])
@pytest.mark.parametrize("service", ["shop", {"service": "shop", "version": "1.2"}], ids=str)
def test_errors_name_the_service(
    make_logger: Make, forklog_transport: FakeTransport, level: int, service: Any
) -> None:
    """An ERROR with a traceback has a serviceContext, as Error Reporting reads it; no other has."""
    logger, handler = make_logger(service=service)
    try:
        raise ValueError("of the application")
    except ValueError:
        logger.log(level, "failed", exc_info=sys.exc_info())
    entry = _only(handler, forklog_transport)
    if level == logging.WARNING:
        assert "textPayload" in entry
        return
    wanted = {"service": service} if isinstance(service, str) else service
    assert entry["jsonPayload"]["serviceContext"] == wanted
    assert entry["jsonPayload"]["message"].startswith("failed\nTraceback (most recent call last)")
