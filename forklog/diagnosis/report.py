"""What `forklog.doctor` returns: the findings, with the facts they were made from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from forklog.diagnosis.facts import Delivery, Exits, Process, Routes, Spool
from forklog.diagnosis.finding import Finding, Severity
from forklog.diagnosis.text import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `forklog.doctor` saw in one process at one moment, and what it makes of it."""

    findings: tuple[Finding, ...]
    """The most severe first."""
    process: Process
    ends: Exits
    routes: Routes
    deliveries: tuple[Delivery, ...]
    version: str
    """Of forklog."""
    spools: tuple[Spool, ...] = ()
    """What dead processes left in the spools of this process's handlers."""

    @property
    def is_healthy(self) -> bool:
        """Whether there is no problem among the findings."""
        return all(finding.severity is not Severity.PROBLEM for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        plain = dataclasses.asdict(self)
        for finding in plain["findings"]:
            finding["severity"] = finding["severity"].value
        for handler in plain["routes"]["handlers"]:
            handler["options"] = dict(handler["options"])
            handler["stats"] = dict(handler["stats"])
        return {"is_healthy": self.is_healthy, **plain}

    def __str__(self) -> str:
        """Return aligned lines for a terminal: findings first, then what was seen."""
        return render(
            findings=self.findings,
            process=self.process,
            exits=self.ends,
            routes=self.routes,
            deliveries=self.deliveries,
            version=self.version,
        )
