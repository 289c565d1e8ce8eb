"""The seams of delivery: where entries wait, where they go instead, where lines for people go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from forklog.transports.base import Envelope, Origin, Verdict

SendOther = Callable[[Sequence[bytes], "Envelope"], "Verdict | None"]
"""Sends entries of another process; None where the wire is in use."""


class Store(Protocol):
    """Takes entries from log calls, gives them to the sender: the buffer, or a spool before it.

    `offer`, `arm` and what only tells something are for any thread, in signal handlers and
    finalizers too. What moves entries is for whoever runs passes, one at a time. `offer` waits for
    room, where ``block_timeout`` is set, and for an answer, where no thread can run; else for
    nothing.

    Entries begin with their insertId, and come out oldest first. An entry moves in one step of C:
    an exception finds it here or in the list of the caller, never in neither.
    """

    @property
    def max_bytes(self) -> int:
        """Bound of the wire bytes in memory."""

    @property
    def unencoded(self) -> int:
        """Records that became no entry; counted by whoever could not encode them."""

    def offer(self, rank: int, entry: bytes) -> None:
        """Append an entry of this severity rank (0-8); drop others, by severity, for room.

        Raises:
            RecursionError, MemoryError: the entry is not appended.
        """

    def arm(self, wake_rank: int, alarm_bytes: int | None = None) -> None:
        """Ask for a wake-up at an entry of this rank, or beyond this many bytes."""

    def take(self, into: list[bytes], max_entries: int, max_bytes: int) -> None:
        """Move the oldest entries to the end of a list; their bytes count until `settle`."""

    def take_newest(self, into: list[bytes]) -> None:
        """Move the newest entry to the end of a list."""

    def settle(self, size: int, *, is_last: bool = False) -> None:
        """Forget the bytes of entries that were taken and are settled; if last, none is out."""

    def drain(self, into: list[bytes]) -> None:
        """Move all entries to a list, those set aside included, as `take` does."""

    def __len__(self) -> int:
        """Return the number of entries that wait."""

    def has_waiting(self) -> bool:
        """Tell whether an entry waits, without counting."""

    def is_urgent(self, rank: int) -> bool:
        """Tell whether an entry of this rank or a higher one waits."""

    def oldest(self) -> bytes:
        """Return the oldest entry that waits, or bytes above every entry."""

    def put_aside(self, rank: int, entries: list[bytes]) -> None:
        """Set the first entry of a list aside: it does not wait, but an overflow may drop it."""

    def take_aside(self, into: list[bytes], rank: int = 0) -> None:
        """Move one entry that was set aside to a list, of this rank or the next that has one."""

    def count_aside(self) -> int:
        """Return the number of entries that were set aside."""

    def aside_bytes(self) -> int:
        """Return the wire bytes of the entries that were set aside."""

    def oldest_aside(self) -> bytes:
        """Return the oldest entry that was set aside, or bytes above every entry."""

    def count_overflowed(self) -> int:
        """Return the number of entries that overflows have dropped so far."""

    def keep(self, entries: list[bytes]) -> None:
        """Remove from a list of entries that were taken those that outlive this process."""

    @property
    def bytes(self) -> int:  # the last, since it hides the type
        """Wire bytes of the entries that wait, that are set aside, or were taken, not settled."""


class HeldCopies(Protocol):
    """Where a process that holds writes its entries down, for descendants and for the next start.

    No call raises, but for what a signal handler does.
    """

    def is_ready(self) -> bool:
        """Tell whether to write entries down now: hardly right after one found no room."""

    def hold(self, entries: Sequence[bytes]) -> int:
        """Write entries down, in this order; return how many, the first ones, found room."""

    def miss(self, entries: int) -> None:
        """Count entries that are new, and not written down."""

    def claiming(self) -> AbstractContextManager[bool]:
        """Claim alone among all descendants; gives whether that is so. Waits a bounded time."""

    def unsettled(self) -> list[bytes]:
        """Return the entries that no process has taken over, of those that this one inherited."""

    def settle(self, last: bytes) -> None:
        """Take note that entries up to this one are taken over; for whoever claims alone.

        Ends at the first that is newer, or that this process was forked too early to have.
        """

    def close(self) -> None:
        """Remove the copies: this process holds no more."""


class Spooler(Protocol):
    """What keeps a pipeline's entries where they outlive the process, and adopts those of others.

    No call raises, but for what a signal handler does. `numbers` is for any thread.
    """

    @property
    def store(self) -> Store:
        """Return the store in front of the buffer."""

    @property
    def held(self) -> HeldCopies:
        """Return where this process, if it holds, writes its entries down."""

    def take_in(self, new: Collection[bytes] = ()) -> None:
        """Spool what waits in memory; before the flush thread runs.

        Args:
            new: entries of which there is no copy; what finds no room counts as unspooled.
        """

    def has_orphans(self) -> bool:
        """Tell whether a dead process has left anything to adopt."""

    def seconds(self) -> float | None:
        """Return the seconds until `adopt` is due, None if it is not."""

    def is_adopting(self) -> bool:
        """Tell whether a thread is in `adopt`, which may find what is due."""

    def after_pass(self, origin: Origin | None) -> None:
        """Take note that a batch of this process was sent, and where it came from."""

    def check(self) -> None:
        """Look after the files of this process: a pass has failed."""

    def adopt(self, send: SendOther) -> Mapping[str, int]:
        """Send one batch that a dead process left; return what became of it, as sums.

        The keys are ``delivered`` and ``refused``.
        """

    def report_left(self) -> None:
        """Report how many entries wait here for another process."""

    def leave(self) -> None:
        """Stop spooling, and report what is left; remove the files where nothing is."""

    def numbers(self) -> Mapping[str, Any]:
        """Return the fields of `Stats` that are the spool's."""


class Sink(Protocol):
    """Takes entries that are not to be delivered any more. No lock is held; no call raises."""

    def write(self, entries: Sequence[bytes], reason: str) -> Mapping[str, int]:
        """Take entries, for a reason of docs/delivery.md. May wait, a bounded time.

        Returns:
            How many of them were written, by place, such as ``stderr``; none by ``on_drop``.
        """


class Reporter(Protocol):
    """Takes short lines for people, each kind at most once a minute. No call raises."""

    def say(self, key: str, text: str) -> bool:
        """Write one line unless one with this key was written within the last minute."""

    def drop(self, reason: str, entries: int, why: str = "") -> None:
        """Report dropped entries: a line a minute and reason, with the sum since then."""

    def catch_up(self) -> None:
        """Report what the rate limit has withheld, as far as its minute is over."""

    def finish(self) -> None:
        """Report what is still withheld; for the end of the process."""
