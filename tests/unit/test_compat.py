"""What an application with the stock handler does around it works with forklog too."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import logging as stock
from google.cloud.logging_v2.handlers import _monitored_resources, handlers, transports

from forklog import CloudLoggingHandler, OptionError
from forklog.testing import FakeTransport
from forklog.transports.google.access import endpoint_of
from forklog.transports.google.resource import environment_labels, resource_of_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forklog.emulator.process import Emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[stock.Client]:
    """Return a client of google's that talks to the emulator."""
    made = stock.Client(
        project="p",
        credentials=AnonymousCredentials(),
        _use_grpc=False,
        client_options={"api_endpoint": emulator.url},
    )
    yield made
    made._http.close()


def test_the_stock_constructors_arguments_are_taken(
    client: stock.Client, emulator: Emulator
) -> None:
    """Every argument of the stock handler's constructor works; nothing is written to the stream."""
    stream = io.StringIO()
    handler = CloudLoggingHandler(
        client,
        name="web",
        transport=transports.BackgroundThreadTransport,
        resource=stock.Resource(type="generic_task", labels={"job": "j"}),
        labels={"env": "test"},
        stream=stream,
    )
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    handler.close()
    (entry,) = emulator.entries()
    assert entry["logName"] == "projects/p/logs/web"
    labels = {"job": "j", "project_id": "p"}  # the service fills the project in
    assert entry["resource"] == {"type": "generic_task", "labels": labels}
    assert entry["labels"] == {"env": "test"}
    assert stream.getvalue() == ""


def test_googles_setup_logging_attaches_the_handler(
    client: stock.Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """setup_logging() puts the handler on the root logger, less the excluded loggers."""
    monkeypatch.setattr(_monitored_resources, "retrieve_metadata_server", lambda *_: None)
    root, excluded = logging.getLogger(), logging.getLogger("excluded")
    before, level = list(root.handlers), root.level
    handler = CloudLoggingHandler(client)
    try:
        handlers.setup_logging(handler, excluded_loggers=("excluded",), log_level=logging.INFO)
        logging.getLogger("app").info("wanted")
        excluded.warning("unwanted")
    finally:
        for name in ("excluded", "google.cloud", "google.auth", "google_auth_httplib2"):
            logging.getLogger(name).propagate = True
        root.setLevel(level)
        root.handlers[:] = before
    handler.close()
    assert [entry["textPayload"] for entry in emulator.entries()] == ["wanted"]


def test_the_clients_flush_and_close_reach_the_handler(
    client: stock.Client, emulator: Emulator
) -> None:
    """client.flush_handlers() waits for delivery, client.close() closes."""
    handler = CloudLoggingHandler(client, max_latency=60)
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    client.flush_handlers()
    assert len(emulator.entries()) == 1
    client.close()
    assert handler.stats().state == "closed"


@pytest.mark.parametrize(
    ("transport", "rule"),
    [
        (transports.SyncTransport, "SyncTransport.*is a class"),
        (transports.Transport, "is a class"),
        (dict, "is a class"),
        ("background", "must be an object with open"),
        (5, "must be an object with open"),
    ],
)
def test_a_transport_that_cannot_be_used_says_so(transport: Any, rule: str) -> None:
    """What is no transport of forklog's raises at construction, with the remedy."""
    with pytest.raises(OptionError, match=f"transport=.*{rule}.*leave it out"):
        CloudLoggingHandler(project="p", transport=transport)


_GAE = {"GAE_SERVICE": "s", "GAE_VERSION": "v", "GAE_INSTANCE": "i"}
_TASK = {"CLOUD_RUN_JOB": "j", "CLOUD_RUN_EXECUTION": "e", "CLOUD_RUN_TASK_INDEX": "0",
         "CLOUD_RUN_TASK_ATTEMPT": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "kind", "labels"),
    [
        ({}, None, {}),
        (_GAE, "gae_app", {}),
        ({**_GAE, **_TASK}, "gae_app", {}),
        ({"K_SERVICE": "s", "K_REVISION": "r", "K_CONFIGURATION": "c"}, "cloud_run_revision", {}),
        ({"CLOUD_RUN_JOB": "j"}, None, {}),
        (_TASK, "cloud_run_job", {"run.googleapis.com/execution_name": "e",
                                  "run.googleapis.com/task_index": "0"}),
    ],
)  # fmt: skip
def test_the_environment_names_the_resource(
    environ: dict[str, str], kind: str | None, labels: dict[str, str]
) -> None:
    """Type and labels that the environment alone tells, empty variables left out."""
    resource = resource_of_environment(environ)
    assert resource.get("type") == kind
    assert environment_labels(resource, environ) == labels


