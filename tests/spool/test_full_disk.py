"""A file system, or a folder, that has no room while a handler with a spool logs, and then has."""

from __future__ import annotations

import itertools
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cases import few
from spool_script import need_unshare, run_body

if TYPE_CHECKING:
    from pathlib import Path

_BODY = """
import errno, glob, re
DISK, BOUND = os.path.dirname(FOLDER), {bound}
logged = 0

def say(count):
    global logged
    for _ in range(count):
        log.info("%d %s", logged, "x" * 200)
        logged += 1

def fill_blocks(size):
    '''Add to a file; tell whether there was room for it.'''
    with open(DISK + "/other", "ab", buffering=0) as other:
        data = bytes(size)
        while data:
            data = data[other.write(data):]
        os.fsync(other)

def fill_names(size):
    for _ in range(max(1, size // 8192)):
        open(DISK + "/other%d" % len(os.listdir(DISK)), "x").close()

def fill_folder(size):
    '''Add to a file that counts as the spool's folder's.'''
    os.makedirs(FOLDER, 0o700, exist_ok=True)
    used = sum(os.stat(FOLDER + "/" + name).st_size for name in os.listdir(FOLDER))
    if used + size > BOUND:
        raise OSError(errno.ENOSPC, "the bound")
    with open(FOLDER + "/other", "ab") as other:
        other.write(bytes(size))

def is_filled(size):
    try:
        fill_{lack}(size)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return True
    return False

def fill():
    '''Leave no room, while the handler logs {at} records between two pieces.'''
    for size in (65536, 4096):
        while not is_filled(size):
            say({at})

def written():
    '''Return the entries in the files.'''
    found = set()
    for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else ():
        if name.endswith(".log"):
            with open(FOLDER + "/" + name, "rb") as file:
                pieces = re.split(b"[\\\\0\\\\n]", file.read()[64:])
            found.update(piece for piece in pieces if piece.startswith(b'{{"insertId":'))
    return found

def do_counts_agree():
    stats, entries = handler.stats(), written()
    in_flight = {{line for request in transport.sent for line in request.lines}}
    waiting = sum(map(len, entries - in_flight))
    return (
        (stats.accepted, stats.pending, dict(stats.dropped)) == (logged, logged, {{}})
        and len(entries) + stats.unspooled == logged
        and stats.spooled_bytes == waiting
    )

transport = FakeTransport(Hang(times=1000))
log, handler = log_with(transport, spool_max_folder_bytes=BOUND)
say({at})
fill()
say(3000)
assert is_filled(4096), "there is room"
try:
    wait(do_counts_agree, "counts")
except AssertionError as error:
    raise AssertionError(handler.stats(), len(written()), logged) from error
full = handler.stats()
assert full.unspooled > 0, full
assert not {at} or full.unspooled < logged, full
os.sync()
os.posix_fadvise(os.open(DISK, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)

transport.release()
assert handler.flush(30), handler.stats()
stats = handler.stats()
assert (stats.delivered, stats.pending, stats.spooled_bytes) == (logged, 0, 0), stats
seen = collections.Counter(text.split()[0] for text in texts(transport))
assert seen == dict.fromkeys(map(str, range(logged)), 1), seen.most_common(3)

for path in (*glob.glob(DISK + "/other*"), *glob.glob(FOLDER + "/other*")):
    os.unlink(path)
def goes_on():
    '''More than a segment holds, at once, finds room.'''
    before = handler.stats().unspooled
    say(1000)
    after = handler.stats()
    assert handler.flush(30), handler.stats()
    return after.spool == FOLDER and after.unspooled == before
wait(goes_on, "room")
assert len(texts(transport)) == logged == len(set(texts(transport)))
"""


def _mounted(kind: str, folder: Path) -> tuple[str, ...]:
    """Return the call by which a program sees a small file system in a folder."""
    before = need_unshare("-m")
    how = ["mount", "-t", "tmpfs", "-o", "size=3m,nr_inodes=64", "tmpfs"]
    if kind == "ext4":
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("there is no mkfs.ext4")
        image = folder.parent / f"{folder.name}.image"
        with image.open("wb") as file:
            file.truncate(6 << 20)
        make = ["mkfs.ext4", "-q", "-F", "-N", "64", str(image)]
        subprocess.run(make, check=True, timeout=60)
        how = ["mount", "-o", "loop", str(image)]
    call = (*before, *how, str(folder))
    if (tried := subprocess.run(call, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"this user may not mount {kind}: {tried.stderr.strip()}")
    return *before, "sh", "-c", f'{shlex.join([*how, str(folder)])} && exec "$@"', "sh"


@pytest.mark.parametrize(
    ("kind", "lack", "at"),
    few(
        itertools.product(["ext4", "tmpfs"], ["blocks", "names"], [0, 20]),
        *[("ext4", "names", 20), ("tmpfs", "blocks", 20)],
    ),
)
def test_a_file_system_without_room(tmp_path: Path, kind: str, lack: str, at: int) -> None:
    """Nothing is raised or lost, the counts agree with the files, and it goes on with room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    before = _mounted(kind, disk)
    run_body(_BODY.format(lack=lack, at=at, bound=1 << 30), *before, folder=disk / "spool")


@pytest.mark.parametrize("at", few([0, 20], 20), ids=["full", "fills"])
def test_a_folder_without_room(tmp_path: Path, at: int) -> None:
    """The same at the folder's bound, which files of others reach."""
    run_body(_BODY.format(lack="folder", at=at, bound=1 << 20), folder=tmp_path / "spool")
