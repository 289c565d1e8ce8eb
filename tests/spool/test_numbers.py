"""What `stats()` says of a spool, against the entries themselves."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from helpers import check_python
from spool_script import SETUP

if TYPE_CHECKING:
    from pathlib import Path


def test_numbers_of_a_segment_that_a_log_call_had_to_make(tmp_path: Path) -> None:
    """The segment and the bytes are exact while a request hangs, and after it."""
    body = """
        from forklog.spool.format import SEGMENT_BYTES
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport)
        log.info("in flight")
        wait(lambda: transport.sent, "a request")  # the flush thread makes no segment meanwhile
        number = 0
        def spool(texts):
            global number
            for text in texts:
                log.info("%d %s", number, text)
                number += 1
        spool(["x" * 300] * 50)
        stats = handler.stats()
        assert stats.inline_segments == 0, stats
        spool(["y" * 200, "z"] * 100)
        stats = handler.stats()
        assert SEGMENT_BYTES[0] < stats.pending_bytes < SEGMENT_BYTES[1], stats
        assert (stats.inline_segments, stats.unspooled) == (1, 0), stats
        transport.release()
        assert handler.flush(30), handler.stats()
        first, *others = [r for r in transport.sent if r.stored]
        assert len(first.lines) == 1
        waited = sum(len(line) for request in others for line in request.lines)
        assert stats.spooled_bytes == waited, (stats, waited)
        assert stats.pending_bytes == waited + len(first.lines[0]), stats
        stats = handler.stats()
        assert (stats.delivered, stats.spooled_bytes, stats.pending_bytes) == (number + 1, 0, 0)
        """
    whole = SETUP.format(folder=str(tmp_path / "spool")) + textwrap.dedent(body)
    check_python(whole, 60, is_covered=False)
