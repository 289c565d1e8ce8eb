"""Who sends what over several generations, and which pipeline a PID that comes back gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import few

if TYPE_CHECKING:
    from conftest import Forks


def test_five_generations_log_before_and_after_their_forks(forks: Forks) -> None:
    """In 20 chains each of six processes delivers what it logged on both sides of its fork."""
    forks.run("""
        from stage import log, run_by_os_exit

        def generation(left):
            log()
            if left:
                run_by_os_exit(generation, left - 1)
            log()

        for _ in range(20):
            generation(5)
    """)
    forks.check_every_record_once(processes=101)


@pytest.mark.parametrize(
    "count", few([0, 1], 1, mark=pytest.mark.thorough), ids=["silent", "logging"]
)
def test_what_the_parent_has_pending_is_the_parents(forks: Forks, count: int) -> None:
    """A child forked while records wait in the parent's buffer sends only its own, if any."""
    forks.run(
        f"""
        from stage import log, run
        for _ in range(20):
            log(5)
            run(log, {count})
    """,
        latency=30,
    )
    forks.check_every_record_once(processes=1 + 20 * count)


@pytest.mark.thorough
def test_a_child_gets_an_ancestors_pid(forks: Forks) -> None:
    """A process with the PID of its dead grandparent delivers its own records, and only them."""
    done = forks.run("""
        import same_pid
        print("rounds made" if same_pid.main() else "not allowed here")
    """)
    if "not allowed here" in done.stdout:
        pytest.skip("the system does not let this user choose a PID")
    assert len(forks.logged()) == 3 * 20
    forks.check_every_record_once()


def test_a_child_that_ends_by_os_exit(forks: Forks) -> None:
    """Without any exit hook, what is older than max_latency has arrived; the rest does not hurt."""
    done = forks.run("""
        import os
        from stage import DONE, handler, log, logger, reap, until

        for _ in range(20):
            log()
            child = os.fork()
            if not child:
                log(3)
                until(lambda: handler.stats().delivered == 3)  # without a flush
                logger.info("at risk")
                os._exit(DONE)
            reap(child)
    """)
    assert "Traceback" not in done.stderr
    assert len(forks.logged()) == 20 * 4
    forks.check_every_record_once(processes=21, besides="at risk")
