"""A web application under its server, asked by 100 clients at once; and what of it arrived."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from helpers import python_path, wait_until

from forklog.emulator.process import Emulator

APPS = Path(__file__).parent / "apps"
CLIENTS = 100
SPAN = "00f067aa0ba902b7"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
Entry = dict[str, Any]


class Framework(NamedTuple):
    """How an application is run, and what it has."""

    command: tuple[str, ...]
    kinds: tuple[str, ...] = ("order", "stream", "broken", "broken", "fail")
    is_async: bool = False


_UVICORN = (sys.executable, "-m", "uvicorn", "--port=0")
_GUNICORN = (sys.executable, "-m", "gunicorn", "--config=python:gunicorn_conf")
FRAMEWORKS = {
    "flask": Framework((*_GUNICORN, "flask_app:app")),
    "django-wsgi": Framework((*_GUNICORN, "django_app:wsgi")),
    "django-asgi": Framework((*_UVICORN, "django_app:asgi"), is_async=True),
    "fastapi": Framework(
        (*_UVICORN, "fastapi_app:app"),
        ("order", "sync", "stream", "broken", "broken", "fail"),
        is_async=True,
    ),
    "aiohttp": Framework((sys.executable, "aiohttp_app.py"), is_async=True),
}


class Arrived:
    """What arrived of the requests of one framework."""

    def __init__(self, entries: list[Entry], asked: dict[int, str], seen: list[int]) -> None:
        """Sort the entries by request, which each has a trace of its own."""
        self.seen = seen
        """The status of each request, as its client sees it."""
        self.asked = asked
        """The kind of each request by its number."""
        self.entries = entries
        self.by_text: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self.by_text[text_of(entry)].append(entry)
        self.parents = [e for e in entries if e["logName"].endswith("/python-requests")]

    def numbers(self, *kinds: str) -> list[int]:
        """Return the numbers of the requests of these kinds."""
        return [number for number, kind in self.asked.items() if kind in kinds]

    def one(self, text: str) -> Entry:
        """Return the only entry with a text."""
        (entry,) = self.by_text[text]
        return entry


def text_of(entry: Entry) -> str:
    """Return the message of an entry."""
    return str(entry.get("textPayload") or entry.get("jsonPayload", {}).get("message", ""))


def trace_of(number: int) -> str:
    """Return the trace that the client of a request sends."""
    return f"{number + 1:032x}"


def run(framework: Framework, emulator: Emulator, folder: Path, project: str) -> Arrived:
    """Run the application, send it 100 requests at once, end it."""
    console = folder / "console"
    environ = {
        **os.environ,
        "GOOGLE_CLOUD_PROJECT": project,
        "LOGGING_EMULATOR_HOST": emulator.host,
        "PYTHONPATH": os.pathsep.join([str(APPS), python_path()]),
    }
    with console.open("wb") as output:
        process = subprocess.Popen(
            framework.command,
            cwd=APPS,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _ADDRESS.search(console.read_text()), 60, console.read_text())
        port = int(_ADDRESS.findall(console.read_text())[0])
        asked = {n: framework.kinds[n % len(framework.kinds)] for n in range(CLIENTS)}
        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = list(pool.map(lambda n: _ask(port, n, asked[n]), asked))
        process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    return Arrived(emulator.entries(project=project), asked, statuses)


def _ask(port: int, number: int, kind: str) -> int:
    """Ask for a request; return the status that the client sees, 0 for none."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{kind}/{number}?secret=yes",
        headers={
            "traceparent": f"00-{trace_of(number)}-{SPAN}-01",
            "User-Agent": "client",
            "Referer": "http://elsewhere/",
        },
    )
    status = 0
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status = answer.status
            answer.read()
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()  # Python 3.14 warns where it is left open
    except (http.client.HTTPException, ConnectionError):  # in the middle of a body
        pass
    return status
