"""What the service does with an entry that the caller did not ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from forklog.emulator import Emulator

    Send = Callable[..., tuple[int, dict[str, Any]]]


def test_the_project_is_filled_into_the_resource(write: Send, emulator: Emulator) -> None:
    """Labels get project_id from the log's name; one that was given stays."""
    given = {"type": "gae_app", "labels": {"module_id": "m", "project_id": "own"}}
    write({"textPayload": "a"}, {"textPayload": "b", "resource": given})
    first, second = emulator.entries()
    assert first["resource"] == {"type": "global", "labels": {"project_id": "p"}}
    assert second["resource"] == given


def test_an_organization_has_no_project(write: Send, emulator: Emulator) -> None:
    """A log below another kind of parent keeps its resource as it is."""
    write({"textPayload": "a", "logName": "organizations/1/logs/web"})
    assert emulator.entries()[0]["resource"] == {"type": "global"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("receiveTimestamp", "2001-01-01T00:00:00Z"),
        ("metadata", {"userLabels": {"a": "b"}}),
        ("errorGroups", [{"id": "x"}]),
        ("apphub", {"application": {}}),
        ("apphubSource", {"application": {}}),
        ("apphubDestination", {"application": {}}),
    ],
)
def test_output_only_fields_are_ignored(
    write: Send, emulator: Emulator, name: str, value: object
) -> None:
    """A write that has them succeeds, and what it gave is not listed."""
    assert write({"textPayload": "a", name: value}) == (200, {})
    assert emulator.entries()[0].get(name) != value


@pytest.mark.parametrize("name", ["jsonPayload", "otel"])
def test_numbers_are_doubles(write: Send, emulator: Emulator, name: str) -> None:
    """A Struct's integers above 2**53 are rounded, and a whole float is listed as an integer."""
    numbers = [2**53, 2**53 + 1, 2**63 + 1, 1.0, 1.5, -7, True]
    assert write({name: {"inner": {"numbers": numbers}}}) == (200, {})
    found = emulator.entries()[0][name]["inner"]["numbers"]
    assert found == [2**53, 2**53, 2**63, 1, 1.5, -7, True]
    assert list(map(type, found)) == [int, float, float, int, float, int, bool]


@pytest.mark.parametrize(
    "name",
    [
        "projects/",
        "projects/a b",
        "projects/p/logs/web",
        "projects/p/locations/global",
        "cars/1",
        "projects/p/",
    ],
)
def test_malformed_parents_are_refused(call: Send, name: str) -> None:
    """A list of what is neither a parent nor one of its buckets or views is an error."""
    status, answer = call("POST", "/v2/entries:list", {"resourceNames": [name]})
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "name",
    [
        "projects/example.com:shop",
        "projects/p/locations/global/buckets/_Default",
        "projects/p/locations/global/buckets/_Default/views/_AllLogs",
        "billingAccounts/0A-1B",
    ],
)
def test_parents_buckets_and_views_are_taken(call: Send, name: str) -> None:
    """They can be listed, and hold what was written below their parent."""
    assert call("POST", "/v2/entries:list", {"resourceNames": [name]}) == (200, {})
