"""A folder for the tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forklog.spool.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Open an empty folder."""
    made = Folder(str(tmp_path / "spool"), 2**30)
    yield made
    made.close()
