"""The example application in a server that has threads off, as uWSGI 2.0.26 shows it."""

from __future__ import annotations

import uwsgi

uwsgi.has_threads = 0

import app  # noqa: E402 - the order is the point

application = app.application
