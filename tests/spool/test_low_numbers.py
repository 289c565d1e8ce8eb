"""A process that has closed stdin, stdout and stderr: what is printed is in no file of ours."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from helpers import check_python
from spool_script import SETUP

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("closed", ["1, 2", "0, 1", "0, 1, 2"])
def test_the_files_of_a_spool_have_no_low_numbers(tmp_path: Path, closed: str) -> None:
    """A killed process leaves whole files, whatever it and forklog wrote to 1 and 2 before."""
    body = f"""
        def is_taken(number):
            try:
                return bool(os.write(number, b"a line of other code\\n"))
            except OSError:
                return False
            finally:
                time.sleep(0.01)

        def victim():
            for number in ({closed}):
                os.close(number)
            transport = FakeTransport(Fail(seconds=60))
            log, handler = log_with(transport, max_retry_delay=0.1)
            for number in range(3000):  # several segments
                log.info("%04d %s", number, "x" * 300)
            while handler.stats().retries < 2:
                time.sleep(0.01)
            for number in ({closed}):
                if all(is_taken(number) for _ in range(20)):  # not while one is being moved
                    os.write(9, b"taken: %d" % number)

        reader, writer = os.pipe()
        os.dup2(writer, 9)
        os.close(writer)
        killed(victim)
        os.close(9)
        taken = os.read(reader, 99)
        assert not taken, taken
        [head] = heads()
        with open(FOLDER + "/" + head) as file:
            content = file.read()
        assert content.endswith("}}"), content
        transport = FakeTransport()
        log, handler = log_with(transport)
        log.info("next")
        wait(lambda: handler.flush() and len(transport.entries) == 3001, handler.stats())
        assert handler.stats().torn == 0
        handler.close()
        """
    setup = SETUP.format(folder=str(tmp_path / "spool"))
    check_python(setup + textwrap.dedent(body), 60, is_covered=False)


def test_a_map_has_no_low_number_though_its_file_has_a_high_one(tmp_path: Path) -> None:
    """Another thread may free a low number between the opening of a file and its map."""
    check_python(f"""
        import os
        from forklog.spool.parts import segment
        file = os.open({str(tmp_path / "file")!r}, os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, 65536)
        os.closerange(0, 3)
        made = segment._new_map_above(file, 65536)
        for low in range(3):
            try:
                os.fstat(low)
            except OSError:
                continue
            raise AssertionError(low)
        made.close()
    """)
