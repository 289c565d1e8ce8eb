"""One thread for the tasks of backend, in the order they come; the process ends without it.

The threads of `concurrent.futures` are waited for at the end of the process, whatever they do.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

    _Task = tuple[Future[Any], Callable[[], Any]]


class OneThread(Executor):
    """Run tasks one after the other; the thread starts with the first and is a daemon.

    Args:
        name: of the thread.

    """

    def __init__(self, name: str) -> None:
        """Start nothing yet."""
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return the future of a call that runs after those before it; call from one thread."""
        future: Future[T] = Future()
        self._tasks.put((future, lambda: fn(*args, **kwargs)))
        if self._thread.ident is None:
            self._thread.start()
        return future

    def cancel_waiting(self) -> None:
        """Cancel the tasks that have not begun."""
        while not self._tasks.empty():
            if (task := self._tasks.get()) is not None:
                task[0].cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the base's
        """End the thread after the tasks that it has, or after the present one."""
        if cancel_futures:
            self.cancel_waiting()
        self._tasks.put(None)
        if wait and self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 - the one who asked gets it
                    future.set_exception(error)
            del task, future, call  # or they live until the next one comes
