"""One finding about a process: a judge makes it, the report holds it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How much a finding matters."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing is lost by it."""
    PROBLEM = "problem"
    """Records are lost, doubled or held up by it, or can be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement, with what to do about it."""

    severity: Severity
    code: str
    """A short name that stays the same from version to version, for ``accept``."""
    text: str
    remedy: str = ""


def ok(code: str, text: str) -> Finding:
    """Find that something is as it should be."""
    return Finding(Severity.OK, code, text)


def note(code: str, text: str, remedy: str = "") -> Finding:
    """Find something worth knowing."""
    return Finding(Severity.NOTE, code, text, remedy)


def problem(code: str, text: str, remedy: str) -> Finding:
    """Find something that loses, doubles or holds up records."""
    return Finding(Severity.PROBLEM, code, text, remedy)
