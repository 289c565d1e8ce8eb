"""Puts a handler of the gate back on logging's list of those that `logging.shutdown` closes.

``dictConfig`` takes each handler off that list, also one that stays on a logger and starts again. A
process may end by `logging.shutdown` and `os._exit`, which runs no other hook.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable
from sys import is_finalizing
from typing import Any

_listed: list[Any] = logging._handlerList  # type: ignore[attr-defined]  # noqa: SLF001 - no other way


class _Listed(weakref.ref[Any]):
    """A handler on the list, which comes back after ``dictConfig`` has emptied the list.

    Another thread's record may start the handler again while ``dictConfig`` still closes it.
    """

    __slots__ = ()

    def __del__(
        self, is_ending: Callable[[], bool] = is_finalizing, listed: list[Any] = _listed
    ) -> None:
        """Be replaced; a handler that was collected, and an interpreter that ends, need none.

        At the end of an interpreter the names of this module are gone.
        """
        if not is_ending() and (handler := self()) is not None:
            listed.insert(0, type(self)(handler, _unlist))


def list_again(handlers: Iterable[logging.Handler]) -> None:
    """Keep handlers on the list as long as they live. A second call does nothing.

    They are closed last, because other handlers may give them what they hold. Waits for no lock.
    """
    for handler in handlers:
        if not any(isinstance(one, _Listed) and one() is handler for one in [*_listed]):
            _listed.insert(0, _Listed(handler, _unlist))


def _unlist(reference: weakref.ref[Any], listed: list[Any] = _listed) -> None:
    try:  # noqa: SIM105 - at the end of an interpreter contextlib is gone
        listed.remove(reference)
    except ValueError:  # a configuration has done so
        pass
