"""A folder for the tests of this room, and the lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lines import Lines

from forklog.spool.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a folder that is not made yet."""
    return tmp_path / "spool"


@pytest.fixture
def lines() -> Lines:
    """Return the lines for people."""
    return Lines()


@pytest.fixture
def folder(path: Path) -> Iterator[Folder]:
    """Open an empty folder."""
    made = Folder(str(path), 2**30)
    yield made
    made.close()
