"""Where this process runs: on Google or not, as what resource; by environment and metadata server.

Called by the flush thread only. The rules are those of google-cloud-logging, whose own detection
would import gRPC and all of its client; this is small enough to do without.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import requests

from forklog.transports import pools

__all__ = [
    "APP_ENGINE",
    "HEADERS",
    "TRACE_LABEL",
    "detect_resource",
    "environment_labels",
    "is_on_google",
    "metadata_url",
    "read_metadata",
    "resource_of_environment",
]

APP_ENGINE, _JOB = "gae_app", "cloud_run_job"
TRACE_LABEL = "appengine.googleapis.com/trace_id"
_LABELS = {
    _JOB: {
        "run.googleapis.com/execution_name": "CLOUD_RUN_EXECUTION",
        "run.googleapis.com/task_index": "CLOUD_RUN_TASK_INDEX",
        "run.googleapis.com/task_attempt": "CLOUD_RUN_TASK_ATTEMPT",
    },
}

_TIMEOUT = 1.0  # seconds; the server is one hop away or not there at all
_PAUSE = 1.0  # seconds between two tries to find the server
_PRODUCT = "/sys/class/dmi/id/product_name"
HEADERS = {"Metadata-Flavor": "Google"}
_sightings: list[bool] = []


class _Rule(NamedTuple):
    """A kind of monitored resource: when it applies, and where its labels come from."""

    type: str
    needs: tuple[str, ...]
    """Environment variables that must be set, or ``@path`` for a key of the metadata server."""
    labels: Mapping[str, str]


_REGION, _ZONE, _CLUSTER = "@instance/region", "@instance/zone", "@instance/attributes/cluster-name"
_RULES = (
    _Rule(
        APP_ENGINE,
        ("GAE_SERVICE", "GAE_VERSION", "GAE_INSTANCE"),
        {"module_id": "GAE_SERVICE", "version_id": "GAE_VERSION", "zone": _ZONE},
    ),
    _Rule(
        "k8s_container",
        (_CLUSTER,),
        {"location": "@instance/attributes/cluster-location", "cluster_name": _CLUSTER},
    ),
    _Rule(
        "cloud_function",
        ("FUNCTION_NAME", "FUNCTION_REGION", "ENTRY_POINT"),
        {"function_name": "FUNCTION_NAME", "region": _REGION},
    ),
    _Rule(
        "cloud_function",
        ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE"),
        {"function_name": "K_SERVICE", "region": _REGION},
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
    _Rule("gce_instance", ("@instance/id",), {"instance_id": "@instance/id", "zone": _ZONE}),
)


def metadata_url(path: str) -> str:
    """Return the URL of a key; its host as google-auth takes it from the environment."""
    host = os.environ.get("GCE_METADATA_HOST") or os.environ.get("GCE_METADATA_ROOT")
    return f"http://{host or 'metadata.google.internal.'}/computeMetadata/v1/{path}"


def read_metadata(path: str) -> str | None:
    """Ask the metadata server for one key; None if it is not there. Blocks for a second or two."""
    return _get(metadata_url(path), _TIMEOUT)


def is_on_google() -> bool:
    """Tell whether this is one of Google's machines, by google-auth's signs and bounds.

    Once it was, it stays one: a server that does not answer later is away for a while. Blocks for
    eleven seconds at most, where packets to the metadata server's address vanish.
    """
    if os.environ.get("NO_GCE_CHECK") == "true":
        return False
    if not _sightings and _looks_like_google():
        _sightings.append(True)
    return bool(_sightings)


def _looks_like_google() -> bool:
    url = f"http://{os.environ.get('GCE_METADATA_IP', '169.254.169.254')}"
    tries = _number("GCE_METADATA_DETECT_RETRIES", 3)
    for number in range(tries):  # on GKE the server may come up later than the container
        if number:
            time.sleep(_PAUSE)
        if _get(url, _number("GCE_METADATA_TIMEOUT", 3)) is not None:
            return True
    with contextlib.suppress(OSError, ValueError):
        return Path(_PRODUCT).read_text(encoding="ascii").startswith("Google")
    return False


def _number(name: str, default: int) -> int:
    with contextlib.suppress(ValueError):
        return int(os.environ.get(name, default))
    return default


def _get(url: str, timeout: float) -> str | None:
    with pools.session() as session:
        session.trust_env = False  # the server is one hop away: behind no proxy
        try:
            answer = session.get(url, headers=HEADERS, timeout=timeout, allow_redirects=False)
        except (requests.RequestException, ValueError):  # the latter for what cannot be a host
            return None
    is_value = answer.status_code == requests.codes.ok and "Metadata-Flavor" in answer.headers
    return answer.text if is_value else None


def detect_resource(
    project: str,
    environ: Mapping[str, str] = os.environ,
    read: Callable[[str], str | None] = read_metadata,
) -> dict[str, Any]:
    """Return the MonitoredResource of this machine; ``global`` where it is none of Google's."""
    known: dict[str, str | None] = {}
    if read("instance/id") is None:  # not on Google's machines: one question instead of nine
        known = dict.fromkeys(("@instance/id", _CLUSTER, _REGION, _ZONE))

    def value(source: str) -> str | None:
        if not source.startswith("@"):
            return environ.get(source)
        if source not in known:
            known[source] = read(source[1:])
        return known[source]

    for rule in _RULES:
        if all(value(need) for need in rule.needs):
            labels = {name: value(source) or "" for name, source in rule.labels.items()}
            for name in ("region", "location"):
                labels.update({k: v.rsplit("/", 1)[-1] for k, v in labels.items() if k == name})
            return {"type": rule.type, "labels": {"project_id": project, **labels}}
    return {"type": "global", "labels": {"project_id": project}}


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
