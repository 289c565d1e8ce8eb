"""The smallest Django: one view, one log record."""

from __future__ import annotations

import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.subjects import make

subject = make(os.environ["BENCH_SUBJECT"])
subject.start(int(os.environ["BENCH_PORT"]))
logger = logging.getLogger("shop.orders")

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)


def hello(_request: HttpRequest) -> JsonResponse:
    """Log, greet, and say who did it."""
    logger.info("hello from %d", os.getpid())
    return JsonResponse({"pid": os.getpid()})


urlpatterns = [path("", hello)]
application = get_wsgi_application()
