"""Reads pages of entries:list, of an emulator or of Cloud Logging; takes turns within its quota."""

from __future__ import annotations

import email.utils
import io
import time
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3.exceptions

from forklog.__about__ import VERSION
from forklog.clock import monotonic
from forklog.errors import NoCredentialsError
from forklog.option_checks import is_loopback
from forklog.options import Options
from forklog.stderr.printable import escaped, printable
from forklog.transports import pools
from forklog.transports.base import WireError
from forklog.transports.deadline import Deadline
from forklog.transports.google.access import READ, Access, find_access
from forklog.transports.google.signing import Signer, signer_of
from forklog.transports.retry_after import retry_after
from forklog.transports.tokens import token_session

PAGE_ENTRIES = 1000
"""The most that entries:list returns at once (its reference, pageSize)."""
_SPACING = 1.1
"""Seconds between two reads: Cloud Logging takes 60 a minute and project (its quotas)."""
_ANSWER_SECONDS = 30.0
_MAX_ANSWER_BYTES = 320 * 1024 * 1024
"""More than a page of entries of 256 KB, the most that one may have (Cloud Logging's quotas)."""
_SHOWN_LINES, _SHOWN_CHARS = 20, 4_000
_PASSING = (408, 429, 500, 502, 503, 504)
_VIEWER = "grant roles/logging.viewer to this account, or give the right --project"
_REMEDIES = {
    401: "log in again: gcloud auth application-default login",
    403: _VIEWER,
    404: _VIEWER,
}

Entry = dict[str, Any]


class ReadError(Exception):
    """A page could not be read; the message says why, and what to do.

    Args:
        text: one line.
        is_passing: whether it may go better later.
        is_of_filter: whether the call is at fault and not the server.
        delay: seconds that the server asks to wait.

    """

    def __init__(
        self, text: str, *, is_passing: bool, is_of_filter: bool = False, delay: float | None = None
    ) -> None:
        """Keep what it means."""
        super().__init__(text)
        self.is_passing, self.is_of_filter, self.delay = is_passing, is_of_filter, delay


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    entries: list[Entry]
    token: str = ""
    """Names the next page; empty if there is none."""
    began: float = field(default_factory=time.time)
    """A time by the server's clock at which it had not begun to read, in seconds since 1970.

    The server stamps its answer at the end; what it received while it read may not be in the page.
    """


class Source:
    """One server to read from.

    Args:
        options: endpoint, project and credentials.
        is_emulator: whether it is an emulator, which has no quota and shows all projects.

    Raises:
        ReadError: there are no credentials, or no project is known.

    """

    def __init__(self, options: Options, *, is_emulator: bool) -> None:
        """Find access; blocks where a metadata server is asked."""
        self.is_emulator = is_emulator
        self._names = [f"projects/{options.project}"] if options.project else []
        access = Access(str(options.endpoint), None, "") if is_emulator else _access_of(options)
        if not is_emulator:
            self._names = [f"projects/{access.project}"]
        self.endpoint = access.endpoint
        self._url = access.endpoint + ("/emulator" if is_emulator else "/v2") + "/entries:list"
        self._session, self._deadline = pools.session(), Deadline()
        self._tokens = token_session(self._deadline)
        self._session.trust_env = not is_loopback(access.endpoint)  # no proxy stands before that
        self._signer: Signer = signer_of(access, self._url, self._tokens, options.connect_timeout)
        self._timeouts = (options.connect_timeout, _ANSWER_SECONDS)
        self._next = self._asked = 0.0

    def read(
        self,
        query: str,
        *,
        is_newest_first: bool = False,
        token: str = "",
        size: int = PAGE_ENTRIES,
    ) -> Page:
        """Return one page; waits its turn first where there is a quota.

        Raises:
            ReadError: the server refuses, or does not answer.
        """
        order = "timestamp desc" if is_newest_first else "timestamp asc"
        asked: dict[str, Any] = {"filter": query, "orderBy": order, "pageSize": size}
        if self._names:
            asked["resourceNames"] = self._names
        if token:
            asked["pageToken"] = token
        answer = self._ask(asked)
        if answer.status_code != requests.codes.ok:
            raise _refusal(answer)
        try:
            found = answer.json()
            following = found.get("nextPageToken")
            entries = [one for one in found.get("entries", []) if isinstance(one, dict)]
            following = following if isinstance(following, str) else ""
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            text = f"what answers at {self.endpoint} is not Cloud Logging; check the endpoint"
            raise ReadError(text, is_passing=False) from error
        return Page(entries, following, _date(answer) - (monotonic() - self._asked))

    def _ask(self, asked: dict[str, Any]) -> requests.Response:
        try:
            answer = self._post(asked)
            if answer.status_code == requests.codes.unauthorized and self._signer.renew():
                answer = self._post(asked)
        except WireError as error:
            raise ReadError(str(error), is_passing=not error.is_blocked) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            text = f"{self.endpoint} cannot be reached ({type(error).__name__})"
            if self.is_emulator:
                text += "; start it with 'forklog emulator'"
            raise ReadError(text, is_passing=True) from error
        return answer

    def _post(self, asked: dict[str, Any]) -> requests.Response:
        self._deadline.start(_ANSWER_SECONDS)
        headers = {"User-Agent": f"forklog/{VERSION}", **self._signer.headers()}
        if not self.is_emulator:
            time.sleep(max(0.0, self._next - monotonic()))
            self._next = monotonic() + _SPACING
        self._asked = monotonic()
        with self._session.post(
            self._url,
            json=asked,
            headers=headers,
            timeout=self._timeouts,
            auth=_as_it_is,
            allow_redirects=False,  # another host gets no token
            stream=True,
        ) as answer:
            content = answer.raw.read(_MAX_ANSWER_BYTES, decode_content=True)
            if len(content) < _MAX_ANSWER_BYTES:
                answer.raw.read()  # nothing is left; gives the connection back
        answer.raw = io.BytesIO(content)
        return answer

    def close(self) -> None:
        """Close its connections."""
        self._session.close()
        self._tokens.close()


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from taking a password of ~/.netrc in place of the token."""
    return request


def _access_of(options: Options) -> Access:
    try:
        return find_access(options, READ)
    except NoCredentialsError as error:
        text = "no Google credentials found; run 'gcloud auth application-default login', or read"
        raise ReadError(f"{text} an emulator with --emulator URL", is_passing=False) from error
    except WireError as error:
        raise ReadError(str(error), is_passing=False) from error


def _refusal(answer: requests.Response) -> ReadError:
    status = answer.status_code
    try:
        error = answer.json()["error"]
        message = str(error["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = ""
    if status == requests.codes.bad_request and message:
        lines = message[:_SHOWN_CHARS].splitlines()[:_SHOWN_LINES]
        shown = "\n".join(escaped(line) for line in lines)
        return ReadError(shown, is_passing=False, is_of_filter=True)
    text = f"the server refuses ({status}): {printable(message)}".removesuffix(": ")
    if remedy := _REMEDIES.get(status):
        text += f"; {remedy}"
    return ReadError(text, is_passing=status in _PASSING, delay=retry_after(answer.headers))


def _date(answer: requests.Response) -> float:
    try:
        return email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return time.time()
