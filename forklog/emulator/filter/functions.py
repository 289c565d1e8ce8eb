"""Takes a function call of a filter from `match`, gives the test, or the value, that it is. Pure.

Their names are taken in any case. Conditions are log_id, source, search, sample and ip_in_net;
values are cast and regexp_extract. Pure.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from forklog.emulator.filter.convert import CAST_KINDS, CASTS
from forklog.emulator.filter.expression import extractor
from forklog.emulator.filter.lex import FilterError
from forklog.emulator.filter.names import MISSING, Path, resolve, texts_in
from forklog.emulator.filter.values import fold, leaves, members, spaced, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from forklog.emulator.filter.budget import Budget
    from forklog.emulator.filter.parse import Argument, Call

    Predicate = Callable[[dict[str, Any]], bool]
    Reader = Callable[[dict[str, Any]], Any]

_QUOTED_PHRASE: Final = re.compile(r"`([^`]*)`")
_MAX_HASH: Final = 2**64 - 1
_SOURCE: Final = re.compile(
    r"(?:projects|organizations|billingaccounts|folders)/[a-z0-9_.:-]{1,200}"
)


class Computed:
    """What a function returns for an entry; match compares it as it does a field.

    Args:
        read: takes the value from an entry; MISSING if there is none.
        kind: how the value compares, as that of a path.

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


def texts_to_match(source: Path | Computed, value: Any) -> Iterator[str]:
    """Yield the text that an expression is tried on: a string, or those of an array."""
    if source.kind:
        return iter(())
    return (one for one in members(value) if isinstance(one, str))


def _log_id(call: Call) -> Predicate:
    (argument,) = _arguments(call, 1)
    wanted = fold(argument.text)
    return lambda entry: fold(unquote(entry["logName"].partition("/logs/")[2])) == wanted


def _source(call: Call) -> Predicate:
    (argument,) = _arguments(call, 1)
    wanted = argument.text.lower()
    if not _SOURCE.fullmatch(wanted):
        msg = f"{argument.text[:100]!r} is not of the form projects/[PROJECT_ID]"
        raise FilterError(msg, argument.position)
    return lambda entry: entry["logName"].partition("/logs/")[0].lower() == wanted


def _search(call: Call) -> Predicate:
    arguments = _arguments(call, 1, 2)
    query = fold(arguments[-1].text)
    phrases = [words_of(found) for found in _QUOTED_PHRASE.findall(query)]
    phrases += [[word] for word in words_of(_QUOTED_PHRASE.sub(" ", query))]
    wanted = dict.fromkeys(spaced(phrase) for phrase in phrases if phrase)
    if not wanted:
        raise FilterError("search has no word to look for", arguments[-1].position)
    words = dict.fromkeys(word for phrase in phrases for word in phrase)
    read = _path(arguments[0]).texts_in if len(arguments) > 1 else texts_in

    def test(entry: dict[str, Any]) -> bool:
        found = list(map(fold, read(entry)))
        if not all(any(word in text for text in found) for word in words):
            return False  # most entries end here, before their text is split into words
        lines = [spaced(words_of(text)) for text in found]
        return all(any(phrase in line for line in lines) for phrase in wanted)

    return test


def _sample(call: Call) -> Predicate:
    field, argument = _arguments(call, 2)
    path, fraction = _path(field), _fraction(argument)

    def test(entry: dict[str, Any]) -> bool:
        found = list(leaves(path.value_in(entry)))
        digest = hashlib.sha256("\0".join(found).encode(errors="surrogatepass")).digest()
        return bool(found) and int.from_bytes(digest[:8], "big") <= fraction * _MAX_HASH

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
            found = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return False
        return found.version == net.version and found.subnet_of(net)  # type: ignore[arg-type]

    return lambda entry: any(map(is_inside, leaves(path.value_in(entry))))


def _cast(call: Call, budget: Budget) -> Computed:
    value, kind = _arguments(call, 2)
    name = kind.text.upper()
    if (convert := CASTS.get(name)) is None:
        msg = f"{kind.text[:100]!r} is not a type; use one of {', '.join(CASTS)}"
        raise FilterError(msg, kind.position)
    read = _source_of(value, budget).value_in

    def cast(entry: dict[str, Any]) -> Any:
        try:
            return _first(convert(text) for text in leaves(read(entry)))
        except ValueError:
            return MISSING

    return Computed(cast, CAST_KINDS.get(name, ""))


def _regexp_extract(call: Call, budget: Budget) -> Computed:
    value, pattern = _arguments(call, 2)
    extract = extractor(pattern.pattern, pattern.position, budget)
    source = _source_of(value, budget)

    def take(entry: dict[str, Any]) -> Any:
        found = (extract(text) for text in texts_to_match(source, source.value_in(entry)))
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


def _source_of(argument: Argument, budget: Budget) -> Path | Computed:
    return computed(argument.call, budget) if argument.call is not None else _path(argument)


def _fraction(argument: Argument) -> float:
    try:
        fraction = float(argument.text)
    except ValueError:
        fraction = -1
    if not 0 < fraction <= 1:
        msg = f"{argument.text[:100]!r} is not a fraction: above 0, and 1 at most"
        raise FilterError(msg, argument.position)
    return fraction


def _first(found: Iterable[Any]) -> Any:
    return next(iter(found), MISSING)


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
