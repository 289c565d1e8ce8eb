"""docs/glossary.md: few words, each defined once, each at home in a file that uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = (_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
_TERMS = dict(re.findall(r"^### (.+)\n\n((?:.+\n)+)", _PAGE, re.MULTILINE))


def test_there_are_few_terms_in_order() -> None:
    """At most 25 terms, sorted, none of them twice."""
    headings = re.findall(r"^### (.+)$", _PAGE, re.MULTILINE)
    assert headings == sorted(set(headings), key=str.lower)
    assert headings == list(_TERMS)
    assert len(headings) <= 25


@pytest.mark.parametrize("term", _TERMS)
def test_a_term_has_a_short_definition_and_a_home(term: str) -> None:
    """One or two sentences, a line each, and a file in which the word stands.

    A further sentence explains the word in bold type, which stands in the same file.
    """
    *sentences, home = _TERMS[term].splitlines()
    belonging = [line for line in sentences if "**" in line]
    assert 1 <= len(sentences) - len(belonging) <= 2
    assert all(line.endswith(".") for line in sentences)
    path = re.fullmatch(r"See `(forklog/[\w/]+\.py)`\.", home)
    assert path, home
    text = (_ROOT / path[1]).read_text(encoding="utf-8").lower()
    for word in (term, *re.findall(r"\*\*(.+?)\*\*", " ".join(belonging))):
        words = word.lower().removeprefix("ownership ").replace(" ", r"[ _]?")
        assert re.search(rf"(\b|_){words}", text), f"{path[1]} does not say {word!r}"
