"""The bytes of a spool's segments: their names, their header, and the entries of a dead one. Pure.

docs/spool.md describes the format. A segment is zeroed before it is used, and JSON holds no NUL, so
what a killed process left half written shows by itself.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import orjson

MAGIC = b"FLSPOOL1"
HEADER_BYTES = 64
SEGMENT_BYTES = (64 * 1024, 256 * 1024, 1024 * 1024)
"""The first segment of a process, its second, and all further ones."""
LARGE_BYTES = 512 * 1024  # for an entry that the next segment would not hold
OVERHEAD = 128
"""Bytes of a segment beside its entries: header, and more than one newline."""

_HEADER = struct.Struct("=8sQQQ32x")
_MARK_AT = 8
_SEGMENT_NAME = re.compile(r"forklog-([0-9a-f]{19})\.(\d{6,12})\.log\Z")
_ENTRY = re.compile(rb'\{"insertId":"[0-9a-f]{29}","timestamp":"')
_LOG = "projects//logs/"
_GAP = re.compile(rb"[\0\n]+")


def segment_name(prefix: str, number: int) -> str:
    """Return the name of a segment."""
    return f"forklog-{prefix}.{number:06d}.log"


def prefix_of_segment(name: str) -> str | None:
    """Return whose segment a name is, None if it is none."""
    match = _SEGMENT_NAME.match(name)
    return match[1] if match else None


def next_segment(name: str) -> str:
    """Return the name of the segment after the one of this name."""
    prefix, number = _SEGMENT_NAME.match(name).groups()  # type: ignore[union-attr]
    return segment_name(prefix, int(number) + 1)


def segment_header(number: int, size: int) -> bytes:
    """Return the first bytes of a segment; the magic is written last, after all else."""
    return _HEADER.pack(MAGIC, HEADER_BYTES, number, size)


class SegmentHeader(NamedTuple):
    """The first bytes of a segment."""

    mark: int
    """Everything before this position is settled."""
    number: int
    size: int


def read_header(content: bytes) -> SegmentHeader | None:
    """Return a segment's header, None if it is no segment; all zero: it was being made."""
    if len(content) < HEADER_BYTES:
        return None
    magic, mark, number, size = _HEADER.unpack_from(content)
    is_one = magic == MAGIC and size in {*SEGMENT_BYTES, LARGE_BYTES}
    if not is_one or not HEADER_BYTES <= mark <= size:
        return None
    return SegmentHeader(mark, number, size)


def mark_bytes(position: int) -> tuple[bytes, int]:
    """Return what an adopter writes to move the mark, and where."""
    return struct.pack("=Q", position), _MARK_AT


def repairs_of_header(position: int, length: int) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """Return what an adopter writes in place of a lost header, and where: in this order.

    Args:
        position: its mark.
        length: of the file, at most that of the largest segment.
    """
    size = min(size for size in (*SEGMENT_BYTES, LARGE_BYTES) if size >= length)
    header = _HEADER.pack(MAGIC, position, 0, size)
    return (header[_MARK_AT:], _MARK_AT), (MAGIC, 0)  # without its magic it is read as lost again


class Piece(NamedTuple):
    """An entry of a dead segment."""

    entry: bytes
    end: int
    """The position behind it."""


def entries_of(content: bytes, start: int) -> tuple[list[Piece], int]:
    """Return the whole entries of a dead segment's bytes, and how many pieces are torn.

    Args:
        content: what stands in the file from ``start`` on.
        start: a position in the segment.
    """
    found, torn, at = [], 0, 0
    for gap in [*_GAP.finditer(content), None]:
        end, after = gap.span() if gap else (len(content), len(content))
        piece = content[at:end]
        if piece:
            if _is_entry(piece):
                found.append(Piece(piece, start + after))
            else:
                torn += 1
        at = after
    return found, torn


def _is_entry(piece: bytes) -> bool:
    if not _ENTRY.match(piece):
        return False
    try:
        given = orjson.loads(piece)
    except ValueError:
        return False
    # The head names the log; a request's entry names one of the project that is filled in later.
    return isinstance(given, dict) and str(given.get("logName", _LOG)).startswith(_LOG)
