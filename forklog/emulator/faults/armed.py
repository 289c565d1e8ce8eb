"""Faults on demand: what is armed, and which of it the next call meets; the server acts it out.

Pure state, used by the event loop only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from forklog.emulator.faults.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WRITE: Final = "write"
LIST: Final = "list"

_MAX_SECONDS: Final = 3600
_ERROR_STATUSES: Final = range(400, 600)


class WrongFaultError(ValueError):
    """The description of a fault is wrong; says option, value and rule."""


@dataclass(slots=True)
class Fault:
    """An armed fault.

    Attributes:
        kind: one of the keys of `KINDS`.
        options: its options, all checked.
        left: how many calls it will still hit; None is until cleared.
        tokens: what is left of a quota.

    """

    kind: str
    options: dict[str, Any]
    left: int | None
    tokens: Tokens | None = None

    def shown(self) -> dict[str, Any]:
        """Return the fault as it was asked for, with what is left of its count."""
        return {"kind": self.kind, **self.options, "count": self.left}


def _is_seconds(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= _MAX_SECONDS
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_body(value: Any) -> bool:
    if not isinstance(value, (str, dict)):
        return False
    try:
        orjson.dumps({"faults": [{"body": value}]})  # as the list of faults shows it
    except orjson.JSONEncodeError:
        return False
    return True


def _one_of(*values: object) -> Callable[[Any], bool]:
    return lambda value: value in values


_Rule = tuple[str, "Callable[[Any], bool]"]
_SECONDS: Final[_Rule] = ("a number of seconds from 0 to 3600", _is_seconds)
_COUNT: Final[_Rule] = ("a whole number of calls, at least 1", _is_count)
_WHEN: Final[_Rule] = ("'before' or 'after' the call is handled", _one_of("before", "after"))
_ON: Final[_Rule] = ("'any', 'write' or 'list'", _one_of("any", WRITE, LIST))

_RULES: Final[Mapping[str, _Rule]] = {
    "seconds": _SECONDS,
    "count": _COUNT,
    "when": _WHEN,
    "on": _ON,
    "status": ("an HTTP status from 400 to 599", lambda v: type(v) is int and v in _ERROR_STATUSES),
    "retry_after": _SECONDS,
    "body": ("a text or a JSON object of 250 levels at most", _is_body),
    "index": ("an index of an entry, from 0", lambda v: type(v) is int and v >= 0),
    "per_second": (
        "a number above 0",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and 0 < v < 10**12,
    ),
    "unit": ("'requests' or 'bytes'", _one_of("requests", "bytes")),
    "code": ("3 (INVALID_ARGUMENT) or 7 (PERMISSION_DENIED)", _one_of(3, 7)),
}

# kind -> (options it needs, options it may have with their defaults)
KINDS: Final[Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]] = {
    "delay": (("seconds",), {"on": "any"}),
    "status": (("status",), {"on": "any", "retry_after": None, "body": None}),
    "drop": ((), {"on": "any", "when": "before"}),
    "hang": ((), {"on": "any", "when": "before"}),
    "idle_close": ((), {"on": "any"}),
    "refuse": (("index",), {"on": WRITE, "code": 3}),
    "outage": (("seconds",), {}),
    "quota": (("per_second",), {"unit": "requests"}),
}


@dataclass(slots=True)
class Faults:
    """The armed faults, oldest first."""

    _armed: list[Fault] = field(default_factory=list)

    def arm(self, spec: object) -> Fault:
        """Check the description of a fault and arm it; WrongFaultError if it is wrong.

        An outage is returned and not kept: it is the server's to begin at once.
        """
        fault = _read(spec)
        if fault.kind != "outage":
            self._armed.append(fault)
        return fault

    def take(self, call: str, *kinds: str) -> Fault | None:
        """Return the oldest fault of these kinds that hits such a call, using it up by one."""
        hits = (fault for fault in self._armed if _hits(fault, call, kinds))
        fault = next(hits, None)
        return fault and self._use(fault)

    def take_all(self, call: str, kind: str) -> list[Fault]:
        """Return every fault of the kind that hits such a call, using each up by one."""
        return [self._use(fault) for fault in [*self._armed] if _hits(fault, call, (kind,))]

    def over_quota(self, size: int) -> Fault | None:
        """Return the quota that refuses a write of so many bytes; else book it at all of them."""
        quotas = [(f, f.tokens) for f in self._armed if f.tokens is not None]
        needs = [(f, t, size if f.options["unit"] == "bytes" else 1) for f, t in quotas]
        refusing = next((f for f, tokens, need in needs if not tokens.has(need)), None)
        if refusing is not None:
            return self._use(refusing)
        for _, tokens, need in needs:
            tokens.take(need)
        return None

    def shown(self) -> list[dict[str, Any]]:
        """Return all armed faults."""
        return [fault.shown() for fault in self._armed]

    def clear(self) -> None:
        """Disarm every fault."""
        self._armed.clear()

    def _use(self, fault: Fault) -> Fault:
        if fault.left is not None:
            fault.left -= 1
            if not fault.left:
                self._armed.remove(fault)
        return fault


def _hits(fault: Fault, call: str, kinds: tuple[str, ...]) -> bool:
    return fault.kind in kinds and fault.options["on"] in ("any", call)


def _read(spec: object) -> Fault:
    if not isinstance(spec, dict):
        msg = f"a fault is a JSON object with a kind, not {type(spec).__name__}"
        raise WrongFaultError(msg)
    given = {key: value for key, value in spec.items() if value is not None}
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        msg = f"kind={_shown(kind)}: must be one of {', '.join(KINDS)}"
        raise WrongFaultError(msg)
    required, optional = KINDS[kind]
    for name, value in given.items():
        _check(kind, name, value, {*required, *optional})
    for name in required:
        if name not in given:
            msg = f"{name} is missing: {kind} needs it, {_RULES[name][0]}"
            raise WrongFaultError(msg)
    left = given.pop("count", None)
    tokens = Tokens(given["per_second"]) if kind == "quota" else None
    return Fault(kind, {**optional, **given}, left, tokens)


def _shown(value: object) -> str:
    return "{...}" if isinstance(value, (dict, list)) else repr(value)[:200]


def _check(kind: str, name: str, value: object, known: set[str]) -> None:
    if name not in known and (name != "count" or kind == "outage"):
        has = ", ".join(sorted(known))
        msg = f"{name[:100]}={_shown(value)}: {kind} has no such option; it has {has}"
        raise WrongFaultError(msg)
    rule, holds = _RULES[name]
    if not holds(value):
        msg = f"{name[:100]}={_shown(value)}: must be {rule}"
        raise WrongFaultError(msg)
