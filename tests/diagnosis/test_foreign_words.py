"""The words of servers, metadata and files in what the tools print: printable, and on one line.

Closes: control characters on a terminal, and lines that a foreign text makes up, in the report of
the doctor and that of `forklog recover`.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING

import pytest
from wire import Metadata

import forklog
from forklog.diagnosis.facts import Delivery, Process, Role
from forklog.diagnosis.judge.delivery import judge_delivery
from forklog.recovery.outcome import Outcome
from forklog.transports.google import metadata as metadata_module
from forklog.transports.google.machine import MachineAccount

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from forklog.emulator.process import Emulator

_FOREIGN = "\x1b]0;title\x07\x1b[31m\x85\u2028\nforklog[1]: a line of its own"
_MADE_UP = "forklog[1]: a line of its own"
_LOGGER = "foreign.words"


class _Foreign(Metadata):
    """A metadata server with foreign words in all values but tokens."""

    def __init__(self) -> None:
        super().__init__()
        own_tell, self.tell = self.tell, self._foreign
        self._own_tell = own_tell

    def _foreign(self, connection: socket.socket, head: str) -> None:
        if "/token" in head.split()[1] or head.startswith("GET / "):
            self._own_tell(connection, head)
            return
        is_mail = "/email" in head
        value = f"{'x@y.gserviceaccount.com' if is_mail else 'my-value'}{_FOREIGN}".encode()
        lines = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\n"
        connection.sendall(f"{lines}Content-Length: {len(value)}\r\n\r\n".encode() + value)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_Foreign]:
    """Be on a machine whose metadata server has foreign words."""
    for name in [n for n in os.environ if n.startswith(("GOOGLE_", "GCLOUD_", "LOGGING_", "GCE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_GCE_CHECK", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr(metadata_module, "_sightings", [])
    gc.collect()  # handlers of earlier tests
    running = _Foreign()
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    yield running
    for handler in logging.getLogger(_LOGGER).handlers[:]:
        logging.getLogger(_LOGGER).removeHandler(handler)
        handler.close()
    running.server.close()


def _attach(**options: object) -> forklog.CloudLoggingHandler:
    given: dict[str, object] = {"last_resort": "none", "shutdown_timeout": 0.5, **options}
    handler = forklog.CloudLoggingHandler(**given)  # type: ignore[arg-type]
    logging.getLogger(_LOGGER).addHandler(handler)
    return handler


def _check(report: str) -> None:
    assert all(line.isprintable() for line in report.split("\n")), report
    assert not any(line.startswith(_MADE_UP) for line in report.splitlines()), report


@pytest.mark.parametrize("fault", [None, 403])
def test_the_machine_s_words_are_printable(emulator: Emulator, fault: int | None) -> None:
    """Cluster, location, e-mail: in the facts, in a finding, and in no command that is copied.

    Class of fault: control characters of a foreign text reach a terminal; siblings:
    `test_a_project_that_is_none_is_one_clear_line`, `test_all_that_a_report_shows_is_printable`,
    `test_no_command_holds_what_a_shell_would_run`, `test_the_notes_of_a_recovery_are_printable`.
    """
    _attach(project="p", endpoint=emulator.url, credentials=MachineAccount())
    if fault:
        emulator.fault("status", status=fault)
    report = forklog.doctor(20)
    assert report.deliveries[0].resource.startswith(
        "k8s_container (project_id=p, location=my-value"
    )
    assert report.deliveries[0].account.startswith("x@y.gserviceaccount.com")
    _check(str(report))
    if fault:
        assert "roles/logging.logWriter" in str(report)
        assert "--member" not in str(report), "a command for a shell, with foreign words in it"


def test_a_project_that_is_none_is_one_clear_line(machine: _Foreign) -> None:
    """What the metadata server gives for a project is checked as an option is, and named."""
    _attach(endpoint="https://logging.example")
    report = forklog.doctor(20)
    assert machine.asked
    [finding] = [f for f in report.findings if f.code == "no-access"]
    assert "what was found is no project id: <str>" in finding.text
    assert "set the option project or GOOGLE_CLOUD_PROJECT" in finding.remedy
    _check(str(report))


def test_all_that_a_report_shows_is_printable() -> None:
    """Names of handlers, loggers and neighbours come from a configuration; they are words, too."""
    handler = _attach(project="p", endpoint="http://127.0.0.1:9")
    handler.set_name(f"name{_FOREIGN}")
    other = logging.NullHandler()
    other.set_name(f"other{_FOREIGN}")
    logger = logging.getLogger(f"{_LOGGER}.{_FOREIGN}")
    logger.addHandler(handler)
    logger.addHandler(other)
    try:
        _check(str(forklog.doctor(20)))
    finally:
        logger.handlers.clear()


@pytest.mark.parametrize("account", ["x@y.example; rm -rf /", "x@y.example$(id)", "x y@z.example"])
def test_no_command_holds_what_a_shell_would_run(account: str) -> None:
    """The command that grants a role names an account that is nothing but an address."""
    process = Process(pid=1, role=Role(), python="", has_threads=True)
    known = Delivery(
        log_name="l", outcome="blocked", status=403, reason="403: x", account=account, project="p"
    )
    assert all("--member" not in finding.remedy for finding in judge_delivery(process, known))


def test_the_notes_of_a_recovery_are_printable() -> None:
    """Names of files, and the project and endpoint that stand in them, are escaped."""
    shown = str(Outcome(f"/spool/{_FOREIGN}", left=1, notes=[f"head: of {_FOREIGN}"]))
    assert len(shown.split("\n")) == 2
    _check(shown)
