"""Whatever stands in a spool's folder, a look at it waits for nothing and follows nothing."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from heads import FITS, HEAD, put
from helpers import check_python

from forklog.spool.folder import Folder, UnfitError, _type_in, why_unfit
from forklog.spool.format import HEADER_BYTES, SEGMENT_BYTES, segment_header, segment_name
from forklog.spool.head import Fits
from forklog.spool.left.orphan import Orphan
from forklog.spool.parts.place import path_of
from forklog.spool.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX = "0123456789abcdef012"
_ENTRY = b'{"insertId":"%029x","timestamp":"2026-01-01T00:00:00Z","textPayload":"x"}\n'


def _head(prefix: str = _PREFIX, image: str = "00000000") -> str:
    return f"forklog-{prefix}-{image}.head"


def _put_orphan(folder: Folder, numbers: range, **changes: object) -> None:
    put(folder, _head(), orjson.dumps({**HEAD, **changes}))
    content = segment_header(0, SEGMENT_BYTES[0]) + b"".join(_ENTRY % n for n in numbers)
    put(folder, segment_name(_PREFIX, 0), content.ljust(SEGMENT_BYTES[0], b"\0"))


def _look(folder: Folder) -> tuple[list[Orphan], list[str], list[str]]:
    found = scan(folder, "11111111", set(), FITS)
    return found.orphans, found.foreign, found.refused


def test_an_orphan_is_read_in_batches_and_removed(folder: Folder) -> None:
    """Batches keep to their bounds, the mark follows them, and nothing is left behind."""
    _put_orphan(folder, range(10))
    ((orphan,), _, _) = _look(folder)
    assert [len(orphan.batch(4, 10_000)), len(orphan.batch(100, 1))] == [4, 1]
    orphan.settle(4)
    orphan.close()
    ((again,), _, _) = _look(folder)
    rest = again.batch(100, 10_000)
    assert rest == [(_ENTRY % n)[:-1] for n in range(4, 10)]
    again.settle(6)
    assert again.batch(100, 10_000) == []
    assert again.is_empty()
    again.remove()
    assert folder.names() == []


def test_a_claimed_orphan_is_taken(folder: Folder) -> None:
    """While one process reads an orphan, another one takes it for adopted, not for alive."""
    _put_orphan(folder, range(3))
    ((orphan,), _, _) = _look(folder)
    check_python(
        f"""
        from forklog.spool.folder import Folder
        from forklog.spool.head import Fits
        from forklog.spool.scan import scan
        found = scan(Folder({folder.path!r}, 2**30), "22222222", set(), Fits("p", None))
        assert (found.orphans, found.living, len(found.adopted)) == ([], 0, 1), found
        """
    )
    orphan.close()


@pytest.mark.parametrize("change", [{"project": "q"}, {"endpoint": "https://x"}, {"format": 2}])
def test_what_is_anothers_stays(folder: Folder, change: dict[str, object]) -> None:
    """A head of another project, endpoint or format is left as it is."""
    _put_orphan(folder, range(3), **change)
    before = sorted(folder.names())
    assert _look(folder) == ([], [_head()], [])
    assert sorted(folder.names()) == before


def test_a_head_without_a_project_is_for_those_that_find_theirs(folder: Folder) -> None:
    """Killed before it knew its project: a process whose options name one leaves it to others."""
    _put_orphan(folder, range(3), project=None)
    assert _look(folder) == ([], [_head()], [])
    for fits in (Fits(None, None), Fits("p", None, takes_unknown=True)):
        (orphan,) = scan(folder, "11111111", set(), fits).orphans
        orphan.close()


def test_a_project_that_is_found(folder: Folder) -> None:
    """Until then any project fits, as the connection asks once more; from then on it alone."""
    _put_orphan(folder, range(3))
    fits = Fits(None, None)
    (orphan,) = scan(folder, "11111111", set(), fits).orphans
    orphan.close()
    fits.learn("q")
    assert scan(folder, "11111111", set(), fits).foreign == [_head()]


def test_a_head_that_has_the_inode_of_an_ignored_one_is_found(folder: Folder) -> None:
    """On a disk the next file gets the inode of one that was removed."""
    first = _head()
    second = first.replace(first[8:27], f"{99:019x}")
    _put_orphan(folder, range(3))
    found = scan(folder, "11111111", {first[8:27]}, FITS)
    assert found.orphans == []
    Path(folder.path, first).rename(Path(folder.path, second))
    (orphan,) = scan(folder, "11111111", {first[8:27]}, FITS).orphans
    assert str(orphan.name) == second
    orphan.close()


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _link(path: Path) -> None:
    path.with_suffix(".target").write_bytes(orjson.dumps(HEAD))
    path.symlink_to(path.with_suffix(".target"))


def _hard_link(path: Path) -> None:
    path.with_suffix(".target").write_bytes(orjson.dumps(HEAD))
    path.with_suffix(".target").chmod(0o600)
    path.hardlink_to(path.with_suffix(".target"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # a path of a socket is short
        made.bind(path.name)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    path.chmod(0o600)


def _public(path: Path) -> None:
    path.write_bytes(orjson.dumps(HEAD))
    path.chmod(0o644)


_HOSTILE = [Path.mkdir, _fifo, _link, _hard_link, _socket, _sparse, _public]


@pytest.mark.parametrize("plant", _HOSTILE)
def test_what_is_no_file_of_ours_is_refused(
    folder: Folder, plant: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders, pipes, links, sockets, huge and public files are no heads, and stay untouched."""
    monkeypatch.chdir(folder.path)
    plant(Path(folder.path, _head()))
    before = sorted(folder.names())
    assert _look(folder) == ([], [], [_head()])
    assert sorted(folder.names()) == before


