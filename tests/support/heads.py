"""Makes files in the folder of a spool as dead processes leave them, for tests of the spool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forklog.spool.head import Fits

if TYPE_CHECKING:
    from forklog.spool.folder import Folder

HEAD = {
    "format": 1,
    "project": "p",
    "endpoint": None,
    "log_name": "python",
    "labels": {},
    "resource": None,
    "pid": 7,
    "boot_id": "",
    "version": "0",
}
FITS = Fits("p", None)


def put(folder: Folder, name: str, content: bytes, mode: int = 0o600) -> Path:
    """Write a file of this mode."""
    path = Path(folder.path, name)
    path.write_bytes(content)
    path.chmod(mode)
    return path
