"""Answers in a shape that a proxy may give them: packed, or after an informational one."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from wire import OK, RawServer, read_request

from forklog.options import Options
from forklog.transports.base import Kind, Verdict
from forklog.transports.http import HttpTransport

if TYPE_CHECKING:
    import socket

_ENTRY = b'{"insertId":"1","textPayload":"hello"}'
_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


def _packed(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} Said\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _verdict(data: bytes) -> Verdict:
    """Return the verdict of a connection whose server sends these bytes; the next is a plain OK."""
    answers = [data, OK]

    def act(connection: socket.socket) -> None:
        while True:
            read_request(connection)
            connection.sendall(answers.pop(0))

    with RawServer(act) as server:
        options = Options(project="p", endpoint=server.url)
        connection = HttpTransport(options, lambda _project: None).open()
        verdict = connection.send([_ENTRY], 30)
        assert connection.send([_ENTRY], 30).kind is Kind.DELIVERED
        assert server.accepted == 1, "the connection was not kept"
        connection.close()
    return verdict


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "zlib"])
def test_a_packed_answer_is_unpacked(pack: object) -> None:
    """A proxy may pack what it was asked not to; the entries are confirmed all the same."""
    assert _verdict(_packed(200, pack(b"{}"))).kind is Kind.DELIVERED  # type: ignore[operator]
    refusal = b'{"error": {"code": 403, "message": "not you", "status": "PERMISSION_DENIED"}}'
    verdict = _verdict(_packed(403, pack(refusal)))  # type: ignore[operator]
    assert verdict.kind is Kind.BLOCKED
    assert "not you" in str(verdict)


def _huge() -> bytes:
    return gzip.compress(b'{"a":"%b"}' % (b"x" * 50_000_000), 1)


def _other() -> bytes:
    return b"no gzip"


def _cut() -> bytes:
    return gzip.compress(b"{}")[:9]


@pytest.mark.parametrize("make", [_huge, _other, _cut], ids=["huge", "other", "cut"])
def test_what_cannot_be_unpacked_confirms_nothing(make: object) -> None:
    """Neither a body that is cut or damaged nor one that is huge once it is unpacked."""
    assert callable(make)
    assert _verdict(_packed(200, make())).kind is not Kind.DELIVERED


def test_an_informational_answer_is_skipped() -> None:
    """The answer is what follows 102 to 199, however many of these there are."""
    assert _verdict(_HINTS * 3 + OK).kind is Kind.DELIVERED
    assert _verdict(b"HTTP/1.1 100 Continue\r\n\r\n" + _HINTS + OK).kind is Kind.DELIVERED
