"""The emulator's help: `files` gives it to clients, `command` prints a line of it at the start."""

from __future__ import annotations

from typing import Final

HELP: Final = """\
forklog emulator: a local Cloud Logging over HTTP. No credentials are needed.

Point a program at it
  forklog                 LOGGING_EMULATOR_HOST={host}
  google-cloud-logging    Client(project="p", credentials=AnonymousCredentials(), _use_grpc=False,
                                 client_options={{"api_endpoint": "http://{host}"}})

The service
  POST   /v2/entries:write
  POST   /v2/entries:list
  POST   /v2/entries:tail
  GET    /v2/projects/PROJECT/logs
  DELETE /v2/projects/PROJECT/logs/LOG

Control (never hit by faults)
  GET    /                        a page that shows what arrives, in a browser
  GET    /emulator/help           this text
  GET    /emulator/entries        all entries as JSON lines; ?filter= and ?project= select
  GET    /emulator/stats          what was counted
  POST   /emulator/entries:list   as /v2/entries:list
  GET    /emulator/duplicates     entries stored more than once
  DELETE /emulator/entries        remove all entries, count from zero
  GET    /emulator/faults         what is armed
  POST   /emulator/faults         arm a fault (JSON, below)
  DELETE /emulator/faults         disarm all, let hanging calls go

Faults hit calls below /v2/; without "count" they stay until cleared. All but "outage", "quota" and
"refuse" take "on": "any" (default), "write" or "list".
  {{"kind": "delay", "seconds": 0.5, "count": 3}}
  {{"kind": "status", "status": 503, "count": 3, "retry_after": 1, "body": "text or JSON object"}}
  {{"kind": "drop", "count": 1, "when": "before" or "after" it is stored}}
  {{"kind": "hang", "count": 1, "when": "before" or "after" it is stored}}
  {{"kind": "idle_close"}}         close each connection right after its answer, unannounced
  {{"kind": "refuse", "index": 0, "count": 1, "code": 3 or 7}}
  {{"kind": "quota", "per_second": 50, "unit": "requests" or "bytes"}}   429 to writes above it
  {{"kind": "outage", "seconds": 2}}   refuse and break connections for so long
"""


def point_at(host: str) -> str:
    """Return the one line that says how to point a program at the emulator."""
    return f"point forklog at it with LOGGING_EMULATOR_HOST={host}; more at http://{host}/"
