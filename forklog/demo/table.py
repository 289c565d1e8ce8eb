"""Takes rows from `command`, prints them as a table, with what its columns mean and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forklog.demo.row import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forklog.demo.row import Row
    from forklog.terminal.plain import Screen

COLUMNS = {
    "uWSGI mode": "how the server makes its four workers (examples/uwsgi/)",
    "handler": "stock is Google's CloudLoggingHandler",
    "answered": "requests that were answered, of those sent",
    "hung": "workers that never answered a request",
    "logged": "records that the application wrote down as logged",
    "delivered": "those of them that the local Cloud Logging stored",
    "lost": "those of them that it never got",
    "twice": "those that it got more than once",
    "boot": "delivered, of those logged while the application was imported",
}
_WORDS = 2  # columns at the left


def explain(screen: Screen) -> None:
    """Say what runs, and what each column counts."""
    screen.line(("Each handler serves the same application under real uWSGI servers.", ""))
    width = max(map(len, COLUMNS))
    for name, meaning in COLUMNS.items():
        screen.line((f"  {name:<{width}}  ", "bold"), (meaning, ""))
    screen.line()


def show(screen: Screen, rows: Sequence[Row]) -> None:
    """Show the table, below it a line for each row that is not perfect, and the verdict."""
    styles = ["red" if row.faults() else "green" for row in rows]
    screen.table(tuple(COLUMNS), [_cells(row) for row in rows], styles, _WORDS)
    screen.line()
    for row in rows:
        if faults := row.faults():
            screen.line((f"{row.mode}, {row.handler}: {'; '.join(faults)}", ""))
        if row.resent:
            again = f"{counted(row.resent, 'record')} sent again after a kill, and shown once"
            screen.line((f"{row.mode}, {row.handler}: {again}", ""))
    if any(row.faults() or row.resent for row in rows):
        screen.line()
    screen.line((verdict(rows), "bold"))


def verdict(rows: Sequence[Row]) -> str:
    """Return what the rows come to, in one sentence; those with killed workers have their own."""
    killed = [row for row in rows if row.killed or row.wanted]
    calm = [row for row in rows if row not in killed]
    sentences = [_sentence(calm)] if calm else []
    if killed:
        least, most = (pick(row.killed for row in killed) for pick in (min, max))
        number = f"{least}" if least == most else f"{least} to {most}"
        sentences.append(f"With {number} workers killed while they log, {_sentence(killed)}")
    return " ".join(sentences)


def _sentence(rows: Sequence[Row]) -> str:
    return f"{', and '.join(_verdict_on(name, rows) for name in _handlers(rows))}."


def _verdict_on(handler: str, rows: Sequence[Row]) -> str:
    own = [row for row in rows if row.handler == handler]
    if not any(row.faults() for row in own):
        return (
            f"{handler} delivered all {sum(row.tally.logged for row in own):,} records, each once"
        )
    lost, again = (sum(getattr(row.tally, n) for row in own) for n in ("lost", "duplicated"))
    hung, logged = sum(row.hung for row in own), sum(row.tally.logged for row in own)
    found = {
        f"lost {lost:,} of {logged:,} records": lost,
        f"delivered {counted(again, 'record')} more than once": again,
        f"hung {counted(hung, 'worker')}": hung,
    }
    words = " and ".join(text for text, number in found.items() if number) or "failed"
    bad = sum(bool(row.faults()) for row in own)
    where = f" in {bad} of {len(own)} modes" if len(own) > 1 else ""
    return f"{handler} {words}{where}"


def _handlers(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.handler for row in rows))


def one_line(row: Row) -> str:
    """Return one row as a sentence, for a terminal that shows no live line."""
    tally = row.tally
    return (
        f"{row.mode}, {row.handler}: {tally.delivered} of {tally.logged} records delivered, "
        f"{row.hung} workers hung"
    )


def _cells(row: Row) -> tuple[str, ...]:
    tally, answers = row.tally, row.answers
    numbers = (row.hung, tally.logged, tally.delivered, tally.lost, tally.duplicated)
    return (
        row.mode,
        row.handler,
        f"{answers.answered}/{answers.requests}",
        *map(str, numbers),
        f"{tally.boot_delivered}/{tally.boot_logged}",
    )
