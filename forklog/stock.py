"""Step 1, beside the handler: what the stock handler's constructor takes, made into options.

Nothing of google-cloud-logging is imported: an application that has a client of it, or names one of
its transports, has imported it already.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from forklog.errors import OptionError
from forklog.labels import MAX_LABELS
from forklog.options import Options
from forklog.resource import environment_labels, resource_of_environment
from forklog.transports.base import Transport

__all__ = ["checked_transport", "enlist", "known_resource", "options_of"]

_BACKGROUND = "BackgroundThreadTransport"  # google's default: a class, of which it makes a thread


def options_of(client: Any, name: str | None, given: dict[str, Any]) -> Options:
    """Return the options; what a client of google's knows stands in for what is not given."""
    if name is not None:
        if "log_name" in given:
            raise OptionError("name", name, "is another word for log_name", "give only one of them")
        given["log_name"] = name
    given.pop("stream", None)  # the stock handler takes one and never writes to it
    if client is not None:
        given.setdefault("project", getattr(client, "project", None))
        given.setdefault("credentials", getattr(client, "_credentials", None))
        connection = getattr(client, "_connection", None)
        endpoint = getattr(connection, "API_BASE_URL", None)
        if endpoint and "endpoint" not in given:
            given["endpoint"] = endpoint
    unknown = sorted(set(given) - set(Options.__dataclass_fields__))
    if unknown:
        known = ", ".join(sorted(Options.__dataclass_fields__))
        raise OptionError(unknown[0], given[unknown[0]], "is not an option", f"known are: {known}")
    options = Options(**given)
    return dataclasses.replace(options, labels=_with_environment(options))


def known_resource(options: Options) -> dict[str, Any]:
    """Return the monitored resource as far as options and environment tell it; no network."""
    return resource_of_environment() if options.resource is None else dict(options.resource)


def checked_transport(transport: Any) -> Transport | None:
    """Return a transport of ours; None in place of the stock handler's default, which is a thread.

    Raises:
        OptionError: it is another class of google's, which would not be asked for anything.
    """
    if transport is None or isinstance(transport, type):
        if getattr(transport, "__name__", _BACKGROUND) == _BACKGROUND:
            return None
        rule = "is a class; the stock handler's other transports cannot be used"
        remedy = "leave it out: the handler has a thread that sends, and flush() waits for it"
        raise OptionError("transport", transport, rule, remedy)
    if not callable(getattr(transport, "open", None)):
        remedy = "leave it out, or give a forklog.testing.FakeTransport"
        raise OptionError("transport", transport, "must be an object with open()", remedy)
    wire: Transport = transport
    return wire


def enlist(client: Any, handler: object) -> None:
    """Have ``client.flush_handlers()`` and ``client.close()`` reach the handler, as the stock's."""
    known = getattr(client, "_handlers", None)
    if isinstance(known, set):
        known.add(handler)


def _with_environment(options: Options) -> dict[str, str]:
    labels = {**environment_labels(known_resource(options)), **options.labels}
    return labels if len(labels) <= MAX_LABELS else dict(options.labels)
