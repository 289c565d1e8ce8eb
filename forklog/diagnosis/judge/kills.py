"""Yields findings about kills that run no hook, and the spool that outlives them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from forklog.diagnosis.facts import Exits, Handler, Process, Routes, Spool
from forklog.diagnosis.finding import Finding, note, ok, problem
from forklog.process import server_hooks
from forklog.process.servers import uwsgi

_LOSES = "it loses what it logged within the last max_latency"
_REMEDY = 'set the option spool="auto"'
_WHERE = "see docs/spool.md for where it can be"
_NOT_YET = "no record yet"  # in stats().spool
_MOST_SHOWN = 3  # files


def judge_kills(process: Process, exits: Exits, routes: Routes) -> Iterator[Finding]:
    """Yield the findings about ends that run no hook, and the spool."""
    handlers = [h for h in routes.handlers if h.loggers]
    yield from _judge_off(handlers)
    without = [handler for handler in handlers if not handler.option("spool")]
    if handlers and not without:
        places = " and ".join(dict.fromkeys(str(h.option("spool")) for h in handlers))
        yield ok("spool", f"what a killed process has logged waits in the spool {places}")
        return
    server = server_hooks.ALL.get(process.role.server)
    if handlers and exits.without == ("every end",) and process.role.server != "uwsgi":
        yield problem(
            "no-exit-hook",
            f"no hook runs at any end of this process ({process.role.server}, "
            f"{process.role.name}): {_LOSES}",
            f"{_REMEDY}, or call flush() before the end",
        )
    elif "harakiri" in process.uwsgi_options:
        yield problem(
            "harakiri",
            "harakiri is set: a worker that it kills runs no exit hook, and loses what it logged "
            "within the last max_latency",
            f"{_REMEDY}, or accept it (--accept harakiri)",
        )
    elif process.time_limit:
        yield problem(
            "time-limit",
            f"{process.time_limit} is set: a child that it kills runs no exit hook, and loses "
            "what it logged within the last max_latency",
            f"{_REMEDY}, or accept it (--accept time-limit)",
        )
    elif process.role.name == uwsgi.SPOOLER:
        yield note(
            "spooler",
            "uWSGI ends spoolers by SIGKILL: what a job logged within the last max_latency is lost",
            f"{_REMEDY}, or log a last record of flush_level in each job",
        )
    elif handlers and server and server.KILLS and not process.role.is_loader:
        yield note("no-spool", f"{server.KILLS}: {_LOSES}", _REMEDY)


def _judge_off(handlers: list[Handler]) -> Iterator[Finding]:
    for handler in handlers:
        state, _, why = str(dict(handler.stats).get("spool", "")).partition(": ")
        if handler.option("spool") and state == "off" and why not in ("", _NOT_YET):
            yield problem("spool-off", f"the spool of handler {handler.name} is off: {why}", _WHERE)


def judge_spools(spools: Iterable[Spool]) -> Iterator[Finding]:
    """Yield the findings about the folders of spools, and what dead processes left there. Pure."""
    for spool in spools:
        if spool.unfit:
            yield problem("spool-off", f"no spool can be at {spool.path}: {spool.unfit}", _WHERE)
        if spool.waiting:
            number = (
                "1 dead process has"
                if spool.waiting == 1
                else f"{spool.waiting} dead processes have"
            )
            text = f"{number} left entries in the spool {spool.path}"
            yield ok("spool-waiting", f"{text}; the next process that logs with it sends them")
        if spool.kept:
            more = len(spool.kept) - _MOST_SHOWN
            shown = "; ".join(spool.kept[:_MOST_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            yield note(
                "spool-kept",
                f"the spool {spool.path} holds what no process like this one sends: {shown}",
                f"see: forklog recover --dry-run {spool.path}",
            )
