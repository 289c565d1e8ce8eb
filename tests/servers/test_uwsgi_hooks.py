"""uWSGI's hooks are attributes that anybody may set: ours and those of others all run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Site

WORKERS = 2
FAR_AWAY = "60"
"""A max_latency that outlives every test: what is pending can only be delivered by an exit hook."""


def _start(site: Site, order: str, lines: str = "", loads: int = 1) -> None:
    site.environ["EXAMPLE_MAX_LATENCY"] = FAR_AWAY
    site.environ["HOOKS"] = order
    site.environ["HOOKS_SEEN"] = str(site.folder / "seen")
    site.start_uwsgi(WORKERS, f"master = true\nmodule = uwsgi_hooks\n{lines}", loads)


def _calls(site: Site, name: str) -> int:
    return (site.folder / "seen").read_text().split().count(name)


def test_hooks_set_before_ours_are_kept(site: Site) -> None:
    """They run after ours, as do those of uwsgidecorators imported later; all is delivered."""
    _start(site, "before")
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.end_uwsgi()
    assert (_calls(site, "decorated"), _calls(site, "left")) == (WORKERS, WORKERS)
    site.check_every_record_once()


def test_hooks_that_overwrite_ours(site: Site) -> None:
    """A worker's first record adopts then; uwsgi.atexit alone delivers, with what it logs."""
    _start(site, "after", "skip-atexit-teardown = true\n")
    assert len(site.pending()) == 4, "no hook of ours was called"
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.end_uwsgi()
    assert (_calls(site, "forked"), _calls(site, "left")) == (WORKERS, WORKERS)
    site.check_every_record_once()


@pytest.mark.parametrize("order", ["before", "after"])
def test_hooks_under_lazy_apps(site: Site, order: str) -> None:
    """Our uwsgi.atexit is put back over one that is set after a worker has logged."""
    _start(site, order, "lazy-apps = true\nskip-atexit-teardown = true\n", WORKERS)
    site.ask_until(lambda pids: len(pids) == WORKERS, "records=4")  # an ERROR, sent at once
    site.check_every_record_once(WORKERS)
    site.ask_until(lambda pids: len(pids) == WORKERS)
    site.ask_until(lambda _: bool(site.pending()))
    site.end_uwsgi()
    assert _calls(site, "left") == WORKERS
    site.check_every_record_once(WORKERS)
