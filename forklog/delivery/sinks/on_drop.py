"""Gives entries that were dropped to the application's ``on_drop``; a `Sink`.

What the callback logs is delivered as any record is. Where it is dropped itself it is counted, and
not given to the callback, which would log again, for ever. A callback that logs more than can be
remembered is not called either for what others logged in that time.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType

from forklog.clock import monotonic
from forklog.delivery.base import Reporter
from forklog.insert_id import AFTER_ALL, KEY_BYTES

_MOST_OWN = 10_000  # entries of the callback's that are remembered
_SAME_END_SECONDS = 6.0  # between two calls: as long as stderr may hold up an end
_NONE: Mapping[str, int] = {}

Offer = Callable[[int, bytes], object]


class _End:
    """What the callbacks of all handlers have taken, one after another, of one end.

    An end is that of the process, or a new configuration that closes several handlers.
    """

    def __init__(self) -> None:
        self._seconds, self._last = 0.0, 0.0

    def spent(self, now: float) -> float:
        """Return the seconds; none where the last call is so long ago that it was another end."""
        return self._seconds if now - self._last < _SAME_END_SECONDS else 0.0

    def took(self, began: float) -> None:
        """Take note of a call that is over."""
        now = monotonic()
        self._seconds, self._last = self.spent(began) + now - began, now


_end = _End()


def _name_of(callback: object) -> str:
    """Return what a person finds a callback by: its name, or that of its class."""
    if isinstance(callback, FunctionType):
        return callback.__qualname__
    return type(callback).__qualname__


class OnDrop:
    """The application's callback. Called in the flush thread, or in that which sends or closes."""

    def __init__(
        self, callback: Callable[[list[bytes], str], object] | None, report: Reporter
    ) -> None:
        """Call nothing yet."""
        self._callback = callback
        self._report = report
        self._own: deque[bytes] = deque(maxlen=_MOST_OWN)
        self._forgotten: tuple[bytes, bytes] | None = None  # first and last, of its own entries
        self._threads: set[int] = set()
        self._seconds_at_end: float | None = None
        self._watch: Callable[[Callable[[Offer], Offer] | None], object] = lambda _wrap: None

    @property
    def is_calling(self) -> bool:
        """Tell whether the callback runs in some thread."""
        return bool(self._threads)

    @contextlib.contextmanager
    def at_end(self, seconds: float) -> Iterator[None]:
        """Call it only while it, and those of other handlers, have taken less than ``seconds``."""
        self._seconds_at_end = seconds
        try:
            yield
        finally:
            self._seconds_at_end = None

    def watch_with(self, watch: Callable[[Callable[[Offer], Offer] | None], object]) -> None:
        """Have ``watch(wrap)`` called when the callback begins, ``watch(None)`` when it is over.

        It puts what ``wrap`` makes of it in the place of the function that takes entries.
        """
        self._watch = watch

    def write(self, entries: Sequence[bytes], reason: str) -> Mapping[str, int]:
        """Call ``on_drop``; it may do anything, and take its time.

        Raises:
            BaseException: in the main thread, where it may be a signal handler's.
        """
        given = self._not_own(entries)
        if self._callback is None or not given:
            return _NONE
        most, began = self._seconds_at_end, monotonic()
        spent = _end.spent(began)
        if most is not None and spent >= most and spent > 0:  # one call, where the option is zero
            text = f"on_drop used {spent:.1f} s of the shutdown and is not called again"
            text = f"{text}; later drops are only counted; make it faster"
            self._report.say("on_drop", text)
            return _NONE
        ident = threading.get_ident()
        try:
            self._threads.add(ident)
            self._watch(self._watched)
            self._callback(given, reason)
        except BaseException as error:
            if not isinstance(error, Exception) and ident == threading.main_thread().ident:
                raise
            text = f"on_drop raised {type(error).__name__} and did not take {len(given)} entries"
            self._report.say("on_drop", f"{text} ({reason}); correct {_name_of(self._callback)}")
        finally:
            self._threads.discard(ident)
            if most is not None:
                _end.took(began)
            if not self._threads:
                self._watch(None)
        return _NONE

    def _not_own(self, entries: Sequence[bytes]) -> list[bytes]:
        own = set(self._own)
        if not own:
            return [*entries]
        first, last = self._forgotten or (AFTER_ALL, b"")
        keys = [entry[:KEY_BYTES] for entry in entries]
        return [
            entry
            for key, entry in zip(keys, entries, strict=True)
            if key not in own and not first <= key <= last
        ]

    def _remember(self, key: bytes) -> None:
        if len(self._own) == _MOST_OWN:
            oldest = self._own[0]
            first, last = self._forgotten or (oldest, oldest)
            self._forgotten = min(first, oldest), max(last, oldest)
        self._own.append(key)

    def _watched(self, offer: Offer) -> Offer:
        def watched(rank: int, entry: bytes) -> None:
            if threading.get_ident() in self._threads:
                self._remember(entry[:KEY_BYTES])
            offer(rank, entry)

        return watched
