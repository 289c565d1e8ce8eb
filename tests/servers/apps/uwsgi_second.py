"""A second application of a server, with a handler of its own beside the example's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app import application as plain

from forklog import CloudLoggingHandler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

barred = logging.getLogger("barred")
barred.addHandler(
    CloudLoggingHandler(project="p", endpoint="https://logging.invalid", credentials=__file__)
)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Do as the example, and log to where a file of credentials is needed."""
    barred.error("not for lack of credentials alone")
    return plain(environ, start_response)
