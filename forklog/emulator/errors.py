"""Error answers as Cloud Logging words them; every other module of the emulator raises these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INVALID_ARGUMENT: Final = 3
NOT_FOUND: Final = 5
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8

# google.rpc.Code: number -> (HTTP status, name), as google/rpc/code.proto maps them.
_CODES: Final[Mapping[int, tuple[int, str]]] = {
    1: (499, "CANCELLED"),
    2: (500, "UNKNOWN"),
    3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"),
    5: (404, "NOT_FOUND"),
    6: (409, "ALREADY_EXISTS"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    12: (501, "UNIMPLEMENTED"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
    16: (401, "UNAUTHENTICATED"),
}
_NAME_OF_STATUS: Final = {status: name for status, name in _CODES.values() if name != "UNKNOWN"}


class ApiError(Exception):
    """Answer the call with an error.

    Args:
        message: what the caller did, as the API says it.
        code: a `google.rpc.Code` number; it decides the HTTP status.
        details: `google.rpc.Status.details`, each with its ``@type``.

    """

    def __init__(
        self,
        message: str,
        code: int = INVALID_ARGUMENT,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Keep the parts of the answer."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details

    @property
    def http_status(self) -> int:
        """Return the HTTP status that goes with the code."""
        return _CODES.get(self.code, _CODES[2])[0]

    def body(self) -> bytes:
        """Return the JSON body of the answer."""
        name = _CODES.get(self.code, _CODES[2])[1]
        return status_body(self.http_status, self.message, name, self.details)


def bad_request(violations: Sequence[tuple[str, str]]) -> ApiError:
    """Return the error for a JSON body that does not fit the message: all faults of it at once."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [_violation(field, text) for field, text in violations],
    }
    return ApiError("\n".join(text for _, text in violations), details=[detail])


def partial_errors(failed: Mapping[int, ApiError]) -> ApiError:
    """Return the error for a write of which some entries failed, keyed by their index."""
    first = failed[min(failed)]
    detail = {
        "@type": "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors",
        "logEntryErrors": {
            str(index): {"code": error.code, "message": error.message}
            for index, error in failed.items()
        },
    }
    return ApiError(first.message, first.code, [detail])


# unit -> metric and limit by the names of the console, then by those of `ErrorInfo`.
_QUOTAS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "requests": (
        "Write requests",
        "Write requests per minute",
        "logging.googleapis.com/write_requests",
        "WriteRequestsPerMinutePerProject",
    ),
    "bytes": (
        "Log write bytes",
        "Log write bytes per minute per region",
        "logging.googleapis.com/log_write_bytes",
        "LogWriteBytesPerMinutePerProjectPerRegion",
    ),
}


def quota_error(unit: str, per_minute: int) -> ApiError:
    """Return the error for a write above a quota of the project, by "requests" or "bytes"."""
    metric, limit, metric_id, limit_id = _QUOTAS[unit]
    service, consumer = "logging.googleapis.com", "project_number:1"
    text = f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service '{service}'"
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "consumer": "projects/1",
            "service": service,
            "quota_metric": metric_id,
            "quota_limit": limit_id,
            "quota_limit_value": str(per_minute),
        },
    }
    return ApiError(f"{text} for consumer '{consumer}'.", RESOURCE_EXHAUSTED, [detail])


def status_body(
    http_status: int,
    message: str,
    name: str | None = None,
    details: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """Return the JSON error body for an HTTP status."""
    error: dict[str, Any] = {
        "code": http_status,
        "message": message,
        "status": name or _NAME_OF_STATUS.get(http_status, "UNKNOWN"),
    }
    if details:
        error["details"] = list(details)
    return orjson.dumps({"error": error})


def _violation(field: str, text: str) -> dict[str, str]:
    return {"field": field, "description": text} if field else {"description": text}
