"""Goes the flush thread's way to Cloud Logging step by step for the doctor, up to one dry run."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import google.auth.environment_vars
import requests.utils

from forklog.errors import NoCredentialsError
from forklog.option_checks import is_loopback
from forklog.options import Options
from forklog.stderr.printable import printable, server_of
from forklog.transports.base import Kind, Verdict, WireError, verdict_of
from forklog.transports.google.access import (
    Access,
    endpoint_of,
    find_access,
    known_project,
)
from forklog.transports.google.machine import login_file
from forklog.transports.http import HttpConnection, resource_of
from forklog.transports.http_verdict import Answer, judge

Say = Callable[..., None]
_KINDS = {
    "google.oauth2.service_account": "service account key",
    "google.oauth2.credentials": "user credentials",
    "forklog.transports.google.machine": "service account of this machine",
    "google.auth.compute_engine.credentials": "service account of this machine",
    "google.auth.impersonated_credentials": "impersonated service account",
    "google.auth.external_account": "workload identity federation",
    "google.auth.identity_pool": "workload identity federation",
    "google.auth.aws": "workload identity federation (AWS)",
    "google.auth.pluggable": "workload identity federation (command)",
    "google.auth.credentials": "anonymous",
}
_MAX_CHARS, _MAX_RESOURCE_CHARS = 300, 2000
_OUTCOMES = {Kind.RETRY: "retry", Kind.BLOCKED: "blocked", Kind.HALVE: "refused"}


def make_dry_run(options: Options, timeout: float, say: Say) -> None:
    """Find access and do one dry run; blocks, for the network too.

    Args:
        options: those of the handler.
        timeout: seconds for the connection and for the answer; other steps have their own bounds.
        say: called with the fields of `forklog.diagnosis.facts.Delivery`, as they become known.
    """
    began = time.monotonic()
    say(
        step="looking for credentials and project",
        log_name=options.log_name,
        endpoint=endpoint_of(options),
        endpoint_from=_endpoint_from(options),
        proxy=_proxy(endpoint_of(options)),
        credentials_from=_credentials_from(options),
    )
    try:
        access = find_access(options)
        _tell_access(options, access, say)
        say(step="asking the metadata server for the monitored resource")
        resource = resource_of(options, access)
        say(resource=_resource(resource), step="waiting for the answer to the dry run")
        _dry_run(HttpConnection(options, access, resource, is_dry_run=True), timeout, say)
        say(account=_account(access.credentials))
    except NoCredentialsError:
        say(outcome="no_credentials", credentials="none", step="done", credentials_from="")
    except WireError as error:
        say(**_outcome_of(verdict_of(error, is_first_attempt=False)), detail=_cause(error))
    say(step="done", seconds=round(time.monotonic() - began, 3))


def _dry_run(connection: HttpConnection, timeout: float, say: Say) -> None:
    now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    entry = {"textPayload": "forklog doctor: a dry run", "severity": "INFO", "timestamp": now}
    try:
        answer, _ = connection.ask([json.dumps(entry).encode()], timeout)
    finally:
        connection.close()
    detail = _message(answer)
    say(**_outcome_of(judge(answer, 1)), status=answer.status, detail=detail)


def _outcome_of(verdict: Verdict) -> dict[str, str]:
    outcome = _OUTCOMES.get(verdict.kind, "accepted")
    if verdict.kind is Kind.DELIVERED and verdict.refused:
        outcome = "refused"
    elif verdict.kind is Kind.DELIVERED and verdict.again:
        outcome = "retry"
    return {"outcome": outcome, "reason": verdict.reason, "answer": verdict.answer}


def _tell_access(options: Options, access: Access, say: Say) -> None:
    project_from = "the credentials"
    if options.project:
        project_from = "the option project"
    elif known_project(options):
        has_name = os.environ.get("GOOGLE_CLOUD_PROJECT")
        project_from = "GOOGLE_CLOUD_PROJECT" if has_name else "GCLOUD_PROJECT"
    elif access.credentials is None:
        project_from = "forklog's default for a local endpoint"
    kind = "none needed" if access.credentials is None else _kind(access.credentials)
    say(
        project=access.project,
        project_from=project_from,
        credentials=kind,
        account=_account(access.credentials),
    )
    if access.credentials is None:
        say(credentials_from="")


def _endpoint_from(options: Options) -> str:
    if options.endpoint is not None:
        return "the option endpoint"
    return "LOGGING_EMULATOR_HOST" if os.environ.get("LOGGING_EMULATOR_HOST") else "the default"


def _credentials_from(options: Options) -> str:
    """Say where the credentials come from, in the order in which google.auth looks."""
    given = options.credentials
    if isinstance(given, (str, os.PathLike)):
        return f"the option credentials, {_file(os.fspath(given))}"
    if given is not None:
        return "the option credentials, an object"
    name = google.auth.environment_vars.CREDENTIALS
    if os.environ.get(name):
        return f"{name}, {_file(os.environ[name])}"
    if login_file().is_file():
        return f"gcloud's application default, file {login_file()}"
    return "the metadata server"


def _file(path: str) -> str:
    """Name a file if it exists: a key that was pasted in place of its path is not shown."""
    return f"file {path}" if Path(path).is_file() else "which names no file"


def _kind(credentials: Any) -> str:
    for cls in type(credentials).__mro__:
        if cls.__module__ in _KINDS:
            return _KINDS[cls.__module__]
    return type(credentials).__name__


def _account(credentials: Any) -> str:
    """Return the name of the account, which is what a role is granted to."""
    for name in ("service_account_email", "account"):
        value = getattr(credentials, name, None)
        if isinstance(value, str) and value:
            return printable(value)
    return ""


def _resource(resource: dict[str, Any]) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in resource.get("labels", {}).items())
    return printable(f"{resource.get('type')} ({labels})", _MAX_RESOURCE_CHARS)


def _proxy(endpoint: str) -> str:
    """Return the proxy's host and port; never its user, nor what follows."""
    if is_loopback(endpoint):
        return ""
    proxies = requests.utils.get_environ_proxies(f"{endpoint}/")
    proxy = proxies.get(urlsplit(endpoint).scheme) or proxies.get("all")
    if not proxy:
        return ""
    return server_of(proxy).rpartition("//")[2]


def _message(answer: Answer) -> str:
    """Return the server's own words, on one line."""
    try:
        text = json.loads(answer.body)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = ""
    return _one_line(str(text))


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"[^\x20-\x7e]+", " ", text).split())[:_MAX_CHARS]


def _cause(error: BaseException) -> str:
    """Return the system's text of the first cause, such as ``Connection refused``.

    Only the words of the system: the texts of the layers above may hold URLs and more.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            text = getattr(cause, "verify_message", None) or cause.strerror
            if text:
                return _one_line(str(text))
    return ""


def _causes(error: BaseException, depth: int = 12) -> Iterator[BaseException]:
    """Yield what an error came from, the innermost first."""
    if depth:
        inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        for cause in inner:
            if isinstance(cause, BaseException):
                yield from _causes(cause, depth - 1)
    yield error
