"""Yields findings about the handlers and which records reach them, from the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from forklog.diagnosis.facts import Handler, Neighbour, Process, Routes
from forklog.diagnosis.finding import Finding, note, ok, problem
from forklog.drops import remedy_of

_SHOWN = 5


def judge_routes(process: Process, routes: Routes) -> Iterator[Finding]:
    """Yield the findings about the loggers and handlers of a process."""
    if routes.config_error:
        yield problem(
            "config",
            f"the configuration cannot be applied: {routes.config_error}",
            "fix it; the application does not start with it either",
        )
    elif routes.is_printed_alone:
        yield _printed_alone(process, routes)
    elif not routes.handlers:
        yield _none_attached(process, routes)
    behind = any(n.has_ours_behind for n in routes.neighbours)
    for handler in routes.handlers:
        yield from _judge_handler(handler, is_behind=behind)
    for neighbour in routes.neighbours:
        yield from _judge_neighbour(process, routes, neighbour)
    if routes.doubled:
        yield problem(
            "doubled",
            f"records of {_some(routes.doubled)} reach the same log twice: a handler sits on the "
            "logger and again on one above it",
            "set propagate to False on the logger, or remove one of the handlers",
        )
    yield from _judge_levels(routes)


def _printed_alone(process: Process, routes: Routes) -> Finding:
    names = tuple(name for n in routes.neighbours if n.effect == "agent" for name in n.loggers)
    text = f"records of {_some(names)} are printed for the platform's agent, which sends them"
    if process.platform:
        return ok("printed", text)
    return note(
        "printed",
        f"{text}; no sign of a platform is seen here",
        "Cloud Run, GKE and Functions have such an agent; elsewhere use CloudLoggingHandler",
    )


def _none_attached(process: Process, routes: Routes) -> Finding:
    if routes.has_config:
        return problem(
            "no-handler",
            "the configuration has no handler of forklog: nothing that the application logs is "
            "sent",
            'add one with "class": "forklog.CloudLoggingHandler", and name it in the root logger',
        )
    if process.is_command:
        return note(
            "no-config",
            "no logging configuration was given, so the defaults are examined",
            "give the application's: --config mysite.settings:LOGGING",
        )
    return problem(
        "no-handler",
        "no logger of this process has a handler of forklog: nothing that it logs is sent",
        'configure logging first, with "class": "forklog.CloudLoggingHandler"',
    )


def _judge_handler(handler: Handler, *, is_behind: bool) -> Iterator[Finding]:
    name = handler.name
    if not handler.loggers and not is_behind:
        yield problem(
            "unattached", f"handler {name} is attached to no logger and gets no record",
            "add it to the root logger's handlers",
        )  # fmt: skip
    if handler.state == "closed":
        yield note("closed", f"handler {name} is closed; the next record starts it again")
    if not handler.is_thread_alive:
        yield problem(
            "thread-dead", f"the flush thread of handler {name} is gone",
            "see stderr for what ended it, and report it as a bug of forklog",
        )  # fmt: skip
    if handler.level not in ("NOTSET", "DEBUG", "INFO"):
        yield note(
            "handler-level", f"handler {name} takes only records of {handler.level} and above"
        )
    yield from _judge_options(handler)
    yield from _judge_stats(handler)
    if handler.state in ("running", "inline", "holding") and handler.is_thread_alive:
        yield ok("handler", f"handler {name} is {_STATES[handler.state]}")


_STATES = {
    "running": "running",
    "inline": "sending from the logging threads",
    "holding": "holding its records for the workers to come",
}


def _judge_options(handler: Handler) -> Iterator[Finding]:
    buffer, batch = int(handler.option("max_buffer_bytes")), int(handler.option("max_batch_bytes"))
    if buffer < batch:
        yield problem(
            "small-buffer",
            f"max_buffer_bytes ({buffer}) is below max_batch_bytes ({batch}): records are dropped "
            "while one batch is under way",
            "raise max_buffer_bytes, best to some batches (the default is 33554432)",
        )
    if handler.option("last_resort") == "none":
        yield problem(
            "no-last-resort",
            "last_resort is none: what cannot be delivered before the process ends is lost",
            'leave last_resort at "stderr", or give the path of a file',
        )
    if not float(handler.option("shutdown_timeout")):
        yield problem(
            "no-shutdown-time",
            "shutdown_timeout is 0: at the end of a process nothing is delivered any more",
            "give it some seconds (the default is 5)",
        )


def _judge_stats(handler: Handler) -> Iterator[Finding]:
    stats = dict(handler.stats)
    for key, number in stats.items():
        if key.startswith("dropped.") and number:
            reason = key.removeprefix("dropped.")
            yield problem(
                f"dropped-{reason.replace('_', '-')}",
                f"handler {handler.name} has dropped {number} entries in this process ({reason})",
                remedy_of(reason),
            )
    pending, retries = int(stats.get("pending", 0)), int(stats.get("retries", 0))
    if pending and retries and handler.state == "running":
        yield note(
            "retrying",
            f"handler {handler.name} has {pending} entries pending and has repeated {retries} "
            "requests",
            "see the dry run, and forklog's lines on stderr",
        )


def _judge_neighbour(process: Process, routes: Routes, other: Neighbour) -> Iterator[Finding]:
    where = _some(other.loggers)
    if other.has_ours_behind:
        yield problem(
            "queue-in-front" if other.effect == "queue" else "held-in-front",
            f"{other.kind} on {where} stands in front of forklog: "
            + (
                "its thread does not exist in forked processes, so their records are lost, and "
                "records in a request have neither its trace nor bound fields"
                if other.effect == "queue"
                else "what it holds back is lost where a process ends without logging.shutdown, "
                "and arrives without trace and bound fields of its request"
            ),
            "attach forklog's handler to the logger itself; it has a queue and a thread of its own",
        )
    elif other.effect == "queue" and routes.handlers:
        yield note(
            "queue",
            f"{other.kind} on {where}: if its listener has a handler of forklog, records of forked "
            "processes are lost, or doubled",
        )
    elif other.effect == "ships":
        yield problem(
            "second-shipper",
            f"{other.kind} on {where} sends to Cloud Logging too: records come twice, and it "
            "loses them, or hangs, in forked processes",
            "remove it",
        )
    elif other.effect in ("printed", "agent") and process.platform and routes.handlers:
        yield note(
            "printed-too",
            f"{other.kind} on {where} prints records, and {process.platform} collects what is "
            "printed: they may come twice",
            "remove it, or have it print only what forklog does not ship",
        )


def _judge_levels(routes: Routes) -> Iterator[Finding]:
    if routes.disabled_below:
        yield note(
            "logging-disabled", f"logging.disable({routes.disabled_below}) is in force",
            "records up to that level are not made at all",
        )  # fmt: skip
    if routes.root_level not in ("NOTSET", "DEBUG", "INFO") and (
        any("root" in handler.loggers for handler in routes.handlers)
        or any("root" in n.loggers for n in routes.neighbours if n.effect == "agent")
    ):
        yield note(
            "root-level",
            f"the root logger's level is {routes.root_level}: records below it are not made, but "
            "for loggers with a level of their own",
            'set "root": {"level": "INFO", ...} if they are wanted',
        )
    if routes.disabled:
        yield note(
            "disabled-loggers",
            f"loggers are disabled, their records go nowhere: {_some(routes.disabled)}",
            'set "disable_existing_loggers": False',
        )
    if routes.disables_existing:
        yield note(
            "disables-existing",
            "the configuration disables every logger that exists when it is applied, but those "
            "that it names: their records go nowhere",
            'set "disable_existing_loggers": False',
        )
    if routes.unreached:
        yield note(
            "unreached",
            f"records of these loggers reach no handler of forklog: {_some(routes.unreached)}",
            "let them propagate, or give them the handler too",
        )


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
