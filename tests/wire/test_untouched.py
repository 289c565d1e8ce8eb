"""No instrumentation, mock or recorder sees forklog's requests.

Real packages patch a fresh interpreter, before or after forklog is imported. The application's own
request shows that the patch works; then a record is shipped.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from helpers import check_python

if TYPE_CHECKING:
    from pathlib import Path

    from forklog.emulator.process import Emulator

pytestmark = pytest.mark.long  # each of these packages takes seconds to import

_PREPARE = """
import logging, os, warnings
warnings.simplefilter("ignore")
URL, ORDER, FOLDER = (os.environ[name] for name in ("URL", "ORDER", "FOLDER"))
seen = []
"""

_SHIP = """
import requests
if ORDER == "before":
    patch()
import forklog
from forklog.options import Options
from forklog.transports.http import HttpTransport
handler = forklog.CloudLoggingHandler(project="p", endpoint=URL)
if ORDER == "after":
    patch()

with around():
    try:
        requests.get(URL + "/v2/", timeout=20)
    except Exception as error:
        if not was_stopped(error):
            raise
        seen.append(error)
    finished()
    assert seen, "the patch does not see the application's request"
    before = len(seen)
    connection = HttpTransport(Options(project="p", endpoint=URL), print).open()
    verdict = connection.send([b'{"textPayload":"sent here"}'], 20)
    assert verdict.kind.value == "delivered", verdict
    connection.close()
    handler.handle(logging.makeLogRecord({"msg": "sent by the thread"}))
    assert handler.flush(20), handler.stats()
    finished()
    assert len(seen) == before, seen[before:]
handler.close()
os._exit(DONE)
"""

_DEFAULTS = """
import contextlib
around = contextlib.nullcontext
def finished(): pass
def was_stopped(error): return False
"""

_OTEL = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Exporter(SpanExporter):
    def export(self, spans):
        seen.extend(spans)
        return SpanExportResult.SUCCESS

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(Exporter()))
trace.set_tracer_provider(provider)
"""

_TOOLS = {
    "opentelemetry.instrumentation.urllib3": _OTEL
    + """
def patch():
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    URLLib3Instrumentor().instrument()
""",
    "opentelemetry.instrumentation.requests": _OTEL
    + """
def patch():
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    RequestsInstrumentor().instrument()
""",
    "ddtrace": """
os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_TRACE_STARTUP_LOGS="false",
                  DD_REMOTE_CONFIGURATION_ENABLED="false", DD_CRASHTRACKING_ENABLED="false")
def patch():
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer
    class Keep(TraceFilter):
        def process_trace(self, spans):
            seen.extend(spans)
    tracer.configure(trace_processors=[Keep()])
    ddtrace.patch(requests=True, urllib3=True, httplib=True)
""",
    "sentry_sdk": """
def patch():
    import sentry_sdk
    sentry_sdk.init(dsn="http://k@127.0.0.1:9/1", traces_sample_rate=1.0,
                    before_breadcrumb=lambda crumb, hint: seen.append(crumb),
                    transport=lambda event: None, default_integrations=True)
def around():
    import sentry_sdk
    begin = getattr(sentry_sdk, "start_transaction", sentry_sdk.start_span)  # of 2, and of 3
    return begin(name="t")
""",
    "newrelic": """
os.environ.update(NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40,
                  NEW_RELIC_APP_NAME="t", NEW_RELIC_LOG="/dev/null")
def around():
    import newrelic.agent
    application = newrelic.agent.register_application(timeout=20)
    return newrelic.agent.BackgroundTask(application, name="t")
def patch():
    import newrelic.agent
    newrelic.agent.initialize()
    from newrelic.api.external_trace import ExternalTrace
    enter = ExternalTrace.__enter__
    ExternalTrace.__enter__ = lambda self: seen.append(self) or enter(self)
""",
    "responses": """
def patch():
    import responses
    responses.start()
def was_stopped(error):
    return "Connection refused by Responses" in str(error)
""",
    "vcr": """
def patch():
    import vcr
    global cassette
    cassette = vcr.use_cassette(FOLDER + "/none.yaml", record_mode="none")
    cassette.__enter__()
def was_stopped(error):
    return type(error).__name__ == "CannotOverwriteExistingCassetteException"
""",
    "unittest.mock": """
def patch():
    import http.client, unittest.mock, requests, urllib3
    stop = unittest.mock.Mock(side_effect=RuntimeError("mocked"))
    for cls, names in {
        requests.Session: ("send", "request", "get_adapter"),
        requests.adapters.HTTPAdapter: ("send",),
        urllib3.HTTPConnectionPool: ("urlopen", "_make_request", "_get_conn"),
        urllib3.HTTPSConnectionPool: ("urlopen", "_make_request", "_get_conn"),
        urllib3.connection.HTTPConnection: ("request", "putrequest"),
        http.client.HTTPConnection: ("request", "putrequest", "putheader", "endheaders",
                                     "getresponse", "connect", "send"),
    }.items():
        for name in names:
            unittest.mock.patch.object(cls, name, stop).start()
def was_stopped(error):
    return "mocked" in str(error)
""",
}
_CASES = [(tool, order) for tool in _TOOLS for order in ("after", "before")]


def _needs(tool: str) -> None:
    try:
        found = importlib.util.find_spec(tool)
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip(f"{tool} is not installed; the extra `test` has it where it can be had")


@pytest.mark.parametrize(("tool", "order"), _CASES)
def test_a_patch_sees_only_the_application(
    emulator: Emulator, tmp_path: Path, tool: str, order: str
) -> None:
    """A tool sees, or stops, the application's request and none of forklog's; all is delivered.

    Closes: a span for each shipment; a mock or a cassette that takes the entries.
    """
    _needs(tool)
    env = {"URL": emulator.url, "ORDER": order, "FOLDER": str(tmp_path)}
    check_python(_PREPARE + _DEFAULTS + _TOOLS[tool] + _SHIP, 60, env, is_covered=False)
    texts = sorted(entry["textPayload"] for entry in emulator.entries())
    assert texts == ["sent by the thread", "sent here"]


@pytest.mark.parametrize("order", ["after", "before"])
def test_an_exporter_that_logs_ends(emulator: Emulator, tmp_path: Path, order: str) -> None:
    """A shipment makes no span, so that an exporter which logs each span does not log for ever.

    Closes: 14 requests in 4 s after one record, without end.
    """
    _needs("opentelemetry.instrumentation.urllib3")
    body = """
patched = patch
def patch():
    patched()
    export = Exporter.export
    def logged(self, spans):
        logging.getLogger("exporter").warning("exported %d", len(spans))
        return export(self, spans)
    Exporter.export = logged
if ORDER == "before":
    patch()
import forklog
handler = forklog.CloudLoggingHandler(project="p", endpoint=URL)
logging.getLogger().addHandler(handler)
if ORDER == "after":
    patch()
logging.warning("one record")
for _ in range(3):
    assert handler.flush(20)
assert handler.stats().accepted == 1, handler.stats()
import requests
requests.get(URL + "/v2/", timeout=20)
for _ in range(3):
    assert handler.flush(20)
assert handler.stats().accepted == 2, handler.stats()
assert len(seen) == 1
"""
    env = {"URL": emulator.url, "ORDER": order, "FOLDER": str(tmp_path)}
    tool = _TOOLS["opentelemetry.instrumentation.urllib3"]
    check_python(_PREPARE + _DEFAULTS + tool + body, 60, env, is_covered=False)
