"""Takes the JSON body of a call, gives the fields of its message to the module of that call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from forklog.emulator.errors import ApiError, bad_request
from forklog.emulator.fields import Field, WrongValue, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_message(body: bytes, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the fields of a JSON request under their normal names; ApiError if it does not fit."""
    try:
        raw = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        msg = f"Invalid JSON payload received. {error}"
        raise ApiError(msg) from error
    if type(raw) is not dict:
        text = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        raise bad_request([("", text)])
    return fields_of(raw, fields)


def fields_of(raw: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return given fields under their normal names; ApiError for those that do not fit."""
    request: dict[str, Any] = {}
    violations: list[tuple[str, str]] = []
    for name, value in raw.items():
        field = fields.get(name)
        if field is None:
            violations.append(unknown_name(name, ""))
        elif value is not None:
            try:
                request[field.name] = field.read(value)
            except WrongValue as wrong:
                violations.append(wrong.at(field.snake))
    if violations:
        raise bad_request(violations)
    return request
