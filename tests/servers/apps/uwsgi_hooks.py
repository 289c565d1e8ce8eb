"""The example application beside code that sets uWSGI's hooks, before or after forklog does.

HOOKS is `before` or `after`; HOOKS_SEEN a file that gets a line for each call of a hook.
"""

from __future__ import annotations

import os
from pathlib import Path

import uwsgi


def note(name: str) -> None:
    """Write down that a hook was called."""
    with Path(os.environ["HOOKS_SEEN"]).open("a") as seen:
        seen.write(f"{os.getpid()} {name}\n")


def forked() -> None:
    """Be a post_fork_hook."""
    note("forked")


def left() -> None:
    """Be an atexit hook, which logs."""
    note("left")
    app.log_records(1, "leaving")


if os.environ["HOOKS"] == "before":
    uwsgi.post_fork_hook, uwsgi.atexit = forked, left

import app  # noqa: E402 - the order is the point

application = app.application

if os.environ["HOOKS"] == "before":
    import uwsgidecorators

    uwsgidecorators.postfork(lambda: note("decorated"))
else:
    uwsgi.post_fork_hook, uwsgi.atexit = forked, left