def test_labels_of_a_job_never_cost_the_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the handler's own labels leave no room, those of the environment are left out."""
    for name, value in _TASK.items():
        monkeypatch.setenv(name, value)
    own = {f"l{n}": "v" for n in range(63)}
    assert CloudLoggingHandler(project="p", labels=own)._options.labels == own
    few = CloudLoggingHandler(project="p", labels={"a": "b"})._options.labels
    assert few.keys() == {"a", "run.googleapis.com/execution_name", "run.googleapis.com/task_index"}


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("labels", {"k" * 513: "v"}, "a key has at most 512 bytes"),
        ("labels", {"k": "ö" * 33_000}, "a value 65536"),
        ("labels", {f"k{n}": "v" * 50_000 for n in range(2)}, "together have at most 100000"),
        ("resource", {"type": "t", "labels": {"l": "v" * 20_000}}, "together have at most 16000"),
    ],
)
def test_what_every_entry_carries_is_bounded(option: str, value: Any, rule: str) -> None:
    """Labels and a resource that would push every entry over its limit raise at construction."""
    with pytest.raises(OptionError, match=rule):
        CloudLoggingHandler(project="p", **{option: value})


def test_a_drop_notice_beside_64_labels_is_valid(emulator: Emulator) -> None:
    """With 64 labels on the handler the notice of a drop arrives and is no drop itself."""
    handler = CloudLoggingHandler(
        project="p", endpoint=emulator.url, labels={f"l{n}": "v" for n in range(64)}
    )
    emulator.fault("refuse", index=0, count=1)
    handler.handle(logging.makeLogRecord({"msg": "refused"}))
    assert not handler.flush()
    handler.handle(logging.makeLogRecord({"msg": "after"}))
    assert handler.flush()
    handler.close()
    assert handler.stats().dropped == {"refused": 1}
    entries = emulator.entries()
    assert [e["jsonPayload"]["dropped"] for e in entries if "jsonPayload" in e] == [1]
    assert [e["textPayload"] for e in entries if "textPayload" in e] == ["after"]


def test_the_handlers_labels_count_against_those_of_an_entry(
    forklog_transport: FakeTransport,
) -> None:
    """All labels together, the handler's included, leave an entry room for its message."""
    handler = CloudLoggingHandler(
        project="p", transport=forklog_transport, labels={"shared": "v" * 60_000, "b": "v" * 30_000}
    )
    long = "\x01" * 300_000
    extra = {"labels": {f"{n}": long for n in range(62)}, "http_request": {"requestUrl": long}}
    handler.handle(logging.makeLogRecord({"msg": "x" * 300_000, **extra}))
    assert handler.flush()
    handler.close()
    text = ""
    for entry in forklog_transport.entries:
        assert sum(len(k) + len(v) for k, v in entry["labels"].items()) < 20_000
        text += entry["textPayload"]
    assert text == "x" * 300_000


def test_the_stock_handlers_attributes_are_there(client: stock.Client, emulator: Emulator) -> None:
    """Name, client, project, labels, resource and transport are what the stock handler has.

    Closes the class of faults where code around the stock handler meets an AttributeError.
    """
    resource = stock.Resource(type="generic_task", labels={"job": "j"})
    handler = CloudLoggingHandler(client, name="web", labels={"a": "b"}, resource=resource)
    assert (handler.name, handler.client, handler.project_id) == ("web", client, "p")
    assert (handler.labels, handler.resource) == ({"a": "b"}, resource)
    record = logging.makeLogRecord({"name": "app", "levelno": 30})
    handler.transport.send(record, {"n": 1}, labels={"c": "d"}, trace="t")
    handler.transport.flush()
    (entry,) = emulator.entries()
    assert (entry["jsonPayload"], entry["trace"], entry["severity"]) == ({"n": 1}, "t", "WARNING")
    assert entry["labels"] == {"a": "b", "c": "d", "python_logger": "app"}
    assert handler.transport.worker.stop(grace_period=5)
    assert handler.stats().state == "closed"
    handler.transport.close()


