"""Turns what the stock handler's constructor takes into options, for a handler that replaces it.

Nothing of google-cloud-logging is imported: an application that has a client of it, or names one of
its transports, has imported it already.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from typing import Any

from forklog.errors import Hidden, OptionError
from forklog.limits import MAX_LABELS
from forklog.option_checks import check_log_name
from forklog.options import DEFAULT_ENDPOINT, Options
from forklog.process.signals import with_usual_mask
from forklog.transports.base import Transport
from forklog.transports.google.resource import environment_labels, resource_of_environment

_DEFAULT_UNIVERSE, _UNIVERSE = "googleapis.com", "GOOGLE_CLOUD_UNIVERSE_DOMAIN"
_OF_THE_HANDLER = ("client", "level", "name", "transport")
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Options)}
_BACKGROUND = "BackgroundThreadTransport"  # google's default: a class, of which it makes a thread


def options_of(
    client: Any, name: str | None, arguments: Mapping[str, Any], unknown: Mapping[str, Any]
) -> Options:
    """Return the options; what a client of google's knows stands in for what is not given.

    Args:
        client: one of google's, or None.
        name: the stock handler's word for the log's name.
        arguments: by name, all that the handler was given, the options among them.
        unknown: what it was given that is no option.
    """
    refuse_unknown(unknown, (*Options.__dataclass_fields__, *_OF_THE_HANDLER))
    given = {option: arguments[option] for option in Options.__dataclass_fields__}
    if name is not None:
        if given["log_name"] != _DEFAULTS["log_name"]:
            raise OptionError("name", name, "is another word for log_name", "give only one of them")
        check_log_name(name, "name")
        given["log_name"] = name
    if client is not None:
        _check_client(client)
        known = {"project": client.project, "credentials": getattr(client, "_credentials", None)}
        known["endpoint"] = _endpoint_of(client)
        given.update({option: known[option] for option in known if given[option] is None})
    options = Options(**given)
    on_drop = options.on_drop and with_usual_mask(options.on_drop)
    return dataclasses.replace(options, labels=_with_environment(options), on_drop=on_drop)


def refuse_unknown(unknown: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse an option that is not known; its value may be a secret under a misspelt name."""
    if not unknown:
        return
    import difflib  # noqa: PLC0415 - for this error alone

    names = sorted(known)
    for name in sorted(unknown):
        close = difflib.get_close_matches(name.lower(), names, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        remedy = f"{meant}known are: {', '.join(names)}"
        raise OptionError(name, Hidden(unknown[name]), "is not an option", remedy)


def _check_client(client: Any) -> None:
    if isinstance(client, (str, bytes)) or not hasattr(client, "project") or _is_other(client):
        rule = "must be a google.cloud.logging.Client"
        remedy = "give one, or leave it out and name the project by the option project"
        raise OptionError("client", Hidden(client), rule, remedy)


def _is_other(client: Any) -> bool:
    """Tell whether a client is that of another service of google's, whose endpoint is not ours."""
    if isinstance(getattr(client, "_handlers", None), set):
        return False
    modules = [kind.__module__ for kind in type(client).__mro__]
    is_googles = any(module.startswith(("google.cloud.", "googleapiclient.")) for module in modules)
    return is_googles or hasattr(getattr(client, "_connection", None), "API_BASE_URL")


def _endpoint_of(client: Any) -> str | None:
    """Return the endpoint that a client was given on purpose; None for google's default.

    Without an endpoint, that of a universe domain, as google's client takes it.
    """
    wanted = getattr(client, "_client_options", None)
    endpoint = getattr(wanted, "api_endpoint", None)
    universe = getattr(wanted, "universe_domain", None) or os.environ.get(_UNIVERSE)
    if not endpoint and universe and universe != _DEFAULT_UNIVERSE:
        endpoint = f"logging.{universe}"
    if not endpoint:
        base = getattr(getattr(client, "_connection", None), "API_BASE_URL", None)
        endpoint = base if base != DEFAULT_ENDPOINT else None
    if isinstance(endpoint, str) and "://" not in endpoint:
        return f"https://{endpoint}"
    return endpoint or None


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
    if isinstance(transport, os.PathLike) or not callable(getattr(transport, "open", None)):
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
