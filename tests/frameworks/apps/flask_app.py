"""Flask, as the tests of frameworks run it under gunicorn."""

from __future__ import annotations

from collections.abc import Iterator

import flask
import shared

from forklog.middleware import WSGIMiddleware

shared.set_up()
app = flask.Flask(__name__)
app.wsgi_app = WSGIMiddleware(app.wsgi_app)  # type: ignore[method-assign]


@app.get("/order/<number>")
def work(number: str) -> str:
    """Log in the view."""
    shared.work(number)
    return number


@app.get("/stream/<number>")
def stream(number: str) -> flask.Response:
    """Log while the body is sent."""

    def body() -> Iterator[str]:
        yield "a"
        shared.logger.info("stream %s", number)
        yield "b"

    return flask.Response(body())


@app.get("/broken/<number>")
def broken(number: str) -> flask.Response:
    """Fail in the body."""
    return flask.Response(shared.breaking(number))


@app.get("/fail/<number>")
def fail(number: str) -> str:
    """Fail."""
    raise RuntimeError(number)
