"""Frozen time: timestamps follow it, waits and deadlines do not."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest
from freezegun import freeze_time

from forklog import clock
from forklog.testing import Fail, FakeTransport, Hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog import CloudLoggingHandler
    from forklog.testing.plugin import CloudLog

    Make = Callable[..., tuple[logging.Logger, CloudLoggingHandler]]


@freeze_time("2024-02-29 12:00:00.5")
def test_entries_carry_the_frozen_time(cloud_logging: CloudLog) -> None:
    """The fast path and the lenient encoder both write the time of the record."""
    logging.getLogger("a").info("plain")
    logging.getLogger("a").info("full", extra={"labels": {"x": "y"}})
    stamps = [entry["timestamp"] for entry in cloud_logging.entries]
    assert stamps == ["2024-02-29T12:00:00.500000000Z"] * 2


def test_ticking_time_is_followed(cloud_logging: CloudLog) -> None:
    """When the test moves the time, the next entry has the new one."""
    with freeze_time("2024-01-01") as frozen:
        logging.getLogger("a").info("one")
        frozen.tick(3600)
        logging.getLogger("a").info("two")
        stamps = [entry["timestamp"] for entry in cloud_logging.entries]
    assert [stamp[11:16] for stamp in stamps] == ["00:00", "01:00"]


def test_insert_ids_stay_unique_in_frozen_time(cloud_logging: CloudLog) -> None:
    """Equal timestamps do not make equal entries."""
    with freeze_time("2024-01-01"):
        for _ in range(100):
            logging.getLogger("a").info("x")
        entries = cloud_logging.entries
    assert len({entry["insertId"] for entry in entries}) == len(entries) == 100


@pytest.mark.parametrize("moment", ["1999-12-31", "2024-01-01", "2099-01-01"])
def test_flush_does_not_stall(
    make_logger: Make, forklog_transport: FakeTransport, moment: str
) -> None:
    """A lingering thread and a waiting flush are done in real time, whatever time is shown."""
    started = clock.monotonic()
    with freeze_time(moment):
        logger, handler = make_logger(max_latency=0.1)
        for n in range(20):
            logger.info("n%d", n)
            if n % 5 == 0:
                assert handler.flush(10)
        forklog_transport.wait_for(20)
        handler.close()
    assert clock.monotonic() - started < 5


def test_flush_and_close_end_in_frozen_time(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """The deadlines of flush and close pass although the shown time stands still."""
    forklog_transport.then(Hang(times=99))
    started = clock.monotonic()
    with freeze_time("2024-01-01"):
        logger, handler = make_logger(shutdown_timeout=0.3)
        logger.info("x")
        assert not handler.flush(0.2)
        handler.close()
    assert 0.4 < clock.monotonic() - started < 3


def test_nothing_spins_in_frozen_time(make_logger: Make, forklog_transport: FakeTransport) -> None:
    """Waiting out failures, lingering and idling cost next to no CPU and few requests."""
    forklog_transport.then(Fail(503, seconds=0.6))
    with freeze_time("2024-01-01"):
        logger, handler = make_logger(max_latency=0.3, max_retry_delay=0.2)
        used = time.process_time()
        real = clock.monotonic()
        logger.info("x")
        assert handler.flush(20)
        logger.info("y")
        forklog_transport.wait_for(2)
    used = time.process_time() - used
    assert used < 0.5 * (clock.monotonic() - real) + 0.1
    assert handler.stats().requests < 60


def test_a_pipeline_born_in_frozen_time_outlives_it(
    make_logger: Make, forklog_transport: FakeTransport
) -> None:
    """Started under a frozen clock, the thread goes on when time runs again, and vice versa."""
    logger, handler = make_logger(max_latency=0.05)
    with freeze_time("2050-01-01"):
        logger.info("a")
    logger.info("b")
    forklog_transport.wait_for(2)
    with freeze_time("1990-01-01"):
        logger.info("c")
        assert handler.flush(5)
    assert [entry["textPayload"] for entry in forklog_transport.entries] == ["a", "b", "c"]
