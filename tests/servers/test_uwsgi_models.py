"""uWSGI's options that change how processes and threads come to be, each in a real server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cases import few
from helpers import wait_until

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 2
FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""

MASTER = "master = true\nmodule = app\n"
HOOKED = {
    "threads": "threads = 3\n",
    "threads no-master": "threads = 3\n",
    "lazy": "lazy = true\n",
    "osafterfork": "py-call-osafterfork = true\n",
    "enable-threads=false": "enable-threads = false\n",
    "skip-atexit-teardown": "skip-atexit-teardown = true\n",
    "gevent": "gevent = 20\n",
    "gevent patched": "gevent = 20\ngevent-monkey-patch = true\n",
    "gevent patched early": "gevent = 20\ngevent-early-monkey-patch = true\n",
    "hooks and threads": "py-call-uwsgi-fork-hooks = true\nthreads = 2\n",
}
UNHOOKED = {
    "ugreen": "async = 8\nugreen = true\n",
    "skip-atexit": "skip-atexit = true\n",
}


@pytest.mark.parametrize(
    "name", few(HOOKED, "threads", "lazy", "skip-atexit-teardown", "gevent patched early")
)
def test_all_is_delivered_up_to_the_last_record(site: Site, name: str) -> None:
    """Held entries come without a request, those pending at SIGTERM by the exit; each once."""
    if name == "osafterfork" and sys.version_info >= (3, 13):
        pytest.skip("uWSGI 2.0.30 itself aborts each worker there, without forklog as well")
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    master = "module = app\n" if "no-master" in name else MASTER
    loads = WORKERS if name == "lazy" else 1
    site.start_uwsgi(WORKERS, master + HOOKED[name], loads)
    site.check_every_record_once(loads)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.ask_until(lambda _: bool(site.pending()))
    site.end_uwsgi()
    site.check_every_record_once(loads)


@pytest.mark.parametrize("name", UNHOOKED)
def test_where_no_exit_hook_runs_the_thread_delivers(site: Site, name: str) -> None:
    """Records arrive within max_latency while their worker is idle; nothing hangs at the end."""
    site.start_uwsgi(WORKERS, MASTER + UNHOOKED[name])
    site.ask_until(lambda pids: len(pids) == WORKERS)
    wait_until(lambda: not site.pending(), 20, "all records")
    site.end_uwsgi()
    site.check_every_record_once()
