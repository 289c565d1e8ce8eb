"""The small application under Django's development server, which reloads it when a file changes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path
from small_app import note

sys.path.insert(0, os.environ["SMALL_FOLDER"])
__import__("touched")  # a module of the test's, which the server watches


def answer(_request: HttpRequest) -> HttpResponse:
    """Log a record and answer."""
    note("request")
    return HttpResponse(f"{os.getpid()}")


urlpatterns = [path("", answer)]

if __name__ == "__main__":
    settings.configure(
        DEBUG=True,
        SECRET_KEY=Path(__file__).name,
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        LOGGING_CONFIG=None,
    )
    execute_from_command_line(sys.argv)