@pytest.mark.parametrize("error", [errno.ENOENT, errno.EMFILE])
def test_what_cannot_be_opened_just_now_is_not_called_broken(
    folder: Folder, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner has removed or renamed it since, or the process has no descriptor left."""
    _put_orphan(folder, range(3))

    genuine = os.open

    def fail(path: str, flags: int, _mode: int = 0, *, dir_fd: int) -> int:
        if path == ".":  # the folder itself, which is listed
            return genuine(path, flags, dir_fd=dir_fd)
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        found = scan(folder, "11111111", set(), Fits("p", None))
    assert (found.orphans, found.refused) == ([], [])
    (orphan,) = scan(folder, "11111111", set(), Fits("p", None)).orphans
    orphan.close()


@pytest.mark.parametrize("plant", _HOSTILE)
def test_segments_that_are_no_files_of_ours_are_refused(
    folder: Folder, plant: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of a segment they are passed over; the segments beside them are sent."""
    monkeypatch.chdir(folder.path)
    _put_orphan(folder, range(3))
    plant(Path(folder.path, segment_name(_PREFIX, 1)))
    ((orphan,), _, _) = _look(folder)
    assert len(orphan.batch(100, 10_000)) == 3
    orphan.settle(3)
    assert orphan.batch(100, 10_000) == []
    assert orphan.refused == [segment_name(_PREFIX, 1)]
    orphan.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid":1}', b"\0" * 100])
def test_a_broken_head_is_set_aside(folder: Folder, content: bytes) -> None:
    """A head that is no JSON of ours gets another name, once, and is not read again."""
    put(folder, _head(), content)
    assert _look(folder) == ([], [], [_head()])
    assert folder.names() == [f"{_head()}.bad"]
    assert _look(folder) == ([], [], [])


@pytest.mark.parametrize(
    ("content", "is_bad"),
    [(b"", False), (bytes(SEGMENT_BYTES[0]), False), (b"FLSPOOL2" + bytes(1000), True),
     (segment_header(1, 12345), True), (b"x" * 100, True)],
)  # fmt: skip
def test_a_segment_without_a_header(folder: Folder, content: bytes, is_bad: bool) -> None:  # noqa: FBT001
    """One that its process had not finished making holds nothing; any other one is set aside."""
    _put_orphan(folder, range(2))
    name = segment_name(_PREFIX, 1)
    put(folder, name, content)
    ((orphan,), _, _) = _look(folder)
    orphan.settle(len(orphan.batch(100, 10_000)))
    assert orphan.batch(100, 10_000) == []
    assert orphan.refused == ([name] if is_bad else [])
    assert (f"{name}.bad" in folder.names()) is is_bad
    orphan.close()


def test_a_mark_beyond_the_end_is_no_header(folder: Folder) -> None:
    """It is one that is lost: what is whole behind it is sent, and the segment set aside."""
    _put_orphan(folder, range(2))
    path = Path(folder.path, segment_name(_PREFIX, 0))
    content = bytearray(path.read_bytes())
    content[8:16] = (2**60).to_bytes(8, sys.byteorder)
    path.write_bytes(content)
    ((orphan,), _, _) = _look(folder)
    orphan.settle(len(orphan.batch(1, 10_000)))
    orphan.unload()
    assert len(orphan.batch(100, 10_000)) == 1
    orphan.settle(1)
    assert orphan.batch(100, 10_000) == []
    assert orphan.refused == [path.name]
    assert sorted(folder.names()) == [_head(), f"{path.name}.bad"]
    orphan.close()


def test_own_heads_are_never_opened(folder: Folder) -> None:
    """To close a head's descriptor frees its lock: one's own heads are passed over unopened."""
    put(folder, _head(image="11111111"), b"not even JSON")
    assert _look(folder) == ([], [], [])
    assert folder.names() == [_head(image="11111111")]


@pytest.mark.parametrize("place", ["{tmp_path}/link/spool", "{tmp_path}/link/a/b", "/proc/1/spool"])
def test_a_folder_that_cannot_be_made_is_unfit(tmp_path: Path, place: str) -> None:
    """Where the one above is a link that leads nowhere, or makes no folders, it is tried once."""
    (tmp_path / "link").symlink_to("/no/such/volume")
    with pytest.raises(UnfitError, match="No such file"):
        Folder(place.format(tmp_path=tmp_path), 2**30)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o177])
