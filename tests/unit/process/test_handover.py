"""The hand-over: each held range has one taker."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from helpers import check_python

from forklog.process.handover import HandoverToken


@pytest.fixture
def handover() -> HandoverToken:
    """Return a hand-over; a closed one closes twice without harm."""
    return HandoverToken()


def test_one_claim_takes_all(handover: HandoverToken) -> None:
    """What was held is claimed once; the second claim finds nothing."""
    handover.offer(0, 3)
    handover.offer(3, 5)
    assert handover.claim(5) == [(0, 5)]
    assert handover.claim(5) == []
    handover.close()
    handover.close()


def test_a_claim_leaves_what_the_claimant_cannot_have(handover: HandoverToken) -> None:
    """A child forked before the last records were held leaves those to others."""
    handover.offer(0, 3)
    handover.offer(3, 7)
    assert handover.claim(3) == [(0, 3)]
    assert handover.claim(7) == [(3, 7)]
    handover.close()


def test_after_a_claim_later_records_are_offered_alone(handover: HandoverToken) -> None:
    """What was taken is not offered again with what comes later."""
    handover.offer(0, 3)
    handover.claim(3)
    handover.offer(3, 4)
    assert handover.claim(9) == [(3, 4)]
    handover.close()


def test_the_pipe_is_not_for_programs_that_are_started(handover: HandoverToken) -> None:
    """Both ends are closed by exec."""
    assert not os.get_inheritable(handover._reader)
    assert not os.get_inheritable(handover._writer)
    handover.close()


def test_a_closed_pipe_claims_nothing(handover: HandoverToken) -> None:
    """A daemon that closed all descriptors claims nothing, and nothing raises."""
    handover.offer(0, 3)
    os.close(handover._reader)
    os.close(handover._writer)
    assert handover.claim(3) == []
    handover.offer(3, 4)


def test_many_offers_do_not_fill_the_pipe(handover: HandoverToken) -> None:
    """A master that logs for hours before its first fork offers one range."""
    for low, high in pairwise(range(20_000)):
        handover.offer(low, high)
    assert handover.claim(10**9) == [(0, 19_999)]
    handover.close()


def test_of_many_children_exactly_one_claims() -> None:
    """Eight children that claim at the same moment: one gets all, in each of 25 rounds."""
    check_python(
        """
        import os
        from forklog.process.handover import HandoverToken
        for _ in range(25):
            handover, gate = HandoverToken(), os.pipe()
            handover.offer(0, 10)
            pids = []
            for _ in range(8):
                pid = os.fork()
                if not pid:
                    os.close(gate[1])
                    os.read(gate[0], 1)  # all start together, when the parent closes
                    os._exit(60 + len(handover.claim(10)))
                pids.append(pid)
            os.close(gate[1])
            ends = sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
            assert ends == [60] * 7 + [61], ends
            os.close(gate[0])
            handover.close()
    """,
        is_covered=False,
    )


def test_no_free_descriptor_raises_nothing_and_loses_nothing() -> None:
    """A log call in a uWSGI master meets the limit of open files; a later one offers all.

    Class of fault: a system call in the way of a log call fails for want of a resource; siblings:
    `test_a_process_without_a_descriptor_left`, `test_a_start_that_failed_is_tried_again`.
    """
    check_python(
        """
        import os, resource
        from forklog.process.handover import HandoverToken
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        token = HandoverToken()
        token.offer(0, 3)
        assert token.claim(3) == []
        os.close(taken.pop())
        token.offer(3, 5)  # one is free, and a pipe has two ends
        assert token.claim(5) == []
        for descriptor in taken:
            os.close(descriptor)
        token.offer(5, 7)
        assert token.claim(7) == [(0, 7)], "what was held meanwhile too"
        token.close()
    """,
        is_covered=False,
    )


def test_ranges_of_any_order_are_offered_whole(handover: HandoverToken) -> None:
    """A range that is held again, after an exception, is offered once; an earlier one is kept."""
    handover.offer(5, 7)
    handover.offer(0, 3)
    handover.offer(0, 3)
    handover.offer(7, 9)
    assert handover.claim(9) == [(0, 3), (5, 9)]
    handover.close()
