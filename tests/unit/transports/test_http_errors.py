"""A request without an answer: the line names endpoint and proxy, and no secret."""

from __future__ import annotations

import ssl

import pytest
import requests

from forklog.stderr.printable import server_of
from forklog.transports.http_errors import wire_error
from forklog.transports.http_verdict import Answer, Place, judge

_URL = "https://logging.googleapis.com"
_PROXIES = {"https": "http://user:hunter2@10.1.1.1:3128/path?key=hunter2"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectionError("hunter2"), "no connection to the server (ConnectionError): "),
        (requests.exceptions.ProxyError("hunter2"), "no connection to the server (ProxyError): "),
        (requests.ReadTimeout("hunter2"), "the server did not answer in time (ReadTimeout): "),
        (OSError("hunter2"), "no connection to the server (OSError): "),
        (
            ssl.SSLCertVerificationError("hunter2"),
            "the server https://logging.googleapis.com's cert",
        ),
    ],
)
def test_the_endpoint_is_named(error: Exception, words: str) -> None:
    """Each line has the endpoint and something to check; the error's own text may be a secret."""
    text = str(wire_error(error, _URL, {}))
    assert text.startswith(words)
    assert "https://logging.googleapis.com" in text
    assert "; check the" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("kind", [requests.exceptions.ProxyError, requests.ConnectTimeout])
def test_the_proxy_is_named(kind: type[Exception]) -> None:
    """Where there is one it may be what fails; its user, password, path and query are not shown."""
    text = str(wire_error(kind(), _URL, _PROXIES))
    assert "https://logging.googleapis.com by the proxy http://10.1.1.1:3128; check the" in text
    assert "hunter2" not in text
    assert "user" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@proxy:3128/p?q=1#f", "http://proxy:3128"),
        ("user:hunter2@proxy:3128", "proxy:3128"),
        ("proxy", "proxy"),
        ("http://user:hunter2@[::1]:3128", "http://[::1]:3128"),
        ("http://proxy:hunter2", "an address that is none"),
        ("http://[hunter2", "an address that is none"),
        ("http://\x1b0;x\x07@ho\x1bst/", "http://ho st"),
        ("http://", "an address that is none"),
    ],
)
def test_a_url_without_its_secrets(url: str, shown: str) -> None:
    """Scheme, host and port alone, printable; whatever else a variable of the environment holds."""
    assert server_of(url) == shown


@pytest.mark.parametrize("status", [500, 503, 408, 999])
def test_a_failure_that_passes_names_the_endpoint(status: int) -> None:
    """The status alone tells the person on call neither what fails nor what to do."""
    verdict = judge(Answer(status, place=Place(endpoint=_URL)), 3)
    assert verdict.reason.startswith(f"{status}: https://logging.googleapis.com takes no entries")
    assert "check" in verdict.reason
    assert verdict.answer == str(status)
