"""The monitored resource, from the environment and a metadata server on a real socket."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from google.cloud.logging_v2.handlers import _monitored_resources as stock
from wire import Metadata, answer

from forklog.transports.google import metadata as metadata_module
from forklog.transports.google.metadata import NoAnswerError, read_metadata
from forklog.transports.google.resource import detect_resource

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLUSTER = "instance/attributes/cluster-name"
GCE = {"instance/id": "42", "instance/zone": "projects/1/zones/z-a"}
MACHINE = {**GCE, "instance/region": "projects/1/regions/r"}
FUNCTION = {"FUNCTION_TARGET": "f", "FUNCTION_SIGNATURE_TYPE": "http", "K_SERVICE": "svc"}
RUN = {"K_SERVICE": "svc", "K_REVISION": "rev", "K_CONFIGURATION": "conf"}


@pytest.mark.parametrize(
    ("environ", "metadata", "expected"),
    [
        ({}, {}, ("global", {})),
        (
            {},
            GCE,
            ("gce_instance", {"instance_id": "42", "zone": "projects/1/zones/z-a"}),
        ),
        (
            RUN,
            {**GCE, CLUSTER: "c", "instance/attributes/cluster-location": "loc"},
            ("k8s_container", {"location": "loc", "cluster_name": "c"}),
        ),
        (
            {"GAE_SERVICE": "s", "GAE_VERSION": "v", "GAE_INSTANCE": "i"},
            MACHINE,
            ("gae_app", {"module_id": "s", "version_id": "v", "zone": "projects/1/zones/z-a"}),
        ),
        (
            {**FUNCTION, **RUN},
            MACHINE,
            ("cloud_function", {"function_name": "svc", "region": "r"}),
        ),
        (
            {"FUNCTION_NAME": "f", "FUNCTION_REGION": "x", "ENTRY_POINT": "e"},
            MACHINE,
            ("cloud_function", {"function_name": "f", "region": "r"}),
        ),
        (
            RUN,
            MACHINE,
            (
                "cloud_run_revision",
                {"service_name": "svc", "revision_name": "rev", "location": "r",
                 "configuration_name": "conf"},
            ),
        ),
        (
            {"CLOUD_RUN_JOB": "j", "CLOUD_RUN_EXECUTION": "e", "CLOUD_RUN_TASK_INDEX": "0",
             "CLOUD_RUN_TASK_ATTEMPT": "0"},
            MACHINE,
            ("cloud_run_job", {"job_name": "j", "location": "r"}),
        ),
        (
            dict.fromkeys(RUN, ""),
            MACHINE,
            ("cloud_run_revision", {"service_name": "", "revision_name": "", "location": "r",
                                    "configuration_name": ""}),
        ),
        (RUN, {}, ("cloud_run_revision", {"service_name": "svc", "revision_name": "rev",
                                          "location": "", "configuration_name": "conf"})),
        ({"K_SERVICE": "svc"}, MACHINE,
         ("gce_instance", {"instance_id": "42", "zone": "projects/1/zones/z-a"})),
    ],
)  # fmt: skip
def test_the_resource_of_each_platform(
    environ: dict[str, str], metadata: dict[str, str], expected: tuple[str, dict[str, str]]
) -> None:
    """Each of Google's platforms is known by its signs, any other machine is global."""
    kind, labels = expected
    found = detect_resource("p", environ, metadata.get)
    assert found == {"type": kind, "labels": {"project_id": "p", **labels}}


def test_outside_of_google_one_question_is_asked() -> None:
    """Where there is no metadata server, it is asked once, not once for each label."""
    asked = []

    def read(path: str) -> str | None:
        asked.append(path)
        raise NoAnswerError("refused", is_late=False)

    resource = detect_resource("p", RUN, read)
    assert resource["type"] == "cloud_run_revision"
    assert resource["labels"]["location"] == ""
    assert asked == ["instance/id"]


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_sightings", "_silences"):
        monkeypatch.setattr(metadata_module, name, [])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[tuple[str, str | None]]]]:
    """Return a function that starts a metadata server and returns what it is asked."""
    servers = []

    def start(status: int = 200, flavor: str = "Google") -> list[tuple[str, str | None]]:
        asked: list[tuple[str, str | None]] = []

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers.get("Metadata-Flavor")))
                self.send_response(status)
                if flavor:
                    self.send_header("Metadata-Flavor", flavor)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()
                self.wfile.write(b"value")

            def log_message(self, *_args: object) -> None:
                return

        server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        return asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join(5)
        server.server_close()


