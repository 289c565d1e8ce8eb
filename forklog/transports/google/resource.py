"""Finds for the wires the monitored resource of this process, by environment and metadata server.

Called by the flush thread only. The rules are those of google-cloud-logging, whose own detection
would import gRPC and all of its client; this is small enough to do without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from forklog.option_checks import is_project
from forklog.transports.google.metadata import NoAnswerError, is_to_be_awaited, read_metadata

_JOB = "cloud_run_job"
_LABELS = {
    _JOB: {
        "run.googleapis.com/execution_name": "CLOUD_RUN_EXECUTION",
        "run.googleapis.com/task_index": "CLOUD_RUN_TASK_INDEX",
        "run.googleapis.com/task_attempt": "CLOUD_RUN_TASK_ATTEMPT",
    },
}


class _Rule(NamedTuple):
    """A kind of monitored resource: when it applies, and where its labels come from."""

    type: str
    needs: tuple[str, ...]
    """Variables that must be set, if to nothing, or ``@path`` for a key of the metadata server."""
    labels: Mapping[str, str]
    """By label: where its value comes from, as in `needs`; ``A|B`` is A where A is set, else B."""


_REGION, _ZONE, _CLUSTER = "@instance/region", "@instance/zone", "@instance/attributes/cluster-name"
_LOCATION, _ID = "@instance/attributes/cluster-location", "@instance/id"
_PROJECT = "@project/project-id"
_RULES = (
    _Rule(
        "gae_app",
        ("GAE_SERVICE", "GAE_VERSION", "GAE_INSTANCE"),
        {"module_id": "GAE_SERVICE", "version_id": "GAE_VERSION", "zone": _ZONE},
    ),
    _Rule(
        "k8s_container",
        (_CLUSTER,),
        {"location": _LOCATION, "cluster_name": _CLUSTER},
    ),
    _Rule(
        "cloud_function",
        ("FUNCTION_NAME", "FUNCTION_REGION", "ENTRY_POINT"),
        {"function_name": "FUNCTION_NAME", "region": _REGION},
    ),
    _Rule(
        "cloud_function",
        ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE"),
        {"function_name": "FUNCTION_NAME|K_SERVICE", "region": _REGION},
    ),
    _Rule(
        "cloud_run_revision",
        ("K_SERVICE", "K_REVISION", "K_CONFIGURATION"),
        {
            "service_name": "K_SERVICE",
            "revision_name": "K_REVISION",
            "location": _REGION,
            "configuration_name": "K_CONFIGURATION",
        },
    ),
    _Rule(
        _JOB,
        ("CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION", "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_ATTEMPT"),
        {"job_name": "CLOUD_RUN_JOB", "location": _REGION},
    ),
    _Rule("gce_instance", (_ID,), {"instance_id": _ID, "zone": _ZONE}),
)


def detect_resource(
    project: str,
    environ: Mapping[str, str] = os.environ,
    read: Callable[[str], str | None] = read_metadata,
    *,
    is_googles: bool = False,
) -> dict[str, Any]:
    """Return the MonitoredResource of this machine; ``global`` where it is none of Google's.

    Args:
        project: the project to use where the metadata server names none, as outside of Google.
        environ: the environment.
        read: returns a key of the metadata server, None if it has none; or raises NoAnswerError.
        is_googles: the machine is known to be one of Google's, where the server is to be awaited.

    Raises:
        NoAnswerError: the server is late. Raised for ever where it has answered before or has to be
            there, and three times at most where it has never answered.
    """
    known: dict[str, str | None] = {}
    try:
        known[_ID] = read("instance/id")
    except NoAnswerError as error:
        if is_to_be_awaited(error, is_googles=is_googles):
            raise
        known = dict.fromkeys((_ID, _CLUSTER, _LOCATION, _REGION, _ZONE, _PROJECT))

    value = _lookup(known, environ, read)
    for rule in _RULES:
        if all(value(need) is not None for need in rule.needs):
            labels = {name: value(source) or "" for name, source in rule.labels.items()}
            found = (value(_PROJECT) or "").strip()
            own = {"project_id": found if is_project(found) else project}
            return {"type": rule.type, "labels": own | labels}
    return {"type": "global", "labels": {"project_id": project}}


def no_key(_path: str) -> None:
    """Stand for a metadata server that has no key: the resource is found by the environment."""


def _lookup(
    known: dict[str, str | None],
    environ: Mapping[str, str],
    read: Callable[[str], str | None],
) -> Callable[[str], str | None]:
    """Return a function from a source to its value; a key is read once, and kept in ``known``."""

    def value(source: str) -> str | None:
        if not source.startswith("@"):
            first, _, second = source.partition("|")
            return environ.get(first, environ.get(second))
        if source not in known:
            known[source] = read(source[1:])
        found = known[source]
        return found.rsplit("/", 1)[-1] if found and source == _REGION else found

    return value


def resource_of_environment(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the resource's type as far as the environment alone tells it; no network."""
    for rule in _RULES:
        if all(need in environ for need in rule.needs):
            return {"type": rule.type}
    return {}


def environment_labels(
    resource: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the labels that Google's pages expect of every entry of such a resource."""
    wanted = _LABELS.get(str(resource.get("type")), {})
    return {name: environ[source] for name, source in wanted.items() if environ.get(source)}
