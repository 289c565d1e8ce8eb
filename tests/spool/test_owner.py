"""The owner's side of a spool: when it is full, when its files are removed, and at a close."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from helpers import check_python
from spool_script import SETUP

if TYPE_CHECKING:
    from pathlib import Path

_MORE = """
import json, shutil, threading
from forklog.transports.base import WireError

class Down:
    '''Stands for a server that cannot be reached.'''
    def open(self):
        raise WireError("down")

def files():
    return sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def calls_of(*names):
    '''Count the calls of functions of os from now on, of this thread.'''
    counted, here = collections.Counter(), threading.get_ident()
    def counting(name, call):
        def counted_call(*args, **kwargs):
            counted[name] += threading.get_ident() == here
            return call(*args, **kwargs)
        return counted_call
    for name in names:
        setattr(os, name, counting(name, getattr(os, name)))
    return counted
"""


def _check(folder: Path, body: str) -> str:
    whole = SETUP.format(folder=str(folder)) + _MORE + textwrap.dedent(body)
    return check_python(whole, 60, is_covered=False).stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the path of a folder that does not exist yet."""
    return tmp_path / "made" / "spool"


_FULL = {"spool_max_bytes": 1 << 20, "spool_max_folder_bytes": 1 << 20}


@pytest.mark.parametrize("bound", _FULL)
def test_a_full_spool_whose_entries_are_delivered_is_used_again(folder: Path, bound: str) -> None:
    """Where no further segment may be made, the one that there is takes new entries again."""
    _check(
        folder,
        f"""
        os.makedirs(FOLDER, 0o700)
        if {bound!r} == "spool_max_folder_bytes":
            with open(FOLDER + "/other", "wb") as other:
                other.write(bytes(900 << 10))
        transport = FakeTransport()
        log, handler = log_with(transport, {bound}=1 << 20)
        unspooled = []
        for lap in range(8):
            for number in range(60):
                log.info("%d %d %s", lap, number, "x" * 500)
            assert handler.flush(10)
            unspooled.append(handler.stats().unspooled)
        assert unspooled == [0] * 8, unspooled
        assert len(set(texts(transport))) == 8 * 60
        handler.close()
        assert [name for name in files() if name != "other"] == []
        """,
    )


def test_a_spool_is_filled_up_to_its_bound(folder: Path) -> None:
    """Where a large segment does not fit any more, smaller ones do."""
    _check(
        folder,
        """
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, spool_max_bytes=1 << 20)
        while handler.stats().unspooled < 100:
            log.info("x" * 500)
        sizes = [os.path.getsize(os.path.join(FOLDER, name)) for name in files() if ".log" in name]
        assert sum(sizes) == 1 << 20, sizes
        transport.release()
        assert handler.flush(30), handler.stats()
        assert len(transport.entries) == handler.stats().delivered
        """,
    )


def test_an_entry_beyond_the_bound_costs_no_look_at_the_folder(folder: Path) -> None:
    """It is counted once, and the next ones make no system call: the flush thread asks again."""
    _check(
        folder,
        """
        os.makedirs(FOLDER, 0o700)
        with open(FOLDER + "/other", "wb") as other:
            other.write(bytes(900 << 10))
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, spool_max_folder_bytes=1 << 20)
        while not handler.stats().unspooled:
            log.info("x" * 500)
        counted = calls_of("statvfs", "scandir", "open", "stat", "fstat")
        for _ in range(100):
            log.info("x" * 500)
        assert handler.stats().unspooled == 101, handler.stats()
        assert not +counted, counted
        os.unlink(FOLDER + "/other")
        transport.release()
        assert handler.flush(10)
        wait(lambda: log.info("x" * 30_000) or handler.flush(10) and len(files()) > 2)
        """,
    )


