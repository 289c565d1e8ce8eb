"""gevent that patches the standard library after forklog was imported and a handler built."""

from __future__ import annotations

import pytest
from helpers import check_python

BODY = """
    import logging, warnings
    import forklog
    from forklog.testing import FakeTransport
    handler = forklog.CloudLoggingHandler(transport=FakeTransport(), max_latency=0.05)
    log = logging.getLogger("late"); log.addHandler(handler); log.setLevel(20)
    {before}
    import gevent, gevent.monkey
    warnings.simplefilter("ignore")  # of gevent, that it comes late
    gevent.monkey.patch_all()
    log.info("after")
    assert gevent.with_timeout(20, handler.flush, 10)
    ran = []
    greenlet = gevent.spawn(lambda: (gevent.sleep(0.1), log.info("in it"), ran.append(1)))
    greenlet.join(20)
    assert ran and handler.flush(10), handler.stats()
    assert handler.stats().delivered == {count}
    handler.close()
"""


@pytest.mark.parametrize("before", ["", "log.info('before')"], ids=["no thread yet", "its thread"])
def test_a_late_patch_stops_no_greenlet(before: str) -> None:
    """The flush thread stays a real one, and its waiting holds up no greenlet."""
    check_python(BODY.format(before=before, count=3 if before else 2), 60)
