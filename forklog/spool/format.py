"""The bytes of the spool: names of its files, head, segment header, and the entries of a dead one.

Pure. docs/spool.md describes the format. A segment is zeroed before it is used, and JSON holds no
NUL, so what a killed process left half written shows by itself.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

FORMAT = 1
MAGIC = b"FLSPOOL1"
HEADER_BYTES = 64
SEGMENT_BYTES = (64 * 1024, 256 * 1024, 1024 * 1024)
"""The first segment of a process, its second, and all further ones."""
LARGE_BYTES = 512 * 1024  # for an entry that the next segment would not hold
OVERHEAD = 128
"""Bytes of a segment beside its entries: header, and more than one newline."""
MAX_HEAD_BYTES = 256 * 1024
LEFT_IMAGE = "00000000"
"""In place of a process image: its process has left the spool on purpose."""

_HEADER = struct.Struct("=8sQQQ32x")
_MARK_AT = 8
_HEAD_NAME = re.compile(r"forklog-([0-9a-f]{19})-([0-9a-f]{8})\.head\Z")
_SEGMENT_NAME = re.compile(r"forklog-([0-9a-f]{19})\.(\d{6,12})\.log\Z")
_ENTRY = re.compile(rb'\{"insertId":"[0-9a-f]{29}","timestamp":"')
_LOG = "projects//logs/"
_GAP = re.compile(rb"[\0\n]+")


class HeadName(NamedTuple):
    """What the name of a head tells."""

    prefix: str
    """The first 19 digits of the owner's insertIds."""
    image: str
    """The owner's process image; it changes at a fork and at an exec."""

    def __str__(self) -> str:
        return f"forklog-{self.prefix}-{self.image}.head"


def head_name_of(name: str) -> HeadName | None:
    """Read the name of a head."""
    match = _HEAD_NAME.match(name)
    return HeadName(match[1], match[2]) if match else None


def new_name(prefix: str) -> str:
    """Return the name that a head has while it is made."""
    return f".forklog-{prefix}.new"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of the owner of a spool; None where it did not know it yet."""

    project: str | None
    endpoint: str | None
    log_name: str
    labels: Mapping[str, str]
    resource: Mapping[str, Any] | None
    pid: int
    boot_id: str
    version: str
    format: int = FORMAT


def encode_head(head: Head) -> bytes:
    """Return the content of a head's file."""
    # Not the dataclass itself: orjson knows none in a second interpreter of the process.
    return orjson.dumps({name: getattr(head, name) for name in Head.__slots__})


def _first_object(content: bytes) -> Any:
    """Read the JSON that content begins with, whatever other code has written behind it."""
    try:
        return orjson.loads(content)
    except ValueError:
        text = content.decode("utf-8", "surrogateescape")
        end = json.JSONDecoder().raw_decode(text)[1]
        return orjson.loads(text[:end].encode("utf-8", "surrogateescape"))


def decode_head(content: bytes) -> Head | None:
    """Return a head, None if the content is none of this format.

    The values are another process's: `forklog.spool.scan` checks them as options are checked.
    """
    try:
        given = _first_object(content)
        head = Head(**{name: given[name] for name in Head.__slots__})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    labels = head.labels
    is_ours = (
        head.format == FORMAT
        and type(head.log_name) is str
        and type(head.pid) is int
        and isinstance(labels, dict)
        and all(type(value) is str for value in labels.values())
        and all(value is None or type(value) is str for value in (head.project, head.endpoint))
        and (head.resource is None or isinstance(head.resource, dict))
    )
    return head if is_ours else None


def format_of_head(content: bytes) -> object:
    """Return the number of a head's format, None if the content is no head at all."""
    try:
        given = _first_object(content)
    except (ValueError, RecursionError):
        return None
    return given.get("format") if isinstance(given, dict) else None


class Fits:
    """Which heads are the adopter's own kind."""

    def __init__(
        self, project: str | None, endpoint: str | None, *, takes_unknown: bool = False
    ) -> None:
        """Be of this project, None where no option names it, and of this endpoint.

        Args:
            project: as the options name it.
            endpoint: of what is sent.
            takes_unknown: also what was killed before it had found its project.
        """
        self._project, self._endpoint = project, endpoint
        # Where no option names a project it is found, by all in the same way.
        self._takes_unknown = takes_unknown or project is None

    def learn(self, project: str) -> None:
        """Be of this project, which was found."""
        self._project = project

    def __call__(self, head: Head) -> bool:
        """Tell whether the adopter may send a head's entries."""
        if head.project is None:
            is_project = self._takes_unknown
        else:
            is_project = self._project is None or head.project == self._project
        return is_project and head.endpoint == self._endpoint


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
