"""Field paths of a filter: through arrays, maps and structs, over the predicate of listing."""

from __future__ import annotations

from typing import Any

import pytest

from forklog.emulator.filter.match import predicate
from forklog.emulator.filter.parse import parse

ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/audit",
    "timestamp": "2026-03-01T12:00:00Z",
    "resource": {"type": "gce_instance", "labels": {"project_id": "shop", "zone": "eu-1"}},
    "errorGroups": [{"id": "A"}, {"id": "B"}],
    "protoPayload": {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "methodName": "storage.get",
        "authorizationInfo": [
            {"permission": "a.b", "granted": True},
            {"permission": "c.d", "resourceAttributes": {"service": "s"}},
        ],
    },
    "jsonPayload": {
        "a": [{"b": 1}, {"b": [2, 3]}, 4, [{"b": "deep"}]],
        "empty": [],
        "Key": {"snake_case": "x"},
    },
    "otel": {"scope": {"name": "http"}, "attributes": [{"key": "k", "value": 7}]},
}


@pytest.mark.parametrize(
    ("source", "is_met"),
    [
        ('protoPayload.authorizationInfo.permission="a.b"', True),
        ('protoPayload.authorizationInfo.permission="c.d"', True),
        ('protoPayload.authorizationInfo.permission="x"', False),
        ('protoPayload.authorizationInfo.permission!="a.b"', True),
        ('protoPayload.authorizationInfo.permission=~"^c"', True),
        ("protoPayload.authorizationInfo.granted=true", True),
        ("protoPayload.authorizationInfo.resourceAttributes.service=s", True),
        ("protoPayload.authorizationInfo.permission:*", True),
        ("protoPayload.authorizationInfo.other:*", False),
        ("protoPayload.authorizationInfo.other!=1", False),
        ("NOT protoPayload.authorizationInfo.other=1", True),
        ("jsonPayload.a.b=1", True),
        ("jsonPayload.a.b=3", True),
        ("jsonPayload.a.b>2", True),
        ("jsonPayload.a.b=4", False),
        ("jsonPayload.a.b=deep", True),
        ("jsonPayload.empty.b:*", False),
        ("errorGroups.id=A", True),
        ("errorGroups.id=C", False),
        ('SEARCH(protoPayload.authorizationInfo.permission, "c d")', True),
        ("resource.labels:*", True),
        ('resource.labels:"shop"', True),
        ('resource.labels:"mars"', False),
        ('SEARCH(resource.labels, "eu")', True),
        ("otel.scope.name=HTTP", True),
        ("otel.attributes.value=7", True),
        ("otel.none:*", False),
        ("otel:http", True),
        ("protoPayload.METHOD_NAME=storage.get", True),
        ('protoPayload.authorizationinfo.Permission="a.b"', True),
        ("jsonPayload.key.snake_case=x", False),
        ("jsonPayload.Key.snakeCase=x", False),
    ],
)
def test_a_path_reaches_its_values(source: str, is_met: bool) -> None:  # noqa: FBT001
    """A path goes through arrays, whose members are joined by OR; a protoPayload ignores case."""
    assert predicate(parse(source))(ENTRY) is is_met


def test_labels_of_a_resource_may_be_missing() -> None:
    """An entry whose resource has no labels meets no comparison of them."""
    bare = {"resource": {"type": "global"}}
    assert not predicate(parse("resource.labels:*"))(bare)
    assert not predicate(parse('resource.labels:"shop"'))(bare)
