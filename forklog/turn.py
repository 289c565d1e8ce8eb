"""A turn: what one frame has at a time, given back even where an exception strikes in between.

CPython runs signal handlers at function entries, after calls and at jumps back. So a handler's
exception may come after ``lock.acquire`` has returned and before the ``try`` of the next line, or
at the entry of a ``release`` method, and the lock stays held for ever. Here the token that is taken
is known before, taken inside the ``try`` in one step of C, and given back without any call::

    token = object()
    try:
        if turn.setdefault(TURN, token) is not token:
            return  # another frame has it
        ...
    finally:
        if TURN in turn and turn[TURN] is token:
            del turn[TURN]
"""

from __future__ import annotations

import sys

HAS_GIL: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether a line of Python without a call is one step. Not so in a free-threaded build."""

TURN = 0
"""The only key of a turn."""


class Turn(dict[int, object]):
    """Empty while free; else it holds the token of the frame that has the turn. Never awaited."""

    __slots__ = ()

    def __missing__(self, _key: int) -> None:
        """Have none: without the interpreter's lock another frame may end between two looks."""
