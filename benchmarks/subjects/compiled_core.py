"""A yardstick: forklog with its plain path in C, the file of which BENCH_CORE names."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import orjson

import forklog
from benchmarks.compiled import load
from benchmarks.subjects.forklog_handler import Forklog
from forklog.context.base import CURRENT
from forklog.encoding.strict import PLAIN_FIELDS


class CompiledCore(Forklog):
    """A handler with its ``handle`` replaced; all but plain records go to the original."""

    def build(self, port: int) -> logging.Handler:
        """Return the handler."""
        handler = super().build(port)
        assert isinstance(handler, forklog.CloudLoggingHandler)
        encoder = handler._encoder  # noqa: SLF001 - the prototype is put in its place
        core = load(Path(os.environ["BENCH_CORE"])).Plain(
            handler,
            handler.handle,
            handler._gate,  # noqa: SLF001
            encoder._context,  # noqa: SLF001
            CURRENT,
            lambda record: encoder._sites.add(record).plain,  # noqa: SLF001
            encoder._new_second,  # noqa: SLF001
            orjson.dumps,
            logging.LogRecord,
            PLAIN_FIELDS,
            encoder._max_bytes,  # noqa: SLF001
        )
        handler.handle = core.handle  # type: ignore[method-assign]
        return handler
