"""Fails closed: a text that could not be formatted, or filtered, is not sent as it is."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from records import Hostile

from forklog import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.testing import FakeTransport

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]

_CARD = "card 4111"


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        raise ValueError(f"cannot redact {record.getMessage()}")


class _OfNoText(logging.Formatter):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def format(self, record: logging.LogRecord) -> str:
        value: str = record if self.value is logging.LogRecord else self.value
        return value


class _NoException(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        raise LookupError(str(ei[1]))


class _Watching(CloudLoggingHandler):
    """A handler that remembers what ``handleError`` was called with."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.errors: list[tuple[Any, Any, int]] = []

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self.errors.append((record, sys.exc_info()[0], threading.get_ident()))


class _Formatting(_Watching):
    def format(self, record: logging.LogRecord) -> str:
        raise KeyError(record.getMessage())


def _logged(
    transport: FakeTransport, formatter: logging.Formatter | None, kind: Any = _Watching
) -> tuple[dict[str, Any], Any]:
    handler = kind(transport=transport, project="p", labels={"env": "test"})
    handler.setFormatter(formatter)
    logger = logging.Logger("bank")  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    try:
        raise RuntimeError(_CARD)
    except RuntimeError:
        logger.exception("paid by %s", _CARD, extra={"labels": {"tenant": "t"}})
    assert handler.flush(10)
    handler.close()
    (entry,) = transport.entries
    return entry, handler


@pytest.mark.parametrize(
    ("formatter", "kind", "error"),
    [
        (_Redacting(), _Watching, ValueError),
        (logging.Formatter("%(missing)s %(message)s"), _Watching, ValueError),
        (_NoException(), _Watching, LookupError),
        (_OfNoText(None), _Watching, TypeError),
        (_OfNoText([_CARD]), _Watching, TypeError),
        (_OfNoText(5), _Watching, TypeError),
        (_OfNoText(_CARD.encode()), _Watching, TypeError),
        (_OfNoText(logging.LogRecord), _Watching, TypeError),
        (_OfNoText(Hostile()), _Watching, TypeError),
        (None, _Formatting, KeyError),
    ],
)
def test_what_a_formatter_could_not_format_is_withheld(
    formatter: Any, kind: Any, error: type, forklog_transport: FakeTransport
) -> None:
    """The entry names failure, place and error type, never the text; ``handleError`` runs once.

    Closes the class of faults where a formatter that fails lets the unformatted text through.
    """
    entry, handler = _logged(forklog_transport, formatter, kind)
    assert _CARD not in str(entry)
    text = entry["textPayload"]
    assert handler.errors[0][1].__name__ in text
    assert issubclass(handler.errors[0][1], error)
    assert f"{__file__}:" in text
    assert text.endswith("in _logged")
    assert entry["severity"] == "ERROR"
    assert entry["sourceLocation"]["function"] == "_logged"
    assert entry["timestamp"]
    labels = {"python_logger": "bank", "tenant": "t", "forklog_repaired": "message"}
    assert entry["labels"].items() >= labels.items()
    assert len(handler.errors) == 1
    assert handler.errors[0][2] == threading.get_ident()


def test_json_fields_are_kept_beside_a_withheld_text(
    make_logger: Make, forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A formatter makes the message alone, so ``json_fields`` arrive as they would have."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger, handler = make_logger()
    handler.setFormatter(_Redacting())
    logger.info(_CARD, extra={"json_fields": {"n": 1}})
    assert handler.flush(10)
    (entry,) = forklog_transport.entries
    assert entry["jsonPayload"]["n"] == 1
    assert "ValueError" in entry["jsonPayload"]["message"]
    assert _CARD not in str(entry)


def test_a_filter_that_raises_withholds_all_content(forklog_transport: FakeTransport) -> None:
    """A filter may redact texts and extras, so none of them is sent where it raises.

    The same class of faults: a failing guard must not let through what it guards.
    """
    handler = _Watching(transport=forklog_transport, project="p")
    handler.addFilter(lambda record: bool(record.msg % ()))  # the message has an odd %
    logger = logging.Logger("bank")  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    extra = {"json_fields": {"card": _CARD}, "labels": {"card": _CARD}}
    logger.warning(f"100 % {_CARD}", extra=extra)  # noqa: G004 - as in the case
    assert handler.flush(10)
    handler.close()
    (entry,) = forklog_transport.entries
    assert "4111" not in str(entry)
    assert "the filter raised" in entry["textPayload"]
    assert entry["severity"] == "WARNING"
    assert entry["labels"]["python_logger"] == "bank"
    assert len(handler.errors) == 1


def test_what_handle_error_raises_is_the_applications(
    forklog_transport: FakeTransport,
) -> None:
    """An overridden ``handleError`` may raise into the log call; the entry is sent all the same."""

    class Strict(CloudLoggingHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
            raise  # noqa: PLE0704 - logging calls it in an except clause

    handler = Strict(transport=forklog_transport, project="p")
    handler.setFormatter(_Redacting())
    with pytest.raises(ValueError, match="cannot redact"):
        handler.handle(logging.makeLogRecord({"msg": _CARD}))
    assert handler.flush(10)
    handler.close()
    assert len(forklog_transport.entries) == 1


def test_without_a_formatter_the_arguments_are_delivered(
    make_logger: Make, forklog_transport: FakeTransport, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong arguments without a formatter of the user's: message and arguments, and no error."""
    logger, handler = make_logger()
    logger.info("%d and %d", *[1])
    assert handler.flush(10)
    assert forklog_transport.entries[0]["textPayload"] == "%d and %d (1,)"
    assert capsys.readouterr().err == ""


def test_the_flush_thread_never_calls_handle_error(forklog_transport: FakeTransport) -> None:
    """A record that ``on_drop`` logs in the flush thread is withheld without ``handleError``."""
    from forklog.testing import Refuse  # noqa: PLC0415 - of this test alone

    idents = []

    def on_drop(_entries: object, _reason: str) -> None:
        idents.append(threading.get_ident())
        if len(idents) == 1:
            handler.handle(logging.makeLogRecord({"msg": _CARD}))

    handler = _Watching(transport=forklog_transport, project="p", on_drop=on_drop)
    forklog_transport.then(Refuse(0))
    handler.handle(logging.makeLogRecord({"msg": "refused"}))
    forklog_transport.wait_for(0)
    handler.setFormatter(_Redacting())
    assert not handler.flush(10), "one was refused"
    assert handler.flush(10)
    handler.close()
    assert idents
    assert idents[0] != threading.get_ident()
    assert handler.errors == []
