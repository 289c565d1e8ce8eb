"""Asks the metadata server, which answers on Google's machines alone, for the other modules here.

Called by the flush thread only. An answer is a value, "no such key", or none; the last is no fact
about the machine.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path

import requests
import urllib3.exceptions

from forklog.clock import monotonic
from forklog.transports import pools
from forklog.transports.base import WireError
from forklog.transports.deadline import Deadline, DeadlineAdapter

_TIMEOUT = 3.0  # seconds for a whole answer; google.auth's
_MAX_BYTES = 65_536  # of an answer; a longer one is no value
_MAX_SILENCES = 3  # so many late answers of a server that never gave one, and there is none
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_PASSING = frozenset({408, 429})
_NOT_FOUND = 404
_PAUSE = 1.0  # seconds between two tries to find the server
_PRODUCT = "/sys/class/dmi/id/product_name"
HEADERS = {"Metadata-Flavor": "Google"}
_sightings: list[bool] = []  # not empty once a metadata server has answered
_silences: list[bool] = []
_cut_short: dict[str, float] = {}  # seconds that callers with little time have waited, by URL
_broken_off: list[tuple[int, float]] = []  # tries that such a look had made, and when the last was


def metadata_url(path: str) -> str:
    """Return the URL of a key; its host as google-auth takes it from the environment."""
    host = os.environ.get("GCE_METADATA_HOST") or os.environ.get("GCE_METADATA_ROOT")
    return f"http://{host or 'metadata.google.internal.'}/computeMetadata/v1/{path}"


class NoAnswerError(WireError):
    """The metadata server gave no answer; whether there is one is not known."""

    def __init__(self, text: str, *, is_late: bool) -> None:
        """Keep whether something is there that takes too long, or fails."""
        super().__init__(f"the metadata server did not answer ({text})")
        self.is_late = is_late


def out_of_time() -> WireError:
    """Return the error where a caller, such as an exit, had no time left to ask."""
    text = "no time was left to find credentials and resource"
    return WireError(f"{text}; increase shutdown_timeout or flush(timeout)")


def read_metadata(path: str, until: float = math.inf) -> str | None:
    """Ask the metadata server for one key; None if it has none. Blocks for three seconds at most.

    Args:
        path: the key.
        until: on the monotonic clock: when the caller has to go on.

    Raises:
        NoAnswerError: there was no answer in time, or none of a metadata server.
        WireError: the caller had no time left, which tells nothing of the server.
    """
    value = _get(metadata_url(path), _TIMEOUT, until)
    if not _sightings:
        _sightings.append(True)
    return value


def is_on_google(until: float = math.inf) -> bool:
    """Tell whether this is one of Google's machines, by google-auth's signs and bounds.

    Once it was, it stays one: a server that does not answer later is away for a while. Blocks for
    eleven seconds at most, where packets to the metadata server's address vanish.

    Raises:
        WireError: the caller has to go on, and it is not known yet.
    """
    if os.environ.get("NO_GCE_CHECK") == "true":
        return False
    if not _sightings and _looks_like_google(until):
        _sightings.append(True)
    return bool(_sightings)


def _looks_like_google(until: float) -> bool:
    url = f"http://{os.environ.get('GCE_METADATA_IP', '169.254.169.254')}"
    tries = _number("GCE_METADATA_DETECT_RETRIES", 3)
    number, tried_at = _broken_off.pop() if _broken_off else (0, -math.inf)
    while number < tries:  # on GKE the server may come up later than the container
        time.sleep(max(0.0, min(tried_at + _PAUSE, until) - monotonic()))
        try:
            if _get(url, _number("GCE_METADATA_TIMEOUT", 3), until) is not None:
                return True
        except NoAnswerError:
            pass
        except WireError:  # the next look goes on from here
            _broken_off.append((number, tried_at))
            raise
        number, tried_at = number + 1, monotonic()
    return _has_googles_board()


def _has_googles_board() -> bool:
    with contextlib.suppress(OSError, ValueError):
        return Path(_PRODUCT).read_text(encoding="ascii").startswith("Google")
    return False


def _number(name: str, default: int) -> int:
    with contextlib.suppress(ValueError):
        return int(os.environ.get(name, default))
    return default


def _get(url: str, timeout: float, until: float) -> str | None:
    """Return the value at a URL, None where a metadata server has none; else a WireError.

    Where callers have little time, what several of them waited counts as one wait.
    """
    deadline, began = Deadline(), monotonic()
    if (left := until - began) <= 0:
        raise out_of_time()
    with pools.session(DeadlineAdapter(deadline)) as session:
        session.trust_env = False  # the server is one hop away: behind no proxy
        deadline.start(min(timeout, left))
        try:
            with session.get(
                url, headers=HEADERS, timeout=timeout, allow_redirects=False, stream=True
            ) as answer:
                content = bytes(answer.raw.read(_MAX_BYTES + 1))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if (now := monotonic()) >= until and not _is_enough(url, now - began, timeout):
                raise out_of_time() from error
            is_late = deadline.is_over() or isinstance(error, _TIMEOUTS)
            raise NoAnswerError(type(error).__name__, is_late=is_late) from error
        except ValueError as error:  # what cannot be a host
            raise NoAnswerError(type(error).__name__, is_late=False) from error
    return _value(answer, content)


def _is_enough(url: str, seconds: float, timeout: float) -> bool:
    """Add what a caller has waited; tell whether all have waited as long as one with time would."""
    waited = _cut_short.pop(url, 0.0) + seconds
    if waited < timeout:
        _cut_short[url] = waited
    return waited >= timeout


def _value(answer: requests.Response, content: bytes) -> str | None:
    status = answer.status_code
    if status in _PASSING or status >= 500:  # noqa: PLR2004
        raise NoAnswerError(str(status), is_late=True)
    if "Metadata-Flavor" not in answer.headers and not (_sightings and status == _NOT_FOUND):
        raise NoAnswerError("something else answered", is_late=False)
    if status != requests.codes.ok or len(content) > _MAX_BYTES:
        return None
    return content.decode("utf-8", "replace")


def is_to_be_awaited(error: NoAnswerError, *, is_googles: bool) -> bool:
    """Tell whether a silent server is away for a while, and not absent."""
    if is_googles or _sightings or _has_googles_board():
        return True
    if error.is_late:
        _silences.append(True)
    return error.is_late and len(_silences) < _MAX_SILENCES
