"""gunicorn's configuration: threads, an access log, and a record after each request."""

from __future__ import annotations

from typing import Any

import shared

bind = "127.0.0.1:0"
workers, threads, worker_class = 1, 25, "gthread"
accesslog = "-"
access_log_format = "access %(U)s"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": []},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["console"]}},
    "handlers": {"console": {"class": "logging.StreamHandler"}},
}


def post_fork(_server: object, _worker: object) -> None:
    """Have gunicorn's access log go to the handler as well."""


def post_request(_worker: object, req: Any, _environ: object, _resp: object) -> None:
    """Log in the thread of a request that is over."""
    shared.log_after(req.path.rpartition("/")[2])
