"""What a child inherits and must never finalize: pools, sessions, sockets, files, finalizers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from cases import further

from forklog.transports.deadline import Deadline
from forklog.transports.google.loading import request_on
from forklog.transports.tokens import token_session

if TYPE_CHECKING:
    from conftest import Forks

FORKS = ["os.fork", "c_fork"]
SETUP = """
    import ctypes, gc, os, socket, sys, threading
    import urllib3
    from stage import DONE, handler, log, quiet, reap

    c_fork = ctypes.PyDLL(None).fork  # keeps the GIL, runs no callback of Python's

    def hold(locks):
        held, over = threading.Event(), threading.Event()

        def run():
            for lock in locks:
                assert lock.acquire(timeout=10)
            held.set()
            over.wait(30)
            for lock in locks:
                lock.release()

        threading.Thread(target=run, daemon=True).start()
        assert held.wait(10)
        return over

    def all_of(kind):
        return [thing for thing in gc.get_objects() if isinstance(thing, kind)]
"""


@pytest.mark.parametrize("fork", FORKS)
def test_a_child_ends_whatever_locks_of_the_pools_are_held(forks: Forks, fork: str) -> None:
    """A child exits normally while each lock of each pool of ours was held at its fork.

    urllib3 closes a pool in a finalizer at exit, which took the lock of the pool's queue. All kinds
    of sessions are there: of the entries, of tokens, through a proxy, to the metadata server.

    Class of fault: a child uses or finalizes what it inherited, while its parent held a lock;
    siblings: `test_a_child_that_never_logs_finalizes_no_session`,
    `test_google_auth_cannot_use_our_session_in_a_thread_of_its_own`,
    `test_files_with_the_numbers_of_inherited_sockets_stay_open`,
    `test_a_fork_while_another_thread_writes_leaves_stderr_usable`,
    `test_a_fork_under_a_start_leaves_the_child_its_stacks`,
    `test_children_of_multiprocessing_deliver_and_end`, `test_uwsgis_workers_deliver_and_end`,
    `test_gunicorns_workers_deliver_and_end`.
    """
    forks.run(
        SETUP
        + f"""
    from forklog.transports.google.metadata import read_metadata
    from urllib3._collections import RecentlyUsedContainer

    log()
    assert handler.flush()
    wire = handler._gate.product.sender._wire.connection
    wire._tokens.get("http://" + os.environ["LOGGING_EMULATOR_HOST"], timeout=10).close()
    for adapter in (wire._adapter, wire._tokens.adapters["https://"]):
        manager = adapter.proxy_manager_for("http://127.0.0.1:1")
        manager.connection_from_url("http://a.example")
        manager.connection_from_url("https://a.example")
    listener = socket.create_server(("127.0.0.1", 0))
    os.environ["GCE_METADATA_HOST"] = "127.0.0.1:%d" % listener.getsockname()[1]
    thread = threading.Thread(target=read_metadata, args=("instance/id",))
    thread.start()
    asked, _ = listener.accept()
    pools = all_of(urllib3.HTTPConnectionPool)
    queues = [pool.pool for pool in pools]
    assert len(queues) == 7, pools
    asked.close()
    thread.join()

    locks = [queue.mutex for queue in queues if hasattr(queue, "mutex")]
    locks += [container.lock for container in all_of(RecentlyUsedContainer)]
    over = hold(locks)
    for _ in range(5):
        quiet()
        child = {fork}()
        if not child:
            sys.exit(DONE)
        reap(child)
    over.set()
    log()
    """
    )
    forks.check_every_record_once(processes=1)


@pytest.mark.parametrize("end", ["exits", "collects"])
def test_children_of_multiprocessing_deliver_and_end(forks: Forks, end: str) -> None:
    """Each delivers its record once and ends while its parent holds the locks of its pools.

    They skip urllib3's finalizers at exit, but not those of a handler that a child drops.
    `tests/servers/test_held_locks.py` does the same to the workers of servers.
    """
    forks.run(
        SETUP
        + f"""
    import multiprocessing
    import stage
    from urllib3._collections import RecentlyUsedContainer

    def work():
        log()
        if {end!r} == "collects":
            handler.close()
            stage.logger.handlers.clear()
            del stage.handler
            for name in ("handler", "product", "wire"):
                del globals()[name]
            for _ in range(3):
                gc.collect()

    log()
    assert handler.flush()
    product = handler._gate.product
    wire = product.sender._wire.connection
    wire._tokens.get("http://" + os.environ["LOGGING_EMULATOR_HOST"], timeout=10).close()
    ended = product.worker.thread.ended
    product.before_fork()  # no frame of the thread keeps its pipeline
    assert ended.wait(10)
    locks = [container.lock for container in all_of(RecentlyUsedContainer)]
    locks += [pool.pool.mutex for pool in all_of(urllib3.HTTPConnectionPool)
              if hasattr(pool.pool, "mutex")]
    assert len(locks) >= 2
    over = hold(locks)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work) for _ in range(5)]
    for child in children:
        child.start()
    for child in children:
        child.join(25)
        assert child.exitcode == 0, child
    over.set()
    product.after_fork_in_parent()
    log()
    """,
        latency=30,
    )
    forks.check_every_record_once(processes=6)


@pytest.mark.parametrize(
    ("end", "fork"),
    [
        *[("collects", "os.fork"), ("exits", "c_fork")],
        *further(("collects", "c_fork"), ("exits", "os.fork"), mark=pytest.mark.thorough),
    ],
)
def test_a_child_that_never_logs_finalizes_no_session(forks: Forks, fork: str, end: str) -> None:
    """A child that drops its handler and collects, or exits, closes no session and no socket.

    It never logs, so that after a fork in C nothing of forklog runs in it. A file that it opened
    under the number of a socket stays open, and what is written to it arrives at exit.
    """
    forks.run(
        SETUP
        + f"""
    from pathlib import Path
    import google.auth.credentials
    import stage
    from forklog import CloudLoggingHandler
    from forklog.transports.google.signing import signer_of
    from forklog.transports.google.access import Access
    from urllib3._collections import RecentlyUsedContainer

    stage.logger.handlers.clear()
    handler.close()
    stage.handler = handler = CloudLoggingHandler(project="forks", max_latency=0.01)
    stage.logger.addHandler(handler)
    log()
    assert handler.flush()
    product = handler._gate.product
    wire = product.sender._wire.connection
    access = Access("http://a", google.auth.credentials.AnonymousCredentials(), "p")
    wire._signer = signer_of(access, "http://a", wire._tokens, 1)
    wire._signer.me = wire._signer  # only the collector finds it
    before = product.worker.thread.ended
    product.before_fork()  # no frame of the thread keeps its pipeline
    assert before.wait(10)
    ours = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            ours += [number] * os.readlink(f"/proc/self/fd/{{number}}").startswith("sock")
        except OSError:
            pass
    assert ours
    written = Path(os.environ["FORKLOG_TEST_LEDGER"] + ".written")
    over = hold([container.lock for container in all_of(RecentlyUsedContainer)])
    for _ in range(5):
        written.write_text("")
        quiet()
        child = {fork}()
        if not child:
            files = []
            for number in ours:
                os.close(number)
                file = open(written, "a", opener=lambda *a: os.dup2(os.open(*a), number))
                assert file.fileno() == number
                file.write("kept ")
                files.append(file)
            if {end!r} == "collects":
                stage.logger.handlers.clear()
                del stage.handler, handler, product, wire
                for _ in range(3):
                    gc.collect()
                for file in files:
                    file.close()
                os._exit(DONE)
            sys.files = files  # closed by the interpreter itself, after all modules
            del files, file
            sys.exit(DONE)
        reap(child)
        assert written.read_text() == "kept " * len(ours), written.read_text()
    over.set()
    product.after_fork_in_parent()
    log()
    """
    )
    forks.check_every_record_once(processes=1)


def test_google_auth_cannot_use_our_session_in_a_thread_of_its_own() -> None:
    """google-auth copies a request for threads of its own, whose locks a child would inherit."""
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(request_on(token_session(Deadline())))
