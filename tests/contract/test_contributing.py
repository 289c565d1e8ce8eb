"""CONTRIBUTING.md: what it says of the code is so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import check_python

import forklog
from forklog.process import server_hooks
from forklog.process.servers import protocol

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = (_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    section = _PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.strip().startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def _steps() -> list[tuple[str, str]]:
    """Return the calls in order; what a row does at its end comes after all other rows."""
    first, last = [], []
    for row in _rows("Follow one record"):
        begin, _, end = row[1].partition("; at its end ")
        first += [(row[0].strip("`"), function) for function in re.findall(r"`(\w+)`", begin)]
        last += [(row[0].strip("`"), function) for function in re.findall(r"`(\w+)`", end)]
    return [*first, *last]


def test_one_record_takes_the_path_of_the_page(emulator: Emulator) -> None:
    """From the log call to the count of what is delivered, these functions run in this order."""
    done = check_python(
        f"""
        import json, logging, sys, threading
        from pathlib import Path
        import forklog
        root = str(Path(forklog.__file__).parents[1]) + "/"
        calls = []

        def note(frame, event, _arg):
            path = frame.f_code.co_filename
            if event == "call" and path.startswith(root):
                calls.append((path[len(root):], frame.f_code.co_name))

        handler = forklog.CloudLoggingHandler(endpoint={emulator.url!r}, project="p")
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        threading.setprofile(note)
        sys.setprofile(note)
        logging.info("hello")
        sys.setprofile(None)
        assert handler.flush(10) and handler.stats().delivered == 1
        handler.close()
        print(json.dumps(calls))
        """,
        is_covered=False,  # it would take the profiler away
    )
    calls = iter(map(tuple, json.loads(done.stdout)))
    for step in _steps():
        assert step in calls, step


def test_the_path_has_ten_files() -> None:
    """A reader opens ten files at most, each once."""
    files = [row[0] for row in _rows("Follow one record")]
    assert len(set(files)) == len(files) <= 10


def test_the_map_names_every_folder() -> None:
    """Each folder of the package and of the tests has a row."""
    for folder, heading in ((Path(forklog.__file__).parent, "The map"), (_ROOT / "tests", "Tests")):
        named = {row[0].strip("`").split("/")[1] for row in _rows(heading)}
        found = {path.name for path in folder.iterdir() if any(path.glob("**/*.py"))}
        assert named - {"*.py"} == found


def test_all_commands_are_listed() -> None:
    """The table of commands has those of the Makefile."""
    makefile = (_ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert sorted(row[0] for row in _rows("Set up")) == sorted(f"`make {c}`" for c in commands)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(("selected", "is_whole"), [([], True), (["PYTEST=tests/fork"], False)])
def test_all_tests_of_all_pythons_are_the_long_ones_too(
    selected: list[str], *, is_whole: bool
) -> None:
    """`make test-all` runs `make test-long` as well, unless PYTEST selects what to run."""
    # Without the variables of the make that runs these tests.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTEST"))}
    command = ["make", "-n", "-C", str(_ROOT), "test-all", "VERSIONS=", *selected]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert ("for part in test test-long" in done.stdout) == is_whole


def test_a_server_has_the_names_of_the_page() -> None:
    """The table of a server's names is that of the protocol, which all servers follow."""
    names = [re.match(r"`(\w+)", row[0])[1] for row in _rows("Add a server")]  # type: ignore[index]
    of_all, of_pythons = (
        [name for name in vars(kind) if not name.startswith("_")]
        for kind in (protocol.Server, protocol.PythonServer)
    )
    assert names == [*of_all, *of_pythons]
    assert all(hasattr(server, name) for server in server_hooks.ALL.values() for name in of_all)
    assert all(hasattr(server, name) for server in server_hooks.SERVERS.values() for name in names)


def test_the_files_that_it_names_exist() -> None:
    """Each path of the repository in backquotes, or behind a link, is there."""
    paths = re.findall(r"`((?:forklog|tests)/[\w./]+)`", _PAGE)
    paths += re.findall(r"\]\(([\w./-]+)", _PAGE)
    assert len(paths) > 30
    assert [path for path in paths if not (_ROOT / path).exists()] == []
