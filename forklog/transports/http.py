"""The real wire: the sender's batches as POST /v2/entries:write, on a session of this process."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
import requests

from forklog import __about__
from forklog.clock import monotonic
from forklog.errors import NoCredentialsError
from forklog.limits import PROJECTLESS_LOG
from forklog.option_checks import is_loopback
from forklog.options import Options
from forklog.process.base import keep_in_children
from forklog.transports.base import (
    Connection,
    Envelope,
    Origin,
    Verdict,
    WireError,
)
from forklog.transports.deadline import Deadline, DeadlineAdapter
from forklog.transports.google.access import (
    Access,
    find_access,
    load_credentials_code,
)
from forklog.transports.google.machine import MachineAccount
from forklog.transports.google.metadata import read_metadata
from forklog.transports.google.resource import detect_resource, no_key
from forklog.transports.google.signing import signer_of
from forklog.transports.gzipped import gzipped, unpacked
from forklog.transports.http_errors import WIRE_ERRORS, wire_error
from forklog.transports.http_verdict import Answer, Place, judge
from forklog.transports.retry_after import retry_after
from forklog.transports.stderr import StderrConnection
from forklog.transports.tokens import token_session

_HEAD_BYTES = 160  # of an entry: insertId, timestamp, and the log's name where it has one
_MAX_ANSWER_BYTES = 1024 * 1024
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"forklog/{__about__.VERSION}",
    "Accept-Encoding": "identity",
}


class HttpTransport:
    """Open connections to Cloud Logging, or to an emulator. Holds no socket itself."""

    def __init__(self, options: Options, on_project: Callable[[str], object]) -> None:
        """Keep the options; ``on_project`` is called with the project once it is known."""
        load_credentials_code(options)
        self._options = options
        self._on_project = on_project

    def open(self) -> Connection:
        """Find access and build a session; blocks for the metadata server where there is one."""
        return self.open_within(math.inf)

    def open_within(self, timeout: float) -> Connection:
        """Open a connection within ``timeout``; see `forklog.transports.base.TimedTransport`."""
        try:
            return self._connect(timeout)
        except NoCredentialsError as error:
            return StderrConnection(self._connect, str(error))

    def _connect(self, timeout: float) -> Connection:
        until = monotonic() + timeout
        access = find_access(self._options, until=until)
        self._on_project(access.project)
        return HttpConnection(self._options, access, resource_of(self._options, access, until))


def resource_of(options: Options, access: Access, until: float = math.inf) -> dict[str, Any]:
    """Return the monitored resource: the option's, else found.

    Asks the metadata server where a token is sent; else the environment alone decides.
    """
    if options.resource is not None:
        return dict(options.resource)
    if access.credentials is None:
        return detect_resource(access.project, read=no_key)
    is_of_google_auth = type(access.credentials).__module__.startswith("google.auth.compute_engine")
    is_of_machine = is_of_google_auth or isinstance(access.credentials, MachineAccount)
    read = functools.partial(read_metadata, until=until)
    return detect_resource(access.project, read=read, is_googles=is_of_machine)


class HttpConnection:
    """One way to the server, used by one thread of one process; TLS is verified."""

    def __init__(
        self,
        options: Options,
        access: Access,
        resource: dict[str, Any],
        *,
        is_dry_run: bool = False,
    ) -> None:
        """Build the head and the envelope of all its requests; connects with the first.

        In a dry run the server checks the entries, and the permission to write them, stores none.
        """
        url = f"{access.endpoint}/v2/entries:write"
        self._connect_timeout = options.connect_timeout
        self._deadline = Deadline()
        self._tokens = token_session(self._deadline)
        self._signer = signer_of(access, url, self._tokens, options.connect_timeout)
        session = requests.Session()
        # What a session finds out anew for each request is the same for all of ours: proxies and
        # certificates of the environment. The adapter alone takes half of the session's time.
        found = session.merge_environment_settings(url, {}, None, None, None)
        proxies = {} if is_loopback(access.endpoint) else found["proxies"]
        self._settings: dict[str, Any] = {"verify": found["verify"], "proxies": proxies}
        self._is_packed = options.compression is not None
        packed = {"Content-Encoding": "gzip"} if self._is_packed else {}
        self._request = requests.Request("POST", url, {**_HEADERS, **packed}).prepare()
        self._adapter = DeadlineAdapter(self._deadline)
        # From being collected in a forked child, which would close descriptors there.
        keep_in_children(self, self._adapter, self._tokens, self._signer)
        self._answered = False
        self._access = access
        self._resource, self._is_dry_run = resource, is_dry_run
        self.origin = Origin(access.project, resource)
        self._head = self._head_of(Envelope(options.log_name, options.labels, resource))
        self._names_logs = bool(options.access_log)
        self._log_of_requests = b'"logName":"projects/%b/logs/' % access.project.encode()

    def _head_of(self, envelope: Envelope) -> bytes:
        """Return the body of a request up to its first entry."""
        log_name = f"projects/{self._access.project}/logs/{quote(envelope.log_name, safe='')}"
        resource = self._resource if envelope.resource is None else envelope.resource
        head: dict[str, Any] = {"logName": log_name, "resource": resource, "partialSuccess": True}
        if self._is_dry_run:
            head["dryRun"] = True
        if envelope.labels:
            head["labels"] = dict(envelope.labels)
        return orjson.dumps(head)[:-1] + b',"entries":['

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        """Send one request and judge the answer. See `forklog.transports.base.Connection`."""
        answer, repeats = self.ask(entries, timeout)
        verdict = judge(answer, len(entries))
        return replace(verdict, repeats=repeats) if repeats else verdict

    def send_with(self, entries: Sequence[bytes], timeout: float, envelope: Envelope) -> Verdict:
        """Send another process's entries; see `forklog.transports.base.EnvelopeConnection`."""
        answer, repeats = self.ask(entries, timeout, self._head_of(envelope))
        verdict = judge(answer, len(entries))
        return replace(verdict, repeats=repeats) if repeats else verdict

    def ask(
        self, entries: Sequence[bytes], timeout: float, head: bytes = b""
    ) -> tuple[Answer, int]:
        """Send one request; return the answer, and how many further requests it took.

        Raises:
            WireError: there was no answer.
        """
        # One join, since each byte of a body is a byte of fresh pages; a batch has entries.
        names_logs = self._names_logs or head  # another process may have written requests' entries
        parts = [*map(self._named, entries)] if names_logs else [*entries]
        parts[0] = (head or self._head) + parts[0]
        parts[-1] += b"]}"
        self._deadline.start(timeout)
        body = gzipped(b",".join(parts)) if self._is_packed else b",".join(parts)
        repeats = 0
        try:
            answer, content = self._post(body, timeout)
            if answer.status_code == requests.codes.unauthorized and self._signer.renew():
                repeats = 1
                answer, content = self._post(body, timeout)
        except WireError as error:  # there is no token
            text, is_blocked = str(error), error.is_blocked
            raise WireError(text, is_blocked=is_blocked, is_of_content=False) from error
        except WIRE_ERRORS as error:
            raise self._wire_error(error) from error
        self._answered = True
        delay, kind = retry_after(answer.headers), answer.headers.get("Content-Type", "")
        return Answer(answer.status_code, content, delay, self._place(), kind), repeats

    def _named(self, entry: bytes) -> bytes:
        """Fill the project into the log's name of an entry that was made without knowing it."""
        if PROJECTLESS_LOG not in entry[:_HEAD_BYTES]:
            return entry
        return entry.replace(PROJECTLESS_LOG, self._log_of_requests, 1)

    def _post(self, body: bytes, timeout: float) -> tuple[requests.Response, bytes]:
        request = self._request
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        request.headers.update(self._signer.headers())
        timeouts = (min(self._connect_timeout, timeout), timeout)
        answer = self._adapter.send(request, stream=True, timeout=timeouts, **self._settings)
        return answer, _content(answer)

    def _place(self) -> Place:
        account = getattr(self._access.credentials, "service_account_email", None)
        known = {"account": account} if account else {}
        return Place(project=self._access.project, endpoint=self._access.endpoint, **known)

    def _wire_error(self, error: BaseException) -> WireError:
        was_answered, self._answered = self._answered, False
        is_late, proxies = self._deadline.is_over(), self._settings["proxies"]
        return wire_error(
            error,
            self._access.endpoint,
            proxies,
            is_late=is_late,
            was_answered=was_answered,
            is_sent=self._adapter.is_sent,
        )

    def close(self) -> None:
        """Close the sockets of its sessions."""
        self._adapter.close()
        self._tokens.close()


def _content(answer: requests.Response) -> bytes:
    """Read the body, but no more of it than makes sense; the session's deadline holds here too."""
    content = bytes(answer.raw.read(_MAX_ANSWER_BYTES))
    if len(content) < _MAX_ANSWER_BYTES:
        answer.raw.read()  # nothing is left; gives the connection back
    else:
        answer.close()
    encoding = answer.headers.get("Content-Encoding", "")
    return unpacked(content, encoding, _MAX_ANSWER_BYTES)
