"""Takes a page in Markdown or a module, gives its sentences to the tests of style."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator

MAX_WORDS = 25
CODE_AND_COMMENTS = re.compile(
    r"^ *```.*?^ *```|<!-- .*? -->|^---\n.*?^---\n", re.MULTILINE | re.DOTALL
)
LIST_MARK = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
# A sentence that ends within a line, and one that ends with it.
SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\.\.)[.!?][)\"*]? (?=[A-Z`(\[\"*])")
_ENDS = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\.\.)[.!?][)\"*]*$")
_BLOCK_BEGINS = re.compile(r"^\s*(?:(?:[-*]|\d+\.)\s|#|\||$)")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])")
# In a docstring: a table, and the sections of which each line is an item.
_TABLE = re.compile(r"^=+ +=.*\n(?:.+\n?)*", re.MULTILINE)
_SECTION = re.compile(r"^(?:Args|Attributes|Raises|Returns|Yields):$")
_ITEM_INDENT = 4


def plain(text: str) -> str:
    """Return a text in which a code span is one word, and a link is its text."""
    text = re.sub(r"`[^`\n]+(?:\n[^`\n]+)?`", "`x`", CODE_AND_COMMENTS.sub("\n", text))
    return _LINK.sub(r"\1", text)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences outside of tables and code; a heading, or an item without a stop, too."""
    words: list[str] = []
    for line in [*plain(text).splitlines(), ""]:
        if words and (_BLOCK_BEGINS.match(line) or _ENDS.search(words[-1])):
            yield " ".join(words)
            words = []
        if not line.lstrip().startswith("|"):
            words += LIST_MARK.sub("", line).split()


def sentences_of_module(source: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of docstrings and comments, each with the line at which its text begins.

    Here a sentence may end within a line. An item of a docstring's section is a text of its own.
    """
    for line, text in [*_docstrings(source), *_comments(source)]:
        for sentence in sentences(SENTENCE_END.sub(lambda end: f"{end.group().rstrip()}\n", text)):
            yield line, sentence


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        # A bare string is prose: the docstring of a module, class, function or attribute.
        value = getattr(node.value, "value", None) if isinstance(node, ast.Expr) else None
        if isinstance(value, str):
            yield node.lineno, _items_marked(inspect.cleandoc(value))


def _items_marked(docstring: str) -> str:
    """Return a docstring without code and tables, and with a mark before each item of a section."""
    lines, in_section = [], False
    for line in _TABLE.sub("\n", docstring).splitlines():
        if line and not line.startswith(" "):
            in_section = bool(_SECTION.match(line))
        indent = len(line) - len(line.lstrip())
        if in_section and indent == _ITEM_INDENT:
            lines.append(f"- {line.lstrip()}")
        elif in_section or indent < _ITEM_INDENT:
            lines.append(line)
    return "\n".join(lines)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments; those on lines below each other, at the same column, are one text."""
    begin = last = column = -1
    lines: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, at = token.start
            if lines and (row, at) != (last + 1, column):
                yield begin, "\n".join(lines)
                lines = []
            if not lines:
                begin = row
            last, column = row, at
            lines.append(re.sub(r"^#:? ?|\s*#? ?\b(?:noqa|type: ignore)\b.*", "", token.string))
    if lines:
        yield begin, "\n".join(lines)
