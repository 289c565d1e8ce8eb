"""A Flask application: every record of a request has its trace, and so has the request.

    gunicorn --workers 2 app:app

It sends to what LOGGING_EMULATOR_HOST names, else to Google's server.
"""

from __future__ import annotations

import logging

from flask import Flask

import forklog
from forklog.middleware import WSGIMiddleware

app = Flask(__name__)
app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]
forklog.setup(log_name="shop", access_log=True, process_labels=True)
logger = logging.getLogger("shop")


@app.get("/orders/<int:number>")
def order(number: int) -> str:
    """Log twice and answer."""
    logger.info("order %d is read", number)
    logger.warning("order %d has no address", number)
    return "ok\n"
