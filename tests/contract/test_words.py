"""The words of the prose: pages, docstrings, comments, messages and the names of tests.

They speak plain technical English: the actor is named, and the verbs are those of the field.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_BANNED = re.compile(
    r"(?<![a-z])(said|told|somebody|nobody|roads?|weather|mend(?:s|ed|ing)?|heirs?|estates?|unheard"
    r"|news|boot records?|in hand|at rest|to rest|resting|below the mark"
    r"|r(?:ing|ung)(?:s|ers?|ing)?|sheds?|shedding|slips?|leavers?)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_FOLDERS = ("forklog", "tests", "benchmarks", "examples")
_FOLDERS_READ_WHOLE = ("docs", "examples", "benchmarks", ".github", ".ci", "forklog/emulator/page")
_OTHERS = ("Makefile", "pyproject.toml", "zensical.toml", ".pre-commit-config.yaml")
_TEXTS = {".md", ".yml", ".ini", ".js", ".css", ".html", ""}  # "": the scripts of `.ci`

# Files that still have banned words. The list only shrinks: no file may be added to it.
_PENDING: frozenset[str] = frozenset()


@functools.cache
def _files() -> list[str]:
    modules = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.py")]
    folders = [path for folder in _FOLDERS_READ_WHOLE for path in (_ROOT / folder).rglob("*")]
    texts = [path for path in folders if path.suffix in _TEXTS and path.is_file()]
    found = {*_ROOT.glob("*.md"), *modules, *texts, *(_ROOT / name for name in _OTHERS)}
    return sorted(path.relative_to(_ROOT).as_posix() for path in found if path != Path(__file__))


def _banned_words(name: str) -> list[str]:
    text = (_ROOT / name).read_text(encoding="utf-8")
    pieces: Iterator[str] = iter([_FENCED.sub("", text)])
    if name.endswith(".py"):
        pieces = _prose_of_module(text, has_messages=name.startswith("forklog/"))
    return sorted({word.lower() for piece in pieces for word in _BANNED.findall(piece)})


def _prose_of_module(text: str, *, has_messages: bool) -> Iterator[str]:
    """Yield docstrings, comments, names of tests, and the messages of what is shipped."""
    for node in ast.walk(ast.parse(text)):
        # A bare string is prose: the docstring of a module, class, function or attribute.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
        elif has_messages and isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


# Words that names of ours had before; any word of a name counts, as in `_told_bytes`, `PassNews`.
_OLD_NAMES = {"bell", "boot", "draft", "drafts", "driver", "estate", "flusher", "heir", "news"}
_OLD_NAMES |= {"leaver", "leavers", "ring", "road", "shed", "slip", "spare", "told"}
_OLD_WHOLE = {"WorkerThread", "ends_of", "look_at_ends", "task_fields"}
"""Names that were renamed as a whole; their words have other uses."""
_NOT_OURS = {"boot_id", "_boot_id", "boot_logged", "boot_delivered"}
"""Linux's word for the system's start; the demo's column, whose application logs by that name."""
_OF_OTHERS = {"boot", "boot_threads", "after_process_boot", "driver"}
"""Names of the tests' applications, of dramatiq, and of what makes load."""


def _old_names(text: str) -> list[str]:
    """Return the names that a module defines or uses of which a word is an old one."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and name not in _NOT_OURS and _is_old(name):
                found.add(name)
    return sorted(found)


def _is_old(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+", name)
    return name in _OLD_WHOLE or any(word.lower() in _OLD_NAMES for word in words)


def test_a_module_has_no_old_name() -> None:
    """No variable, attribute, parameter, function or class bears a word that was renamed."""
    found = {}
    for name in _files():
        if name.endswith(".py"):
            words = set(_old_names((_ROOT / name).read_text(encoding="utf-8")))
            found[name] = words if name.startswith("forklog/") else words - _OF_OTHERS
    assert {name: words for name, words in found.items() if words} == {}


def test_no_file_and_no_folder_has_an_old_name() -> None:
    """A path bears no word that was renamed, either; in each folder that is read."""
    assert [name for name in _files() if any(map(_is_old, Path(name).with_suffix("").parts))] == []


def test_old_names_are_found_in_every_place() -> None:
    """Names are split into words; what merely contains the letters is none."""
    text = "class PassNews: told_bytes = 1\ndef tell(has_ring, string): a.boot.x = boot_id"
    assert _old_names(text) == ["PassNews", "boot", "has_ring", "told_bytes"]
    assert _old_names("ends_of(the_ends_of, published, slippery)") == ["ends_of"]
    assert _is_old("boot")
    assert not _is_old("bootstrap")


def test_every_kind_of_text_is_read() -> None:
    """Pages, programs, examples, and what CI, GitHub and a browser take are among them."""
    read = {
        "README.md",
        "docs/frameworks/flask.md",
        "examples/celery/README.md",
        "examples/uwsgi/lazy.ini",
        ".github/PULL_REQUEST_TEMPLATE.md",
        ".github/ISSUE_TEMPLATE/config.yml",
        ".ci/release-check",
        ".ci/run",
        "forklog/emulator/page/static/main.js",
        "forklog/emulator/page/static/index.html",
        "forklog/emulator/page/static/page.css",
    }
    assert read <= set(_files())


def test_a_file_has_no_banned_word() -> None:
    """No page, docstring, comment, message or name of a test has a banned word."""
    found = {name: _banned_words(name) for name in set(_files()) - _PENDING}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_list_of_pending_files_only_shrinks() -> None:
    """A listed file that exists still has a banned word; one without leaves the list."""
    rewritten = [name for name in _PENDING & set(_files()) if not _banned_words(name)]
    assert sorted(rewritten) == [], "remove these files from _PENDING"


def test_prose_is_found_wherever_it_stands() -> None:
    """Docstrings, comments, names of functions and messages are read; variables are not."""
    own = 'class A:\n    """Road."""\n    b = 1\n    """Heir."""\n\ndef test_nobody(): ...\n'
    module = '"""Said."""\ntold = "weather"  # mend\n' + own

    def found(**options: bool) -> set[str]:
        pieces = _prose_of_module(module, **options)
        return {word for piece in pieces for word in _BANNED.findall(piece)}

    assert found(has_messages=False) == {"Said", "mend", "Road", "Heir", "nobody"}
    assert found(has_messages=True) == {"Said", "mend", "Road", "Heir", "nobody", "weather"}
    assert not _BANNED.search(_FENCED.sub("", "a\n```\nsaid\n```\nb"))
