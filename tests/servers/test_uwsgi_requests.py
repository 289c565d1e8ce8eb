"""The entry of a request under uWSGI, which sends a status that an application has begun with."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

MODULE = "master = true\nenable-threads = true\nmodule = uwsgi_broken\n"


def _status(netloc: str, path: str) -> int:
    connection = http.client.HTTPConnection(netloc, timeout=20)
    connection.request("GET", path)
    with connection.getresponse() as answer:
        status = answer.status
        answer.read()
    connection.close()
    return status


def test_the_status_of_a_failure_is_that_of_the_client(site: Site) -> None:
    """After `start_response` an exception changes no status under uWSGI; the entry is an ERROR.

    Closes: the entry had 500 where the client got 200 and no body.
    """
    server = site.start_uwsgi(1, MODULE)
    paths = ("/well", "/call", "/first", "/second")
    seen = [_status(urlsplit(server.url).netloc, path) for path in paths]
    parents = 'log_id("python-requests")'
    wait_until(lambda: len(site.emulator.entries(parents)) >= len(paths), 30, "the requests")
    site.end_uwsgi()
    entries = site.emulator.entries(parents)
    assert [e["httpRequest"]["status"] for e in entries] == seen
    assert [e["severity"] for e in entries] == ["INFO", "ERROR", "ERROR", "ERROR"]
