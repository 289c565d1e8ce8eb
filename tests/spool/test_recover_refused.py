"""`forklog recover` where something on the way refuses requests for what one entry holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from cases import few
from heads import HEAD, put
from helpers import python_path
from wire import JsonHandler, served

from forklog.spool.folder import Folder
from forklog.spool.format import SEGMENT_BYTES, segment_header, segment_name


class _Firewall(ThreadingHTTPServer):
    """Answers 403 to each request in which a text begins with ``bad``, or to each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[str] = []
        self.requests = 0
        self.bad = "bad"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(JsonHandler):
    server: _Firewall

    def post(self) -> None:
        texts = [entry["textPayload"] for entry in self.asked()["entries"]]
        is_bad = any(text.startswith(self.server.bad) for text in texts)
        self.server.requests += 1
        if not is_bad:
            self.server.got += texts
        self.reply(403 if is_bad else 200, Content_Type="application/json")


@pytest.fixture
def firewall() -> Iterator[_Firewall]:
    """Run one."""
    server = _Firewall()
    with served(server):
        yield server


_TEXTS = [f"bad {n}" if n in {0, 17, 18, 39} else f"good {n}" for n in range(40)]
_GOOD = Counter(text for text in _TEXTS if text.startswith("good"))


def _entry(number: int, text: str, **fields: str) -> bytes:
    entry = {"insertId": f"{number:029x}", "timestamp": "2026-01-01T00:00:00Z"}
    return orjson.dumps({**entry, "textPayload": text, **fields}) + b"\n"


def _spool(place: Path, url: str) -> Path:
    folder = Folder(str(place), 2**30)
    for process in (1, 2):
        prefix = f"{process:019x}"
        head = {**HEAD, "endpoint": url}
        put(folder, f"forklog-{prefix}-00000000.head", orjson.dumps(head))
        texts = _TEXTS if process == 1 else ["other 1", "other 2"]
        content = b"".join(_entry(number, text) for number, text in enumerate(texts))
        content = segment_header(0, SEGMENT_BYTES[0]) + content
        put(folder, segment_name(prefix, 0), content.ljust(SEGMENT_BYTES[0], b"\0"))
    folder.close()
    return place


def _file(place: Path, _url: str) -> Path:
    texts = [*_TEXTS, "other 1", "other 2"]
    lines = (_entry(n, text, logName="projects/p/logs/l") for n, text in enumerate(texts))
    place.write_bytes(b"".join(lines))
    return place


def _recover(path: Path, url: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "forklog", "recover", str(path), "--endpoint", url]
    environ = {**os.environ, "PYTHONPATH": python_path(), "GOOGLE_CLOUD_PROJECT": "p"}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("made", few([_spool, _file], _spool))
def test_a_refused_entry_holds_up_no_other(
    tmp_path: Path, firewall: _Firewall, made: object
) -> None:
    """All others are sent, the refused ones are counted as left, and sent once that is over."""
    path = made(tmp_path / "left", firewall.url)  # type: ignore[operator]
    status, output = _recover(path, firewall.url)
    assert status == 1
    assert "sent 38 log entries, 4 log entries left" in output, output
    assert "403" in output
    assert Counter(firewall.got) == _GOOD + Counter(["other 1", "other 2"])
    firewall.bad = "nothing"
    firewall.got.clear()
    status, output = _recover(path, firewall.url)
    assert status == 0, output
    assert {text for text in _TEXTS if text.startswith("bad")} <= set(firewall.got)
    if path.is_dir():
        assert Counter(firewall.got) == Counter(_TEXTS) - _GOOD
        assert not list(path.iterdir())


@pytest.mark.parametrize("made", few([_spool, _file], _file))
def test_a_server_that_refuses_all_is_asked_rarely(
    tmp_path: Path, firewall: _Firewall, made: object
) -> None:
    """Some entries are tried alone, not each of them."""
    path = made(tmp_path / "left", firewall.url)  # type: ignore[operator]
    firewall.bad = ""
    status, output = _recover(path, firewall.url)
    assert status == 1
    assert "sent 0 log entries, 42 log entries left" in output, output
    assert firewall.requests <= 20