def test_folders_that_are_made_are_private(tmp_path: Path, mask: int) -> None:
    """Each that is missing on the way, whatever the process's mask for new files is."""
    before = os.umask(mask)
    try:
        Folder(str(tmp_path / "one" / "two" / "spool"), 2**30).close()
    finally:
        os.umask(before)
    for path in ("one", "one/two", "one/two/spool"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700


def test_a_link_that_takes_the_place_of_a_new_folder_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others may write in the folder above: the link's target keeps its mode."""
    target, made = tmp_path / "target", tmp_path / "spool"
    target.mkdir()
    target.chmod(0o755)
    genuine = os.mkdir

    def swapped(path: str, mode: int) -> None:
        genuine(path, mode)
        made.rmdir()
        made.symlink_to(target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", swapped)
        with pytest.raises(UnfitError):
            Folder(str(made), 2**30)
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    """The folder must be the user's alone."""
    path = tmp_path / "spool"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(UnfitError, match="mode"):
        Folder(str(path), 2**30)


def test_a_folder_whose_number_the_next_one_has(folder: Folder) -> None:
    """After a daemon has closed all descriptors, the close of the old one leaves it open."""
    number = folder.descriptor
    os.close(number)
    following = Folder(folder.path, 2**30)
    assert following.descriptor == number
    folder.close()
    assert following.names() == []
    following.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_process_without_a_descriptor_left(folder: Folder) -> None:
    """The folder is not unfit for that: a later try finds one."""
    check_python(
        f"""
        import errno, os, resource
        from forklog.spool.folder import Folder, UnfitError
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        number = os.dup(0)
        os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
        try:
            Folder({folder.path!r}, 2**30)
        except OSError as error:
            assert error.errno == errno.EMFILE, error
        else:
            raise AssertionError("no error")
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        Folder({folder.path!r}, 2**30).close()
        """
    )


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """No link is followed, wherever it leads."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(tmp_path / "real")
    with pytest.raises(UnfitError, match="cannot be opened"):
        Folder(str(tmp_path / "spool"), 2**30)


@pytest.mark.parametrize("behind", ["", "/", "//", "/.", "/./"])
def test_a_link_with_a_slash_behind_it_is_refused(tmp_path: Path, behind: str) -> None:
    """The kernel would follow it then; the folder itself may be given in these ways."""
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "spool").symlink_to(real)
    with pytest.raises(UnfitError, match="cannot be opened"):
        Folder(path_of(f"{tmp_path}/spool{behind}"), 2**30)
    folder = Folder(path_of(f"{real}{behind}"), 2**30)
    folder.close()
    assert folder.path == str(real)


def test_two_dots_mean_what_they_mean_to_the_kernel(tmp_path: Path) -> None:
    """Behind a link they are the folder above its target, not above the link."""
    (tmp_path / "other" / "inner").mkdir(parents=True)
    (tmp_path / "other" / "spool").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "other" / "inner")
    folder = Folder(path_of(f"{tmp_path}/link/../spool"), 2**30, is_made=False)
    found, meant = os.fstat(folder.descriptor), (tmp_path / "other" / "spool").stat()
    folder.close()
    assert os.path.samestat(found, meant)


def test_the_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """A folder that another user owns is not written to."""
    if os.geteuid():
        pytest.skip("only root can make a folder of another user's")
    path = tmp_path / "spool"
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(UnfitError, match="belongs to user 12345"):
        Folder(str(path), 2**30)


def test_a_foreignfile_system_is_refused() -> None:
    """Where a lock tells nothing, as on a network, there is no spool; /proc stands for it here."""
    script = "from forklog.spool.folder import file_system; import os; "
    script += "print(file_system(os.stat('/proc').st_dev, '/proc'))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "proc\n"


@pytest.mark.parametrize(
    ("device", "kind"), [("0:5", "btrfs"), ("0:6", "tmpfs"), ("0:9", "btrfs"), ("", "btrfs")]
)
def test_a_subvolume_that_stands_in_no_table_is_of_btrfs(device: str, kind: str) -> None:
    """It has a device number of its own, and is refused by name; else the type is not known."""
    lines = [
        b"31 1 0:5 / / rw - btrfs /dev/sda1 rw,subvol=/\n",
        b"32 31 0:6 / /caf\xe9\\040bar rw shared:2 - tmpfs tmpfs rw\n",
    ]
    assert _type_in(lines, device.encode()) == kind
    assert _type_in(lines[1:], b"0:9") == "an unknown file system"


@pytest.mark.parametrize("kind", ["btrfs", "zfs", "bcachefs", "nfs4", "an unknown file system"])
def test_unfitfile_systems(kind: str) -> None:
    """Copy-on-write reserves nothing, and a full disk would kill a log call; the text says so."""
    is_local = kind in {"btrfs", "zfs", "bcachefs"}
    assert ("copy-on-write" if is_local else "a local one") in why_unfit(kind)
    assert not any(map(why_unfit, ("tmpfs", "ext4", "xfs", "overlay")))


def test_bounds_of_the_folder(tmp_path: Path) -> None:
    """Files of all processes count, as of the last look."""
    folder = Folder(str(tmp_path / "spool"), 1000)
    assert folder.has_room(900)
    put(folder, "x", bytes(200))
    folder.names()
    assert not folder.has_room(900)
    folder.close()


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_folder_of_few_files_need_not_be_measured(tmp_path: Path, place: str) -> None:
    """By its own size, which never says few of many: the bound holds for what is not looked at."""
    root = Path("/dev/shm") if place == "memory" else tmp_path  # noqa: S108
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder = Folder(f"{name}/spool", 100 * 2**20)
        try:
            few = 0
            for number in range(300):
                put(folder, segment_name(f"{number:019x}", 0), b"")
                if folder.has_few(SEGMENT_BYTES[-1]):
                    few = number + 1
            assert few <= 100
            assert not folder.has_few(SEGMENT_BYTES[-1])
            if place == "memory":
                assert few >= 10
        finally:
            folder.close()


def test_the_automatic_folder() -> None:
    """It is in shared memory, one for each user; a given path is taken as it is."""
    assert path_of("auto") == f"/dev/shm/forklog-{os.geteuid()}"  # noqa: S108
    assert path_of("/var/spool/x") == "/var/spool/x"


def test_a_header_is_as_long_as_the_format_has_it() -> None:
    """The first entry stands behind the header."""
    assert len(segment_header(0, SEGMENT_BYTES[0])) == HEADER_BYTES
