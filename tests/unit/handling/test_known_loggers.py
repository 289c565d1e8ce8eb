"""The loggers of frameworks and servers: which get the handler of `forklog.setup`, and when."""

from __future__ import annotations

import pytest
from cases import few
from printed import last_printed

_QUIET = """
    import logging.config, uvicorn.config
    from forklog.middleware import WSGIMiddleware
    def quiet():
        WSGIMiddleware(lambda *_: [b""])({}, lambda *_: None).close()
    def requests():
        forklog.flush(5)
        return sum("httpRequest" in e for e in wire.entries)
    def of_uvicorn(logger, text):
        logging.getLogger(logger).info(text, extra={"color_message": ""})
"""


def test_a_configuration_of_others_stops_no_entry_of_requests() -> None:
    """`dictConfig` closes all handlers; a request starts again one that a logger still has.

    One that it has replaced takes no request, though it lives on.
    """
    found = last_printed(
        _QUIET
        + """
    own = {"()": forklog.CloudLoggingHandler, "transport": wire, "project": "p",
           "access_log": True}
    def configure():
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False,
                                   "handlers": {"c": own}, "root": {"handlers": ["c"]}})
    counts = []
    configure()
    kept = list(logging.root.handlers)
    for change in (lambda: 0, configure,
                   lambda: logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)):
        change()
        quiet()
        quiet()
        counts.append(requests())
    print(json.dumps([counts, [dict(s.dropped) for s in forklog.stats()]]))
    """
    )
    assert found[0] == [2, 4, 6]
    assert not any(found[1])


@pytest.mark.parametrize("begins", few(["quiet()", "logging.info('x')"], "quiet()"))
def test_loggers_that_are_configured_later_get_the_handler(begins: str) -> None:
    """A configuration after the call is followed: at a request, or with a record."""
    arrived = last_printed(
        _QUIET
        + f"""
    import uvicorn
    forklog.setup(transport=wire, project="p")
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    {begins}
    args = "1.1.1.1:1", "GET", "/", "1.1", 200
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *args)
    of_uvicorn("uvicorn.error", "of uvicorn")
    print(json.dumps([text for text in texts() if text != "x"]))
    """
    )
    assert arrived == ['1.1.1.1:1 - "GET / HTTP/1.1" 200', "of uvicorn"]


def test_loggers_that_are_kept_silent_stay_so() -> None:
    """What the application takes the handler off, or leaves without any, does not get it again."""
    arrived = last_printed(
        _QUIET
        + """
    import uvicorn
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    done = forklog.setup(transport=wire, project="p")
    logging.getLogger("uvicorn").removeHandler(done.handler)
    import gunicorn
    silent = logging.getLogger("gunicorn.error")
    silent.propagate = False
    quiet()
    silent.warning("of gunicorn")
    of_uvicorn("uvicorn.error", "of uvicorn")
    logging.info("of the root")
    print(json.dumps(texts()))
    """
    )
    assert arrived == ["of the root"]


@pytest.mark.parametrize("handler", few(["StreamHandler", "NullHandler"], "StreamHandler"))
def test_a_logger_that_begins_to_keep_its_records(handler: str) -> None:
    """One that stops to propagate gets the handler at the next request, unless it is silent.

    Closes: hypercorn makes its access log after it has imported the application.
    """
    arrived = last_printed(
        _QUIET
        + f"""
    import hypercorn
    forklog.setup(transport=wire, project="p")
    quiet()
    logger = logging.getLogger("hypercorn.access")
    logger.handlers, logger.propagate = [logging.{handler}()], False
    quiet()
    logger.info("GET /")
    print(json.dumps(texts()))
    """
    )
    assert arrived == (["GET /"] if handler == "StreamHandler" else [])


def test_no_look_at_loggers_while_they_are_configured() -> None:
    """A request that begins in the middle of a `dictConfig` waits for nothing; the next looks."""
    arrived = last_printed(
        _QUIET
        + """
    import uvicorn
    forklog.setup(transport=wire, project="p")
    class Slow(logging.NullHandler):
        def __init__(self):
            super().__init__()
            thread = threading.Thread(target=quiet)
            thread.start()
            thread.join(60)
            quiet()
    settings = {**uvicorn.config.LOGGING_CONFIG}
    settings["handlers"] = {**settings["handlers"], "slow": {"()": Slow}}
    logging.config.dictConfig(settings)
    quiet()
    of_uvicorn("uvicorn.error", "arrives")
    print(json.dumps(texts()))
    """
    )
    assert arrived == ["arrives"]


def test_loggers_that_do_not_reach_the_root_get_the_handler() -> None:
    """uvicorn's, gunicorn's and Django's own loggers are attached once, and named."""
    found = last_printed("""
    import uvicorn.config, gunicorn, django
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    logging.getLogger("gunicorn.error").propagate = False
    done = forklog.setup(transport=wire, project="p")
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "django.request"):
        logging.getLogger(name).error(name, extra={"color_message": ""})
    print(json.dumps([texts(), str(done)]))
    """)
    names = ["uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "django.request"]
    assert sorted(found[0]) == sorted(names)
    assert "gunicorn.error, uvicorn, uvicorn.access" in found[1]
