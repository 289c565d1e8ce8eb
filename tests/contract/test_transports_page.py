"""docs/transports.md: a wire of one's own, as the page has it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import python_path

from forklog.transports import base

if TYPE_CHECKING:
    import pytest

_PAGE = (Path(__file__).parents[2] / "docs" / "transports.md").read_text(encoding="utf-8")
_EXAMPLES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", _PAGE, re.DOTALL))


def _firsts(head: str) -> list[str]:
    """Return the first cells of the table whose head begins so."""
    table = _PAGE.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_every_code_block_has_a_file_name() -> None:
    """No example of the page can escape the test below."""
    assert len(_EXAMPLES) == _PAGE.count("```") / 2 == 2


def test_the_documented_wire_delivers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both examples, as they stand there, are a suite that passes."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    for name, text in _EXAMPLES.items():
        (pytester.path / name).write_text(text)
    quiet = ("-q", "-p", "no:cacheprovider", "-W", "error")
    pytester.runpytest_subprocess(*quiet, timeout=60).assert_outcomes(passed=1)


def test_the_tables_have_all_public_names() -> None:
    """Names, kinds and fields of the page are those of the code, in its order."""
    names = re.findall(r"`(\w+)`", " ".join(_firsts("name")))
    assert sorted(names) == base.__all__
    assert _firsts("`Kind`") == [f"`{kind.name}`" for kind in base.Kind]
    fields = dataclasses.fields(base.Verdict)
    assert _firsts("field of `Verdict`") == [f"`{field.name}`" for field in fields]
