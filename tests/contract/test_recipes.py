"""The recipes: each block runs as it stands."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport

_ROOT = Path(__file__).resolve().parents[2]
_RECIPES = (_ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def _run(title: str, **names: Any) -> dict[str, Any]:
    """Run the blocks of a section; return their names."""
    section = re.split(r"^## ", _RECIPES, flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{title}\n"))
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, names)  # noqa: S102 - of the page that is tested
    return names


@pytest.fixture
def handler(forklog_transport: FakeTransport) -> CloudLoggingHandler:
    """Return a handler on the fake transport."""
    return CloudLoggingHandler(transport=forklog_transport, project="p", last_resort="none")


def _texts(handler: CloudLoggingHandler, transport: FakeTransport) -> list[str]:
    assert handler.flush(20)
    return [entry["textPayload"] for entry in transport.entries]


def _logger(handler: CloudLoggingHandler, name: str = "recipe") -> logging.Logger:
    logger = logging.Logger(name, logging.DEBUG)  # noqa: LOG001 - leaves no trace
    logger.addHandler(handler)
    return logger


def test_secrets_are_removed(
    handler: CloudLoggingHandler, forklog_transport: FakeTransport
) -> None:
    """The filter changes what is sent."""
    _run("Remove secrets", handler=handler)
    _logger(handler).info("sent %s to %s", "token=abc", "x")
    assert _texts(handler, forklog_transport) == ["sent token=... to x"]
    handler.close()


def test_records_are_sampled_and_limited(
    handler: CloudLoggingHandler, forklog_transport: FakeTransport
) -> None:
    """Of many DEBUG records few are kept, and of one place at most a hundred a second."""
    _run("Sample and limit", handler=handler)
    logger = _logger(handler)
    for _ in range(1000):
        logger.debug("d")
    for _ in range(1000):
        logger.info("i")
    texts = _texts(handler, forklog_transport)
    assert texts.count("d") < 100
    assert 100 <= texts.count("i") < 1000  # another hundred for each second that it takes
    handler.close()


def test_warnings_become_records(
    handler: CloudLoggingHandler, forklog_transport: FakeTransport
) -> None:
    """A warning is a record of `py.warnings`."""
    logger = logging.getLogger("py.warnings")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _run("Warnings")
        logger.addHandler(handler)
        try:
            warnings.warn("old", UserWarning, stacklevel=1)
        finally:
            logger.removeHandler(handler)
            logging.captureWarnings(capture=False)
    (text,) = _texts(handler, forklog_transport)
    assert "UserWarning: old" in text
    handler.close()


def test_uncaught_exceptions_become_records(
    handler: CloudLoggingHandler,
    forklog_transport: FakeTransport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The hook logs, and Python prints as before."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        _run("Exceptions that nothing catches")
        sys.excepthook(ValueError, ValueError("boom"), None)
    finally:
        root.removeHandler(handler)
    (text,) = _texts(handler, forklog_transport)
    assert text.startswith("uncaught\nValueError: boom")
    assert "ValueError: boom" in capsys.readouterr().err
    handler.close()


@pytest.mark.parametrize("title", ["Two logs", "Alert on drops", "Keep what was dropped"])
def test_the_other_recipes_run(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their blocks run; the handlers that they make close."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    names = _run(title)
    audit = logging.getLogger("audit")
    for made in [*audit.handlers, names.get("kept")]:
        if isinstance(made, CloudLoggingHandler):
            made.close()
    audit.handlers.clear()
    assert names.get("text", "#").startswith("#")
