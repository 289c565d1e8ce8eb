"""The monitored resource, from the environment and a metadata server on a real socket."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from forklog.metadata import detect_resource, read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    detect_resource("p", {**RUN, **FUNCTION}, asked.append)
    assert asked == ["instance/id"]


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


@pytest.mark.parametrize(("status", "flavor"), [(404, "Google"), (302, "Google"), (200, "")])
def test_an_answer_of_something_else_is_none(
    serve: Callable[..., list[tuple[str, str | None]]], status: int, flavor: str
) -> None:
    """An error, a redirect or a server that is not the metadata server is no answer."""
    asked = serve(status, flavor)
    assert read_metadata("instance/id") is None
    assert len(asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no such host", "a" * 300])
def test_no_server_is_none(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Where nothing answers, or the host is nonsense, there is no value and no exception."""
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    assert read_metadata("instance/id") is None
