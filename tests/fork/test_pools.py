"""multiprocessing and concurrent.futures: their processes come and end in ways of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cases import few

if TYPE_CHECKING:
    from conftest import Forks

METHODS = ["fork", "forkserver", "spawn"]


@pytest.mark.parametrize("method", few(METHODS, "fork", mark=pytest.mark.thorough))
def test_processes(forks: Forks, method: str) -> None:
    """Processes deliver from the hook that runs in them: they skip atexit, up to 3.12."""
    count = 8 if method == "spawn" else 20
    forks.run(
        f"""
        import multiprocessing
        from stage import log, work

        log()
        context = multiprocessing.get_context({method!r})
        context.set_forkserver_preload(["stage"])
        children = [context.Process(target=work, args=(2,)) for _ in range({count})]
        for start in range(0, {count}, 4):
            for child in children[start:start + 4]:
                child.start()
            for child in children[start:start + 4]:
                child.join(30)
                assert child.exitcode == 0, child
        log()
    """,
        latency=30,
    )
    forks.check_every_record_once(processes=count + 1)


@pytest.mark.parametrize("method", few(METHODS, "forkserver", mark=pytest.mark.thorough))
def test_pools(forks: Forks, method: str) -> None:
    """Pool.close and ProcessPoolExecutor let their workers deliver what is pending."""
    forks.run(
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from stage import log, work

        log()
        context = multiprocessing.get_context({method!r})
        with context.Pool(2, maxtasksperchild=10) as pool:
            assert len(set(pool.map(work, [1] * 40, chunksize=1))) >= 4
            pool.close()
            pool.join()
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(work, [1] * 20))
        log()
    """,
        latency=30,
    )
    forks.check_every_record_once()


def test_the_default_start_method(forks: Forks) -> None:
    """Processes deliver by the method that a Python has by default: forkserver from 3.14 on."""
    forks.run(
        """
        import multiprocessing, sys
        from concurrent.futures import ProcessPoolExecutor
        from stage import log, work

        log()
        children = [multiprocessing.Process(target=work, args=(2,)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(30)
            assert child.exitcode == 0, child
        with ProcessPoolExecutor(2) as executor:
            list(executor.map(work, [1] * 20))
        wanted = "forkserver" if sys.version_info >= (3, 14) else "fork"
        assert multiprocessing.get_start_method() == wanted
        log()
    """,
        latency=30,
    )
    forks.check_every_record_once()


@pytest.mark.skipif(
    sys.version_info < (3, 14), reason="Python 3.14 brought InterpreterPoolExecutor"
)
def test_a_pool_of_interpreters(forks: Forks) -> None:
    """Its interpreters log by a queue, as they cannot import forklog; every record arrives once."""
    forks.run(
        """
        import uuid
        from concurrent import interpreters
        from concurrent.futures import InterpreterPoolExecutor
        from logging.handlers import QueueListener
        from in_interpreter import configure, work
        from stage import handler, log, write_down

        log()
        queue = interpreters.create_queue()
        listener = QueueListener(queue, handler)
        listener.start()
        names = [uuid.uuid4().hex for _ in range(20)]
        with InterpreterPoolExecutor(2, initializer=configure, initargs=(queue,)) as executor:
            answers = set(executor.map(work, names))
        listener.stop()
        for name in names:
            write_down(name)
        (answer,) = answers
        assert answer == "module orjson.orjson does not support loading in subinterpreters", answer
        log()
    """
    )
    forks.check_every_record_once(processes=1)


def test_processes_started_by_another_thread(forks: Forks) -> None:
    """Processes forked by a worker thread deliver; that thread is their main one."""
    forks.run(
        """
        import multiprocessing, threading
        from stage import log, work

        context = multiprocessing.get_context("fork")
        codes = []

        def run():
            child = context.Process(target=work, args=(2,))
            child.start()
            child.join(30)
            codes.append(child.exitcode)

        log()
        for _ in range(20):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        assert codes == [0] * 20, codes
    """,
        latency=30,
    )
    forks.check_every_record_once(processes=21)


def test_terminated_pools_never_hang(forks: Forks) -> None:
    """Pool.terminate kills its workers at any line; the parent and later pools are unharmed."""
    forks.run("""
        import multiprocessing
        from stage import handler, log, logger, until

        context = multiprocessing.get_context("fork")
        begun = context.Semaphore(0)

        def chatter(_):
            begun.release()
            while True:
                logger.info("at risk")

        for _ in range(20):
            log()
            with context.Pool(2) as pool:
                pool.map_async(chatter, range(2))
                log()
                # A worker without a task ends by a sentinel of Pool.terminate. It may be replaced
                # then, by one that holds the lock for which terminate waits, without forklog too.
                for _ in range(2):
                    assert begun.acquire(timeout=30)
        assert handler.flush()
    """)
    forks.check_every_record_once(processes=1, besides="at risk")
