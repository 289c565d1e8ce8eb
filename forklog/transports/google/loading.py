"""Loads credentials as google.auth would, but within one deadline; for `access`.

The order is that of `google.auth.default`. That gives the request of its caller to some of what it
calls alone, and starts gcloud without a timeout. So the files are loaded here.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google.auth
import google.auth.environment_vars as names
import google.auth.exceptions

from forklog.errors import NoCredentialsError
from forklog.process.base import usual_mask
from forklog.transports.base import WireError
from forklog.transports.deadline import Deadline
from forklog.transports.tokens import token_session

if TYPE_CHECKING:
    import requests

Found = tuple[Any, str | None]
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
_GCLOUD = ("gcloud.cmd" if os.name == "nt" else "gcloud", "config", "get", "project")


def load_google_auth() -> Any:
    """Import all of google.auth; return its transport on requests. Blocks for a tenth of a second.

    Raises:
        NoCredentialsError: it cannot be imported here. It needs cryptography for every kind of
            credentials. That is made with PyO3 and refuses all interpreters of a process but the
            first, as those of a uWSGI server with several applications.
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


def request_on(session: requests.Session) -> Any:
    """Return google.auth's request on a session, which stays open when the request is collected.

    google.auth's own closes the session then, in a child as well, where the locks of its pools may
    be held for ever.
    """
    request = load_google_auth().Request
    return type("Request", (request,), {"__del__": lambda _self: None})(session)


def load_default(login: Path, scope: str, timeout: float, *, is_project_known: bool) -> Found:
    """Return the application default credentials and their project: a file's, else the machine's.

    Args:
        login: the file that gcloud makes where a person logs in.
        scope: what the tokens are good for.
        timeout: seconds, for all that is asked meanwhile.
        is_project_known: the project is not asked for.

    Raises:
        GoogleAuthError: there are none, or they cannot be used.
        WireError: a server that was asked did not answer.
    """
    path = os.environ.get(names.CREDENTIALS) or (str(login) if login.is_file() else "")
    if path:
        is_login = Path(path) == login
        return load_file(path, scope, timeout, is_login=is_login, is_project_known=is_project_known)
    deadline = Deadline()
    with token_session(deadline) as session:
        deadline.start(timeout)
        found: Any = google.auth.default(request=request_on(session))  # type: ignore[no-untyped-call,unused-ignore]
    return scoped(found[0], scope), found[1]


def load_file(
    path: str, scope: str, timeout: float, *, is_login: bool, is_project_known: bool
) -> Found:
    """Return the credentials of a file and their project; see `load_default`.

    A person's login has its scopes, and must not ask for others. gcloud knows its project.
    """
    deadline = Deadline()
    with token_session(deadline) as session:
        deadline.start(timeout)
        request = request_on(session)
        with warnings.catch_warnings():
            # Deprecated for files from strangers; this one is named by the application itself.
            warnings.simplefilter("ignore", DeprecationWarning)
            load: Any = google.auth.load_credentials_from_file
            loaded, project = load(path, request=request)
        credentials = scoped(loaded, scope)
        if project or is_project_known:
            return credentials, project
        if is_login:
            return credentials, _project_of_gcloud(deadline)
        return credentials, _project_of(credentials, request)


def scoped(credentials: Any, scope: str) -> Any:
    """Return the credentials for tokens of a scope; the same where they have their scopes."""
    if getattr(credentials, "requires_scopes", False):
        return credentials.with_scopes((scope,))
    return credentials


def _project_of(credentials: Any, request: Any) -> str | None:
    """Return the project of another cloud's credentials, which takes a token; None for none."""
    ask = getattr(credentials, "get_project_id", None)
    try:
        return usual_mask[0](ask)(request=request) if callable(ask) else None
    except (google.auth.exceptions.GoogleAuthError, WireError):
        raise
    except Exception:  # noqa: BLE001 - google.auth's, for an answer that is not as it expects
        return None


def _project_of_gcloud(deadline: Deadline) -> str | None:
    """Return the project that gcloud is set to, None without one, or if it takes too long.

    It is a script that starts Python, so all of its session is ended then.
    """
    start = usual_mask[0](subprocess.Popen)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        gcloud = start(_GCLOUD, **pipes, start_new_session=True)  # what google.auth starts
    except OSError:
        return None
    with gcloud:
        try:
            stdout, _ = gcloud.communicate(timeout=deadline.left())
        except (subprocess.TimeoutExpired, OSError):
            return None
        finally:  # it is no zombie yet where it has not ended: its number is its own
            if gcloud.returncode is None:
                _kill_session(gcloud)
    project = stdout.decode("utf-8", "replace").strip()
    return project if project and gcloud.returncode == 0 else None


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
