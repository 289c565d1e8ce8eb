"""The length of sentences in docstrings and comments, and how sentences are found."""

from __future__ import annotations

from pathlib import Path

from sentences import MAX_WORDS, sentences, sentences_of_module

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("forklog", "tests", "benchmarks", "examples")
_LIST_OF_TESTS = "; siblings: "  # as `test_cases` reads it; a list, not words of the sentence


def _modules() -> list[str]:
    found = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(_ROOT).as_posix() for path in found)


def _long(source: str) -> list[str]:
    found = [
        (line, text.partition(_LIST_OF_TESTS)[0]) for line, text in sentences_of_module(source)
    ]
    return [f"line {line}: {text}" for line, text in found if len(text.split()) > MAX_WORDS]


def test_a_sentence_of_a_module_is_short() -> None:
    """A sentence of a docstring or a comment has at most 25 words."""
    found = {name: _long((_ROOT / name).read_text(encoding="utf-8")) for name in _modules()}
    assert {name: long for name, long in found.items() if long} == {}


def test_sentences_are_found() -> None:
    """They end with a stop, a paragraph or an item; code and links are read as one reads them."""
    text = (
        "# A title\n\nOne `a b c`\nand [two\nwords](x.md).\nforklog (0.2\ns) ends!\n\n- an item\n"
        "- `b`\n  goes on ...\n  on:\n\n```\ncode. code\n```\n| a cell | b |\nEnd.\n<!-- x -->\n"
    )
    assert list(sentences(text)) == [
        "# A title",
        "One `x` and two words.",
        "forklog (0.2 s) ends!",
        "an item",
        "`x` goes on ... on:",
        "End.",
    ]


def test_sentences_of_a_module_are_found() -> None:
    """Docstrings, comments over lines, and items are read; code, tables and marks are not."""
    source = (
        '"""A module. It has\nparts.\n\nSee::\n\n    some code. Here\n\n====  ====\na     b\n"""\n'
        "# A comment\n# goes on. `It` ends\nx = 1  # another  # noqa: F821\n"
        'def f():\n    """Do.\n\n    Args:\n        x: a thing.\n            It is.\n'
        '        y: one\n            more\n\n    Raises:\n        E: it fails\n    """\n'
    )
    assert [text for _, text in sentences_of_module(source)] == [
        "A module.",
        "It has parts.",
        "See::",
        "Do.",
        "Args:",
        "x: a thing.",
        "It is.",
        "y: one more",
        "Raises:",
        "E: it fails",
        "A comment goes on.",
        "`x` ends",
        "another",
    ]


def test_long_sentences_are_found() -> None:
    """The line is named; what follows the name of a list of tests does not count."""
    words = "word " * 26
    assert _long(f"x = 1\n# {words}") == [f"line 2: {words.strip()}"]
    assert _long(f'"""A case; siblings: {words}."""') == []
