"""Takes a handler's options, gives its fork gate, which builds the pipeline of each process."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from forklog.context import connections
from forklog.delivery.leaving import let_go
from forklog.delivery.pipeline import NewSpooler, Pipeline
from forklog.encoding.lenient import drop_notice
from forklog.handling.eager import eager
from forklog.handling.listed import list_again
from forklog.handling.prebuilt import Prebuilt
from forklog.options import Options
from forklog.process.host import ThisProcess
from forklog.process.per_process import PerProcess
from forklog.process.servers import uwsgi
from forklog.transports.base import Transport
from forklog.transports.google.access import endpoint_of, known_project

if TYPE_CHECKING:
    from forklog.encoding.encoder import Encoder


class Copies:
    """A handler and its copies, which share a pipeline. Holds none of them alive."""

    def __init__(self, handler: Any) -> None:
        """Begin with the handler."""
        self._known: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.on_end: Callable[[], object] = lambda: None
        """Called when the last of them was collected."""
        self.add(handler)

    def add(self, handler: Any) -> None:
        """Know one more."""
        self._known[id(handler)] = handler
        weakref.finalize(handler, self._look).atexit = False

    def all(self) -> list[Any]:
        """Return those that live."""
        found = (reference() for reference in self._known.valuerefs())
        return [handler for handler in found if handler is not None]

    def learn(self, project: str) -> None:
        """Have each know the project."""
        for handler in self.all():
            handler._learn(project)  # noqa: SLF001 - our own

    def encoder(self) -> Encoder | None:
        """Return that of one of them, for what does not depend on which."""
        return next((handler._encoder for handler in self.all()), None)  # noqa: SLF001 - our own

    def forget_process(self) -> None:
        """Have each encode as another process."""
        for handler in self.all():
            encoder = getattr(handler, "_encoder", None)  # absent while the handler is made
            if encoder is not None:
                encoder.forget_process()

    def _look(self) -> None:
        if not self.all():
            self.on_end()


def gate_of(options: Options, transport: Transport, copies: Copies) -> PerProcess[Pipeline]:
    """Build the fork gate of a handler; a pipeline that holds has the workers adopt from it."""
    pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()

    def adopt() -> None:
        gate.current().adopt()

    def build(inherited: Pipeline | None) -> Pipeline:
        copies.forget_process()
        if inherited is not None:
            list_again(copies.all())
        if inherited is not None and inherited.is_closing:
            connections.connect()  # a configuration of logging may have made loggers anew
        new = prebuilt.take()
        new.begin(inherited)
        pipelines.add(new)
        return new

    def build_ahead() -> Pipeline:
        notice = partial(drop_notice, shared=options.labels)
        hold = partial(uwsgi.after_fork, adopt)
        process = ThisProcess()
        calls: dict[str, Any] = {
            "on_hold": hold,
            "on_start": prebuilt.renew,
            "new_spooler": spooled,
            "following": lambda: gate.current(),  # noqa: PLW0108 - there is no gate yet
            "known_project": partial(known_project, options),
        }
        return Pipeline(options, transport, notice, process, **calls)

    spooled = _new_spooler(options)
    prebuilt = Prebuilt(build_ahead)
    gate = PerProcess(build)
    prebuilt.renew()
    if options.spool:
        uwsgi.adopt_at_start(adopt)
    # Weak references again: the options hold `on_drop`, which may hold the handler.
    copies.on_end = partial(let_go, pipelines)
    return gate


def _new_spooler(options: Options) -> NewSpooler | None:
    """Return what puts a spool before a buffer, None without the option."""

    def identity() -> tuple[str | None, str]:
        return known_project(options), endpoint_of(options)

    if not options.spool:
        return None
    with eager():  # now: neither a log call nor the flush thread loads a module
        from forklog.spool.making import Making  # noqa: PLC0415 - most handlers have no spool
        from forklog.spool.spooler import ProcessSpool  # noqa: PLC0415
    making = Making(options, identity)
    making.look_ahead()
    return partial(ProcessSpool, options, making)