def test_a_folder_that_dead_processes_have_filled_is_emptied(folder: Path) -> None:
    """The next process has no room for its own entries yet, sends theirs, and then has it."""
    body = f"""
        options = {_FULL!r}
        def fill():
            log, _ = log_with(Down(), **options)
            for number in range(2000):
                log.info("%d %s", number, "x" * 1000)
        killed(fill)
        transport = FakeTransport()
        log, handler = log_with(transport, **options)
        log.info("first")
        assert handler.stats().unspooled == 1, handler.stats()
        def has_room():
            log.info("more")
            return handler.stats().spooled_bytes > 0
        wait(has_room, "room")
        wait(lambda: len(heads()) == 1, "the dead process's files")
        assert handler.flush(30)
        stats = handler.stats()
        assert stats.recovered > 700 and stats.accepted == stats.delivered, stats
        handler.close()
        assert not files()
        """
    stderr = _check(folder, body)
    assert stderr.count("the spool has no room yet, memory takes entries") == 1, stderr


def test_a_full_folder_takes_no_more_in_an_outage(folder: Path) -> None:
    """What other processes have there counts, although no scan has measured it."""
    _check(
        folder,
        """
        os.makedirs(FOLDER, 0o700)
        with open(FOLDER + "/other", "wb") as other:
            other.write(bytes(3 << 20))
        options = {"shutdown_timeout": 0.1, "last_resort": "none"}
        log, handler = log_with(Down(), spool_max_folder_bytes=1 << 20, **options)
        for number in range(500):
            log.info("%d %s", number, "x" * 300)
        assert files() == [*heads(), "other"] and len(heads()) == 1, files()
        assert handler.stats().unspooled == 500, handler.stats()
        handler.close()
        assert files() == ["other"], files()
        os.unlink(FOLDER + "/other")

        log, handler = log_with(Down(), spool_max_folder_bytes=1 << 20, shutdown_timeout=0.1)
        log.info("x")
        with open(FOLDER + "/other", "wb") as other:
            other.write(bytes(1 << 20))
        time.sleep(1.1)
        for number in range(500):
            log.info("%d %s", number, "x" * 300)
        assert len(files()) == 3 and handler.stats().unspooled, files()
        """,
    )


@pytest.mark.parametrize("removed", ["folder", "files", "for ever"])
def test_entries_whose_files_are_gone_get_to_the_last_resort(folder: Path, removed: str) -> None:
    """At an end in an outage no line says that they wait where no process finds them.

    On a busy machine the flush thread may have begun new files by then: the next process has them.
    """
    _check(
        folder,
        f"""
        last = FOLDER + ".last"
        log, handler = log_with(Down(), shutdown_timeout=0.2, last_resort=last)
        for number in range(5):
            log.info("%d", number)
        wait(lambda: handler.stats().requests)  # the flush thread has just looked at the files
        if {removed!r} == "files":
            [os.unlink(os.path.join(FOLDER, name)) for name in files()]
        else:
            shutil.rmtree(FOLDER)
        if {removed!r} == "for ever":
            open(FOLDER, "w").close()
        log.info("after")
        handler.close()
        stats = handler.stats()
        found = []
        if os.path.exists(last):
            with open(last) as lines:
                found = [json.loads(line)["textPayload"] for line in lines]
        assert len(found) == sum(stats.diverted.values()), (found, stats)
        assert len(found) == 6 - stats.pending, (found, stats)
        assert {removed!r} != "for ever" or len(found) == 6
        if stats.pending:
            transport = FakeTransport()
            log, handler = log_with(transport)
            log.info("adopter")
            wait(lambda: len(transport.entries) == 7 - len(found))
            found += [text for text in texts(transport) if text != "adopter"]
        assert sorted(found) == ["0", "1", "2", "3", "4", "after"], found
        """,
    )


@pytest.mark.parametrize("size", [10, 30_000])
def test_new_files_hold_what_the_removed_ones_held(folder: Path, size: int) -> None:
    """In an outage, too: a kill after that loses none of the entries, in flight or waiting."""
    stderr = _check(
        folder,
        f"""
        def die():
            log, handler = log_with(Down(), max_batch_entries=3)
            for number in range(8):
                log.info("%d %s", number, "x" * {size})
            before = set(files())
            shutil.rmtree(FOLDER)
            deadline = time.monotonic() + 30
            while not heads_or_none():
                time.sleep(0.01)
                log.info("more")
                assert time.monotonic() < deadline
            time.sleep(0.5)
            assert not before & set(files())
        def heads_or_none():
            return [name for name in files() if name.endswith(".head")]
        killed(die)
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("adopter")
        wait(lambda: {{text.split()[0] for text in texts(transport)}} >= set("01234567"))
        counts = collections.Counter(texts(transport))
        assert all(counts[text] == 1 for text in counts if text != "more"), counts
        """,
    )
    assert "the spool's files were removed" in stderr


