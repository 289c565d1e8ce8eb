"""Readers of protobuf JSON values: each takes one value and returns its normal form; pure.

They mirror the JSON mapping of proto3: names in lowerCamelCase or snake_case, int64 as number or
string (normal form: string), null as not given. Zero values come back falsy so that a message can
leave them out, as the API does when it lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

import orjson

from forklog.emulator import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[Any], Any]

SEVERITIES: Final[Mapping[str, int]] = {
    "DEFAULT": 0,
    "DEBUG": 100,
    "INFO": 200,
    "NOTICE": 300,
    "WARNING": 400,
    "ERROR": 500,
    "CRITICAL": 600,
    "ALERT": 700,
    "EMERGENCY": 800,
}
SEVERITY_NAMES: Final[Mapping[int, str]] = {value: name for name, value in SEVERITIES.items()}

STRUCTS: Final = ("jsonPayload", "otel")  # the fields of an entry that a write gives as a Struct

_DURATION: Final = re.compile(r"-?\d{1,12}(\.\d{1,9})?s", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,20}(\.0*)?", re.ASCII)


class WrongValue(Exception):  # noqa: N818  a finding, collected with others
    """Say what is wrong with a value; `where` grows as it passes up through the messages."""

    def __init__(self, text: str, where: str = "") -> None:
        """Keep the sentence, with ``{where}`` for the path, and the path below the reader."""
        super().__init__(text)
        self.text = text
        self.where = where

    def at(self, outer: str) -> tuple[str, str]:
        """Return the field violation: the full path and the sentence about it."""
        path = f"{outer}.{self.where}".strip(".") if self.where[:1] != "[" else outer + self.where
        return path, self.text.replace("{where}", path)


class Field(NamedTuple):
    """A field of a message: its JSON name and how its value is read."""

    name: str
    snake: str
    read: Reader


def fail(kind: str, value: object) -> NoReturn:
    """Refuse a value that is not of the kind, showing it."""
    text = f"Invalid value at '{{where}}' ({kind}), {_shown(value)}"
    raise WrongValue(text)


def unknown_name(name: str, where: str) -> tuple[str, str]:
    """Return the violation for a name the message does not have."""
    at = f" at '{where}'" if where else ""
    return (
        where,
        f'Invalid JSON payload received. Unknown name "{name[:200]}"{at}: Cannot find field.',
    )


def table(**readers: Reader) -> dict[str, Field]:
    """Return the fields of a message under both of their names; the keywords are snake_case."""
    fields: dict[str, Field] = {}
    for snake, read in readers.items():
        head, *rest = snake.split("_")
        field = Field(head + "".join(map(str.capitalize, rest)), snake, read)
        fields[field.name] = fields[snake] = field
    return fields


def message(kind: str, **readers: Reader) -> Reader:
    """Return the reader of a nested message, which refuses names it does not know."""
    fields = table(**readers)

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            fail(f"type.googleapis.com/{kind}", value)
        result = {}
        for name, inner in value.items():
            if (field := fields.get(name)) is None:
                _, text = unknown_name(name, "{where}")
                raise WrongValue(text)
            if inner is not None and (normal := _inside(field, inner)):
                result[field.name] = normal
        return result

    return read


def string(value: Any) -> str:
    """Read a string."""
    return value if type(value) is str else fail("TYPE_STRING", value)


def boolean(value: Any) -> bool:
    """Read a bool; the texts "true" and "false" pass too."""
    if value is True or value is False:
        return bool(value)
    if value in ("true", "false"):
        return bool(value == "true")
    fail("TYPE_BOOL", value)


def int32(value: Any) -> int:
    """Read a 32-bit integer."""
    number = _integer(value, "TYPE_INT32")
    return number if -(2**31) <= number < 2**31 else fail("TYPE_INT32", value)


def int64(value: Any) -> str:
    """Read a 64-bit integer; its normal form is text, and "" for zero."""
    number = _integer(value, "TYPE_INT64")
    if not -(2**63) <= number < 2**63:
        fail("TYPE_INT64", value)
    return str(number) if number else ""


def severity(value: Any) -> int:
    """Read a LogSeverity: a name in any case, or a number.

    Numbers between the standard ones are kept as they are: the API calls their effect undefined.
    """
    if type(value) is int and -(2**31) <= value < 2**31:
        return value
    if type(value) is str:
        number = SEVERITIES.get(value.upper())
        if number is not None:
            return number
        if _INTEGER.fullmatch(value):
            return int32(value)
    fail("type.googleapis.com/google.logging.type.LogSeverity", value)


def timestamp(value: Any) -> int:
    """Read a Timestamp into nanoseconds since 1970."""
    try:
        return timestamps.parse(string(value))
    except ValueError:
        fail("type.googleapis.com/google.protobuf.Timestamp", value)


def duration(value: Any) -> str:
    """Read a Duration such as "1.5s"."""
    if type(value) is not str or not _DURATION.fullmatch(value):
        fail("type.googleapis.com/google.protobuf.Duration", value)
    return value


def struct(value: Any) -> dict[str, Any]:
    """Read a Struct: any JSON object."""
    return (
        value if type(value) is dict else fail("type.googleapis.com/google.protobuf.Struct", value)
    )


def any_message(value: Any) -> dict[str, Any]:
    """Read an Any: a JSON object that names its type."""
    if type(value) is not dict or type(value.get("@type")) is not str:
        fail("type.googleapis.com/google.protobuf.Any", value)
    return value


def sequence(value: Any) -> list[Any]:
    """Read a list whose elements the emulator does not look into."""
    return value if type(value) is list else fail("TYPE_MESSAGE", value)


def string_map(value: Any) -> dict[str, str]:
    """Read a map from string to string."""
    if type(value) is not dict:
        fail("TYPE_MESSAGE", value)
    for position, inner in enumerate(value.values()):
        if type(inner) is not str:
            text = f"Invalid value at '{{where}}' (TYPE_STRING), {_shown(inner)}"
            raise WrongValue(text, f"[{position}].value")
    return value


def _shown(value: object) -> str:
    """Return the start of a value's JSON; what may be deep is not rendered."""
    return "{...}" if isinstance(value, (dict, list)) else orjson.dumps(value).decode()[:200]


def _inside(field: Field, value: Any) -> Any:
    try:
        return field.read(value)
    except WrongValue as wrong:
        wrong.where = field.snake + ("" if wrong.where[:1] in ("", "[") else ".") + wrong.where
        raise


def _integer(value: Any, kind: str) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and _INTEGER.fullmatch(value):
        return int(value.partition(".")[0])
    fail(kind, value)
