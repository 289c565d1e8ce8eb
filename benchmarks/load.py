"""Sends requests to the servers of the row `web`: by wrk where it is installed, else by a loop."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

_RATE = re.compile(r"Requests/sec:\s*([\d.]+)")


def driver() -> str:
    """Name the driver of this machine."""
    return "wrk" if shutil.which("wrk") else "the harness's own loop (wrk is not installed)"


def requests_per_second(url: str, connections: int, seconds: float) -> float:
    """Send GETs over so many connections at once; return the answers a second."""
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", url]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        found = _RATE.search(done.stdout)
        return float(found[1]) if found else 0.0
    counts = [0] * connections
    end = time.monotonic() + seconds
    team = [
        threading.Thread(target=_ask_until, args=(url, end, counts, i)) for i in range(connections)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return sum(counts) / seconds


def _ask_until(url: str, end: float, counts: list[int], place: int) -> None:
    host, port = urlsplit(url).hostname, urlsplit(url).port
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    while time.monotonic() < end:
        with socket.create_connection((host, port)) as wire:
            wire.sendall(request)
            while wire.recv(65_536):  # uWSGI's http-socket closes after the answer
                pass
        counts[place] += 1
