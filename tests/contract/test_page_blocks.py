"""The blocks of Python on the pages that have no test of their own: each runs as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import check_python
from pages import DOCS, blocks_of

_ELSEWHERE = {
    "index": "tests/frameworks/test_start.py",
    "migration": "tests/contract/test_migration.py",
    "process-models": "tests/fork/test_pools.py",  # the interpreters of Python 3.14
    "recipes": "tests/contract/test_recipes.py",
    "testing": "tests/unit/test_testing.py",
    "transports": "tests/contract/test_transports_page.py",
    **{f"frameworks/{path.stem}": "tests/frameworks/test_pages.py"
       for path in (DOCS / "frameworks").glob("*.md")},
}  # fmt: skip
"""By page: the test that runs its blocks."""
_AFTER = {
    "context": """
        assert app.user_middleware[0].cls.__name__ == "ASGIMiddleware"
        handle(7, ["a", "b"])
    """,
    "doctor": """
        answers = []
        body = doctor({}, lambda status, headers: answers.append(status))
        assert answers == ["200 OK"] or answers == ["500 Unhealthy"], answers
        assert b"doctor, process" in body[0]
    """,
    "setup": "assert str(done).startswith('root logger: INFO and above to log shop')",
    "spool": "assert logging.getLogger().handlers[0].describe().options.spool == 'auto'",
}
"""By page: what holds after its blocks; they are run one after another."""


def _pages() -> set[str]:
    return {
        path.relative_to(DOCS).with_suffix("").as_posix()
        for path in DOCS.rglob("*.md")
        if any(block.language == "python" for block in blocks_of(path))
    }


@pytest.mark.parametrize("name", sorted(_AFTER))
def test_the_blocks_of_a_page_run(name: str) -> None:
    """They run in a fresh interpreter, with records going to an endpoint that takes none."""
    for module in ("fastapi", "structlog") if name == "context" else ():
        pytest.importorskip(module, reason="the extra `test` has it")
    texts = [b.text for b in blocks_of(DOCS / f"{name}.md") if b.language == "python"]
    after = "\n".join(line.strip() for line in _AFTER[name].strip().splitlines())
    body = "\n".join(f"exec({json.dumps(text)}, names)" for text in [*texts, after])
    check_python(
        f"import forklog, logging\nnames = {{'forklog': forklog, 'logging': logging}}\n{body}\n"
        "for handler in logging.getLogger().handlers:\n    handler.close()\n",
        env={"LOGGING_EMULATOR_HOST": "127.0.0.1:1", "GOOGLE_CLOUD_PROJECT": "p"},
    )


def test_each_page_has_a_test() -> None:
    """A page with Python on it is run here, or by the test that is named."""
    assert _pages() == {*_AFTER, *(name for name in _ELSEWHERE if name != "frameworks/index")}
    root = DOCS.parent
    assert all(Path(root / path).exists() for path in _ELSEWHERE.values())


def test_what_setup_prints_is_on_its_page() -> None:
    """The output below the first block is that of the block, where no framework is imported."""
    page = (DOCS / "setup.md").read_text(encoding="utf-8")
    (block,) = (b.text for b in blocks_of(DOCS / "setup.md") if b.language == "python")
    shown = page.partition(f"{block}```\n\n```\n")[2].partition("```")[0]
    done = check_python(block, env={"LOGGING_EMULATOR_HOST": "127.0.0.1:1"})
    assert done.stdout == shown
