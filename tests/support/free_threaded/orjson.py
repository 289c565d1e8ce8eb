"""A stand-in for orjson, which has no wheel for free-threaded builds; slow, and strict where it is.

Only what forklog uses: bytes without spaces, and an error for what orjson refuses.
"""

from __future__ import annotations

import json
import math
from typing import Any

OPT_SERIALIZE_NUMPY = 16
JSONDecodeError = json.JSONDecodeError


class JSONEncodeError(TypeError):
    """As orjson raises for values that it does not take."""


def dumps(value: Any, default: Any = None, option: int | None = None) -> bytes:
    """Return a value as JSON; ``default`` and ``option`` are taken and not used."""
    del default, option
    if isinstance(value, float) and not math.isfinite(value):
        return b"null"
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise JSONEncodeError(str(error)) from error


def loads(text: bytes | str) -> Any:
    """Return the value of a JSON text."""
    return json.loads(text)
