"""Beside the handler: what an application may override of `logging.Handler`, and its lock.

Overriding is by a subclass, by a patch of a class or by a patch of one handler. The handler decides
once how its records are encoded, and again after a patch, so a usual record pays nothing for it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from abc import ABCMeta
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from forklog.encoding.payload import WithheldError
from forklog.errors import unpicklable
from forklog.handling.filtered import as_filtered
from forklog.process.base import new_mark
from forklog.process.per_process import PerProcess

if TYPE_CHECKING:
    from forklog.encoding.encoder import Encoder

_Encode = Callable[[logging.LogRecord, Callable[[], bytes]], tuple[int, bytes] | None]

_DECISIVE = frozenset({"emit", "filter", "format", "formatter", "acquire", "release", "__class__"})
_FORMATTING = ("format", "formatMessage", "formatException", "formatStack", "usesTime")
_watched: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def known_handlers() -> list[Any]:
    """Return the handlers that live in this process, closed ones too."""
    found = (reference() for reference in _watched.valuerefs())
    return [handler for handler in found if handler is not None]


class Watched(ABCMeta):
    """The handler's metaclass: a patch of a handler's class has its handlers decide again.

    Derived from `abc.ABCMeta`, so that a subclass may derive from an abstract class as well.
    """

    def __setattr__(cls, name: str, value: object) -> None:
        """Set an attribute of the class; all handlers decide again if that may concern them."""
        super().__setattr__(name, value)
        _decide_again(name)

    def __delattr__(cls, name: str) -> None:
        """Delete an attribute of the class, as `__setattr__` sets one."""
        super().__delattr__(name)
        _decide_again(name)


def _decide_again(name: str) -> None:
    if name in _DECISIVE:
        for reference in _watched.valuerefs():
            handler = reference()
            if handler is not None:
                handler._decide_again()  # noqa: SLF001 - of our own class


def nothing(*_args: object) -> None:
    """Encode nothing: the record goes by ``emit``, with the lock around it."""


def overrides_emit(handler: logging.Handler, module: str) -> bool:
    """Tell whether records have to go by ``emit`` with the lock around it, as logging has it.

    ``module`` is where the ``emit`` stands that needs no lock.
    """
    locking = _function_of(handler, "acquire"), _function_of(handler, "release")
    is_own = _is_of(_function_of(handler, "emit"), module)
    return not (is_own and all(_is_of(function, "logging") for function in locking))


def _formats_plainly(handler: logging.Handler) -> bool:
    """Tell whether a plain record's text is its message, because nothing of the user's formats."""
    if handler.formatter is not None:
        return False
    functions = [_function_of(handler, "format"), logging.LogRecord.getMessage]
    functions += [getattr(logging.Formatter, name) for name in _FORMATTING]
    return all(_is_of(function, "logging") for function in functions)


def _function_of(handler: logging.Handler, name: str) -> Any:
    """Return what a method of the handler runs; not by its ``__dict__``, which makes it slower."""
    method = getattr(handler, name)
    is_bound = type(method) is MethodType and method.__self__ is handler
    return method.__func__ if is_bound else None


def _is_of(function: Any, module: str) -> bool:
    """Tell whether a function was defined in a module; a wrapper around it was not."""
    return type(function) is FunctionType and function.__globals__.get("__name__") == module


class _ProcessLock:
    """The real lock of one process."""

    def __init__(self, _inherited: object) -> None:
        self.mark = new_mark()
        self.successor: dict[str, object] = {}
        self.lock: Any = threading.RLock()


class HandlerLock:
    """What `logging.Handler` has as its lock: a real one for an overridden ``emit`` alone.

    forklog's own ``emit`` needs none, and an inherited one may be held for ever. The real one
    belongs to one process: after any fork there is a new one.
    """

    def __init__(self) -> None:
        """Lock nothing, until the handler sets `is_real`."""
        self.is_real = False
        self._locks: dict[str, PerProcess[_ProcessLock]] = {}

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as threading's
        """Take the lock as `threading.RLock` does; at once where nothing is to be locked."""
        if not self.is_real:
            return True
        locks = self._locks.get("locks")
        if locks is None:
            locks = self._locks.setdefault("locks", PerProcess(_ProcessLock))
        return bool(locks.current().lock.acquire(blocking, timeout))

    def release(self) -> None:
        """Give the lock back; does nothing in a thread, or in a child, that has not taken it."""
        locks = self._locks.get("locks")
        lock = locks.current().lock if locks else None
        if lock is not None and lock._is_owned():  # noqa: SLF001 - as threading.Condition asks
            lock.release()

    def __enter__(self) -> bool:
        """Take the lock."""
        return self.acquire()

    def __exit__(self, *_args: object) -> None:
        """Give the lock back."""
        self.release()


class OverridableHandler(logging.Handler, metaclass=Watched):
    """The part of the handler that decides how records are encoded, and calls ``handleError``."""

    _encoder: Encoder
    _encode: _Encode
    _is_filtering: bool
    """Whether ``filter`` is to be called even where the handler has no filter."""
    _epoch: object = None  # another one after each patch

    def __init__(self, level: int | str) -> None:
        """Begin as logging does."""
        super().__init__(level)
        _watched[id(self)] = self

    def _copied(self) -> Any:
        """Return a handler with the same attributes, which decides for itself."""
        copy = type(self).__new__(type(self))
        vars(copy).update(vars(self))
        copy._decide_again()  # noqa: SLF001 - of our own class
        _watched[id(copy)] = copy
        return copy

    def __reduce_ex__(self, _protocol: object) -> Any:
        """Refuse to be pickled, as each handler of logging does, and say what works.

        Raises:
            TypeError: always.
        """
        raise unpicklable(self, "its thread and its entries belong")

    def createLock(self) -> None:  # noqa: N802 - the name logging gives it
        """Have a lock that is taken for an overridden ``emit`` alone: `handle` needs none."""
        self.lock = HandlerLock()  # type: ignore[assignment]

    def _encode_first(
        self, record: logging.LogRecord, opening: Callable[[], bytes]
    ) -> tuple[int, bytes] | None:
        """Decide how records are encoded, keep it in the place of this method, and do it."""
        epoch = self._epoch
        is_overridden = overrides_emit(self, "forklog.handler")
        encode: _Encode = nothing
        if not is_overridden:
            formatted = partial(self._encoder.encode_strict, is_formatted=True)
            encode = self._encoder.encode if _formats_plainly(self) else formatted
        lock: object = self.lock
        if isinstance(lock, HandlerLock):  # a subclass may have made another one
            lock.is_real = is_overridden
        self._encode = encode
        self._is_filtering = not _is_of(_function_of(self, "filter"), "logging")
        if self._epoch is not epoch:  # another thread patched meanwhile
            self._decide_again()
        return encode(record, opening)

    def _emit_locked(self, record: logging.LogRecord) -> None:
        """Let an ``emit`` of the application have the record, one thread at a time."""
        self.acquire()
        try:
            with as_filtered(record, self._encoder):
                self.emit(record)
        finally:
            self.release()

    def _decide_again(self) -> None:
        self._epoch = object()
        # Not a method that an attribute hides: the interpreter reads those slowly.
        self._encode = self._encode_first
        self._is_filtering = True

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; a patch of a method is in effect with the next record."""
        super().__setattr__(name, value)
        if name in _DECISIVE:
            self._decide_again()

    def __delattr__(self, name: str) -> None:
        """Delete an attribute, such as a patch that is taken back."""
        super().__delattr__(name)
        if name in _DECISIVE:
            self._decide_again()

    def _format_now(self, record: logging.LogRecord) -> str:
        """Format a record; what the application's formatter raises comes as `WithheldError`."""
        try:
            text = self.format(record)
            if isinstance(text, str):
                return text
            raise TypeError(f"format() returned {type(text).__name__}, not str")  # noqa: TRY301
        except Exception as error:
            if _formats_plainly(self):
                raise
            raise WithheldError(error) from error

    def _call_handle_error(
        self, record: logging.LogRecord, error: Exception, *, is_flush_thread: bool
    ) -> None:
        """Call ``handleError`` as in an except clause; never in the flush thread."""
        if is_flush_thread:
            return
        try:
            raise error  # noqa: TRY301 - only to be caught
        except Exception:  # noqa: BLE001 - handleError asks for it
            self.handleError(record)
