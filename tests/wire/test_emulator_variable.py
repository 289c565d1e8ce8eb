"""LOGGING_EMULATOR_HOST and handlers that have a client of google's: where their entries go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as stock

from forklog import CloudLoggingHandler, OptionError
from forklog.transports.google.access import find_access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forklog.emulator.process import Emulator

_RESOURCE: dict[str, Any] = {"type": "global", "labels": {}}


@pytest.fixture
def client_of() -> Iterator[Callable[..., stock.Client]]:
    """Return a function that makes a client of google's with a token and with these options."""
    made: list[stock.Client] = []

    def make(**options: Any) -> stock.Client:
        given = {"client_options": options} if options else {}
        made.append(stock.Client(project="p", credentials=AnonymousCredentials(), **given))
        return made[-1]

    yield make
    for client in made:
        client._http.close()


def test_the_variable_holds_for_a_handler_with_a_client(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., stock.Client]
) -> None:
    """A client without an endpoint of its own does not defeat LOGGING_EMULATOR_HOST."""
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", emulator.host)
    for client in (
        client_of(),
        client_of(scopes=["https://www.googleapis.com/auth/logging.write"]),
    ):
        _deliver(CloudLoggingHandler(client, resource=_RESOURCE))
    assert len(emulator.entries()) == 2


def test_an_endpoint_given_on_purpose_wins(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., stock.Client]
) -> None:
    """That of a client's options, or the handler's own, or google's by name: no emulator then."""
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", "127.0.0.1:9")
    named = client_of(api_endpoint=emulator.url)
    _deliver(CloudLoggingHandler(named, resource=_RESOURCE))
    _deliver(CloudLoggingHandler(client_of(), endpoint=emulator.url, resource=_RESOURCE))
    assert len(emulator.entries()) == 2
    googles = CloudLoggingHandler(client_of(api_endpoint="logging.googleapis.com"))
    assert find_access(googles._options).endpoint == "https://logging.googleapis.com"


@pytest.mark.parametrize(
    "host",
    [
        "not a host",
        "http://user:s3cret@h:1",
        "http://h:1?key=s3cret",
        "h:1/?key=s3cret",
        "h:1#s3cret",
        "h:port",
        "ftp://h",
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., stock.Client], host: str
) -> None:
    """A value that names no host is refused at construction, by the variable's name.

    Class of fault: a message quotes a value that may be a secret; siblings:
    `test_no_option_shows_a_user_or_what_a_container_holds`, `test_a_url_without_its_secrets`,
    `test_a_proxy_is_named_without_its_secrets`.
    """
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", host)
    with pytest.raises(OptionError, match="variable LOGGING_EMULATOR_HOST=") as caught:
        CloudLoggingHandler(client_of())
    assert "s3cret" not in str(caught.value)


def _deliver(handler: CloudLoggingHandler) -> None:
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert handler.flush(10)
    handler.close()
