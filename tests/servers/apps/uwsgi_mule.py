"""The code of a mule, which logs as many records as each message asks for."""

from __future__ import annotations

import uwsgi
from app import log_records

while True:
    log_records(int(uwsgi.mule_get_msg()), "muled")
