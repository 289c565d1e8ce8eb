"""Sessions on which google.auth asks for tokens: it bounds neither its waits nor what it reads.

It follows redirects, sends by any proxy and reads an answer whole. What it asks with is as good as
a token: a secret header, another cloud's token, a signed assertion.
"""

from __future__ import annotations

import http.client
import io
import zlib
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3.exceptions

from forklog.stderr.printable import server_of
from forklog.transports import pools
from forklog.transports.base import WireError
from forklog.transports.certificates import socks_refusal, wrong_certificate
from forklog.transports.deadline import Deadline, DeadlineAdapter

_PASSING = frozenset({408, 429})
_SERVER_ERRORS = 500
# Google's access tokens have 2,048 bytes at most ("Using OAuth 2.0 to access Google APIs", Token
# size). What other clouds give to exchange may be longer, such as an assertion of SAML.
_MAX_ANSWER_BYTES = 1024 * 1024
_PIECE_BYTES = 65_536
_ANY_ZLIB = zlib.MAX_WBITS | 32  # gzip's header or zlib's
_BREAKS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # what cannot be a host, or a header
)


def token_session(deadline: Deadline) -> requests.Session:
    """Return a session for google.auth. Whoever uses it has started the deadline."""
    session = pools.session(TokenAdapter(deadline))
    session.max_redirects = 0
    session.auth = _as_it_is
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from sending what ~/.netrc has for a host, in place of a token."""
    return request


class TokenAdapter(DeadlineAdapter):
    """Asks for one token, against a deadline; the answer has been read, and is no redirect.

    google.auth would sleep for half a minute and ask again, and nothing could end that. So what
    passes by itself is an error that google.auth does not know. The worker waits it out.
    """

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        """Send one request for a token.

        Raises:
            WireError: a later one may do better, or a person has to correct the address.
        """
        if urlsplit(request.url).scheme == "http":  # a proxy would read the token
            options["proxies"] = {}
        request.headers["Accept-Encoding"] = "identity"
        where = server_of(request.url)
        try:
            answer: requests.Response = super().send(request, *args, **options)
            with answer:
                _check(answer, where)
                content = _content(answer, where)
        except _BREAKS as error:
            if wrong := wrong_certificate(error, "the credentials' server", "its address"):
                raise wrong from error
            if refused := socks_refusal(request.url, options.get("proxies") or {}):
                raise refused from error
            name = type(error).__name__
            text = f"the credentials' server did not answer ({name}): {where}"
            raise WireError(f"{text}; check its address and the network") from error
        answer.raw = io.BytesIO(content)
        return answer


def _check(answer: requests.Response, where: str) -> None:
    """Raise WireError for what is no answer yet, or not this server's."""
    status = answer.status_code
    if status in _PASSING or status >= _SERVER_ERRORS:
        text = f"the credentials' server answered {status}: {where}"
        raise WireError(f"{text}; if it goes on, check its address")
    if answer.is_redirect:
        text = f"the credentials' server answered {status}, a redirect, which is not followed:"
        raise WireError(f"{text} {where}; check its address", is_blocked=True)


def _content(answer: requests.Response, where: str) -> bytes:
    """Read the body to its end; WireError if it is too long, unpacked as well."""
    found = b""
    # Undecoded: urllib3 unpacks a piece whole, which may be a thousand times as long.
    while piece := answer.raw.read(_PIECE_BYTES, decode_content=False):
        found += piece
        if len(found) > _MAX_ANSWER_BYTES:
            raise _too_long(where)
    if answer.headers.get("Content-Encoding", "identity").strip().lower() == "identity":
        return found
    unpacker = zlib.decompressobj(_ANY_ZLIB)
    try:
        unpacked = unpacker.decompress(found, _MAX_ANSWER_BYTES)
    except zlib.error as error:
        text = f"the credentials' server's answer cannot be unpacked: {where}"
        raise WireError(f"{text}; check its address") from error
    if unpacker.unconsumed_tail:
        raise _too_long(where)
    return unpacked


def _too_long(where: str) -> WireError:
    text = f"the credentials' server's answer is longer than 1 MiB: {where}"
    return WireError(f"{text}; check its address")
