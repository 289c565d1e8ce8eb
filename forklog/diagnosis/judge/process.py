"""Yields findings about a process and the exits it can have, from the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from forklog.diagnosis.facts import Exits, Process
from forklog.diagnosis.finding import Finding, note, ok, problem


def judge_process(process: Process, exits: Exits) -> Iterator[Finding]:
    """Yield the findings about a process and its exits."""
    if not process.has_threads:
        yield problem(
            "threads-off",
            "Python threads do not run in this uWSGI server: records are sent by the logging "
            "threads, and between requests they wait",
            "set enable-threads = true",
        )
    if not process.has_wipe:
        yield note(
            "no-wipe",
            "the kernel does not wipe pages in forked children (MADV_WIPEONFORK), so each record "
            "compares PIDs",
            "nothing to do; a child that gets an ancestor's PID again is noticed only where the "
            "at-fork hooks of Python run",
        )
    if process.role.server == "uwsgi":
        yield from _judge_uwsgi(process)
    if not process.is_command:
        yield from _judge_exits(process, exits)


def _judge_uwsgi(process: Process) -> Iterator[Finding]:
    if not process.has_own_fork_hook:
        yield problem(
            "fork-hook-overwritten",
            "uwsgi.post_fork_hook was overwritten after forklog had set it (uwsgidecorators does "
            "so): the held entries wait until a worker logs, and are lost if none does",
            "import uwsgidecorators before logging is configured, or call the earlier hook from "
            "the later one",
        )
    if process.role.is_loader and not process.has_fork_hooks and process.other_threads:
        yield problem(
            "threads-before-fork",
            f"threads live in the process that uWSGI forks: {', '.join(process.other_threads)}; "
            "workers forked while one runs may hang for ever",
            "start them after the fork (uwsgi.post_fork_hook), or set "
            "py-call-uwsgi-fork-hooks = true or lazy-apps = true",
        )
    yield from _judge_uwsgi_options(process)


def _judge_uwsgi_options(process: Process) -> Iterator[Finding]:
    options = process.uwsgi_options
    if "skip-atexit" in options:
        yield problem(
            "skip-atexit",
            "skip-atexit is set: no worker runs any exit hook, so what is pending at its end is "
            "lost",
            "remove skip-atexit",
        )
    if "skip-atexit-teardown" in options:
        yield _teardown(process)
    if "async" in options and "gevent" not in options:
        yield problem(
            "async",
            "async is set: uWSGI runs no exit hook in this mode, so what is pending at a worker's "
            "end is lost",
            "use threads or gevent instead of async",
        )


def _teardown(process: Process) -> Finding:
    if process.has_own_atexit:
        return note(
            "skip-atexit-teardown",
            "skip-atexit-teardown is set: of the exit hooks only uwsgi.atexit runs, where forklog "
            "is hooked in",
            "nothing to do for forklog; other libraries' atexit callbacks do not run",
        )
    return problem(
        "skip-atexit-teardown",
        "skip-atexit-teardown is set, so that only uwsgi.atexit runs at the end, and forklog is "
        "not hooked in there",
        "remove skip-atexit-teardown, or log once before the end",
    )


def _judge_exits(process: Process, exits: Exits) -> Iterator[Finding]:
    firing = [hook for hook in exits.hooks if hook.fires]
    hooked = [hook for hook in firing if hook.is_hooked]
    was_hooked = any(hook.is_hooked for hook in exits.hooks)
    names = " and ".join(hook.name for hook in hooked)
    if hooked:
        yield ok("exit", f"what is pending at the end is delivered from {names}")
    elif was_hooked and firing:
        yield problem(
            "exit-hook-overwritten",
            f"{firing[0].name} is the hook that runs at the end of this process, and it is not "
            "forklog's any more",
            "have what was set there later call the earlier hook",
        )
    elif firing:
        yield ok("exit", f"{firing[0].name} runs at the end; the first record hooks forklog in")
    elif process.role.is_loader and exits.without == ("every end",):
        yield ok("exit", "no hook runs at the end of the master; its workers deliver its records")
    if _is_hook_taken(process, was_hooked=was_hooked) and hooked:
        yield problem(
            "atexit-overwritten",
            "uwsgi.atexit was overwritten after forklog had set it: under gevent and with "
            "skip-atexit-teardown nothing else runs at the end",
            "have what was set there later call the earlier hook",
        )
    if process.dies_of_term and process.role.server in ("plain", "fork"):
        yield note(
            "sigterm",
            "SIGTERM ends this process without any exit hook: what was logged within the last "
            "max_latency is lost (docker stop, kill, systemctl stop)",
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
        )


def _is_hook_taken(process: Process, *, was_hooked: bool) -> bool:
    return process.role.server == "uwsgi" and was_hooked and not process.has_own_atexit
