"""Finds endpoint, credentials and project for `http` before its first request."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import google.auth.exceptions

from forklog.clock import monotonic
from forklog.errors import NoCredentialsError, OptionError, shown
from forklog.option_checks import as_project, check_emulator, is_loopback, is_project
from forklog.options import DEFAULT_ENDPOINT, Options
from forklog.transports.base import WireError
from forklog.transports.google.loading import (
    Found,
    load_default,
    load_file,
    load_google_auth,
    request_on,
    scoped,
)
from forklog.transports.google.machine import MachineAccount, has_file, is_plain_machine, login_file
from forklog.transports.google.metadata import is_on_google, out_of_time, read_metadata
from forklog.transports.google.source import fault_of_file, source_of

if TYPE_CHECKING:
    import requests


WRITE, READ = (f"https://www.googleapis.com/auth/logging.{verb}" for verb in ("write", "read"))
_NAME, _OLD_NAME = "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"
_LOCAL_PROJECT = "local-project"
# Of a file that cannot be read, or holds other JSON than google.auth takes it for.
_NO_FILE_OF_GOOGLES = (OSError, ValueError, TypeError, KeyError, AttributeError)
_NONE_FOUND = (
    "no Google credentials found, so log entries go to stderr as JSON lines; run 'gcloud auth "
    "application-default login', or point LOGGING_EMULATOR_HOST at 'forklog emulator'"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Where to send, as whom, into which project."""

    endpoint: str
    credentials: Any = field(repr=False)
    """Of google.auth, or those of this machine, or None where no token is sent."""
    project: str
    source: str = ""
    """Where the credentials come from, for a line on stderr."""

    @staticmethod
    def request_on(session: requests.Session) -> Any:
        """Return what google.auth fetches tokens with, on a session; see `request_on`."""
        return request_on(session)


def known_project(options: Options) -> str | None:
    """Return the project id if it is known without asking anybody.

    As with google.auth, a GOOGLE_CLOUD_PROJECT that is set to nothing hides the old name.
    """
    return options.project or os.environ.get(_NAME, os.environ.get(_OLD_NAME)) or None


def endpoint_of(options: Options) -> str:
    """Return the endpoint: the option, else LOGGING_EMULATOR_HOST, else Google's."""
    return options.endpoint or emulator_of(options) or DEFAULT_ENDPOINT


def emulator_of(options: Options) -> str | None:
    """Return the URL of the emulator if LOGGING_EMULATOR_HOST decides, which gets no token.

    Raises:
        OptionError: the variable's value names no host.
    """
    if options.endpoint is not None:
        return None
    return check_emulator(os.environ.get("LOGGING_EMULATOR_HOST"))


def load_credentials_code(options: Options) -> None:
    """Import what the flush thread may need: of google.auth nothing where no file names a key."""
    importlib.import_module("netrc")  # requests imports it with its first request
    given = options.credentials
    if is_anonymous(options) or (given is None and is_plain_machine()):
        return
    with contextlib.suppress(NoCredentialsError):  # reported when they are needed
        load_google_auth()


def is_anonymous(options: Options) -> bool:
    """Tell whether requests are sent without a token.

    A host that LOGGING_EMULATOR_HOST names gets none at all. Plain http and this machine get only
    that of credentials that were given.
    """
    endpoint = endpoint_of(options)
    is_local = _is_plain(endpoint) or is_loopback(endpoint)
    return bool(emulator_of(options)) or (options.credentials is None and is_local)


def _is_plain(endpoint: str) -> bool:
    """Tell whether an endpoint is plain http, in whatever letters: schemes have no case."""
    return urlsplit(endpoint).scheme == "http"


def find_access(options: Options, scope: str = WRITE, *, until: float = math.inf) -> Access:
    """Find out where, as whom and into which project to write. May ask the metadata server.

    Args:
        options: those of the handler, or of a command.
        scope: what a token is good for; `READ` where entries are read.
        until: on the monotonic clock: when no server is asked any more.

    Raises:
        NoCredentialsError: there are none, and that will not pass.
        WireError: not to be found now, or something that a person has to fix.
    """
    try:
        endpoint = endpoint_of(options)
    except OptionError as error:  # the environment has changed since the construction
        raise WireError(str(error), is_blocked=True) from error
    project = known_project(options)
    if project and not is_project(project):
        name = _NAME if _NAME in os.environ else _OLD_NAME
        value = shown(as_project(project))
        text = f"the variable {name} is no project id: {value}; correct it or unset it"
        raise WireError(text, is_blocked=True)
    if is_anonymous(options):
        named = project or getattr(options.credentials, "project_id", None)
        return Access(endpoint, None, str(named) if is_project(named) else _LOCAL_PROJECT)
    if _is_plain(endpoint) and not is_loopback(endpoint):
        host = urlsplit(endpoint).hostname
        text = f"will not send credentials to {host} over plain http; use https"
        raise WireError(text, is_blocked=True)
    credentials, found = _credentials(options, scope, until)
    if not (project or found) and monotonic() >= until:
        raise out_of_time()
    source = source_of(options.credentials, login_file())
    return Access(endpoint, credentials, project or _checked(found), source)


def _checked(found: object) -> str:
    """Return a project that was found; WireError where none was, or what cannot be one."""
    remedy = "set the option project or GOOGLE_CLOUD_PROJECT"
    if not found:
        raise WireError(f"the project is not known; {remedy}", is_blocked=True)
    if not is_project(project := str(found).strip()):
        text = f"what was found is no project id: {shown(as_project(project))}"
        raise WireError(f"{text}; {remedy}", is_blocked=True)
    return project


def _credentials(options: Options, scope: str, until: float) -> Found:
    given, is_known = options.credentials, known_project(options) is not None
    if given is None and not has_file() and not is_on_google(until):
        raise NoCredentialsError(_NONE_FOUND)
    if given is None and is_plain_machine():
        found = None if is_known else read_metadata("project/project-id", until)
        return MachineAccount(scope), found
    load_google_auth()
    login, timeout = login_file(), min(options.answer_timeout, until - monotonic())
    try:
        if given is None:
            return load_default(login, scope, timeout, is_project_known=is_known)
        if isinstance(given, (str, os.PathLike)):
            path, is_login = os.fspath(given), Path(given) == login
            return load_file(path, scope, timeout, is_login=is_login, is_project_known=is_known)
    except google.auth.exceptions.DefaultCredentialsError as error:
        if given is None and not has_file():
            raise NoCredentialsError(_NONE_FOUND) from error
        raise WireError(fault_of_file(given, login, error), is_blocked=True) from error
    except google.auth.exceptions.GoogleAuthError as error:
        text = f"no credentials yet ({type(error).__name__}): {source_of(given, login)}"
        remedy = "check the credentials, the addresses in them, and the network"
        raise WireError(f"{text}; {remedy}") from error
    except _NO_FILE_OF_GOOGLES as error:
        raise WireError(fault_of_file(given, login, error), is_blocked=True) from error
    return scoped(given, scope), getattr(given, "project_id", None)
