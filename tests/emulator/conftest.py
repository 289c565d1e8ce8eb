"""A running emulator, plain HTTP calls to it, and the unmodified Google client on it."""

from __future__ import annotations

import functools
import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as google_logging
from helpers import wait_until

from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def running() -> Iterator[Emulator]:
    """One emulator process for the whole run."""
    with Emulator.start() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """Return the emulator, empty and without faults."""
    wait_until(lambda: is_up(running))
    running.clear_faults()
    running.reset()
    return running


@pytest.fixture
def call(emulator: Emulator) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that makes one HTTP call and returns status and JSON."""

    def send(
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(emulator.host, timeout=timeout)
        try:
            connection.request(method, path, raw, {**JSON, **(headers or {})})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    return send


@pytest.fixture
def write(call: Callable[..., tuple[int, dict[str, Any]]]) -> Callable[..., tuple[int, Any]]:
    """Return a function that writes entries to the log `web` of project `p`."""

    def send(*entries: object, **request: object) -> tuple[int, dict[str, Any]]:
        defaults = {"logName": "projects/p/logs/web", "resource": {"type": "global"}}
        return call("POST", "/v2/entries:write", {**defaults, "entries": entries, **request})

    return send


@pytest.fixture
def google_client(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[google_logging.Client]:
    """Return Google's own client, pointed at the emulator and otherwise as it comes."""
    # It asks the metadata server where it runs; a dead proxy answers that at once, off the net.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = google_logging.Client(
        project="p",
        credentials=AnonymousCredentials(),
        _use_grpc=False,
        client_options={"api_endpoint": emulator.url},
    )
    yield client
    client._http.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Return a function that waits until a condition holds, up to thirty seconds."""
    return functools.partial(wait_until, seconds=30)


def is_up(emulator: Emulator) -> bool:
    """Tell whether the emulator answers."""
    try:
        emulator.stats()
    except OSError:
        return False
    return True
