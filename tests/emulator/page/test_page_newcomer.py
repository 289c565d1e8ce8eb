"""A newcomer's application, in the emulator's page: FastAPI under gunicorn, with two workers."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from helpers import python_path, wait_until
from pages import DOCS, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from forklog.emulator import Emulator

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect


@contextmanager
def served(emulator: Emulator, folder: Path) -> Iterator[str]:
    """Run the program of the documentation's first page; give its address."""
    pytest.importorskip("fastapi", reason="the extra `test` has it")
    (program,) = (block for block in blocks_of(DOCS / "index.md") if block.title == "app.py")
    (folder / "app.py").write_text(program.text)
    command = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:0"]
    command += ["--worker-class", "uvicorn_worker.UvicornWorker", "app:app"]
    environment = {
        **os.environ,
        "LOGGING_EMULATOR_HOST": emulator.host,
        "PYTHONPATH": python_path(),
    }
    log = folder / "log"
    with log.open("w") as output, subprocess.Popen(
        command, cwd=folder, env=environment, stdout=output, stderr=output
    ) as process:  # fmt: skip
        try:
            wait_until(lambda: "Listening at: http" in log.read_text(), 60, "gunicorn listens")
            yield log.read_text().partition("Listening at: ")[2].partition(" ")[0]
        finally:
            process.terminate()
            process.wait(30)


def test_the_page_shows_the_request_with_its_records(
    page: Page, emulator: Emulator, tmp_path: Path
) -> None:
    """One click shows the request with its records, and each names the worker that served it."""
    with served(emulator, tmp_path) as address:
        with urllib.request.urlopen(f"{address}/orders/17", timeout=60) as answer:
            assert answer.status == 200
        row = page.locator(".row").filter(has_text="order 17 has no address")
        expect(row).to_be_visible()
        row.locator(".trace").click()
        expect(page.locator(".span.parent")).to_contain_text("200 GET")
        expect(page.locator(".span.child .message").first).to_have_text("order 17 is read")
        children = page.locator(".span.child").filter(has_text="order 17")
        expect(children).to_have_count(2)
        worker = {entry["labels"]["process_id"] for entry in emulator.entries('"order 17"')}
        assert len(worker) == 1
        process = page.locator("#process")
        expect(process.locator("option").filter(has_text=f"/{worker.pop()} ")).to_have_count(1)
