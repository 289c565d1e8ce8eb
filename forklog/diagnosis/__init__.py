"""What `forklog doctor` and `forklog.doctor` find out; loaded only when they are called."""

from __future__ import annotations

from forklog.diagnosis.finding import Finding, Severity
from forklog.diagnosis.report import Report

__all__ = ["Finding", "Report", "Severity"]
