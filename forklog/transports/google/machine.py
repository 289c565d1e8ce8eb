"""Gets tokens of this machine's service account from the metadata server, for `access`.

google.auth would do the same with 13 MiB of code, because its transport imports cryptography for
keys that do not exist here. So forklog asks for the token itself. That takes two requests to the
server that it asks for the monitored resource anyway. All other kinds of credentials are left to
google.auth.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

import google.auth.environment_vars as names
import requests
import urllib3.exceptions
from google.auth import _cloud_sdk

from forklog.clock import monotonic
from forklog.stderr.printable import printable
from forklog.transports.base import WireError
from forklog.transports.google.metadata import HEADERS, metadata_url

_SCOPE = "https://www.googleapis.com/auth/logging.write"
_TIMEOUT = 3.0  # seconds to connect; google.auth's
_EARLY = 225.0  # seconds before its end that a token is renewed; google.auth's, the server is ready
_MAX_ANSWER_BYTES = 65_536
_TOKEN = re.compile(r"[!-~]+\Z")  # what a header can hold
# What asks for more than a plain token: certificates that bind it, or a lookup of where it is good.
_MORE = (
    "GCE_METADATA_MTLS_MODE",
    "GOOGLE_API_CERTIFICATE_CONFIG",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE",
    "GOOGLE_SDK_EXPERIMENTAL_PYTHON_REGIONAL_ACCESS_BOUNDARY_LOOKUP_ENABLED",
)
_AGENT_CERTIFICATES = Path("/var/run/secrets/workload-spiffe-credentials")


def login_file() -> Path:
    """Return where gcloud keeps the application default credentials, if it keeps any."""
    return Path(_cloud_sdk.get_application_default_credentials_path())  # type: ignore[no-untyped-call,unused-ignore]


def has_file() -> bool:
    """Tell whether a file of credentials stands where google.auth looks for one."""
    return bool(os.environ.get(names.CREDENTIALS)) or login_file().is_file()


def is_plain_machine() -> bool:
    """Tell whether google.auth, too, would end up with plain tokens of the metadata server."""
    if has_file():
        return False
    return not any(map(os.environ.get, _MORE)) and not _AGENT_CERTIFICATES.is_dir()


class MachineAccount:
    """The default service account of this machine. Used by one thread of one process."""

    def __init__(self, scope: str = _SCOPE) -> None:
        """Know nothing yet; the first request asks for a token of this scope."""
        self._scope = scope
        self.service_account_email = ""
        self._token = ""
        self._until = -math.inf

    def headers(self, tokens: requests.Session) -> dict[str, str]:
        """Return what makes a request this account's; asks for a token where there is none.

        Raises:
            WireError: there is none to be had now.
        """
        if monotonic() >= self._until:
            self._renew(tokens)
        headers = {"Authorization": f"Bearer {self._token}"}
        if payer := os.environ.get(names.GOOGLE_CLOUD_QUOTA_PROJECT):
            headers["X-Goog-User-Project"] = payer
        return headers

    def forget(self) -> None:
        """Have the next request ask for another token: this one was not accepted."""
        self._until = -math.inf

    def _renew(self, tokens: requests.Session) -> None:
        self.service_account_email = printable(_ask(tokens, "email").decode("utf-8", "replace"))
        began = monotonic()
        answer = _ask(tokens, f"token?scopes={self._scope}")
        self._token, life = _token_of(answer)
        self._until = began + life - _EARLY


def _token_of(answer: bytes) -> tuple[str, float]:
    """Return the token and the seconds that it lives; WireError if the answer holds none."""
    error: Exception | None = None
    try:
        fields = json.loads(answer)
        token, life = fields["access_token"], float(fields["expires_in"])
        if _TOKEN.match(token) and 0 <= life < math.inf:
            return token, life
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as wrong:
        error = wrong
    text = "the metadata server's token cannot be read; check what answers in its place"
    raise WireError(text) from error


def _ask(tokens: requests.Session, path: str) -> bytes:
    """Ask the metadata server about the default account; WireError if it does not answer."""
    url = metadata_url(f"instance/service-accounts/default/{path}")
    try:
        with tokens.get(
            url, headers=HEADERS, timeout=_TIMEOUT, allow_redirects=False, stream=True
        ) as answer:
            content = bytes(answer.raw.read(_MAX_ANSWER_BYTES))
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        text = f"the credentials' server did not answer ({type(error).__name__})"
        raise WireError(f"{text}; check the network to the metadata server") from error
    if answer.status_code == requests.codes.not_found:
        text = "the metadata server knows no service account of this machine"
        raise WireError(f"{text}; attach one, or name a file of credentials", is_blocked=True)
    if answer.status_code != requests.codes.ok or "Metadata-Flavor" not in answer.headers:
        text = f"the metadata server gave no token ({answer.status_code}); check this machine's"
        raise WireError(f"{text} service account", is_blocked=True)
    return content
