"""gevent that patches the standard library after forklog was imported and a handler built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import further
from helpers import check_python
from wire import OK, RawServer, make_certificate, read_request

if TYPE_CHECKING:
    import socket
    from pathlib import Path

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
    gevent.get_hub()  # two threads that build their first hubs at once may hang in gevent's imports
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


OVER_TLS = """
    import logging, os, warnings
    import forklog
    import google.auth.credentials
    os.environ["REQUESTS_CA_BUNDLE"] = {signer!r}
    handler = forklog.CloudLoggingHandler(
        project="p", endpoint={url!r}, max_latency=0.05,
        credentials=google.auth.credentials.AnonymousCredentials())
    log = logging.getLogger("late"); log.addHandler(handler); log.setLevel(20)
    {before}
    import gevent, gevent.monkey
    warnings.simplefilter("ignore")
    gevent.monkey.patch_all()
    gevent.get_hub()  # two threads that build their first hubs at once may hang in gevent's imports
    log.info("after")
    assert gevent.with_timeout(20, handler.flush, 10), handler.stats()
    assert handler.stats().delivered == {count}, handler.stats()
    handler.close()
"""


@pytest.mark.parametrize(
    "before",
    ["log.info('before'); assert handler.flush(10)", *further("", mark=pytest.mark.thorough)],
    ids=["its wire", "no wire yet"],
)
def test_a_late_patch_leaves_tls_working(before: str, tmp_path: Path) -> None:
    """A connection made after the patch, the first or a new one, takes the patched contexts."""
    context, signer = make_certificate(tmp_path, "127.0.0.1")

    def act(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)

    with RawServer(act, context) as server:
        count = 2 if before else 1
        body = OVER_TLS.format(signer=str(signer), url=server.url, before=before, count=count)
        check_python(body, 60)
