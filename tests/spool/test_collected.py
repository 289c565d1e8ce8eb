"""A handler with a spool that is collected without a close, as after a new configuration.

Closes the class: files and descriptors that only a `close` gave back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import DONE
from spool_script import run_body

if TYPE_CHECKING:
    from pathlib import Path

_BODY = """
import gc
log = logging.getLogger("collected")
log.setLevel(1)
transport = FakeTransport()
before = len(os.listdir("/proc/self/fd"))
for number in range(5):
    handler = forklog.CloudLoggingHandler(transport=transport, spool=FOLDER, max_latency=0.01)
    log.addHandler(handler)
    log.info("%d", number)
    HOW
    log.removeHandler(handler)
    del handler
    gc.collect()
def is_left():
    gc.collect()  # the pipeline, once its thread has ended
    return not os.listdir(FOLDER) and threading.active_count() == 1
wait(is_left)
wait(lambda: len(os.listdir("/proc/self/fd")) <= before + 1, os.listdir("/proc/self/fd"))
assert {str(number) for number in range(5)} <= set(texts(transport)), texts(transport)
"""

_HOW = {
    "at once": "pass",
    "after a flush": "assert handler.flush(20)",
    "after a close and a record": "handler.close(); log.info('again')",
    "after a fork": """assert handler.flush(20)
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)""",
}


@pytest.mark.parametrize("how", _HOW)
def test_its_files_and_descriptors_are_given_back(tmp_path: Path, how: str) -> None:
    """Everything is delivered; then no file, descriptor or thread of it is left."""
    run_body(_BODY.replace("HOW", _HOW[how]), folder=tmp_path / "spool")


def test_what_it_has_not_delivered_is_left_for_the_next_process(tmp_path: Path) -> None:
    """Files of a store that is collected are removed only if each entry in them is settled."""
    run_body(
        f"""
        from forklog.spool.parts import taking
        log, handler = log_with(FakeTransport(Hang(times=1000)), last_resort="none")
        log.info("pending")
        store = handler._gate.product.store
        wait(lambda: handler.stats().requests)  # the entry is in flight
        taking._leave_collected(store._left)
        heads = [name for name in os.listdir(FOLDER) if name.endswith(".head")]
        assert len(heads) == 1 and len(os.listdir(FOLDER)) > 1, os.listdir(FOLDER)
        os._exit({DONE})
        """,
        folder=tmp_path / "spool",
    )


def test_what_it_has_adopted_is_free_for_the_next_process(tmp_path: Path) -> None:
    """Where no thread runs nothing but the collection gives its orphans' locks back."""
    run_body(
        """
        import gc
        sys.modules["uwsgi"] = type(sys)("uwsgi")  # a server without threads
        killed(lambda: log_with(FakeTransport(Fail()), shutdown_timeout=0.1)[0].info("left"))
        log, handler = log_with(FakeTransport(Deliver(), Fail(times=1000)))
        pipeline = handler._gate.product
        pipeline._host.may_run_threads = lambda: False
        files = len(os.listdir("/proc/self/fd"))
        def adopts():
            log.error("own")
            adopter = pipeline.spooler._adopting.adopter
            return adopter is not None and adopter._adoptions
        wait(adopts)
        assert handler.stats().state == "inline", handler.stats()
        del log, handler, pipeline
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= files, os.listdir("/proc/self/fd")
        if not (child := os.fork()):
            transport = FakeTransport()
            log, handler = log_with(transport)
            log.info("next")
            wait(lambda: "left" in texts(transport))
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        """,
        folder=tmp_path / "spool",
    )
