"""Where a spool cannot work: one line says why, and memory takes the entries."""

from __future__ import annotations

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
