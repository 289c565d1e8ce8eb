"""The fork gate of a handler: what its pipelines are built of, in whatever process."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from forklog.delivery.pipeline import NewSpooler, Pipeline, let_go
from forklog.delivery.prebuilt import Prebuilt
from forklog.encoding.lenient import drop_notice
from forklog.options import Options
from forklog.process.host import ThisProcess
from forklog.process.per_process import PerProcess
from forklog.process.servers import uwsgi
from forklog.spool.making import Making
from forklog.spool.spooler import ProcessSpool
from forklog.transports.base import Transport
from forklog.transports.google.access import endpoint_of, known_project

if TYPE_CHECKING:
    from forklog.encoding.encoder import Encoder


def gate_of(
    options: Options, transport: Transport, encoder: Encoder, handler: object
) -> PerProcess[Pipeline]:
    """Build the fork gate of a handler; a pipeline that holds has the workers adopt from it."""
    pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()
    forget_process = encoder.forget_process

    def adopt() -> None:
        gate.current().adopt()

    def build(inherited: Pipeline | None) -> Pipeline:
        forget_process()
        new = spare.take()
        new.begin(inherited)
        pipelines.add(new)
        return new

    def build_ahead() -> Pipeline:
        notice = partial(drop_notice, shared=options.labels)
        hold = partial(uwsgi.after_fork, adopt)
        process = ThisProcess()
        calls: dict[str, Any] = {"on_hold": hold, "on_start": spare.renew, "new_spooler": spooled}
        return Pipeline(options, transport, notice, process, **calls)

    spooled = _new_spooler(options)
    spare = Prebuilt(build_ahead)
    gate = PerProcess(build)
    spare.renew()
    if options.spool:
        uwsgi.adopt_at_start(adopt)
    # Weak references again: the options hold `on_drop`, which may hold the handler.
    weakref.finalize(handler, let_go, pipelines).atexit = False
    return gate


def _new_spooler(options: Options) -> NewSpooler | None:
    """Return what puts a spool before a buffer, None without the option."""

    def identity() -> tuple[str | None, str]:
        return known_project(options), endpoint_of(options)

    if not options.spool:
        return None
    making = Making(options, identity)
    making.look_ahead()
    return partial(ProcessSpool, options, making)
