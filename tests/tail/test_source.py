"""Reading pages over a real socket, and following them from there."""

from __future__ import annotations

import email.utils
import functools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from helpers import wait_until
from wire import RawServer, answer, read_request

from forklog.options import Options
from forklog.tail.follow import Follower
from forklog.tail.source import ReadError, Source

if TYPE_CHECKING:
    import socket

_OVERLAP = 0.25


class _Slow:
    """Answers with what it had received when the call came, and stamps the answer at its end."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.meanwhile: list[str] = []

    def receive(self, name: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f"{now % 1:.6f}"[1:] + "Z"
        self.entries.append(
            {"logName": "projects/p/logs/x", "insertId": name}
            | {"timestamp": stamp, "receiveTimestamp": stamp}
        )

    def serve(self, connection: socket.socket) -> None:
        while True:
            _, body = read_request(connection)
            since = json.loads(body)["filter"].rpartition('receiveTimestamp>="')[2].rstrip('"')
            found = [entry for entry in self.entries if entry["receiveTimestamp"] >= since]
            if self.meanwhile:
                self.receive(self.meanwhile.pop())
                late = time.time() + _OVERLAP
                wait_until(functools.partial(_is_the_second_after, late))
            date = email.utils.formatdate(int(time.time()), usegmt=True)
            answer(connection, 200, {"entries": found}, f"Date: {date}")


def _is_the_second_after(seconds: float) -> bool:
    return int(time.time()) > seconds


def test_what_comes_while_a_read_runs_is_shown() -> None:
    """A slow read has not what is received meanwhile, and its answer is stamped later than that."""
    slow = _Slow()
    with RawServer(slow.serve) as server:
        source = Source(Options(endpoint=server.url, project="p"), is_emulator=True)
        follower = Follower(source, "", _OVERLAP)
        slow.meanwhile = ["while it began"]
        assert follower.begin(10) == []
        slow.meanwhile = ["while it polled"]
        shown = [entry["insertId"] for _ in range(3) for entry in follower.poll()]
        source.close()
    assert shown == ["while it began", "while it polled"]


@pytest.mark.parametrize("body", [[], {"entries": None}, {"entries": 5}, "x"])
def test_an_answer_of_another_server_is_named(body: object) -> None:
    """JSON that is no page of entries is refused with a remedy."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        answer(connection, 200, body)

    with RawServer(serve) as server:
        source = Source(Options(endpoint=server.url, project="p"), is_emulator=True)
        with pytest.raises(ReadError, match="is not Cloud Logging; check the endpoint"):
            source.read("")
        source.close()
