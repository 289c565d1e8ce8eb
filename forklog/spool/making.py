"""Makes the parts of one pipeline's spool by the handler's options: folder, owner, adopter."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from forklog.__about__ import VERSION
from forklog.delivery.base import Reporter
from forklog.errors import OptionError
from forklog.options import Options
from forklog.process.base import pid
from forklog.spool.adopter import Adopter
from forklog.spool.folder import Folder, UnfitError
from forklog.spool.format import prefix_of_segment
from forklog.spool.head import Fits, Head, head_name_of, new_name
from forklog.spool.left.adoption import Sums
from forklog.spool.owner import Owner
from forklog.spool.parts.image import boot_id, image
from forklog.spool.parts.place import look_ahead, path_of
from forklog.spool.scan import scan
from forklog.transports.base import Origin

Identity = Callable[[], tuple[str | None, str | None]]
"""Returns project, as far as it is known, and endpoint."""


class Making:
    """Make what a spool consists of; holds nothing that is open.

    Args:
        options: those of the handler, with a spool.
        identity: of what is sent from here.
    """

    def __init__(self, options: Options, identity: Identity) -> None:
        """Make nothing yet."""
        self._options, self._identity = options, identity

    def look_ahead(self) -> None:
        """Learn now what a first record would wait for; makes and reports nothing."""
        with contextlib.suppress(UnfitError, OSError):  # reported at the first record
            path = path_of(str(self._options.spool))
            boot_id()
            image()
            look_ahead(path)

    def owner(self, prefix: str, origin: Origin | None = None, *, is_again: bool = False) -> Owner:
        """Make the folder, if it is missing, and a head in it.

        Args:
            prefix: of the files.
            origin: what is known of the process.
            is_again: an exception struck an earlier call; nothing was written by then.

        Raises:
            UnfitError, OSError, OptionError: a spool cannot be made here; the text says why.
        """
        folder = self._folder()
        try:
            if is_again:
                _clean(folder, prefix)
            return Owner(folder, prefix, self.head(origin))
        except BaseException:
            folder.close()
            raise

    def head(self, origin: Origin | None) -> Head:
        """Return what is known now of what is sent from here."""
        project, endpoint = self._identity()
        resource = self._options.resource
        if origin is not None:
            project, resource = origin.project, origin.resource
        return Head(
            project=project,
            endpoint=endpoint,
            log_name=self._options.log_name,
            labels=dict(self._options.labels),
            resource=resource,
            pid=pid(),
            boot_id=boot_id(),
            version=VERSION,
        )

    def _folder(self, *, is_made: bool = True) -> Folder:
        path = path_of(str(self._options.spool))
        return Folder(path, self._options.spool_max_folder_bytes, is_made=is_made)

    def adopter(
        self, owner: Owner, report: Reporter, sums: Sums, origin: Origin | None = None
    ) -> Adopter:
        """Make what adopts the entries of dead processes from the owner's folder."""
        options = self._options
        fits = Fits(*self._identity())
        if origin is not None:
            fits.learn(origin.project)
        sizes = options.max_batch_entries, options.max_batch_bytes
        return Adopter(owner.folder, owner.image, fits, *sizes, report.say, sums)

    def has_orphans(self) -> bool:
        """Look whether there is anything to adopt; makes nothing."""
        try:
            folder = self._folder(is_made=False)
        except (UnfitError, OSError):
            return False
        try:
            orphans = scan(folder, image(), set(), Fits(*self._identity()), 1).orphans
            for orphan in orphans:
                orphan.close()
            return bool(orphans)
        except (OSError, OptionError):
            return False
        finally:
            folder.close()


def _clean(folder: Folder, prefix: str) -> None:
    """Close and remove what this process has made under a prefix, before an exception struck it."""
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - no objects needed
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{number}").rpartition("/")[2]  # noqa: PTH115
            if _is_of(prefix, name.removesuffix(" (deleted)")):
                os.close(int(number))
    for name in folder.names():
        if _is_of(prefix, name):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder.descriptor)


def _is_of(prefix: str, name: str) -> bool:
    head = head_name_of(name)
    owner = head.prefix if head is not None else prefix_of_segment(name)
    return owner == prefix or name == new_name(prefix)
