"""What Google's own client raises: the answer of a server, or the lack of one; for `client`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import google.auth.exceptions
import orjson
import requests
import urllib3.exceptions
from google.cloud.logging_v2.types import WriteLogEntriesPartialErrors

from forklog.transports.base import WireError
from forklog.transports.http_verdict import Answer, Place
from forklog.transports.retry_after import retry_after

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError

# What gRPC's own library says where it has no connection, with the status of an overloaded server.
_UNSENT = re.compile(
    r"(?i)failed to connect to all addresses|errors resolving|(dns|name) resolution|address lookup|"
    r"domain name not found|getting metadata from plugin failed"
)
_PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
CLIENT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    google.auth.exceptions.GoogleAuthError,
    OSError,
)
"""What the client may raise where no answer came."""


def answer_of(error: GoogleAPICallError, place: Place) -> Answer:
    """Return what the server answered, as if it had come by HTTP."""
    status = int(error.code or 500)
    response = error.response
    if isinstance(response, requests.Response):
        delay = retry_after(response.headers)
        return Answer(status, response.content, delay, place)
    name = getattr(error.grpc_status_code, "name", "")
    details = [found for found in map(_partial_of, error.details) if found]
    shown = {"code": status, "status": name, "message": error.message, "details": details}
    return Answer(status, orjson.dumps({"error": shown}), _delay_of(error), place)


def is_unsent(error: GoogleAPICallError) -> bool:
    """Tell whether gRPC had no connection, so that no byte of the request was sent."""
    is_of_grpc = getattr(error.grpc_status_code, "name", "") == "UNAVAILABLE"
    return is_of_grpc and bool(_UNSENT.match(str(error.message)))


def _partial_of(detail: Any) -> dict[str, Any] | None:
    """Return the errors of single entries as the HTTP answer has them; None if it is none."""
    if getattr(detail, "type_url", "") != _PARTIAL:
        return None
    errors = WriteLogEntriesPartialErrors.deserialize(detail.value).log_entry_errors
    found = {str(i): {"code": e.code, "message": e.message} for i, e in errors.items()}
    return {"@type": _PARTIAL, "logEntryErrors": found}


def _delay_of(error: GoogleAPICallError) -> float | None:
    """Return the seconds of a google.rpc.RetryInfo, if the server sent one."""
    for detail in error.details:
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None


def client_error(error: BaseException) -> WireError:
    """Map an error without an answer; its text may hold a URL, so only its type is named."""
    name = type(error).__name__
    is_of_google_auth = isinstance(error, google.auth.exceptions.GoogleAuthError)
    if is_of_google_auth and not isinstance(error, google.auth.exceptions.TransportError):
        text = "the credentials of the client could not be refreshed; renew or replace them"
        is_blocked = not getattr(error, "retryable", False)
        return WireError(text, is_blocked=is_blocked, is_of_content=False)
    text = f"no connection to the server ({name}) by the client of google-cloud-logging"
    is_of_content = not (is_of_google_auth or _is_of_connecting(error))
    text = f"{text}; check the network and the client's endpoint"
    return WireError(text, is_of_content=is_of_content)


def _is_of_connecting(error: BaseException) -> bool:
    """Tell whether requests has made no connection; a handshake that fails may be any failure."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)) or (
        isinstance(
            reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
        )
    )
