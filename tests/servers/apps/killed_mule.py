"""A mule of uWSGI's that logs at each message, and is killed where the message asks for it."""

from __future__ import annotations

import uwsgi
from killed_app import end, note

while True:
    message = uwsgi.mule_get_msg()
    note(20, "mule")
    if message == b"kill":
        end("kill")
