"""loguru with ``enqueue=True``: a multiprocessing queue and a thread that writes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from loguru import logger

from benchmarks import work
from benchmarks.subjects.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

_MESSAGE = "user {} did {} things in {:.3f} s"


class Loguru(Subject):
    """JSON lines over TCP; the calls are loguru's own."""

    wire = "tcp"
    extra = {**work.FIELDS, **work.LABELS}  # noqa: RUF012 - bound values have one level

    def start(self, port: int) -> None:
        """Connect and replace loguru's handlers."""
        wire = socket.create_connection(("127.0.0.1", port))
        logger.remove()
        logger.add(
            lambda message: wire.sendall(message.encode()),
            enqueue=True,
            # serialize=True writes the text twice; one line with the whole record is what we want.
            format=_line,
            colorize=False,
        )

    def hurry(self) -> None:
        """Wait for the queue."""
        logger.complete()

    def plain(self, number: int) -> None:
        """Log sentences."""
        for i in range(number):
            logger.info(_MESSAGE, "alice", i, 0.25)

    def fields(self, number: int) -> None:
        """Log sentences with bound values."""
        for i in range(number):
            logger.bind(**self.extra).info(_MESSAGE, "alice", i, 0.25)

    def exception(self, number: int) -> None:
        """Log exceptions."""
        for i in range(number):
            try:
                work.fail(3)
            except ValueError:
                logger.exception(_MESSAGE, "alice", i, 0.25)

    def sized(self, number: int, size: int) -> None:
        """Log messages of so many characters."""
        text = (work.MESSAGE % ("alice", 7, 0.25)).ljust(size - 10, "x")
        for i in range(number):
            logger.info(f"{i:9d} {text}")

    def variant(self, name: str) -> Callable[[int], None]:
        """Return the loop of a variant."""
        loop: Callable[[int], None] = getattr(self, "plain" if name == "trace" else name)
        return loop


def _line(_record: object) -> str:
    return "{time:YYYY-MM-DDTHH:mm:ss.SSSSSS} {level} {name}:{line} {message} {extra}\n{exception}"
