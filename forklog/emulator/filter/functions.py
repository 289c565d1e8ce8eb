"""The functions of the query language: conditions on an entry, and values to compare; for match.

Their names are taken in any case. Conditions are log_id, source, search, sample and ip_in_net;
values are cast and regexp_extract. Pure.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from forklog.emulator import timestamps
from forklog.emulator.filter.expression import extractor
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.names import MISSING, Path, resolve
from forklog.emulator.filter.values import has_phrase, leaves, texts, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forklog.emulator.filter.budget import Budget
    from forklog.emulator.filter.parse import Argument, Call

    Predicate = Callable[[dict[str, Any]], bool]
    Reader = Callable[[dict[str, Any]], Any]

_QUOTED_PHRASE: Final = re.compile(r"`([^`]*)`")
_HASHES: Final = 2**64
_INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_SOURCE: Final = re.compile(
    r"(?:projects|organizations|billingaccounts|folders)/[a-z0-9_.:-]{1,200}"
)


class Computed:
    """What a function returns for an entry; match compares it as it does a field.

    Args:
        read: takes the value from an entry; MISSING if there is none.
        kind: "timestamp" if values compare as times.

    """

    def __init__(self, read: Reader, kind: str = "") -> None:
        """Keep the reader."""
        self.value_in = read
        self.kind = kind

    def is_present(self, value: Any) -> bool:
        """Tell whether there was a value."""
        return value is not MISSING


def condition(call: Call) -> Predicate:
    """Return the test that a call alone is; FilterError if it is none or wrongly called."""
    if call.name in _VALUES:
        msg = f"{call.name} returns a value: compare it, as in {call.name}(...) = 1"
        raise FilterError(msg, call.position)
    if (make := _CONDITIONS.get(call.name)) is None:
        known = ", ".join(sorted([*_CONDITIONS, *_VALUES]))
        msg = f"the function {call.name[:100]!r} is not known here; there are {known}"
        raise FilterError(msg, call.position)
    return make(call)


def computed(call: Call, budget: Budget) -> Computed:
    """Return the value that a call is; FilterError if it is none or wrongly called."""
    if (make := _VALUES.get(call.name)) is None:
        condition(call)
        msg = f"{call.name} is a condition and cannot be compared"
        raise FilterError(msg, call.position)
    return make(call, budget)


def _log_id(call: Call) -> Predicate:
    (argument,) = _arguments(call, 1)
    wanted = argument.text.lower()
    return lambda entry: unquote(entry["logName"].partition("/logs/")[2]).lower() == wanted


def _source(call: Call) -> Predicate:
    (argument,) = _arguments(call, 1)
    wanted = argument.text.lower()
    if not _SOURCE.fullmatch(wanted):
        msg = f"{argument.text[:100]!r} is not of the form projects/[PROJECT_ID]"
        raise FilterError(msg, argument.position)
    return lambda entry: entry["logName"].partition("/logs/")[0].lower() == wanted


def _search(call: Call) -> Predicate:
    arguments = _arguments(call, 1, 2)
    query = arguments[-1].text
    phrases = [words_of(found) for found in _QUOTED_PHRASE.findall(query)]
    phrases += [[word] for word in words_of(_QUOTED_PHRASE.sub(" ", query))]
    if not any(phrases):
        raise FilterError("search has no word to look for", arguments[-1].position)
    path = _path(arguments[0]) if len(arguments) > 1 else None

    def test(entry: dict[str, Any]) -> bool:
        found = [words_of(text) for text in texts(path.value_in(entry) if path else entry)]
        return all(any(has_phrase(words, phrase) for words in found) for phrase in phrases)

    return test


def _sample(call: Call) -> Predicate:
    field, argument = _arguments(call, 2)
    path, fraction = _path(field), _fraction(argument)

    def test(entry: dict[str, Any]) -> bool:
        text = "\0".join(leaves(path.value_in(entry)))
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        return bool(text) and int.from_bytes(digest[:8], "big") < fraction * _HASHES

    return test


def _ip_in_net(call: Call) -> Predicate:
    field, argument = _arguments(call, 2)
    path = _path(field)
    try:
        net = ipaddress.ip_network(argument.text, strict=False)
    except ValueError as error:
        raise FilterError(str(error)[:200], argument.position) from error

    def is_inside(text: str) -> bool:
        try:
            return ipaddress.ip_address(text) in net
        except ValueError:
            return False

    return lambda entry: any(map(is_inside, leaves(path.value_in(entry))))


def _cast(call: Call, budget: Budget) -> Computed:
    value, kind = _arguments(call, 2)
    name = kind.text.upper()
    if (convert := _CASTS.get(name)) is None:
        msg = f"{kind.text[:100]!r} is not a type; use one of {', '.join(_CASTS)}"
        raise FilterError(msg, kind.position)
    read = _reader(value, budget)

    def cast(entry: dict[str, Any]) -> Any:
        try:
            return _first(convert(text) for text in leaves(read(entry)))
        except ValueError:
            return MISSING

    return Computed(cast, "timestamp" if name == "TIMESTAMP" else "")


def _regexp_extract(call: Call, budget: Budget) -> Computed:
    value, pattern = _arguments(call, 2)
    extract = extractor(pattern.pattern, pattern.position, budget)
    read = _reader(value, budget)

    def take(entry: dict[str, Any]) -> Any:
        found = (extract(text) for text in leaves(read(entry)))
        return _first(text for text in found if text is not None)

    return Computed(take)


def _arguments(call: Call, *counts: int) -> tuple[Argument, ...]:
    for argument in call.arguments:
        if argument.call is not None and argument.call.name == "timezone":
            raise FilterError("timezone is not supported here", argument.position)
    if len(call.arguments) not in counts:
        wanted = " or ".join(map(str, counts))
        msg = f"{call.name} has {len(call.arguments)} arguments; it takes {wanted}"
        raise FilterError(msg, call.position)
    return call.arguments


def _path(argument: Argument) -> Path:
    if argument.is_quoted or argument.call is not None:
        raise FilterError("the name of a field is wanted here", argument.position)
    return resolve(argument.parts, argument.position)


def _reader(argument: Argument, budget: Budget) -> Reader:
    if argument.call is not None:
        return computed(argument.call, budget).value_in
    return _path(argument).value_in


def _fraction(argument: Argument) -> float:
    try:
        fraction = float(argument.text)
    except ValueError:
        fraction = -1
    if not 0 <= fraction <= 1:
        msg = f"{argument.text[:100]!r} is not a fraction from 0 to 1"
        raise FilterError(msg, argument.position)
    return fraction


def _first(found: Iterable[Any]) -> Any:
    return next(iter(found), MISSING)


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        msg = f"{text[:100]!r} is not an integer"
        raise ValueError(msg)
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        msg = f"{text[:100]!r} is not a boolean"
        raise ValueError(msg)
    return text.lower() == "true"


def _time(text: str) -> str:
    timestamps.parse(text)
    return text


_CONDITIONS: Final[Mapping[str, Callable[[Call], Predicate]]] = {
    "ip_in_net": _ip_in_net,
    "log_id": _log_id,
    "sample": _sample,
    "search": _search,
    "source": _source,
}
_VALUES: Final[Mapping[str, Callable[[Call, Budget], Computed]]] = {
    "cast": _cast,
    "regexp_extract": _regexp_extract,
}
_CASTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "STRING": str,
    "INT64": _integer,
    "FLOAT64": float,
    "BOOL": _boolean,
    "TIMESTAMP": _time,
}
