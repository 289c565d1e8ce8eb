"""The waiting half of a pipeline: flush, close, the end of the process; see `pipeline`.

Whoever calls waits here, against a deadline; the flush thread works meanwhile, or the caller sends.
"""

from __future__ import annotations

import sys

from forklog.clock import monotonic
from forklog.delivery.buffer import Buffer
from forklog.delivery.ending import Ending
from forklog.delivery.sending.sender import Sender
from forklog.delivery.worker import Worker
from forklog.insert_id import InsertIds
from forklog.options import Options
from forklog.process.base import Host, Mark, Member
from forklog.snapshot import State


class Leaving:
    """What `Pipeline` inherits; it has the attributes and the states."""

    mark: Mark
    state: State
    is_closing: bool
    buffer: Buffer
    sender: Sender
    worker: Worker
    ending: Ending
    insert_ids: InsertIds
    _options: Options
    _host: Host

    def _woken(self) -> None:
        raise NotImplementedError

    def _wake_if_pending(self) -> None:
        raise NotImplementedError

    def stop_when_idle(self) -> None:
        """See `Pipeline`."""
        raise NotImplementedError

    def as_member(self) -> Member:
        """Return the pipeline as the process sees it."""
        raise NotImplementedError

    def flush(self, timeout: float | None) -> bool:
        """Wait until all that was accepted before the call is settled, or the timeout is over.

        Returns:
            Whether it is. False at once where this process only holds (a uWSGI master).
        """
        outcome = []
        with self._host.waiting(self.shutdown_timeout) as until:
            deadline = until if timeout is None else monotonic() + timeout
            outcome.append(self.flush_until(deadline))
        return any(outcome)  # none, if a signal handler has raised while the process ends

    def flush_until(self, deadline: float) -> bool:
        """Do so, with a deadline on the monotonic clock."""
        mark = self.insert_ids.key()
        if self.state is State.HOLDING:
            self._woken()
        is_own = self.worker.is_own_thread()  # a callback, for which nothing will be settled
        while self.sender.oldest_to_send() <= mark and monotonic() < deadline and not is_own:
            threads_are_gone = sys.is_finalizing()  # of an interpreter beside the main one
            if self.state is State.INLINE or (self.state is State.RUNNING and threads_are_gone):
                self.worker.flush_inline(mark, deadline)
            elif self.state is State.RUNNING:
                if not self.worker.thread.is_up():  # an exception struck its start, or itself
                    self._woken()
                self.worker.await_settled(mark, deadline)
            elif self.state is State.INERT:  # the thread rests for a fork, or died
                self._wake_if_pending()
            else:
                break
        return self.sender.oldest_unsettled() > mark

    def close(self, timeout: float | None = None) -> None:
        """Deliver what is pending within the timeout, hand the rest to the last resort, stop.

        Idempotent. In a process that holds, the held entries stay for its descendants.

        Raises:
            BaseException: what a signal handler has raised meanwhile; the rest is given up then.
        """
        if self.state in (State.HOLDING, State.CLOSED):
            self.worker.stops_when_idle = True
            return
        seconds = self.shutdown_timeout if timeout is None else timeout
        # Before the waiting: what other threads log meanwhile starts a successor.
        self.is_closing = True
        self.mark[0] = 0
        self.worker.is_leaving = True
        with self._host.waiting(seconds) as deadline:
            try:
                is_settled = self.flush_until(deadline)
            except BaseException:
                self._end_closing(monotonic(), is_settled=False)
                raise
            self._end_closing(deadline, is_settled=is_settled)

    def _end_closing(self, deadline: float, *, is_settled: bool) -> None:
        with self._host.without_signals():
            if not is_settled:
                self.ending.give_up("shutdown")
            is_running = self.state is State.RUNNING or not self.worker.thread.ended.is_set()
            self.state = State.CLOSED
            self.ending.end_thread(self.insert_ids.key, deadline, is_running=is_running)
            self.buffer.arm(0)
            self.ending.give_up("closed")
            self.ending.say_all()
            self.sender.close()

    def hurry(self) -> None:
        """Have the thread send now what was logged so far. Never blocks."""
        if self.mark[0] and self.state is State.RUNNING:
            self.worker.flush_until = max(self.worker.flush_until, self.insert_ids.key())
            self.worker.wakeup.set()

    def _drain(self) -> None:
        """Have the thread send, without lingering, what was logged so far. Never blocks."""
        worker = self.worker
        worker.is_leaving = True
        worker.flush_until = max(worker.flush_until, self.insert_ids.key())
        worker.wakeup.set()

    def at_exit(self) -> None:
        """Deliver what is pending before the process ends, as the hooks of this process do."""
        if not self.worker.is_own_thread():
            self._host.flush_at_exit([self.as_member()])

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that an exit may take for this pipeline."""
        return self._options.shutdown_timeout

    @property
    def is_inline(self) -> bool:
        """Tell whether the logging threads send."""
        return self.state is State.INLINE

    def begin_exit(self) -> bool:
        """Have the pipeline drain; tell whether it is this process's and has anything to drain."""
        if not self.mark[0] or self.state is State.CLOSED:
            return False
        if self.state is State.INERT and not self.sender.is_pending():
            return False
        self._drain()
        if self.state in (State.HOLDING, State.INERT):
            self._woken()
        return True

    def await_exit(self, deadline: float) -> bool:
        """Wait until everything is settled, what came meanwhile too; tell whether it is."""
        return self.flush_until(deadline) and self.flush_until(deadline)

    def end_exit(self, *, is_settled: bool) -> None:
        """Give up what is not settled."""
        if not is_settled:
            self.ending.give_up("shutdown")
        self.ending.say_all()

    def retire(self) -> bool:
        """Have the logging threads send from now on: after the last hook none waits for ours.

        Returns:
            Whether the thread has ended, or is about to.
        """
        if self.state is State.RUNNING and self.mark[0]:
            self.state = State.INLINE
            self.worker.is_stopping = True
            self.worker.wakeup.set()
            self.buffer.arm(0)
        return not self.mark[0] or not self.sender.is_busy() or self.worker.is_own_thread()
