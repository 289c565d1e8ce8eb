"""Step 8, the real wire: POST /v2/entries:write on a session of this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import google.auth.exceptions
import google.auth.transport.requests
import orjson
import requests
import urllib3.exceptions

from forklog import __about__
from forklog.clock import monotonic
from forklog.fork import keep_in_children
from forklog.last_resort import write_to_stderr
from forklog.metadata import detect_resource
from forklog.options import Options, is_loopback
from forklog.report import Report
from forklog.transports.access import Access, NoCredentialsError, find_access
from forklog.transports.base import Answer, Connection, WireError

__all__ = ["HttpConnection", "HttpTransport", "resource_of"]

_MAX_ANSWER_BYTES = 1024 * 1024
_WIRE_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    google.auth.exceptions.GoogleAuthError,
    OSError,
)
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"forklog/{__about__.VERSION}",
    "Accept-Encoding": "identity",
}


class HttpTransport:
    """Open connections to Cloud Logging, or to an emulator. Holds no socket itself."""

    def __init__(self, options: Options, on_project: Callable[[str], object]) -> None:
        """Keep the options; ``on_project`` is told the project once it is known."""
        self._options = options
        self._on_project = on_project

    def open(self) -> Connection:
        """Find access and build a session; blocks for the metadata server where there is one."""
        try:
            access = find_access(self._options)
        except NoCredentialsError:
            Report().say(
                "credentials",
                "no Google credentials found, so log entries go to stderr as JSON lines; run "
                "'gcloud auth application-default login', or point LOGGING_EMULATOR_HOST at "
                "'forklog emulator'",
            )
            return StderrConnection()
        self._on_project(access.project)
        return HttpConnection(self._options, access, resource_of(self._options, access))


def resource_of(options: Options, access: Access) -> dict[str, Any]:
    """Return the monitored resource: the option's, else found; may ask the metadata server."""
    if options.resource is not None:
        return dict(options.resource)
    if access.credentials is None:
        return {"type": "global", "labels": {"project_id": access.project}}
    return detect_resource(access.project)


class HttpConnection:
    """One session, used by one thread of one process; TLS is verified."""

    def __init__(
        self,
        options: Options,
        access: Access,
        resource: dict[str, Any],
        *,
        is_dry_run: bool = False,
    ) -> None:
        """Build the session and the envelope of all its requests; connects with the first.

        In a dry run the server checks the entries, and the permission to write them, stores none.
        """
        self._url = f"{access.endpoint}/v2/entries:write"
        self._connect_timeout = options.connect_timeout
        self._session = _session(access)
        keep_in_children(self)
        self._answered = False
        log_name = f"projects/{access.project}/logs/{quote(options.log_name, safe='')}"
        envelope = {"logName": log_name, "resource": resource, "partialSuccess": True}
        if is_dry_run:
            envelope["dryRun"] = True
        if options.labels:
            envelope["labels"] = dict(options.labels)
        self._head = orjson.dumps(envelope)[:-1] + b',"entries":['

    def send(self, entries: Sequence[bytes], timeout: float) -> Answer:
        """Send one request. See `forklog.transports.base.Connection`."""
        body = b"".join((self._head, b",".join(entries), b"]}"))
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers=_HEADERS,
                timeout=(min(self._connect_timeout, timeout), timeout),
                allow_redirects=False,
                stream=True,
            )
            content = _content(answer, monotonic() + timeout)
        except _WIRE_ERRORS as error:
            raise self._wire_error(error) from error
        self._answered = True
        return Answer(answer.status_code, content, _retry_after(answer.headers.get("Retry-After")))

    def _wire_error(self, error: BaseException) -> WireError:
        """Map a foreign error; its text may hold URLs and payloads, so only its type is told."""
        name = type(error).__name__
        was_answered, self._answered = self._answered, False
        if isinstance(error, google.auth.exceptions.RefreshError):
            retryable = bool(getattr(error, "retryable", False))
            text = "the credentials could not be refreshed; renew or replace them"
            return WireError(text, is_blocked=not retryable)
        if isinstance(error, google.auth.exceptions.TransportError):
            return WireError(f"the credentials' server did not answer ({name})")
        if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
            return WireError(f"the server did not answer in time ({name})")
        is_reset = was_answered and isinstance(
            error, (requests.ConnectionError, urllib3.exceptions.ProtocolError)
        )
        return WireError(f"no connection to the server ({name})", is_stale_connection=is_reset)

    def close(self) -> None:
        """Close the session's sockets."""
        self._session.close()


class StderrConnection:
    """Where there are no credentials: entries become JSON lines on stderr."""

    def send(self, entries: Sequence[bytes], timeout: float) -> Answer:  # noqa: ARG002 - protocol
        """Write the entries; they count as delivered."""
        try:
            write_to_stderr(b"".join(entry + b"\n" for entry in entries))
        except Exception as error:
            text = f"stderr cannot be written ({type(error).__name__})"
            raise WireError(text) from error
        return Answer(200)

    def close(self) -> None:
        """Nothing is open."""


def _session(access: Access) -> requests.Session:
    if access.credentials is None:
        session = requests.Session()
        session.trust_env = not is_loopback(access.endpoint)
        return session
    return google.auth.transport.requests.AuthorizedSession(access.credentials)  # type: ignore[no-untyped-call,no-any-return,unused-ignore]


def _content(answer: requests.Response, deadline: float) -> bytes:
    """Read the body, but no more of it and no longer than makes sense.

    A timeout of requests is for each read of the socket; a server that sends a byte now and then
    would hold the flush thread for ever.
    """
    parts, size = [], 0
    # urllib3 before 2.1 has no read1; it waits for the whole body there.
    read = getattr(answer.raw, "read1", answer.raw.read)
    while chunk := read(65_536):
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_ANSWER_BYTES:
            answer.close()
            return b"".join(parts)[:_MAX_ANSWER_BYTES]
        if monotonic() > deadline:
            answer.close()
            raise requests.Timeout
    answer.raw.read()  # nothing is left; gives the connection back
    return b"".join(parts)


def _retry_after(value: str | None) -> float | None:
    """Read the seconds of a Retry-After header; its other form, a date, is not used by Google."""
    try:
        seconds = float(value or "nan")
    except ValueError:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), 3600.0)
