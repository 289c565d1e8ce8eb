"""A process that has closed stderr: the next descriptor would get its number, and its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from helpers import check_python
from wire import RawServer, answer, make_certificate, read_request

if TYPE_CHECKING:
    import socket
    from pathlib import Path


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_line_for_stderr_gets_into_a_connection(tmp_path: Path, scheme: str) -> None:
    """The server sees requests alone, although forklog has reported that it takes none.

    A line between two requests is answered as a request: the answer is taken for the next one's.
    """
    heads: list[str] = []

    def act(connection: socket.socket) -> None:
        while True:
            heads.append(read_request(connection)[0])
            answer(connection, 503 if len(heads) < 4 else 200)

    server_side, authority = make_certificate(tmp_path, "127.0.0.1")
    with RawServer(act, server_side if scheme == "https" else None) as server:
        check_python(
            f"""
            import forklog, google.auth.credentials, logging, os
            os.close(2)
            handler = forklog.CloudLoggingHandler(
                endpoint={server.url!r}, project="p", max_retry_delay=0.1, last_resort="stderr",
                credentials=google.auth.credentials.AnonymousCredentials())
            log = logging.Logger("app")
            log.addHandler(handler)
            for number in range(3):
                log.warning("%d", number)
                assert handler.flush(30), handler.stats()
            stats = handler.stats()
            assert (stats.delivered, dict(stats.diverted)) == (3, {{}}), stats
            """,
            env={"REQUESTS_CA_BUNDLE": str(authority)},
        )
    assert {head.split(" ")[0] for head in heads} == {"POST"}
