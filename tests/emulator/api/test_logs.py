"""logs.list: the names of logs, over HTTP and by Google's own connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud import logging as google_logging

    Send = Callable[..., tuple[int, dict[str, Any]]]


def _write(write: Send, *names: str) -> None:
    assert write(*[{"textPayload": "a", "logName": name} for name in names])[0] == 200


def test_logs_with_entries_are_named(write: Send, call: Send) -> None:
    """The names of a parent's logs are listed in order, each once, as they are written."""
    _write(write, "projects/p/logs/b", "projects/p/logs/a%2Fc", "projects/p/logs/b",
           "projects/q/logs/x", "folders/1/logs/y")  # fmt: skip
    names = ["projects/p/logs/a%2Fc", "projects/p/logs/b"]
    assert call("GET", "/v2/projects/p/logs") == (200, {"logNames": names})
    assert call("GET", "/v2/folders/1/logs") == (200, {"logNames": ["folders/1/logs/y"]})
    view = "projects/p/locations/global/buckets/_Default/views/_AllLogs"
    assert call("GET", f"/v2/{view}/logs") == (200, {"logNames": names})


def test_a_log_without_entries_has_no_name(write: Send, call: Send) -> None:
    """A project that never logged, and a log that was deleted, are not there; no error."""
    assert call("GET", "/v2/projects/none/logs") == (200, {})
    _write(write, "projects/p/logs/a", "projects/p/logs/b")
    assert call("DELETE", "/v2/projects/p/logs/a")[0] == 200
    assert call("GET", "/v2/projects/p/logs") == (200, {"logNames": ["projects/p/logs/b"]})


def test_resource_names_are_added_to_the_parent(write: Send, call: Send) -> None:
    """Other resources may be named beside the parent of the URL, in either spelling."""
    _write(write, "projects/p/logs/a", "projects/q/logs/b", "projects/r/logs/c")
    for spelling in ("resourceNames", "resource_names"):
        found = call("GET", f"/v2/projects/p/logs?{spelling}=projects/q&{spelling}=projects/p")
        assert found == (200, {"logNames": ["projects/p/logs/a", "projects/q/logs/b"]})


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_pages_neither_repeat_nor_skip(write: Send, call: Send, size: int) -> None:
    """By any page size all names are listed once, also while a log is added before the token."""
    names = [f"projects/p/logs/l{number}" for number in range(5)]
    _write(write, *names)
    seen: list[str] = []
    token = ""
    while True:
        answer = call("GET", f"/v2/projects/p/logs?pageSize={size}&pageToken={quote(token)}")[1]
        assert len(answer["logNames"]) <= size
        seen += answer["logNames"]
        _write(write, "projects/p/logs/l0")
        if not (token := answer.get("nextPageToken", "")):
            break
    assert seen == names


def test_sizes_that_mean_nothing_are_ignored(write: Send, call: Send) -> None:
    """A page size of zero or less is the default, which is 50; above 1,000 it is 1,000."""
    _write(write, *[f"projects/p/logs/l{number}" for number in range(60)])
    for size, count in ((0, 50), (-1, 50), (5000, 60)):
        answer = call("GET", f"/v2/projects/p/logs?pageSize={size}")[1]
        assert len(answer["logNames"]) == count


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("projects/p/logs?pageToken=abc", "page_token is not one"),
        ("projects/p/logs?pageSize=x", "page_size"),
        ("projects/p/logs?filter=a", 'Unknown name "filter"'),
        ("projects/p/logs?resourceNames=p", "is not of the form"),
        ("things/p/logs", "is not of the form"),
        ("projects/p/locations/x/logs", "is not of the form"),
    ],
)
def test_a_wrong_call_is_refused(call: Send, path: str, text: str) -> None:
    """What does not fit the call is 400 with the reason."""
    status, answer = call("GET", f"/v2/{path}")
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert text in answer["error"]["message"]


def test_a_token_belongs_to_its_resources(write: Send, call: Send) -> None:
    """A page token that another call got is refused."""
    _write(write, "projects/p/logs/a", "projects/p/logs/b")
    token = call("GET", "/v2/projects/p/logs?pageSize=1")[1]["nextPageToken"]
    status, answer = call("GET", f"/v2/projects/q/logs?pageToken={quote(token)}")
    assert (status, "other resource names" in answer["error"]["message"]) == (400, True)


def test_faults_hit_it(call: Send, emulator: Any) -> None:
    """It is a call of the service, so a fault on any call hits it, and it is counted."""
    emulator.fault("status", status=503, count=1)
    assert call("GET", "/v2/projects/p/logs")[0] == 503
    assert call("GET", "/v2/projects/p/logs")[0] == 200
    assert emulator.stats()["requests"] == 2


def test_googles_connection_lists_logs(google_client: google_logging.Client, write: Send) -> None:
    """Google's HTTP connection, with the parameters that it adds to each call, is answered."""
    _write(write, "projects/p/logs/a")
    google_client.logger("b").log_text("hello")
    answer = google_client._connection.api_request(
        method="GET", path="/projects/p/logs", query_params={"pageSize": 10}
    )
    assert answer == {"logNames": ["projects/p/logs/a", "projects/p/logs/b"]}
