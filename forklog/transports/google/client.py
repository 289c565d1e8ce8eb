"""Google's own client as a wire: its factory from the application, its exceptions to verdicts.

For what only that client has: gRPC, mutual TLS, universe domains, private endpoints. Imported only
where `ClientTransport` is asked for, because it needs google-cloud-logging.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import google.auth.credentials
import google.auth.exceptions
import orjson
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.logging_v2.types import (
    WriteLogEntriesRequest,
    WriteLogEntriesResponse,
)
from google.protobuf import json_format

from forklog.clock import monotonic
from forklog.drops import REFUSED
from forklog.errors import Hidden, OptionError
from forklog.limits import PROJECTLESS_LOG
from forklog.options import Options
from forklog.process.base import keep_in_children, usual_mask
from forklog.transports.base import Connection, Envelope, Kind, Verdict, WireError
from forklog.transports.google.access import known_project
from forklog.transports.google.client_errors import (
    CLIENT_ERRORS,
    client_error,
    verdict_of_client,
)
from forklog.transports.google.metadata import read_metadata
from forklog.transports.google.resource import detect_resource
from forklog.transports.http_verdict import Place

_Write = Callable[[dict[str, Any], float], bool]
_UNCONFIRMED = (
    "the answer to the client of google-cloud-logging is not as Cloud Logging's: a captive portal "
    "or a proxy may have answered; check the network and the client's endpoint"
)


class ClientTransport:
    """Send with a client of google-cloud-logging: ``transport=ClientTransport(factory)``.

    Log, labels, resource and project are the handler's options; the project is the client's where
    there is no option. The handler's ``credentials`` and ``endpoint`` are not used: the client has
    its own. Nothing is retried by the client, because forklog does that.

    Args:
        factory: returns a new ``google.cloud.logging.Client``, of either protocol, or a
            ``LoggingServiceV2Client``. Called in the flush thread of each process that logs, never
            before a fork; it may block. Google's HTTP client bounds each wait on a socket by the
            time that is left, not their sum.
    """

    def __init__(self, factory: Callable[[], Any]) -> None:
        """Keep the factory; nothing is called or opened.

        Raises:
            OptionError: it cannot be called; a client in its place would go through forks.
        """
        given: object = factory
        if not callable(given):
            remedy = "give a function that returns a new client"
            raise OptionError("factory", Hidden(given), "must be callable", remedy)
        self._factory = factory
        self._options = Options()
        self._on_project: Callable[[str], object] = lambda _project: None

    def with_options(
        self, options: Options, on_project: Callable[[str], object]
    ) -> ClientTransport:
        """Return the transport for a handler; ``on_project`` is called with the project."""
        bound = type(self)(self._factory)
        bound._options, bound._on_project = options, on_project  # noqa: SLF001 - of this class
        return bound

    def open(self) -> Connection:
        """Call the factory. Blocks as long as it does.

        Raises:
            WireError: it raised, or the project is not known.
        """
        return self.open_within(math.inf)

    def open_within(self, timeout: float) -> Connection:
        """Call the factory; forklog's own requests after it keep to ``timeout``."""
        until = monotonic() + timeout
        try:
            client = usual_mask[0](self._factory)()
        except Exception as error:
            is_passing = isinstance(error, google.auth.exceptions.TransportError)
            text = f"the factory of the client raised {type(error).__name__}; correct it"
            raise WireError(text, is_blocked=not is_passing) from error
        write = _writer_of(client)
        project = self._options.project or getattr(client, "project", None)
        project = project or known_project(self._options)
        if not project:
            text = "the project is not known; set the option project or GOOGLE_CLOUD_PROJECT"
            raise WireError(text, is_blocked=True)
        self._on_project(project)
        return _ClientConnection(client, write, project, self._options, until)


