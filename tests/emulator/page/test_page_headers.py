"""How the page and its calls are served: to whom, and with which headers. No browser is needed."""

from __future__ import annotations

import http.client
import importlib.resources
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Store = Callable[..., None]
    Get = Callable[..., tuple[http.client.HTTPResponse, bytes]]

_PATHS = ["/", "/page/main.js", "/page/page.css", "/emulator/live", "/emulator/help",
          "/emulator/entries/1"]  # fmt: skip


@pytest.fixture
def get(emulator: Emulator) -> Get:
    """Return a function that makes a GET and returns the answer, with the start of its body."""

    def ask(path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(emulator.host, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read1(100_000)
        finally:
            connection.close()

    return ask


def test_a_browser_gets_the_page_and_others_the_text(get: Get) -> None:
    """GET / is HTML for who asks for it, and the text that says how to call for all others."""
    answer, body = get("/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert body.startswith(b"<!doctype html>")
    for accept in ("*/*", "application/json"):
        answer, body = get("/", Accept=accept)
        assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
        assert b"LOGGING_EMULATOR_HOST" in body
        assert answer.getheader("Vary") == "Accept"


def test_the_policy_allows_the_pages_own_files_alone(get: Get) -> None:
    """No inline script or style, no other host, no frame, no markup from a string."""
    answer, body = get("/", Accept="text/html")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in str(answer.getheader("Content-Security-Policy")).split(";")
    )
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {
        "'self'"
    }
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.getheader("X-Frame-Options") == "DENY"
    assert b"style=" not in body
    assert b"onclick" not in body


@pytest.mark.parametrize("path", _PATHS[1:])
def test_no_other_site_can_embed_what_is_served(get: Get, store: Store, path: str) -> None:
    """Files, stream and entries are for the same origin, and are never taken for another type."""
    store({"textPayload": "a"})
    answer, _ = get(path)
    if path != "/emulator/help":
        assert answer.status in (200, 404)
        assert answer.getheader("X-Content-Type-Options", "nosniff") == "nosniff"
    assert answer.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("path", _PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "rebound.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_other_sites_are_refused(get: Get, path: str, headers: dict[str, str]) -> None:
    """A foreign Origin or Host, and what a foreign page embeds, is 403 on every path."""
    assert get(path, **headers)[0].status == 403


def test_a_link_to_the_page_can_be_followed(get: Get) -> None:
    """A link on another site opens the page: such a request is a navigation, and reads nothing."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert get("/", **link, **{"Sec-Fetch-Dest": "document"})[0].status == 200
    frame = {**link, "Sec-Fetch-Dest": "iframe"}
    assert get("/", **frame)[0].status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/..%2f__init__.py",
        "/page/files.py",
        "/page/x.js",
        "/page/index.html",
        "/page/%2e%2e/live.py",
    ],
)
def test_only_the_pages_files_are_served(get: Get, path: str) -> None:
    """A name that is no file of the page is 404, whatever it points at."""
    assert get(path)[0].status == 404


def test_the_package_holds_the_files() -> None:
    """The files that the page names are in the package, so a wheel has them."""
    static = importlib.resources.files("forklog.emulator.page") / "static"
    html = (static / "index.html").read_text()
    for name in ("main.js", "page.css", "theme.css", "drawer.css", "icon.svg"):
        assert f"/page/{name}" in html
        assert (static / name).is_file()
