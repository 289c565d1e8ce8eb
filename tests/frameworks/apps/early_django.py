"""A Django application whose settings call `forklog.setup`, and whose views log nothing."""

from __future__ import annotations

import logging
import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

os.environ["DJANGO_SETTINGS_MODULE"] = "early_settings"


def _server(_request: object) -> HttpResponse:
    logging.getLogger("django.server").info("of the server")
    return HttpResponse("logged")


urlpatterns = [
    path("quiet", lambda _: HttpResponse("quiet")),
    path("server", _server),
]
application = get_wsgi_application()