class _ClientConnection:
    """A client in use by one thread of one process."""

    def __init__(
        self, client: Any, write: _Write, project: str, options: Options, until: float
    ) -> None:
        self._client = client
        self._write = usual_mask[0](write)  # credentials may start a child for a token
        keep_in_children(self, client)
        self._project = project
        credentials = getattr(client, "_credentials", None)
        resource = options.resource
        if resource is None and isinstance(
            credentials, google.auth.credentials.AnonymousCredentials
        ):
            resource = {"type": "global", "labels": {"project_id": project}}
        read = functools.partial(read_metadata, until=until)
        self._resource = dict(resource) if resource else detect_resource(project, read=read)
        self._envelope = Envelope(options.log_name, options.labels, None)

    def send(self, entries: Sequence[bytes], timeout: float) -> Verdict:
        """Send one request by the client and judge what it raises."""
        return self.send_with(entries, timeout, self._envelope)

    def send_with(self, entries: Sequence[bytes], timeout: float, envelope: Envelope) -> Verdict:
        """Send another process's entries; see `forklog.transports.base.EnvelopeConnection`."""
        body = {
            "logName": f"projects/{self._project}/logs/{quote(envelope.log_name, safe='')}",
            "resource": self._resource if envelope.resource is None else dict(envelope.resource),
            "labels": dict(envelope.labels),
            "partialSuccess": True,
            "entries": [self._parsed(entry) for entry in entries],
        }
        try:
            is_confirmed = self._write(body, timeout)
        except GoogleAPICallError as error:
            place = Place(project=self._project, endpoint="the client")
            return verdict_of_client(error, place, len(entries), _channel_of(self._client))
        except json_format.ParseError:  # protobuf's own rules; the server has the same
            if len(entries) > 1:
                return Verdict(Kind.HALVE, "an entry is no LogEntry")
            return Verdict(Kind.DELIVERED, "the entry is no LogEntry", refused={0: REFUSED})
        except CLIENT_ERRORS as error:
            raise client_error(error) from error
        return Verdict(Kind.DELIVERED) if is_confirmed else Verdict(Kind.RETRY, _UNCONFIRMED)

    def _parsed(self, entry: bytes) -> Any:
        """Return an entry as a mapping, with the project in its log's name if it has one."""
        log = b'"logName":"projects/%b/logs/' % self._project.encode()
        return orjson.loads(entry.replace(PROJECTLESS_LOG, log, 1))

    def close(self) -> None:
        """Close the client's channel or session."""
        client = self._client
        with contextlib.suppress(Exception):
            close = getattr(_gapic_of(client), "transport", None) or client
            close.close()


def _gapic_of(client: Any) -> Any:
    """Return the generated client below another, or the client itself."""
    api = getattr(client, "logging_api", client)
    return getattr(api, "_gapic_api", api)


def _channel_of(client: Any) -> Any:
    """Return the channel of gRPC, None without one."""
    with contextlib.suppress(Exception):
        return _gapic_of(client).transport.grpc_channel
    return None


def _writer_of(client: Any) -> _Write:
    """Return what sends a body of entries:write by the client, within seconds, without retries.

    It tells whether the answer is that of the API.
    """
    api = getattr(client, "logging_api", client)
    gapic = _gapic_of(client)
    if inspect.iscoroutinefunction(getattr(gapic, "write_log_entries", None)):
        name = type(client).__name__
        text = f"the factory returned {name}, which is no client of Google's that waits; correct it"
        raise WireError(text, is_blocked=True)
    if not hasattr(gapic, "write_log_entries"):
        if not hasattr(api, "api_request"):
            name = type(client).__name__
            text = f"the factory returned {name}, which is no client of Google's; correct it"
            raise WireError(text, is_blocked=True)

        def write_http(body: dict[str, Any], timeout: float) -> bool:
            path = "/entries:write"
            answer = api.api_request(method="POST", path=path, data=body, timeout=timeout)
            return isinstance(answer, dict)  # that of a 204 is empty bytes

        return write_http

    def write(body: dict[str, Any], timeout: float) -> bool:
        request = WriteLogEntriesRequest()
        json_format.ParseDict(body, WriteLogEntriesRequest.pb(request))
        answer = gapic.write_log_entries(request=request, timeout=timeout, retry=None)
        return isinstance(answer, WriteLogEntriesResponse)

    return write
