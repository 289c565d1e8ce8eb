"""Takes the tokens of a filter from `lex`, gives its tree to `match` and `narrow`. Pure.

NOT binds tightest, then OR, then AND, and AND may be left out:
https://cloud.google.com/logging/docs/view/logging-query-language#boolean-operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from forklog.emulator.filter.lex import FilterError, Kind, Token, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARACTERS: Final = 20_000  # the query language's own limit
MAX_DEPTH: Final = 50
MAX_COMPARISONS: Final = 500  # ours: SQLite takes a chain of 1,000 at most
PATTERN_OPERATORS: Final = ("=~", "!~")


class Comparison(NamedTuple):
    """A field against a value; with no path, the value is looked for anywhere in the entry.

    `position` is where the field stands in the filter, `value_position` where the value does.
    With a call, what the function returns is compared, and the path is empty.
    """

    path: tuple[str, ...]
    operator: str
    value: str
    is_quoted: bool
    position: int
    value_position: int
    call: Call | None = None


class Argument(NamedTuple):
    """What stands between the parentheses of a function: a field, a literal or another call.

    `pattern` is a quoted text as a regular expression.
    """

    parts: tuple[str, ...]
    is_quoted: bool
    pattern: str
    position: int
    call: Call | None = None

    @property
    def text(self) -> str:
        """Return the argument as a literal."""
        return ".".join(self.parts)


class Call(NamedTuple):
    """A function of the language, its name in lower case, with its arguments."""

    name: str
    arguments: tuple[Argument, ...]
    position: int


class Not(NamedTuple):
    """True where its part is not."""

    part: Node


class All(NamedTuple):
    """True where all of its parts are; with none, everywhere."""

    parts: tuple[Node, ...]


class Some(NamedTuple):
    """True where one of its parts is."""

    parts: tuple[Node, ...]


Node: TypeAlias = Comparison | Call | Not | All | Some


def parse(source: str) -> Node:
    """Return the tree of a filter; FilterError if it is not in the language."""
    if len(source) > MAX_CHARACTERS:
        msg = f"the filter has {len(source)} characters, the limit is {MAX_CHARACTERS}"
        raise FilterError(msg, MAX_CHARACTERS)
    return _Parser(list(tokens(source))).whole()


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._next = 0
        self._depth = 0
        self._comparisons = 0

    def whole(self) -> Node:
        if self._at(Kind.END):
            return All(())
        tree = self._expression(self._term)
        if not self._at(Kind.END):
            raise self._unexpected()
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _at(self, *kinds: Kind) -> bool:
        return self._token.kind in kinds

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _unexpected(self) -> FilterError:
        token = self._token
        shown = "end of the filter" if token.kind is Kind.END else repr(token.text)
        return FilterError(f"unexpected {shown}", token.position)

    def _is_word(self, word: str) -> bool:
        return self._at(Kind.TEXT) and self._token.text == word

    def _expression(self, leaf: Callable[[], Node]) -> Node:
        parts = [self._alternatives(leaf)]
        while not self._at(Kind.END, Kind.CLOSE):
            if self._is_word("AND"):
                self._take()
            parts.append(self._alternatives(leaf))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _alternatives(self, leaf: Callable[[], Node]) -> Node:
        parts = [self._negated(leaf)]
        while self._is_word("OR"):
            self._take()
            parts.append(self._negated(leaf))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _negated(self, leaf: Callable[[], Node]) -> Node:
        is_negative = False
        while self._is_word("NOT") or self._at(Kind.MINUS):
            self._take()
            is_negative = not is_negative
        part = self._parenthesised(leaf) if self._at(Kind.OPEN) else self._counted(leaf)
        return Not(part) if is_negative else part

    def _counted(self, leaf: Callable[[], Node]) -> Node:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            msg = f"more than {MAX_COMPARISONS} comparisons"
            raise FilterError(msg, self._token.position)
        return leaf()

    def _parenthesised(self, leaf: Callable[[], Node]) -> Node:
        self._deeper(self._take())
        tree = self._expression(leaf)
        if not self._at(Kind.CLOSE):
            raise self._unexpected()
        self._take()
        self._depth -= 1
        return tree

    def _deeper(self, opening: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            msg = f"more than {MAX_DEPTH} levels of parentheses"
            raise FilterError(msg, opening.position)

    def _term(self) -> Node:
        start = self._token
        path, is_quoted = self._path()
        if self._at(Kind.OPERATOR):
            return self._comparison(tuple(path), start.position)
        if self._at(Kind.OPEN) and self._token.glued and not is_quoted:
            call = self._call(".".join(path), start.position)
            return self._comparison((), call.position, call) if self._at(Kind.OPERATOR) else call
        at = start.position
        return Comparison((), ":", ".".join(path), is_quoted, at, at)

    def _comparison(self, path: tuple[str, ...], position: int, call: Call | None = None) -> Node:
        operator = self._take().text

        def value() -> Node:
            at, pattern = self._token.position, self._token.pattern
            text, is_quoted = self._value()
            text = pattern if is_quoted and operator in PATTERN_OPERATORS else text
            return Comparison(path, operator, text, is_quoted, position, at, call)

        return self._parenthesised(value) if self._at(Kind.OPEN) else value()

    def _value(self) -> tuple[str, bool]:
        sign = ""
        if self._at(Kind.MINUS):
            sign = self._take().text
        parts, is_quoted = self._path()
        return sign + ".".join(parts), is_quoted and not sign

    def _call(self, name: str, position: int) -> Call:
        opening = self._take()
        self._deeper(opening)
        arguments = [self._argument()]
        while self._at(Kind.COMMA):
            self._take()
            arguments.append(self._argument())
        if not self._at(Kind.CLOSE):
            raise self._unexpected()
        self._take()
        self._depth -= 1
        return Call(name.lower(), tuple(arguments), position)

    def _argument(self) -> Argument:
        start = self._token
        parts, is_quoted = self._path()
        call = None
        if self._at(Kind.OPEN) and self._token.glued and not is_quoted:
            call = self._call(".".join(parts), start.position)
        return Argument(tuple(parts), is_quoted, start.pattern, start.position, call)

    def _path(self) -> tuple[list[str], bool]:
        """Take text, quoted text, and what is joined to it by dots."""
        first = self._segment()
        parts = [first.text]
        while self._at(Kind.DOT) and self._token.glued:
            self._take()
            parts.append(self._segment().text)
        return parts, first.kind is Kind.QUOTED and len(parts) == 1

    def _segment(self) -> Token:
        is_operator_word = self._token.text in ("AND", "OR", "NOT")
        if self._at(Kind.QUOTED):
            return self._take()
        if not self._at(Kind.TEXT) or is_operator_word:
            raise self._unexpected()
        return self._take()
