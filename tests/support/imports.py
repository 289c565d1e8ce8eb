"""The modules of the package, and which of them a file imports, for the tests of the map."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "forklog"


def modules() -> dict[str, Path]:
    """Return the modules of the package, by their names below it."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without the blocks that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not is_for_types:
            yield node
            yield from run_nodes(node)


def imported(nodes: Iterable[ast.AST], known: Iterable[str]) -> Iterator[str]:
    """Yield the modules of forklog that nodes import, by each form of the statement.

    Args:
        nodes: what `ast.walk` or `run_nodes` finds in a file.
        known: the names of the modules below the package.

    Raises:
        KeyError: what is imported is no module.
        ValueError: the import is relative.
    """
    names = {re.sub(r"(^|\.)__init__$", "", name): name for name in known}
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"write the whole name in place of: {ast.unparse(node)}")
            wholes = [f"{node.module}.{one.name}" for one in node.names]
            found = [one if _below(one) in names else str(node.module) for one in wholes]
        else:
            continue
        yield from (names[_below(one)] for one in found if one.partition(".")[0] == "forklog")


def _below(name: str) -> str:
    return name.partition(".")[2]
