"""The last processor of structlog: takes the fields of an event, gives them to `logging`."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from forklog.context.scope import ENTRY_EXTRAS

_ARGUMENTS = ("exc_info", "stack_info", "stacklevel")
_OF_THE_ENTRY = ENTRY_EXTRAS - {"json_fields"}  # the other fields become json_fields


def structlog_processor(
    _logger: Any, _method: str, event_dict: MutableMapping[str, Any]
) -> dict[str, Any]:
    """Render an event of structlog as arguments of `logging.Logger.info` and the like.

    The last of ``processors``, with ``structlog.stdlib.LoggerFactory()``. The event is the message,
    its other keys become keys of ``jsonPayload``. ``labels``, ``trace`` and the other names that
    forklog takes in ``extra=`` are fields of the entry; ``exc_info`` gives a traceback.

    Args:
        _logger: structlog's.
        _method: structlog's.
        event_dict: the event; left as it is.
    """
    fields = dict(event_dict)
    arguments = {name: fields.pop(name) for name in _ARGUMENTS if name in fields}
    extra: dict[str, Any] = {name: fields.pop(name) for name in _OF_THE_ENTRY if name in fields}
    message = fields.pop("event", "")
    if fields:
        extra["json_fields"] = fields
    return {"msg": message, "extra": extra, **arguments}
