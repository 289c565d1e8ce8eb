"""Adds the token's headers to requests of http and tail; gets another token after a 401."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import google.auth.exceptions
import requests
import urllib3.exceptions

from forklog.process.base import usual_mask
from forklog.transports.base import WireError
from forklog.transports.google.machine import MachineAccount

if TYPE_CHECKING:
    from forklog.transports.google.access import Access

_VALUE = re.compile(r"[ -~]*\Z")  # what is printable; http.client would quote another in its error

_UNANSWERED = (
    google.auth.exceptions.TransportError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


class Signer(Protocol):
    """Who signs requests. Used by one thread of one process; blocks while it fetches a token."""

    def headers(self) -> dict[str, str]:
        """Return what makes a request this account's; WireError if there is no token."""
        ...

    def renew(self) -> bool:
        """Have another token after a 401; tell whether there may be one. Raises WireError."""
        ...


def signer_of(access: Access, url: str, tokens: requests.Session, timeout: float) -> Signer:
    """Return who signs requests to a URL.

    Args:
        access: whose credentials they are.
        url: what is asked for.
        tokens: the session that fetches tokens.
        timeout: seconds to connect with it.
    """
    if access.credentials is None:
        return _Anonymous()
    if isinstance(access.credentials, MachineAccount):
        return _Machine(access.credentials, tokens)
    return _GoogleAuth(access, url, tokens, timeout)


class _Anonymous:
    """Signs nothing, as for an emulator."""

    def headers(self) -> dict[str, str]:
        return {}

    def renew(self) -> bool:
        return False


class _Machine:
    def __init__(self, account: MachineAccount, tokens: requests.Session) -> None:
        tokens.trust_env = False  # no proxy reads a token
        self._account = account
        self._tokens = tokens

    def headers(self) -> dict[str, str]:
        return self._account.headers(self._tokens)

    def renew(self) -> bool:
        self._account.forget()
        return True


class _GoogleAuth:
    def __init__(self, access: Access, url: str, tokens: requests.Session, timeout: float) -> None:
        self._credentials, self._source = access.credentials, access.source
        self._url = url
        self._fetch = functools.partial(access.request_on(tokens), timeout=timeout)

    def headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        with _judged(self._source):
            sign = usual_mask[0](self._credentials.before_request)  # it may start a child
            sign(self._fetch, "POST", self._url, headers)
        if not all(_VALUE.match(str(value)) for value in headers.values()):
            text = "the credentials made a header that cannot be sent, as of a token with a newline"
            raise WireError(f"{text}: {self._source}; renew or replace them", is_blocked=True)
        return headers

    def renew(self) -> bool:
        with _judged(self._source):
            usual_mask[0](self._credentials.refresh)(self._fetch)
        return True


@contextlib.contextmanager
def _judged(source: str) -> Iterator[None]:
    """Raise what credentials raise as a WireError, by its type: its text may hold an answer.

    They are google.auth's or the application's, and google.auth raises anything of Python's for an
    answer that is not as it expects.
    """
    try:
        yield
    except WireError:
        raise
    except _UNANSWERED as error:
        text = f"the credentials' server did not answer ({type(error).__name__}): {source}"
        remedy = "check the addresses in the credentials, and the network"
        raise WireError(f"{text}; {remedy}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        text = f"the credentials could not be refreshed ({type(error).__name__}): {source}"
        is_blocked = not getattr(error, "retryable", False)
        raise WireError(f"{text}; renew or replace them", is_blocked=is_blocked) from error
    except Exception as error:
        text = f"the credentials raised {type(error).__name__}: {source}"
        raise WireError(f"{text}; correct them, or what their server answers") from error
