"""A Django project in one file: every record of a request has its trace, and so has the request.

    gunicorn --workers 2 app:application

It sends to what LOGGING_EMULATOR_HOST names, else to Google's server.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "cloud": {
                "class": "forklog.CloudLoggingHandler",
                "log_name": "shop",
                "access_log": True,
                "process_labels": True,
            },
        },
        "root": {"level": "INFO", "handlers": ["cloud"]},
    },
    MIDDLEWARE=["forklog.middleware.DjangoMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="replace this",  # noqa: S106 - of an example
)
logger = logging.getLogger("shop")


def order(_request: HttpRequest, number: int) -> HttpResponse:
    """Log twice and answer."""
    logger.info("order %d is read", number)
    logger.warning("order %d has no address", number)
    return HttpResponse("ok\n")


urlpatterns = [path("orders/<int:number>", order)]
application = get_wsgi_application()