def test_a_live_outage_with_removed_files_loses_none_and_doubles_none(folder: Path) -> None:
    """When the server is back, what was in flight then and what waited is delivered, each once."""
    _check(
        folder,
        """
        class Back(FakeTransport):
            is_down = True
            def open(self):
                if self.is_down:
                    raise WireError("down")
                return super().open()
        transport = Back()
        log, handler = log_with(transport, max_batch_entries=3)
        for number in range(8):
            log.info("%d", number)
        shutil.rmtree(FOLDER)
        wait(lambda: files() or time.sleep(0.05), "no new files")
        log.info("after")
        transport.is_down = False
        assert handler.flush(30), handler.stats()
        assert texts(transport) == [*map(str, range(8)), "after"], texts(transport)
        stats = handler.stats()
        assert (stats.delivered, stats.pending, stats.spooled_bytes) == (9, 0, 0), stats
        handler.close()
        assert files() == []
        """,
    )


def test_a_spool_that_cannot_begin_anew_goes_on_in_memory(folder: Path) -> None:
    """Its flush thread lives on, one line says why, and everything is delivered."""
    stderr = _check(
        folder,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("one")
        assert handler.flush(10)
        [os.unlink(os.path.join(FOLDER, name)) for name in files()]
        os.chmod(FOLDER, 0o755)
        time.sleep(1.1)
        for number in range(5):
            log.info("%d", number)
            assert handler.flush(10), handler.stats()
        stats = handler.stats()
        assert stats.spool.startswith("off: ") and stats.pending == 0, stats
        assert texts(transport) == ["0", "1", "2", "3", "4", "one"]
        handler.close()
        assert files() == []
        """,
    )
    assert "has mode 0755" in stderr
    assert "the flush thread ended" not in stderr


def test_a_spool_near_its_bound_begins_anew(folder: Path) -> None:
    """The removed files count no more: the new ones have the whole bound."""
    _check(
        folder,
        """
        transport = FakeTransport(Hang(times=1000))
        log, handler = log_with(transport, spool_max_bytes=1 << 20, max_batch_bytes=1 << 20)
        number = 0
        while not handler.stats().unspooled:
            log.info("%d %s", number, "x" * 300)
            number += 1
        shutil.rmtree(FOLDER)
        time.sleep(1.1)
        transport.release()
        assert handler.flush(30), handler.stats()
        time.sleep(1.1)
        log.info("last")
        assert handler.flush(30) and handler.stats().spool == FOLDER, handler.stats()
        assert len(set(texts(transport))) == number + 1
        handler.close()
        assert files() == []
        """,
    )


def test_a_close_gives_all_descriptors_back(folder: Path) -> None:
    """So does a spool whose files were removed, and one whose first segment cannot be made."""
    _check(
        folder,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        def log_and_close(lose=False):
            log.info("x")
            if lose:
                assert handler.flush(10)
                shutil.rmtree(FOLDER)
                time.sleep(1.1)
                log.info("y")
                assert handler.flush(10)
                wait(heads)
            handler.close()
        log_and_close()
        before = descriptors()
        for _ in range(5):
            log_and_close()
        log_and_close(lose=True)
        assert descriptors() == before, os.listdir("/proc/self/fd")
        assert files() == []
        handler.close()

        with open(FOLDER + "/other", "wb") as other:
            other.write(bytes(1 << 20))
        log, handler = log_with(transport, spool_max_folder_bytes=1 << 20)
        log_and_close()
        assert handler.stats().spool.startswith("off: ")
        assert (descriptors(), files()) == (before, ["other"])
        """,
    )


