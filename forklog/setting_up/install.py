"""`forklog.setup`: takes the application's options, puts one handler on the root logger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forklog.compat import refuse_unknown
from forklog.errors import Hidden, OptionError
from forklog.handler import CloudLoggingHandler
from forklog.handling.known_loggers import KEPT_OUT, attach, connect_celery, detach, keep_out
from forklog.handling.request_log import write_no_more
from forklog.option_checks import check_level
from forklog.options import Options
from forklog.setting_up.outputs import (
    OF_THE_HANDLER,
    check_output,
    is_printed,
    options_of_lines,
    unknown_of,
)
from forklog.setting_up.uncaught import log_uncaught
from forklog.structured import StructuredLogHandler


@dataclass(frozen=True)
class Setup:
    """What `forklog.setup` has done; ``str()`` of it is for people."""

    handler: logging.Handler
    """The handler on the root logger."""
    lines: tuple[str, ...]
    """What was done, a line for each thing."""
    given: Mapping[str, Any] = field(repr=False)
    """The arguments of the call."""

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def is_in_effect(self) -> bool:
        """Tell whether the root logger still has the handler."""
        return self.handler in logging.getLogger().handlers


_OWN = ("level", "output", "replace", "uncaught")
_last: list[Setup] = []  # at most one


def setup(
    *,
    level: int | str = "INFO",
    output: str = "auto",
    replace: bool = False,
    uncaught: bool = False,
    **options: Any,
) -> Setup:
    """Send what this process logs to Cloud Logging, by one handler on the root logger.

    Call it once, before the first record, and after the import of celery. It also adds the handler
    to the loggers of uvicorn, gunicorn, hypercorn, Django, aiohttp, RQ and celery that do not reach
    the root logger. It does so now, and as they are configured later (docs/setup.md). It keeps the
    loggers of Google's clients out, as the stock handler's ``setup_logging`` does. Does no network,
    starts no thread. Not for signal handlers.

    A second call with equal arguments returns the same result. After ``dictConfig`` has removed the
    handler, a call sets up anew.

    Args:
        level: of the root logger.
        output: ``api``; ``stdout``, lines of JSON for an agent; or ``auto``: stdout on Cloud Run,
            Cloud Functions and GKE, the API elsewhere (docs/setup.md has the exceptions).
        replace: whether the handlers that the root logger has are removed from it; else they stay.
        uncaught: whether exceptions that nothing catches are logged, of all threads.
        **options: those of `CloudLoggingHandler`.

    Returns:
        What was done: ``str()`` of it is for people, ``handler`` is the handler.

    Raises:
        OptionError: an option cannot work; an earlier call had other arguments; or the root logger
            has a handler of forklog already. With both, each record would be sent twice.
    """
    given = {"level": level, "output": output, "replace": replace, "uncaught": uncaught, **options}
    if _last and _last[0].is_in_effect():
        _check_equal(_last[0].given, given)
    else:
        _last[:] = [_set_up(given, options)]
    return _last[0]


def _set_up(given: Mapping[str, Any], options: Mapping[str, Any]) -> Setup:
    level, output, replace = given["level"], given["output"], given["replace"]
    number, root = check_level("level", level), logging.getLogger()
    check_output(output)
    _check_single(root, replace=replace)
    handler, where = _built(output, options)
    for before in _last:  # its handler was taken off the root logger alone
        detach(before.handler)
        write_no_more(before.handler)
    lines = _install(root, handler, number, where, replace=replace)
    if given["uncaught"]:
        lines.append(log_uncaught())
    return Setup(handler, tuple(lines), given)


def _built(output: str, options: Mapping[str, Any]) -> tuple[logging.Handler, str]:
    """Build the handler; return it with where it sends records, for people."""
    if not is_printed(output, options):
        handler = CloudLoggingHandler(**options)
        return handler, f"to log {handler.name}"
    if unknown_of(options):
        CloudLoggingHandler(**options)  # which refuses it by its name
    used, unused = options_of_lines(options)
    text = "to stdout as lines of JSON, which the platform's agent collects"
    more = f"; not used there: {', '.join(unused)}" if unused else ""
    return StructuredLogHandler(**used), text + more


def _install(
    root: logging.Logger, handler: logging.Handler, level: int, where: str, *, replace: bool
) -> list[str]:
    removed = list(root.handlers) if replace else []
    root.handlers[:] = [*(h for h in root.handlers if h not in removed), handler]
    root.setLevel(level)
    lines = [f"root logger: {logging.getLevelName(level)} and above {where}"]
    if removed:
        lines.append(f"removed from the root logger: {', '.join(map(repr, removed))}")
    attached = attach(handler)
    if attached:
        lines.append(f"also attached, since they do not reach it: {', '.join(attached)}")
    if connect_celery(handler, level):
        lines.append("celery: attached wherever a worker sets up logging")
    keep_out()
    lines.append(f"kept out: {', '.join(KEPT_OUT)}")
    return lines


def _check_single(root: logging.Logger, *, replace: bool) -> None:
    for handler in root.handlers:
        is_ours = isinstance(handler, (CloudLoggingHandler, StructuredLogHandler))
        if is_ours and not replace:
            rule = f"the root logger has a handler of forklog already: {handler!r}"
            raise OptionError("replace", replace, rule, "configure only once, or give replace=True")


def _meaning(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the arguments of a call mean: a level as its number, an option by default.

    Raises:
        OptionError: one is unknown, or has a value that cannot work.
    """
    unknown = {name: given[name] for name in unknown_of(given) if name not in _OWN}
    refuse_unknown(unknown, (*Options.__dataclass_fields__, *_OWN, *OF_THE_HANDLER))
    named = {name: item for name, item in given.items() if name in Options.__dataclass_fields__}
    if given.get("name") is not None:
        named["log_name"] = given["name"]
    options = Options(**named)
    meant = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    meant.update((name, given.get(name)) for name in (*_OWN, *OF_THE_HANDLER))
    return {**meant, "level": check_level("level", given["level"]), "name": None}


def _check_equal(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    earlier, meant = _meaning(before), _meaning(now)
    for name in sorted(meant):
        if earlier[name] is not meant[name] and earlier[name] != meant[name]:
            shown = now.get(name, meant[name])
            if name == "credentials":
                shown = Hidden(shown)
            rule = "differs from that of an earlier call of forklog.setup()"
            raise OptionError(name, shown, rule, "set up once, or with equal arguments")