def test_the_server_is_asked_by_its_rules(
    serve: Callable[..., list[tuple[str, str | None]]],
) -> None:
    """A key is asked for with the header that the server wants, and its text returned."""
    asked = serve()
    assert read_metadata("instance/id") == "value"
    assert asked == [("/computeMetadata/v1/instance/id", "Google")]


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_key_that_is_not_there_is_none(
    serve: Callable[..., list[tuple[str, str | None]]], status: int
) -> None:
    """The server's own "no such key" is an answer, and not followed elsewhere."""
    asked = serve(status)
    assert read_metadata("instance/id") is None
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "flavor", "is_late"),
    [(200, "", False), (404, "", False), (429, "Google", True), (503, "", True)],
)
def test_what_is_no_answer(
    serve: Callable[..., list[tuple[str, str | None]]], status: int, flavor: str, *, is_late: bool
) -> None:
    """A web server that is no metadata server, or one in trouble, says nothing of the machine."""
    asked = serve(status, flavor)
    with pytest.raises(NoAnswerError) as caught:
        read_metadata("instance/id")
    assert caught.value.is_late is is_late
    assert len(asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no such host", "a" * 300])
def test_no_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Where nothing listens, or the host is nonsense, that is known at once."""
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    with pytest.raises(NoAnswerError) as caught:
        read_metadata("instance/id")
    assert not caught.value.is_late


# -- slow, silent and endless servers --------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Metadata]:
    """Run a metadata server that is asked; the process has seen none so far."""
    running = Metadata()
    monkeypatch.setattr(metadata_module, "_PRODUCT", str(tmp_path / "missing"))
    monkeypatch.setenv("GCE_METADATA_HOST", running.environ["GCE_METADATA_HOST"])
    yield running
    running.server.close()


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_byte_now_and_then_is_no_answer(machine: Metadata, part: str) -> None:
    """A server that drips holds the flush thread for the bound of one question.

    Class of fault: a timeout for each byte in place of one for the answer; siblings:
    `test_no_token_server_holds_the_thread_or_fills_the_memory`,
    `test_google_auth_s_metadata_server_is_bounded`, `test_a_token_shares_the_request_s_deadline`,
    `test_no_server_holds_the_sender_longer_than_the_timeout`.
    """

    def drip(connection: socket.socket, _head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\n")
        if part == "body":
            connection.sendall(b"Content-Length: 9000\r\n\r\n")
        while not machine.server.over.wait(0.05):
            connection.sendall(b"x")

    machine.tell = drip
    start = time.monotonic()
    with pytest.raises(NoAnswerError) as caught:
        read_metadata("instance/id")
    assert caught.value.is_late
    assert time.monotonic() - start < 20


def test_an_answer_without_end_costs_little(machine: Metadata) -> None:
    """Of 200 MB the first 64 KiB are read, and they are no value.

    Class of fault: an answer that is kept whatever its size; siblings:
    `test_no_token_server_holds_the_thread_or_fills_the_memory`,
    `test_a_packed_answer_is_unpacked_within_the_bound`,
    `test_google_auth_s_metadata_server_is_bounded`.
    """
    sent = [0]

    def flood(connection: socket.socket, _head: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\n")
        connection.sendall(b"Content-Length: 200000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while sent[0] < 200_000_000:
                connection.sendall(bytes(100_000))
                sent[0] += 100_000

    machine.tell = flood
    assert read_metadata("instance/id") is None
    assert sent[0] < 50_000_000


def test_slow_is_not_absent(machine: Metadata) -> None:
    """A cluster's name that takes 1.4 s is awaited; one that takes too long is asked for again.

    Class of fault: a server that is slow is taken for absent, for the life of a connection;
    siblings: `test_a_server_that_answered_before_is_awaited`,
    `test_each_environment_is_the_stock_handler_s`,
    `test_a_caller_that_has_to_go_on_does_not_wait_for_the_metadata_server`.
    """
    tell, pause = machine.tell, [1.4]

    def slow(connection: socket.socket, head: str) -> None:
        if "cluster-name" in head:
            machine.server.over.wait(pause[0])
            answer_text(connection, "my-cluster")
        else:
            tell(connection, head)

    machine.tell = slow
    assert detect_resource("p", {})["labels"]["cluster_name"] == "my-cluster"
    pause[0] = 60
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            detect_resource("p", {})


def test_a_server_that_answered_before_is_awaited(machine: Metadata) -> None:
    """A server that fails now is away for a while: no entry gets the resource `global`."""
    assert detect_resource("p", {})["type"] == "gce_instance"
    tell, machine.tell = machine.tell, lambda connection, _head: answer(connection, 503)
    for _ in range(5):
        with pytest.raises(NoAnswerError):
            detect_resource("p", {})
    machine.tell = tell
    assert detect_resource("p", {})["type"] == "gce_instance"


def test_a_server_that_never_answered_is_given_up(machine: Metadata) -> None:
    """After three late answers the environment alone decides, so that logs are delivered."""
    machine.tell = lambda connection, _head: answer(connection, 503)
    for _ in range(2):
        with pytest.raises(NoAnswerError):
            detect_resource("p", {})
    assert detect_resource("p", {})["type"] == "global"
    assert detect_resource("p", RUN)["type"] == "cloud_run_revision"
    with pytest.raises(NoAnswerError):
        detect_resource("p", {}, is_googles=True)


# -- the stock handler's own detection -------------------------------------------------------------

_GKE = {CLUSTER: "c", "instance/attributes/cluster-location": "loc"}
_STANDARD = {"GAE_SERVICE": "s", "GAE_VERSION": "v", "GAE_INSTANCE": "i"}
_LEGACY = {"FUNCTION_NAME": "f", "FUNCTION_REGION": "x", "ENTRY_POINT": "e"}
_BATCH = {"CLOUD_RUN_JOB": "j", "CLOUD_RUN_EXECUTION": "e", "CLOUD_RUN_TASK_INDEX": "0",
          "CLOUD_RUN_TASK_ATTEMPT": "0"}  # fmt: skip
_BUILD = {"BUILD_ID": "b", "PROJECT_ID": "p"}
_POOL = {"CLOUD_RUN_WORKER_POOL": "w", "CLOUD_RUN_WORKER_POOL_REVISION": "w-1"}
_KNATIVE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", **RUN}
_ENVIRONMENTS = {
    "gce": {},
    "app engine standard": {**_STANDARD, "GAE_ENV": "standard"},
    "app engine flexible": {**_STANDARD, "GAE_ENV": "flex"},
    "functions 1": _LEGACY,
    "functions 2": {**FUNCTION, **RUN},
    "functions 2 with the old name": {**FUNCTION, **RUN, "FUNCTION_NAME": "old"},
    "run service": RUN,
    "run job": _BATCH,
    "run worker pool": _POOL,
    "kubernetes": _KNATIVE,
    "build": _BUILD,
    "set to nothing": dict.fromkeys(_STANDARD, ""),
    "a name set to nothing": {**FUNCTION, **RUN, "FUNCTION_NAME": ""},
    "one missing": {"K_SERVICE": "svc", "K_REVISION": "rev"},
}
_KEYS = {
    "machine": MACHINE,
    "cluster": {**MACHINE, **_GKE},
    "cluster of a long location": {**MACHINE, **_GKE,
                                   "instance/attributes/cluster-location": "projects/1/zones/z"},
    "cluster without a name": {**MACHINE, CLUSTER: ""},
    "run": {"instance/id": "0087", "instance/region": "projects/1/regions/r",
            "instance/zone": "projects/1/zones/r-1"},
}  # fmt: skip


@pytest.mark.parametrize("keys", _KEYS.values(), ids=_KEYS)
@pytest.mark.parametrize("environ", _ENVIRONMENTS.values(), ids=_ENVIRONMENTS)
def test_each_environment_is_the_stock_handler_s(
    monkeypatch: pytest.MonkeyPatch,
    machine: Metadata,
    environ: dict[str, str],
    keys: dict[str, str],
) -> None:
    """Types and labels are those of google-cloud-logging, whichever single key the server lacks.

    Closes: one missing key voids the others; an answer of 404 taken for silence; the project of the
    option as label. Also closes: a variable or a key that is set to nothing taken for one that is
    not set.
    """
    values: dict[str, str] = {}

    def tell(connection: socket.socket, head: str) -> None:
        path = head.split()[1].removeprefix("/computeMetadata/v1/")
        if path in values:
            answer_text(connection, values[path])
        else:
            answer(connection, 404, None, "Metadata-Flavor: Google")

    machine.tell = tell
    for name in {name for known in _ENVIRONMENTS.values() for name in known} & {*os.environ}:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # Google's own function has the host in its text; it gives None for what is not answered by 200.
    monkeypatch.setattr(stock, "retrieve_metadata_server", values.get)
    for missing in ("", "id", "zone", "region", "cluster-location"):
        values.clear()
        values |= {k: v for k, v in keys.items() if not (missing and k.endswith(f"/{missing}"))}
        values["project/project-id"] = "machine-project"
        expected = stock.detect_resource("p")
        found = detect_resource("p", environ, is_googles=True)
        assert found == {"type": expected.type, "labels": expected.labels}, f"without {missing}"
        assert (found["type"] == "global") == (found["labels"]["project_id"] == "p"), missing


def answer_text(connection: socket.socket, text: str) -> None:
    """Answer with a value of the metadata server's."""
    lines = f"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: {len(text)}\r\n\r\n"
    connection.sendall(lines.encode() + text.encode())