def test_a_transport_that_is_assigned_is_returned(forklog_transport: FakeTransport) -> None:
    """An object of the application's in place of the transport is given back as it is.

    Closes: an AttributeError at the next look.
    """
    handler = CloudLoggingHandler(transport=forklog_transport)
    own: list[str] = []
    handler.transport = own
    assert handler.transport is own


def test_what_is_not_known_is_none(
    forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client there is none, and the project is None until it is known."""
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.delenv("GCLOUD_PROJECT", raising=False)
    handler = CloudLoggingHandler(transport=forklog_transport)
    assert (handler.client, handler.project_id, handler.labels) == (None, None, None)


def test_a_flush_that_calls_the_transports_is_no_recursion(
    forklog_transport: FakeTransport,
) -> None:
    """A subclass written for the stock handler flushes and closes by ``self.transport``."""

    class Derived(CloudLoggingHandler):
        def flush(self, timeout: float | None = None) -> bool:  # noqa: ARG002 - as inherited
            self.transport.flush()
            return True

        def close(self) -> None:
            self.transport.close()

    handler = Derived(transport=forklog_transport)
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert handler.flush()
    handler.close()
    assert len(forklog_transport.entries) == 1


def test_a_universe_domain_is_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its endpoint is the one that google's client would use; an endpoint that is given wins."""
    monkeypatch.delenv("LOGGING_EMULATOR_HOST", raising=False)

    def endpoint(**options: str) -> str:
        client = stock.Client(
            project="p", credentials=AnonymousCredentials(), client_options=dict(options)
        )
        handler = CloudLoggingHandler(client, transport=FakeTransport())
        handler.close()
        client._http.close()
        return endpoint_of(handler._options)

    assert endpoint(universe_domain="example.goog") == "https://logging.example.goog"
    assert endpoint(universe_domain="googleapis.com") == "https://logging.googleapis.com"
    given = endpoint(universe_domain="example.goog", api_endpoint="private.example")
    assert given == "https://private.example"
    monkeypatch.setenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "other.goog")
    assert endpoint() == "https://logging.other.goog"


def test_a_client_of_another_service_is_refused() -> None:
    """Its endpoint would get the entries; a double of a test, which has a project alone, may be."""

    class Storage:
        project = "p"
        _connection = SimpleNamespace(API_BASE_URL="https://storage.googleapis.com")

    class Derived:
        __module__ = "google.cloud.firestore_v1.client"
        project = "p"

    for client in (Storage(), Derived(), type("Mine", (Derived,), {"__module__": "app"})()):
        with pytest.raises(OptionError, match=r"must be a google.cloud.logging.Client"):
            CloudLoggingHandler(client, transport=FakeTransport())
    CloudLoggingHandler(SimpleNamespace(project="p"), transport=FakeTransport()).close()


def test_send_has_what_it_is_given(forklog_transport: FakeTransport) -> None:
    """Of the record an entry has severity, time and logger, as with google's transport."""
    handler = CloudLoggingHandler(project="p", transport=forklog_transport)
    record = logging.LogRecord("app", logging.ERROR, "/secret/f.py", 3, "m", None, None, "fn")
    record.labels = {"secret": "label"}
    record.http_request = {"requestUrl": "http://x/?token=1"}
    record.trace = "secret"
    handler.transport.send(record, "a", http_request=None, source_location=None, labels={"a": "b"})
    handler.transport.send(record, {"b": 1}, trace="t")
    handler.close()
    first, second = forklog_transport.entries
    assert first.keys() == {"insertId", "timestamp", "severity", "labels", "textPayload"}
    assert first["labels"] == {"python_logger": "app", "a": "b"}
    assert second.keys() == {*first.keys(), "trace", "jsonPayload"} - {"textPayload"}
    assert (second["severity"], second["labels"]) == ("ERROR", {"python_logger": "app"})


def test_the_resource_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was set to nonsense since, leaves it unknown."""
    monkeypatch.delenv("LOGGING_EMULATOR_HOST", raising=False)
    handler = CloudLoggingHandler(project="p", transport=FakeTransport())
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", "no host?")
    assert handler.resource is None
    handler.close()
