"""Takes the path of a database, and makes sure that the file there is ours; asked by store."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class StoreError(Exception):
    """The database file cannot be used; the message says why and what to do."""


def claim(path: Path) -> None:
    """Make sure the file is ours before SQLite opens it by name; make it if it is missing.

    A link, or a file of another user, could make the emulator overwrite something else.
    """
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    try:
        number = os.open(path, flags, 0o600)
    except OSError as error:
        msg = f"cannot open the database {str(path)!r}: {error.strerror}; it must be a plain file"
        raise StoreError(msg) from error
    try:
        found = os.fstat(number)
    finally:
        os.close(number)
    is_plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    # Windows has neither owner nor mode here.
    is_own = not hasattr(os, "geteuid") or (
        found.st_uid == os.geteuid() and not found.st_mode & 0o077
    )
    if not is_plain or not is_own:
        msg = f"the database {str(path)!r} must be a plain file of this user with mode 0600"
        raise StoreError(msg)
