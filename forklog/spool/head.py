"""The head of a spool: its name and its content tell whose entries they are, and who may send them.

Pure. docs/spool.md describes the format. Its owner writes the head, and whoever looks at the folder
reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

FORMAT = 1
MAX_HEAD_BYTES = 256 * 1024
LEFT_IMAGE = "00000000"
"""In place of a process image: its process has left the spool on purpose."""

_HEAD_NAME = re.compile(r"forklog-([0-9a-f]{19})-([0-9a-f]{8})\.head\Z")


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
