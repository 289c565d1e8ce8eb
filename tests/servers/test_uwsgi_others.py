"""uWSGI's processes beside the workers, and several applications in one server."""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import TYPE_CHECKING

from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""

MOUNTS = "master = true\nmanage-script-name = true\nmount = /=app:application\n"


def test_mules_and_spoolers(site: Site) -> None:
    """One process adopts the held entries; spoolers deliver while they live, mules by their exits.

    uWSGI ends spoolers by SIGKILL. Each of their jobs logs an ERROR, which is sent at once.
    """
    spool = site.folder / "spool"
    spool.mkdir()
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    # uWSGI loses wake-ups of a spooler that come while it looks; by default it looks every 30 s.
    lines = f"spooler = {spool}\nspooler-frequency = 1\nmule = {site.mule}\nmules = 1\n"
    site.start_uwsgi(2, f"master = true\nmodule = lives\n{lines}")
    site.check_every_record_once()
    for _ in range(6):
        site.ask("spool=4")
    wait_until(lambda: site.written().count("spooled-") == 24, 60, "the jobs")
    wait_until(lambda: "spooled" not in _kinds(site), 20, "what the jobs logged")

    def leaves_some() -> bool:  # the first batch of a process does not wait
        sent = site.written().count("muled-")
        site.ask("mule=2")
        wait_until(lambda: site.written().count("muled-") == sent + 2, 60, "the message")
        return "muled" in _kinds(site)

    wait_until(leaves_some, 60, "records that wait in the mule")
    site.ask("records=2")
    site.end_uwsgi()
    site.check_every_record_once()


def _kinds(site: Site) -> set[str]:
    """Return of which kinds the records are that have not arrived."""
    return {name.split("-")[0] for name in site.pending()}


def test_two_applications_in_one_interpreter(site: Site) -> None:
    """Two mounted applications that share an interpreter and a handler deliver."""
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    site.start_uwsgi(2, f"{MOUNTS}mount = /b=lives:application\nsingle-interpreter = true\n")
    site.ask_until(lambda pids: len(pids) == 2)
    _ask_second(site)
    site.end_uwsgi()
    site.check_every_record_once()


def test_two_interpreters(site: Site) -> None:
    """The application in the second one delivers too, but where a file of credentials is needed.

    What google.auth signs with cannot be imported twice in a process; entries go to stderr then,
    and why. (On Google's machines it is not needed, see test_machine.py.) Up to Python 3.12 no hook
    tells an interpreter beside the main one of the end.
    """
    has_end = sys.version_info >= (3, 13)
    if has_end:
        site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    apps = "shared-import = cryptography.x509\nmount = /b=uwsgi_second:application\n"
    server = site.start_uwsgi(2, f"{MOUNTS}{apps}", 2)
    for _ in range(4):
        site.ask_until(lambda pids: len(pids) == 2)
        _ask_second(site)
    _ask_second(site, 4)  # an ERROR, sent at once
    wait_until(lambda: "not for lack of credentials alone" in server.output(), 20)
    assert "under uWSGI set single-interpreter = true (PyO3" in server.output()
    if has_end:
        _ask_second(site)
    else:
        wait_until(lambda: not site.pending(), 20, "all records")
    site.end_uwsgi()
    site.check_every_record_once(2)


def _ask_second(site: Site, records: int = 3) -> int:
    assert site.server is not None
    with urllib.request.urlopen(f"{site.server.url}/b/?records={records}", timeout=20) as answer:
        return int(json.loads(answer.read())["pid"])
