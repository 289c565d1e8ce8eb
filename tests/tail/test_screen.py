"""What commands show: the same text with rich and without, which the handler never imports."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from cases import few
from helpers import check_python

import forklog
from forklog.terminal.plain import Screen
from forklog.terminal.screen import screen_on

_PACKAGE = Path(forklog.__file__).parent
_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_BLOCKED = "import sys; sys.modules['rich'] = None\n"


class Terminal(io.StringIO):
    """A stream that is a terminal, as far as it says."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def styled() -> Terminal:
    """Return a terminal; the test needs rich."""
    pytest.importorskip("rich", reason="the extra `cli` has it")
    return Terminal()


def _show(screen: Screen) -> None:
    screen.line(("PROBLEM  ", "bold red"), ("[bold]no markup[/bold] :smile: 12", ""))
    screen.line()
    screen.line(("x" * 300, "dim"))


def test_the_text_is_the_same_with_rich(styled: Terminal) -> None:
    """Of a styled line nothing is left without its styles but the plain line."""
    plain = io.StringIO()
    _show(screen_on(plain))
    _show(screen_on(styled, "always"))
    assert "\x1b[1;31m" in styled.getvalue()
    assert _STYLES.sub("", styled.getvalue()) == plain.getvalue()


def test_a_table_has_aligned_columns(styled: Terminal) -> None:
    """Words stand at the left and numbers at the right, with rich as well."""
    plain = io.StringIO()
    for screen in (screen_on(plain), screen_on(styled, "always")):
        screen.table(("name", "sent"), [("a", "7"), ("[b]long", "1000")], ["red", "green"])
    assert plain.getvalue().splitlines() == [
        "name     sent",
        "-------  ----",
        "a           7",
        "[b]long  1000",
    ]
    rows = [line.split() for line in _STYLES.sub("", styled.getvalue()).splitlines()]
    assert [row for row in rows if len(row) == 2] == [
        ["name", "sent"], ["a", "7"], ["[b]long", "1000"],
    ]  # fmt: skip


@pytest.mark.parametrize("columns", ["20", "80"])
def test_no_cell_of_a_table_is_cut(
    styled: Terminal, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal that is too narrow the lines wrap."""
    monkeypatch.setenv("COLUMNS", columns)
    screen_on(styled, "always").table(("a name", "count"), [("a long value here", "1234567")])
    text = _STYLES.sub("", styled.getvalue())
    assert "a long value here" in text
    assert "1234567" in text


@pytest.mark.parametrize(
    ("variables", "colour", "is_styled"),
    [
        ({}, "auto", True),
        ({}, "never", False),
        ({"NO_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({"TERM": "dumb"}, "auto", False),
    ],
    ids=str,
)
def test_colours_are_chosen(
    styled: Terminal,
    variables: dict[str, str],
    colour: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_styled: bool,
) -> None:
    """A terminal has them unless a variable or the argument says otherwise."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (type(screen_on(styled, colour)) is not Screen) == is_styled
    assert type(screen_on(io.StringIO(), "auto")) is Screen


def test_a_file_gets_one_plain_line_for_each_part() -> None:
    """Updates are not written where they could not be erased."""
    stream = io.StringIO()
    with Screen(stream).progress(2) as progress:
        progress.update("starting")
        progress.finish("first row")
        progress.update("starting")
        progress.finish("second row")
    assert stream.getvalue() == "[1/2] first row\n[2/2] second row\n"


def test_a_terminal_gets_a_live_line_that_is_erased() -> None:
    """Each update replaces the one before, and at the end nothing is left."""
    stream = Terminal()
    with Screen(stream).progress(2) as progress:
        progress.update("starting")
        progress.finish("first row")
        progress.update("x" * 200)
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1] == "[1/2] starting"
    assert shown[2].startswith("[2/2] xxx")
    assert len(shown[2]) == 79
    assert shown[3] == ""


@pytest.mark.parametrize("total", [2, None])
def test_progress_with_rich_ends_its_thread(styled: Terminal, total: int | None) -> None:
    """Words are shown while it runs; afterwards the cursor is back."""
    with screen_on(styled, "always").progress(total) as progress:
        progress.update("sending")
        progress.finish("sent")
    assert "sent" in _STYLES.sub("", styled.getvalue())
    assert styled.getvalue().rindex("\x1b[?25h") > styled.getvalue().rindex("\x1b[?25l")


def test_one_file_imports_rich() -> None:
    """It is the screen with rich; all others go through `screen_on`."""
    found = {
        path.relative_to(_PACKAGE).as_posix()
        for path in _PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(a.name.startswith("rich") for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"))
    }
    assert found == {"terminal/styled.py"}


def test_the_handler_never_imports_rich() -> None:
    """Neither the package nor a handler that delivers, in a parent and a child, needs it."""
    check_python("""
        import logging, os, sys
        import forklog
        from forklog.testing import FakeTransport
        handler = forklog.CloudLoggingHandler(transport=FakeTransport(), project="p")
        logging.getLogger().addHandler(handler)
        logging.error("one")
        assert handler.flush(20)
        child = os.fork()
        if not child:
            logging.error("two")
            os._exit(0 if handler.flush(20) and "rich" not in sys.modules else 1)
        assert os.waitpid(child, 0)[1] == 0
        forklog.stats(), forklog.metrics(), str(forklog.doctor(1))
        assert not [name for name in sys.modules if name.partition(".")[0] == "rich"]
        assert not [name for name in sys.modules if name.startswith("forklog.terminal")]
    """)


@pytest.mark.parametrize(
    "command", few(["doctor", "recover", "tail", "demo", "emulator"], "recover", "tail")
)
def test_a_command_runs_without_rich(command: str, tmp_path: Path) -> None:
    """Where rich cannot be imported, a command on a terminal shows plain text."""
    done = check_python(
        _BLOCKED
        + f"""
import io, os
from forklog.cli import main
os.environ["PYTHON_COLORS"] = "0"  # from 3.14 on argparse itself colours its help
class Terminal(io.StringIO):
    def isatty(self):
        return True
sys.stdout = Terminal()
arguments = {{
    "doctor": ["--endpoint", "http://127.0.0.1:1", "--timeout", "5"],
    "recover": ["{tmp_path}", "--dry-run"],
    "tail": ["--emulator", "http://127.0.0.1:1", "--no-follow"],
    "demo": ["--help"],
    "emulator": ["--help"],
}}["{command}"]
try:
    status = main(["{command}", *arguments])
except SystemExit as end:
    status = end.code
assert status in (0, 1), status
assert "\\x1b" not in sys.stdout.getvalue()
from forklog.terminal.plain import Screen
from forklog.terminal.screen import screen_on
assert type(screen_on(Terminal(), "always")) is Screen
"""
    )
    assert "rich" not in done.stderr
