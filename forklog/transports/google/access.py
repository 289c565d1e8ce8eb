"""What the wire must know first: endpoint, credentials, project."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import google.auth
import google.auth.exceptions

from forklog.errors import NoCredentialsError, OptionError, shown
from forklog.option_checks import as_project, check_emulator, is_loopback, is_project
from forklog.options import Options
from forklog.transports import pools
from forklog.transports.base import WireError
from forklog.transports.google.machine import MachineAccount, is_plain_machine
from forklog.transports.google.metadata import is_on_google, read_metadata

if TYPE_CHECKING:
    import requests


DEFAULT_ENDPOINT = "https://logging.googleapis.com"
WRITE, READ = (f"https://www.googleapis.com/auth/logging.{verb}" for verb in ("write", "read"))
_NAME, _OLD_NAME = "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"
_LOCAL_PROJECT = "local-project"
# What google.auth imports once it has seen which credentials there are. Imported by the flush
# thread it could be half imported at a fork, and for ever in the child.
_LATE_MODULES = (
    "google.auth.api_key",
    "google.auth.aws",
    "google.auth.compute_engine",
    "google.auth.external_account_authorized_user",
    "google.auth.identity_pool",
    "google.auth.impersonated_credentials",
    "google.auth.pluggable",
    "google.oauth2.credentials",
    "google.oauth2.gdch_credentials",
)
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


def load_google_auth() -> Any:
    """Import all of google.auth; return its transport on requests. Blocks for a tenth of a second.

    Raises:
        NoCredentialsError: it cannot be imported here. cryptography, which it needs for every kind
            of credentials, is made with PyO3 and refuses all interpreters of a process but the
            first: those of a uWSGI server with several applications.
    """
    try:
        authorized = importlib.import_module("google.auth.transport.requests")
    except ImportError as error:
        text = "google.auth cannot be imported in this interpreter, so log entries go to stderr as"
        text += f" JSON lines; under uWSGI set single-interpreter = true ({error})"
        raise NoCredentialsError(text) from error
    for name in _LATE_MODULES:
        with contextlib.suppress(ImportError):  # not every google-auth has all of them
            importlib.import_module(name)
    return authorized


def is_anonymous(options: Options) -> bool:
    """Tell whether requests are sent without a token.

    A host that LOGGING_EMULATOR_HOST names gets none at all. Plain http and this machine get only
    that of credentials that were given.
    """
    endpoint = endpoint_of(options)
    is_local = _is_plain(endpoint) or is_loopback(endpoint)
    return bool(emulator_of(options)) or (options.credentials is None and is_local)


def request_on(session: requests.Session) -> Any:
    """Return google.auth's request on a session, which stays open when the request is collected.

    google.auth's own closes the session then, in a child as well, where the locks of its pools may
    be held for ever.
    """
    request = load_google_auth().Request
    return type("Request", (request,), {"__del__": lambda _self: None})(session)


def _request() -> Any:
    """Return what google.auth asks for a project with, in place of a session of its own."""
    return request_on(pools.session())


def _is_plain(endpoint: str) -> bool:
    """Tell whether an endpoint is plain http, in whatever letters: schemes have no case."""
    return urlsplit(endpoint).scheme == "http"


def find_access(options: Options, scope: str = WRITE) -> Access:
    """Find out where, as whom and into which project to write. May ask the metadata server.

    Args:
        options: those of the handler, or of a command.
        scope: what a token is good for; `READ` where entries are read.

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
        return Access(endpoint, None, str(named or _LOCAL_PROJECT))
    if _is_plain(endpoint) and not is_loopback(endpoint):
        host = urlsplit(endpoint).hostname
        text = f"will not send credentials to {host} over plain http; use https"
        raise WireError(text, is_blocked=True)
    credentials, found = _credentials(options, scope)
    if not (project or found):
        text = "the project is not known; set the option project or GOOGLE_CLOUD_PROJECT"
        raise WireError(text, is_blocked=True)
    return Access(endpoint, credentials, str(project or found))


def _credentials(options: Options, scope: str) -> tuple[Any, str | None]:
    given = options.credentials
    if given is None and is_plain_machine():
        if not is_on_google():
            raise NoCredentialsError(_NONE_FOUND)
        return MachineAccount(scope), known_project(options) or read_metadata("project/project-id")
    load_google_auth()
    try:
        if given is None:
            return google.auth.default(scopes=(scope,), request=_request())  # type: ignore[no-untyped-call,no-any-return,unused-ignore]
        if isinstance(given, (str, os.PathLike)):
            return _load_file(os.fspath(given), scope)
    except google.auth.exceptions.DefaultCredentialsError as error:
        if given is None and not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise NoCredentialsError(_NONE_FOUND) from error
        text = "the credentials file cannot be used; check that it exists and what is in it"
        raise WireError(text, is_blocked=True) from error
    except google.auth.exceptions.GoogleAuthError as error:
        text = f"no credentials yet ({type(error).__name__})"
        raise WireError(text) from error
    scoped = given
    if getattr(given, "requires_scopes", False):
        scoped = given.with_scopes((scope,))
    return scoped, getattr(given, "project_id", None)


def _load_file(path: str, scope: str) -> tuple[Any, str | None]:
    """Load a file of credentials. A person's login has its scopes, and must not ask for others.

    `google.auth.default` does the same.
    """
    request = _request()
    with warnings.catch_warnings():
        # Deprecated for files from strangers; this one is named by the application itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        load: Any = google.auth.load_credentials_from_file
        found = load(path, scopes=(scope,), request=request)
        is_login = type(found[0]).__module__ == "google.oauth2.credentials"
        loaded: tuple[Any, str | None] = load(path, request=request) if is_login else found
        return loaded
