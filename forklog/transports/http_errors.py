"""Turns an exception of HTTP or TLS without an answer into a `WireError`, for `http`. Pure.

The text of a foreign error may hold URLs and payloads, so its type alone is named. The line names
the endpoint and the proxy, without their secrets, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import requests
import urllib3.exceptions
from requests.utils import select_proxy

from forklog.stderr.printable import server_of
from forklog.transports.base import WireError
from forklog.transports.certificates import socks_refusal, wrong_certificate

WIRE_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What sending a request may raise."""


def wire_error(  # noqa: PLR0913 - what is known of a failed request
    error: BaseException,
    endpoint: str,
    proxies: Mapping[str, str],
    *,
    is_late: bool = False,
    was_answered: bool = False,
    is_sent: bool = True,
) -> WireError:
    """Map a foreign error by its type.

    Args:
        error: what sending a request has raised.
        endpoint: where it should have gone.
        proxies: those of the environment, by scheme; a URL of them may hold a password.
        is_late: whether the deadline of the request is over.
        was_answered: whether the connection has been of use before.
        is_sent: whether any byte of the request was sent.
    """
    if refused := socks_refusal(endpoint, proxies):
        return refused
    name = type(error).__name__
    where, check = _way_to(endpoint, proxies)
    if wrong := wrong_certificate(error, f"the server {where}", "the option endpoint"):
        return wrong
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError)
    if isinstance(error, timeouts) or is_late:
        text = f"the server did not answer in time ({name}): {where}"
        text = f"{text}; check {check} the options endpoint and answer_timeout"
        return WireError(text, is_of_content=is_sent)
    broken = (requests.ConnectionError, urllib3.exceptions.ProtocolError)
    text = f"no connection to the server ({name}): {where}; check {check} the option endpoint"
    is_stale = was_answered and isinstance(error, broken)
    return WireError(text, is_stale_connection=is_stale, is_of_content=is_sent)


def _way_to(endpoint: str, proxies: Mapping[str, str]) -> tuple[str, str]:
    """Return the endpoint and the proxy before it, and what of them is to be checked."""
    proxy = select_proxy(endpoint, dict(proxies))
    if not proxy:
        return server_of(endpoint), "the network and"
    return f"{server_of(endpoint)} by the proxy {server_of(proxy)}", "the network, the proxy and"
