"""A fork copies green threads: the flush thread of gevent and eventlet must end in the child."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Forks

PATCHES = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("library", PATCHES)
def test_forks_while_a_request_is_under_way(forks: Forks, library: str) -> None:
    """The child's copy of the flush greenlet neither sends the parent's batch nor takes its answer.

    Five children are forked while the parent waits for each of its answers. All deliver their own
    records, and the parent keeps its connection and its batch.

    Class of fault: a fork copies a green thread, which goes on with its parent's work in the child;
    siblings: gevent, a parameter of this test.
    """
    if find_spec(library) is None:  # not importorskip: eventlet's hook warns of each later fork
        pytest.skip(f"{library} is not installed")
    forks.emulator.fault("delay", seconds=0.3, on="write")
    forks.run(
        f"""
        import warnings
        warnings.simplefilter("ignore")  # eventlet is deprecated; forks beside other threads
        {PATCHES[library]}
        import os, time
        from stage import DONE, handler, log, reap, until

        def child():
            log()
            time.sleep(0.5)  # what it has inherited would run now
            os._exit(DONE if handler.flush() else 2)

        log()
        assert handler.flush()
        for _ in range(4):
            asked = handler.stats().requests
            log()
            until(lambda: handler.stats().requests > asked)
            children = []
            for _ in range(5):
                children.append(os.fork())
                if not children[-1]:
                    child()
            began = time.monotonic()
            assert handler.flush(), handler.stats()
            assert time.monotonic() - began < 10
            for pid in children:
                reap(pid)
        stats = handler.stats()
        assert stats.delivered == 5 and not stats.dropped, stats
        assert stats.requests == 5 and not stats.retries, stats
        os._exit(DONE)
    """,
    )
    forks.check_every_record_once(processes=21)
