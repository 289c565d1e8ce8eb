"""Explains what is wrong with certificates or a proxy; for http_errors, tokens, client_errors."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping

from requests.utils import select_proxy

from forklog.stderr.printable import server_of
from forklog.transports.base import WireError

_NO_BUNDLE = "CA certificate"  # of the text of requests, for a file that is not there
_MAX_CAUSES = 10


def wrong_certificate(error: BaseException, whose: str, remedy: str) -> WireError | None:
    """Return the error that a person has to fix, None if certificates are not the cause.

    Args:
        error: of requests or urllib3.
        whose: the server, as the line names it.
        remedy: what to check if its certificate is not trusted.
    """
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return untrusted(whose, remedy)
        is_no_file = type(cause) is OSError and _NO_BUNDLE in str(cause)
        if is_no_file or (isinstance(cause, ssl.SSLError) and cause.library == "X509"):
            text = "the file of CA certificates cannot be used"
            variables = "REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
            return WireError(f"{text}; correct or unset {variables}", is_blocked=True)
    return None


def untrusted(whose: str, remedy: str) -> WireError:
    """Return what to do where a certificate is not trusted; as in `wrong_certificate`."""
    text = f"{whose}'s certificate is not trusted, or not for this name"
    rest = "the machine's clock and its CA certificates"
    return WireError(f"{text}; check {remedy}, {rest}", is_blocked=True)


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Return an error and what it was made of: urllib3 keeps that in arguments, not in causes."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        inner = (*error.args, getattr(error, "reason", None))
        error = next((arg for arg in inner if isinstance(arg, BaseException)), error.__cause__)


def socks_refusal(url: str, proxies: Mapping[str, str]) -> WireError | None:
    """Return what to do where a URL goes by a proxy of SOCKS, which our sessions refuse."""
    proxy = select_proxy(url, dict(proxies)) or ""
    if not proxy.lower().startswith("socks"):
        return None
    text = f"the proxy {server_of(proxy)} is one of SOCKS, which is not supported; name an"
    text += " HTTP proxy in its place, or the server in no_proxy"
    return WireError(text, is_blocked=True)
