"""Sorts what Google's own client raises: an answer of the server, or none; for `client`."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import google.auth.exceptions
import orjson
import requests
import urllib3.exceptions
from google.cloud.logging_v2.types import WriteLogEntriesPartialErrors

from forklog.transports.base import Verdict, WireError
from forklog.transports.certificates import causes_of, untrusted, wrong_certificate
from forklog.transports.http_verdict import Answer, Place, judge
from forklog.transports.retry_after import retry_after

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError

# What gRPC's own library says where it has no connection, with the status of an overloaded server.
_UNSENT = re.compile(
    r"(?i)failed to connect to all addresses|connections to all backends failing|"
    r"errors resolving|(dns|name) resolution|address lookup|domain name not found|"
    r"getting metadata from plugin failed"
)
_UNTRUSTED = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|is not in peer certificate|Hostname Verification Check failed"
)
_UNCONNECTED = {1, 3}  # connecting, transient failure: grpc/impl/connectivity_state.h
_MOST_WRAPPERS = 20
_TOKENS, _WRITE = "google.auth.transport.grpc", "WriteLogEntries"
_WHOSE, _ENDPOINT = "Google's client: the server", "the client's endpoint"
_PARTIAL = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
CLIENT_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    google.auth.exceptions.GoogleAuthError,
    OSError,
)
"""What the client may raise where no answer came."""


def verdict_of_client(
    error: GoogleAPICallError, place: Place, count: int, channel: Any = None
) -> Verdict:
    """Judge what came in place of a success; ``channel`` is gRPC's, None for HTTP.

    Raises:
        WireError: the certificate of the server is not trusted.
    """
    verdict = judge(_answer_of(error, place), count)
    if not _is_unsent(error, channel):
        return verdict
    if _UNTRUSTED.search(str(error.message)):
        raise untrusted(_WHOSE, _ENDPOINT) from error
    return replace(verdict, is_of_content=False)


def _answer_of(error: GoogleAPICallError, place: Place) -> Answer:
    """Return what the server answered, as if it had come by HTTP."""
    status = int(error.code or 500)
    response = error.response
    if isinstance(response, requests.Response):
        delay = retry_after(response.headers)
        return Answer(status, response.content, delay, place)
    name = _status_of(error)
    details = [found for found in map(_partial_of, error.details) if found]
    shown = {"code": status, "status": name, "message": error.message, "details": details}
    return Answer(status, orjson.dumps({"error": shown}), _delay_of(error), place)


def _status_of(error: GoogleAPICallError) -> str:
    return getattr(error.grpc_status_code, "name", "")


def _is_unsent(error: GoogleAPICallError, channel: Any) -> bool:
    """Tell whether gRPC had no connection, so that no byte of the request was sent."""
    status = _status_of(error)
    if status == "DEADLINE_EXCEEDED":  # in the same words where a connected server is silent
        return _is_unconnected(channel) or _waits_for_token()
    return status == "UNAVAILABLE" and bool(_UNSENT.match(str(error.message)))


def _is_unconnected(channel: Any) -> bool:
    """Tell whether a channel of gRPC has no connection, without a thread of gRPC's.

    To subscribe to its state is public, but leaves a thread behind that no fork may meet.
    """
    with contextlib.suppress(Exception):  # no channel, a closed one, or one of another library
        for _ in range(_MOST_WRAPPERS):
            if hasattr(channel, "check_connectivity_state"):
                is_asked_to_connect = False
                return bool(channel.check_connectivity_state(is_asked_to_connect) in _UNCONNECTED)
            channel = channel._channel  # noqa: SLF001 - interceptors wrap a channel in another
    return False


def _waits_for_token() -> bool:
    """Tell whether a thread of gRPC's fetches the token of a request that writes entries.

    The channel is ready then, and gRPC says of the deadline what it says of a silent server. The
    fetch of another client of this process is taken for it, too: the request waits longer then.
    """
    with contextlib.suppress(Exception):  # another google-auth, or none that is used by gRPC
        fetch = sys.modules[_TOKENS].AuthMetadataPlugin.__call__.__code__
        threads = sys._current_frames().values()  # noqa: SLF001 - documented
        return any(map(functools.partial(_is_fetching, fetch), threads))
    return False


def _is_fetching(fetch: CodeType, top: FrameType) -> bool:
    for frame, _ in traceback.walk_stack(top):
        if frame.f_code is fetch:
            return bool(frame.f_locals["context"].method_name == _WRITE)
    return False


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
        text = "the credentials of the client of google-cloud-logging"
        text = f"{text} could not be refreshed ({name}); renew or replace them"
        is_blocked = not getattr(error, "retryable", False)
        return WireError(text, is_blocked=is_blocked, is_of_content=False)
    if wrong := wrong_certificate(error, _WHOSE, _ENDPOINT):
        return wrong
    text = f"no connection to the server ({name}) by the client of google-cloud-logging"
    is_of_content = not (is_of_google_auth or _is_of_connecting(error))
    text = f"{text}; check the network and {_ENDPOINT}"
    return WireError(text, is_of_content=is_of_content)


def _is_of_connecting(error: BaseException) -> bool:
    """Tell whether urllib3 was making a connection, the handshake of TLS included."""
    return any(map(_is_connect, _frames_of(error)))


def _frames_of(error: BaseException) -> Iterator[FrameType]:
    for cause in causes_of(error):
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            yield frame


def _is_connect(frame: FrameType) -> bool:
    """Tell whether a frame is of urllib3's `connect`, before which no byte is sent."""
    is_of_urllib3 = frame.f_globals.get("__name__") == urllib3.connection.__name__
    return is_of_urllib3 and frame.f_code.co_name == "connect"