def test_a_close_in_an_outage_gives_all_descriptors_back(folder: Path) -> None:
    """But for the maps of the segments that stay, which hold none of head or folder."""
    _check(
        folder,
        """
        log, handler = log_with(Down(), shutdown_timeout=0.05)
        def left_open():
            return [name for number in os.listdir("/proc/self/fd")
                    if os.path.lexists(path := f"/proc/self/fd/{number}")
                    and (name := os.readlink(path)).startswith(FOLDER) and ".log" not in name]
        for _ in range(3):
            log.info("x")
            handler.close()
        assert left_open() == [], left_open()
        assert len(heads()) == 3
        """,
    )


def test_a_spool_that_has_no_room_to_begin_anew_tries_again(folder: Path) -> None:
    """Memory takes what comes meanwhile, and is counted; a kill after that loses none."""
    stderr = _check(
        folder,
        """
        def die():
            log, handler = log_with(Down(), spool_max_folder_bytes=1 << 20)
            log.info("before")
            before = files()
            with open(FOLDER + "/other", "wb") as other:
                other.write(bytes(1 << 20))
            for name in before:
                os.unlink(f"{FOLDER}/{name}")
            def is_full():
                log.info("meanwhile")
                return handler.stats().unspooled
            wait(is_full)
            assert handler.stats().spool == FOLDER, handler.stats()
            os.unlink(FOLDER + "/other")
            def has_begun():
                log.info("meanwhile")
                logs = [name for name in files() if ".log" in name]
                return any(b'"before"' in open(f"{FOLDER}/{name}", "rb").read() for name in logs)
            wait(has_begun)
            unspooled = handler.stats().unspooled
            log.info("after")
            assert handler.stats().unspooled == unspooled
        killed(die)
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("adopter")
        wait(lambda: {"before", "after"} <= set(texts(transport)) and len(heads()) == 1)
        handler.close()
        assert files() == []
        """,
    )
    assert "the spool's files were removed" in stderr
    assert "the spool has no room yet, memory takes entries" in stderr


@pytest.mark.parametrize("is_down", [True, False])
def test_a_segment_that_is_begun_during_a_close(folder: Path, *, is_down: bool) -> None:
    """No file of it stays behind without a head; the pipeline after has the entry."""
    _check(
        folder,
        f"""
        from forklog.spool.segments import Segments
        last = FOLDER + ".last"
        transport = Down() if {is_down} else FakeTransport()
        log, handler = log_with(transport, shutdown_timeout=0.2, last_resort=last)
        log.info("x" * 40_000)
        end = held_up(Segments, "activate", lambda: log.info("late" + "y" * 40_000))
        handler.close()
        end()
        handler.close()
        held = b""
        for name in files():
            if name.endswith(".log"):
                with open(os.path.join(FOLDER, name), "rb") as file:
                    held += file.read()
        assert len(heads()) == (2 if {is_down} else 0), files()
        assert held.count(b'"textPayload":"late') == {is_down}, files()
        if not {is_down}:
            assert [text[:4] for text in texts(transport)].count("late") == 1
            assert files() == []
        assert not os.path.exists(last)
        """,
    )


def test_a_tidier_that_removes_the_head_alone(folder: Path) -> None:
    """It is the oldest file; the segments that it leaves without a head go with it."""
    _check(
        folder,
        """
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("one")
        assert handler.flush(10)
        before = files()
        os.unlink(os.path.join(FOLDER, heads()[0]))
        def has_begun():
            log.info("more")
            assert handler.flush(10)
            return heads()
        wait(has_begun)
        wait(lambda: not set(before) & set(files()))
        handler.close()
        assert files() == []
        """,
    )


def test_a_failed_look_at_the_kernel_s_start_is_no_answer(folder: Path) -> None:
    """A process that had no descriptor left once learns the kernel's start later."""
    _check(
        folder,
        """
        import resource
        from forklog.spool.parts.image import boot_id
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        assert boot_id() == ""
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with open("/proc/sys/kernel/random/boot_id") as file:
            assert boot_id() == file.read().strip()
        """,
    )
