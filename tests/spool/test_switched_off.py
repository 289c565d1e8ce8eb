"""Where a spool cannot work: one line says why, and memory takes the entries."""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from typing import TYPE_CHECKING

import pytest
from helpers import check_python
from spool_script import SETUP

if TYPE_CHECKING:
    from pathlib import Path

_REASONS = {
    "not Linux": ("sys.platform = 'darwin'", "a spool needs Linux, this is darwin"),
    "no GIL": (
        "sys._is_gil_enabled = lambda: False",
        "a spool needs the interpreter's lock, which this build has not",
    ),
    "not writable": (
        (
            "genuine = os.access\n"
            "os.access = lambda *args, **options: 'dir_fd' not in options and genuine(*args)"
        ),
        "the folder {folder} is not writable",
    ),
    "no shared memory": (
        (
            "from forklog.spool.parts import place\n"
            "place._SHARED_MEMORY = FOLDER + '/missing'\n"
            "SPOOL = 'auto'"
        ),
        "there is no {folder}/missing; give the path of a folder",
    ),
}


@pytest.mark.parametrize("reason", _REASONS)
def test_a_spool_that_cannot_work_is_switched_off(tmp_path: Path, reason: str) -> None:
    """Exactly one line on stderr, the same in `stats()` and the doctor; all are delivered."""
    change, text = _REASONS[reason]
    folder = str(tmp_path / "spool")
    text = text.format(folder=folder)
    body = f"""
        transport = FakeTransport()
        log, handler = log_with(transport, spool=SPOOL)
        logging.getLogger().addHandler(handler)
        for number in range(3):
            log.info("%d", number)
            assert handler.flush(30), handler.stats()
        assert texts(transport) == ["0", "1", "2"]
        stats = handler.stats()
        assert stats.spool == {f"off: {text}"!r}, stats
        assert (stats.unspooled, stats.dropped) == (0, {{}}), stats
        found = [f for f in forklog.doctor(30).findings if f.code == "spool-off"]
        assert [{text!r} in f.text for f in found] == [True], found
        handler.close()
        """
    setup = SETUP.format(folder=folder) + f"SPOOL = FOLDER\n{change}\n"
    done = check_python(setup + textwrap.dedent(body), 60, is_covered=False)
    [line] = done.stderr.splitlines()
    assert f"the spool is off, entries wait in memory alone: {text} (check the folder" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may change its user")
@pytest.mark.parametrize("spool", ["FOLDER", "'auto'"])
def test_a_process_that_changes_its_user(spool: str) -> None:
    """Its folder is closed to it: a line and `stats()` say so, or it goes on in another one.

    Closes: a spool that took no further entry, and no line; or one that blamed who tidies.
    """
    shared = tempfile.mkdtemp(dir="/dev/shm")
    folder = f"{shared}/mine"
    body = f"""
        from forklog.spool.parts import place
        os.chmod({shared!r}, 0o777)
        place._SHARED_MEMORY = {shared!r}
        transport = FakeTransport()
        log, handler = log_with(transport, spool={spool})
        log.info("first")
        assert handler.flush(30)
        before = handler.stats().spool
        os.setgid(12345)
        os.setuid(12345)
        for number in range(400):  # more than the segments that are there hold
            log.info("%d %s", number, "x" * 500)
        wait(lambda: log.info("more") or handler.flush(30) and handler.stats().spool != before)
        text = handler.stats().spool
        assert ("off: this process has changed its user" in text) == ({spool} == FOLDER), text
        stats = handler.stats()
        assert (stats.delivered, stats.dropped) == (stats.accepted, {{}}), stats
        handler.close()
        """
    try:
        setup = SETUP.format(folder=folder)
        done = check_python(setup + textwrap.dedent(body), 60, is_covered=False)
    finally:
        shutil.rmtree(shared)
    text = "the spool is off, entries wait in memory alone: this process has changed its user"
    assert done.stderr.count(text) == (spool == "FOLDER"), done.stderr
    assert "removed or closed" not in done.stderr
