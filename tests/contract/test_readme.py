"""The README: what can be pasted runs as it stands, and its links lead to files."""

from __future__ import annotations

import json
import logging.config
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from forklog import CloudLoggingHandler

_ROOT = Path(__file__).resolve().parents[2]
_TEXT = (_ROOT / "README.md").read_text(encoding="utf-8")
_PROJECT = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", _TEXT, re.MULTILINE | re.DOTALL)


def _block(language: str, word: str) -> str:
    (found,) = (text for name, text in _BLOCKS if name == language and word in text)
    return str(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_can_be_pasted_runs(tmp_path: Path) -> None:
    """Emulator, program and list run as they stand; parent and child are in the answer."""
    (tmp_path / "shop.py").write_text(_block("python", "os.fork"))
    commands = _block("sh", "forklog emulator")
    port = _free_port()  # another test may use 8085
    # Between the lines a person waits for the emulator.
    ready = f"until curl -s http://127.0.0.1:{port}/emulator/stats >/dev/null; do sleep 0.1; done\n"
    script = commands.replace("8085", str(port)).replace("&\n", f"&\n{ready}", 1)
    assert script.count(str(port)) == 4, "the block names its port three times"
    environ = {k: v for k, v in os.environ.items() if k != "LOGGING_EMULATOR_HOST"}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", f"trap 'kill %1' EXIT\n{script}"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "root logger: INFO and above to log shop" in done.stdout
    listed = json.loads(done.stdout[done.stdout.index("\n{") :])
    entries = listed["entries"]
    assert [entry["textPayload"] for entry in entries] == ["the parent logs", "the child logs, too"]
    assert {entry["logName"] for entry in entries} == {"projects/my-project/logs/shop"}


def test_the_shown_configuration_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first dictConfig of the README puts the handler on the root logger, with a spool."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        exec(_block("python", "dictConfig"), {})  # noqa: S102 - of the page that is tested
        (handler,) = (h for h in root.handlers if isinstance(h, CloudLoggingHandler))
        assert handler.describe().options.log_name == "web"
        assert handler.describe().options.spool == "auto"
        handler.close()
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def test_links_are_absolute_and_lead_to_files() -> None:
    """A package index shows the README alone: each link begins with the project's home."""
    base = re.findall(r'^Source = "(.*)"', _PROJECT, re.MULTILINE)[0] + "/blob/main/"
    links = re.findall(r"\]\(([^)]*)\)", _TEXT)
    assert len(links) > 10
    for link in links:
        assert link.startswith(base), link
        assert (_ROOT / link.removeprefix(base).partition("#")[0]).exists(), link


def test_the_extra_that_is_installed_exists() -> None:
    """The installation line names an extra of the package."""
    (extra,) = re.findall(r"forklog\[(\w+)\]'", _block("sh", "pip install"))
    extras = _PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert re.search(rf"^{extra} = \[", extras, re.MULTILINE)


def test_each_dependency_is_named_with_its_reason() -> None:
    """What `pip install` brings along, and what for."""
    listed = _PROJECT.partition("\ndependencies = [")[2].partition("]")[0]
    names = re.findall(r'^ +"([\w-]+)', listed, re.MULTILINE)
    assert names
    assert sorted(re.findall(r"`([\w-]+)` \([A-Za-z]\w+\)", _TEXT)) == names
