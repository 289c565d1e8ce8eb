"""Tells whether gevent or eventlet makes the threads, for `thread`: a fork copies green threads.

The copy of a flush thread would go on with the parent's request, on the parent's socket.
"""

from __future__ import annotations

import sys
from typing import Any

_copies: list[Any] = []  # a greenlet that is collected is run once more, to raise in it


def are_green() -> bool:
    """Tell whether threads are greenlets here, because gevent or eventlet has patched them."""
    return _is_gevent() or _is_eventlet()


def current() -> Any:
    """Return the greenlet that runs now as a thread, None where threads are the kernel's."""
    if _is_gevent():
        return sys.modules["gevent"].getcurrent()
    return sys.modules["greenlet"].getcurrent() if _is_eventlet() else None


def end_in_child(greenlet: Any) -> None:
    """In a process forked just now: let the copy of a thread's greenlet do nothing any more."""
    if _is_gevent():
        greenlet.kill(block=False)
    elif _is_eventlet():
        _copies.append(greenlet)
        _forget(sys.modules["eventlet.hubs"].get_hub(), greenlet)


def _is_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _is_eventlet() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def _forget(hub: Any, greenlet: Any) -> None:
    """Have eventlet's hub wake a greenlet neither for a descriptor nor for a timeout.

    It is not killed: the end of its wait would take the descriptor out of the epoll object. Parent
    and child share that object, and the parent's own request would never be reported.
    """
    for buckets in (hub.listeners, hub.secondaries):
        for bucket in buckets.values():
            for number, found in list(bucket.items()):
                listeners = found if isinstance(found, list) else [found]
                ours = [one for one in listeners if one.greenlet is greenlet]
                for one in ours:
                    one.defang()
                if ours and len(ours) == len(listeners):
                    del bucket[number]
    for _, timer in [*hub.timers, *hub.next_timers]:
        wakes = getattr(timer, "tpl", None)
        if wakes and getattr(wakes[0], "__self__", None) is greenlet:
            timer.cancel()
