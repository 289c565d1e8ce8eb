"""Packages that derive from the stock handler leave the same entries on forklog's.

They are those of PyPI, unmodified; only the class that they derive from is replaced. Each body runs
in a fresh interpreter, once on either class, and the entries in the emulator are compared.
"""

from __future__ import annotations

import importlib.metadata
import json
from typing import TYPE_CHECKING, Any

import pytest
from cases import further
from helpers import check_python

if TYPE_CHECKING:
    from forklog.emulator.process import Emulator

_VERSIONS = {
    "fastapi-gae-logging": "0.2.0",
    "flask-gae-logging": "0.1.2",
    "fastapi-cloud-logging": "1.1.0",
}
_TRACE = "0af7651916cd43dd8448eb211c80319c"
# Times and what the server or forklog gives.
_OWN = ("insertId", "receiveTimestamp", "timestamp")

_SETUP = f"""
import asyncio, logging, os
import google.cloud.logging, google.cloud.logging_v2
import google.cloud.logging_v2.handlers as stock
from google.auth.credentials import AnonymousCredentials

base, url = os.environ["BASE"], os.environ["URL"]
google.cloud.logging_v2._instrumentation_emitted = True
if base == "forklog":
    import forklog
    stock.CloudLoggingHandler = forklog.CloudLoggingHandler
client = google.cloud.logging.Client(
    project="p", credentials=AnonymousCredentials(), _use_grpc=False,
    client_options={{"api_endpoint": url}},
)
resource = google.cloud.logging.Resource(type="gce_instance", labels={{"zone": "z"}})
given = dict(resource=resource, labels={{"env": "test"}}, name="web")
HEADERS = {{"X-Cloud-Trace-Context": "{_TRACE}/000000000000000a;o=1", "User-Agent": "agent"}}
log = logging.getLogger("shop")
log.setLevel(logging.INFO)

def attach(handler):
    log.addHandler(handler)
    log.addHandler(logging.NullHandler())
    return handler

def refuse_health(record):
    return "health" not in record.getMessage()

async def call(app, method="GET", path="/", body=b"", headers=HEADERS):
    sent, asked = [], [{{"type": "http.request", "body": body, "more_body": False}}]
    scope = {{
        "type": "http", "asgi": {{"version": "3.0"}}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": ("10.0.0.1", 1), "server": ("shop.example", 80),
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()]
        + [(b"host", b"shop.example"), (b"content-type", b"application/json")],
    }}

    async def receive():
        if asked:
            return asked.pop()
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    try:
        await app(scope, receive, send)
    except ZeroDivisionError:
        pass
    return sent[0]["status"]
"""

_FASTAPI_GAE = """
from fastapi import FastAPI, Request
from fastapi_gae_logging import FastAPIGAELoggingHandler, PayloadParser

app = FastAPI()

@app.post("/order")
async def order(request: Request):
    log.warning("ordered %d", 3)
    log.info({"sku": 7, "ok": False})
    log.info("GET /health")
    return await request.json()

@app.get("/broken")
async def broken():
    log.info("about to fail")
    1 / 0

handler = attach(FastAPIGAELoggingHandler(
    app=app, client=client, log_payload=True, log_headers=True,
    builtin_payload_parsers=[PayloadParser.Defaults.JSON], **given,
))
handler.addFilter(refuse_health)
logging.getLogger().addHandler(handler)
log.propagate = False
assert asyncio.run(call(app, "POST", "/order", b'{"sku": 7}')) == 200
assert asyncio.run(call(app, "GET", "/broken")) == 500
log.error("outside of a request")
handler.flush()
handler.close()
"""

_FLASK_GAE = """
os.environ["GOOGLE_CLOUD_PROJECT"] = "p"
import flask
from flask_gae_logging import FlaskGAEMaxLogLevelPropagateHandler, PayloadParser

app = flask.Flask("shop")

@app.post("/order")
def order():
    log.error("ordered %d", 3)
    log.info("GET /health")
    log.info("labelled", extra={"labels": {"a": "b"}, "json_fields": {"n": 1}})
    return "done"

handler = attach(FlaskGAEMaxLogLevelPropagateHandler(
    app=app, client=client, log_payload=True,
    builtin_payload_parsers=[PayloadParser.Defaults.JSON], **given,
))
handler.addFilter(refuse_health)
answer = app.test_client().post("/order", json={"sku": 7}, headers=HEADERS)
assert answer.status_code == 200
with app.app_context():
    log.warning("outside of a request")
handler.flush()
handler.close()
"""

_FASTAPI_CLOUD = """
from fastapi import FastAPI
from fastapi_cloud_logging import FastAPILoggingHandler, RequestLoggingMiddleware

app = FastAPI()
app.add_middleware(RequestLoggingMiddleware)

@app.get("/order")
async def order():
    log.info("ordered %d", 3)
    log.info("labelled", extra={"labels": {"a": "b"}, "json_fields": {"n": 1}})
    log.info("loguru's", extra={"extra": {"user": 7}})
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("failed")
    return {}

@app.get("/sync")
def sync():
    log.warning("in a thread of the pool")
    return {}

for structured in (False, True):
    log.handlers.clear()
    handler = attach(FastAPILoggingHandler(client, structured=structured, **given))
    for path in ("/order", "/sync"):
        assert asyncio.run(call(app, "GET", path)) == 200
    log.info("outside of a request")
    handler.flush()
    handler.close()
"""


def _entries(emulator: Emulator, base: str, body: str) -> list[dict[str, Any]]:
    emulator.reset()
    check_python(
        _SETUP + body, 60, {"BASE": base, "URL": emulator.url, "PYTHONWARNINGS": "default"}
    )
    found = emulator.entries()
    for entry in found:
        for name in _OWN:
            del entry[name]
        entry.get("httpRequest", {}).pop("latency", None)
    # The packages write their parent entries by themselves, at once; the handler in batches.
    return sorted(found, key=lambda entry: json.dumps(entry, sort_keys=True))


@pytest.mark.parametrize(
    ("package", "body", "number"),
    [
        *further(("fastapi-gae-logging", _FASTAPI_GAE, 7)),
        ("flask-gae-logging", _FLASK_GAE, 4),
        *further(("fastapi-cloud-logging", _FASTAPI_CLOUD, 12)),
    ],
)
def test_a_package_that_derives_from_the_stock_handler(
    emulator: Emulator, package: str, body: str, number: int
) -> None:
    """Its entries are the same on forklog's class: children, parents, traces and severities."""
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed; the extra `test` has it")
    assert found == _VERSIONS[package]
    theirs = _entries(emulator, "stock", body)
    ours = _entries(emulator, "forklog", body)
    assert len(theirs) == number
    assert ours == theirs
