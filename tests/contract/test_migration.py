"""docs/migration.md: what stands there before and after leaves the same entries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import further
from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

_PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
_BLOCKS = dict(re.findall(r"```python\n# (.*?)\n(.*?)```", _PAGE, re.DOTALL))
_OWN = ("insertId", "receiveTimestamp", "timestamp", "resource")

# The page's client is one for Google; here it is given the emulator and no credentials.
_SETUP = """
import functools, logging, os, warnings
warnings.simplefilter("ignore")
import google.cloud.logging, google.cloud.logging_v2
from google.auth.credentials import AnonymousCredentials
from google.cloud.logging_v2.handlers import _monitored_resources
google.cloud.logging_v2._instrumentation_emitted = True
_monitored_resources.retrieve_metadata_server = lambda *args, **options: None
google.cloud.logging.Client = functools.partial(
    google.cloud.logging.Client, credentials=AnonymousCredentials(), _use_grpc=False,
    client_options={"api_endpoint": os.environ["URL"]},
)
"""
_LOG = """
log = logging.getLogger("shop")
log.setLevel(logging.INFO)
log.info("ordered %d", 3)
log.warning({"sku": 7, "ok": False}, extra={"labels": {"a": "b"}})
for handler in [*log.handlers, *logging.getLogger().handlers]:
    handler.flush()
os._exit(DONE)
"""


def _entries(emulator: Emulator, name: str) -> list[dict[str, Any]]:
    emulator.reset()
    env = {"URL": emulator.url, "LOGGING_EMULATOR_HOST": emulator.host}
    check_python(_SETUP + _BLOCKS[name] + _LOG, 60, env, is_covered=False)
    found = emulator.entries()
    for entry in found:
        for field in _OWN:
            entry.pop(field, None)
        entry["sourceLocation"].pop("line")  # of one block or the other
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *further(
            ("handler before", "handler after"),
            ("handler before", "handler alone"),
            ("setup before", "setup after"),
        ),
        ("dictconfig before", "dictconfig after"),
    ],
)
def test_both_leave_the_same_entries(emulator: Emulator, before: str, after: str) -> None:
    """Log, labels, payload and severity are those of the stock handler's block."""
    theirs = _entries(emulator, before)
    assert len(theirs) == 2
    assert _entries(emulator, after) == theirs


def test_every_block_is_run() -> None:
    """No example of the page can escape the test above."""
    assert len(_BLOCKS) == _PAGE.count("```") / 2 == 7
