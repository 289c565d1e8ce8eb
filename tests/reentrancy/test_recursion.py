"""Log calls at the edge of the recursion limit, where any further call may raise."""

from __future__ import annotations

from helpers import check_python

_DEPTHS = """
        def at(depth, call):
            return at(depth - 1, call) if depth else call()

        def deepest():
            depth = 1
            while True:
                try:
                    at(depth, lambda: None)
                except RecursionError:
                    return depth
                depth += 1
"""


def test_a_call_near_the_limit_raises_nowhere_that_another_handler_would_not() -> None:
    """At each depth below the limit the call does as it does with a `NullHandler`.

    A RecursionError is a RuntimeError: it must not pass for a thread that cannot be started.
    Whatever is lost is counted, and the next record at the top is delivered by a thread.

    Class of fault: a RecursionError that passes for another failure, because it is a RuntimeError;
    siblings: `test_a_fork_near_the_limit_returns_and_delivery_goes_on`,
    `test_a_fork_hook_that_could_begin_prints_nothing`,
    `test_a_hook_that_could_not_be_set_is_set_by_the_next_record`.
    """
    check_python(
        _DEPTHS
        + """
        import logging, sys
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport

        def raises(logger, depth, error):
            def call():
                try:
                    logger.error("deep %d", depth, exc_info=error)
                except RecursionError:
                    return True
                return False
            try:
                return at(depth, call)
            except RecursionError:
                return True

        sys.setrecursionlimit(400)
        plain = logging.Logger("plain")
        plain.addHandler(logging.NullHandler())
        logging.raiseExceptions = False
        for error in (None, ValueError("x")):
            transport = FakeTransport()
            handler = CloudLoggingHandler(transport=transport, max_latency=0.01, last_resort="none")
            ours = logging.Logger("ours")
            ours.addHandler(handler)
            last = deepest()
            for depth in range(last - 60, last + 1):
                if not raises(plain, depth, error):
                    assert not raises(ours, depth, error), (depth - last, error)
            ours.info("after")
            transport.wait_until(
                lambda: any(e.get("textPayload") == "after" for e in transport.entries), 10
            )
            lost = handler.stats().dropped.get("encode", 0)  # what raised with any handler
            assert handler.flush(10) is not bool(lost)
            stats = handler.stats()
            assert stats.state == "running", stats
            assert stats.accepted == stats.delivered + sum(stats.dropped.values()), stats
            handler.close()
        """,
        is_covered=False,
    )


def test_a_fork_near_the_limit_returns_and_delivery_goes_on() -> None:
    """At each depth where ``os.fork`` can be called it returns, in the parent and in the child.

    The class of fault: a RecursionError that passes for a set that was changed meanwhile, and the
    look is made again for ever. At the last few depths Python prints that hooks could not run.
    """
    check_python(
        _DEPTHS
        + """
        import logging, os, signal, sys, warnings
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport

        warnings.simplefilter("ignore")  # near the limit the thread may live on

        def forked():
            pid = os.fork()
            if not pid:
                return 0
            return os.waitpid(pid, 0)[1] + 1

        sys.unraisablehook = lambda u: None
        signal.alarm(25)
        transport = FakeTransport()
        handler = CloudLoggingHandler(transport=transport, max_latency=0.01, last_resort="none")
        logger = logging.Logger("x")
        logger.addHandler(handler)
        sys.setrecursionlimit(200)
        last = deepest()
        for depth in range(last - 40, last + 1):
            logger.error("before")
            assert handler.flush(10), handler.stats()
            try:
                answer = at(depth, forked)
            except (RecursionError, SystemError):  # from 3.13 on CPython's own warning may fail so
                continue
            if not answer:
                signal.alarm(10)
                logger.error("child")
                os._exit(0 if handler.flush(5) else 3)
            assert answer == 1, (depth - last, answer)
        logger.error("after")
        assert handler.flush(10), handler.stats()
        handler.close()
        """,
        is_covered=False,
    )


def test_a_fork_hook_that_could_begin_prints_nothing() -> None:
    """Python prints what a hook raises: at most that no frame was left for the hook itself.

    The class of fault: a RecursionError below a hook, with a traceback of ours on stderr.
    """
    check_python(
        _DEPTHS
        + """
        import logging, os, sys, warnings
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport

        warnings.simplefilter("ignore")  # near the limit the thread may live on
        printed = []
        sys.unraisablehook = printed.append

        def ours():
            for raised in printed:
                hook = getattr(raised.object, "func", raised.object)
                module = getattr(hook, "__module__", None) or ""
                if module.startswith("forklog") and raised.exc_traceback.tb_next is not None:
                    yield hook

        transport = FakeTransport()
        handler = CloudLoggingHandler(transport=transport, max_latency=0.01, last_resort="none")
        logger = logging.Logger("x")
        logger.addHandler(handler)
        logger.error("before")
        assert handler.flush(10), handler.stats()
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(200)
        last = deepest()
        for depth in range(last - 20, last + 1):
            sys.setrecursionlimit(200)
            try:
                pid = at(depth, os.fork)
            except (RecursionError, SystemError):  # see above
                continue
            finally:
                sys.setrecursionlimit(usual)
            if not pid:
                os._exit(len(list(ours())))
            assert os.waitpid(pid, 0)[1] == 0, depth - last
        assert not list(ours()), printed
        handler.close()
        """,
        is_covered=False,
    )


def test_a_hook_that_could_not_be_set_is_set_by_the_next_record() -> None:
    """The threading module's own hook raises RecursionError for the first record alone.

    The class of fault: a RecursionError that passes for a process that is shutting down already.
    """
    check_python(
        """
        import logging, threading
        calls, register = [], threading._register_atexit

        def too_deep(call):
            calls.append(call)
            if len(calls) == 1:
                raise RecursionError
            register(call)

        threading._register_atexit = too_deep
        from forklog import CloudLoggingHandler
        from forklog.testing import FakeTransport
        handler = CloudLoggingHandler(transport=FakeTransport(), max_latency=0.01)
        logger = logging.Logger("x")
        logger.addHandler(handler)
        logging.raiseExceptions = False
        for text in ("first", "second"):
            try:
                logger.error(text)
            except RecursionError:
                pass
        assert handler.flush(10), handler.stats()
        assert len([call for call in calls if call.__module__.startswith("forklog")]) == 2, calls
        handler.close()
        """,
        is_covered=False,
    )
