"""Decides for `install` whether records go to the API, or as JSON lines to stdout for an agent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forklog.errors import OptionError
from forklog.options import Options
from forklog.transports.google.resource import resource_of_environment

_OUTPUTS = ("auto", "api", "stdout")
_COLLECTED = ("cloud_run_revision", "cloud_function")
"""Monitored resources where the stock client's default handler prints lines as well."""
_TO_THE_API = ("client", "transport", "endpoint")
OF_THE_HANDLER = ("client", "transport", "name", "stream")
"""What the handler takes beside the options."""
_MACHINE = Path("/sys/class/dmi/id/product_name")
_OF_BOTH = {
    "labels": "labels",
    "project": "project_id",
    "extra_fields": "extra_fields",
    "process_labels": "process_labels",
    "service": "service",
}
"""Options of the handler that concern lines as well, by their names there."""


def check_output(value: object) -> None:
    """Refuse what is no output."""
    if value not in _OUTPUTS:
        rule = f"must be one of {', '.join(_OUTPUTS)}"
        raise OptionError("output", value, rule, 'leave it at "auto"')


def is_printed(output: str, options: Mapping[str, Any]) -> bool:
    """Tell whether records are to be printed, given the output and the handler's options."""
    return output == "stdout" or (output == "auto" and _is_collected(options))


def unknown_of(options: Mapping[str, Any]) -> list[str]:
    """Return the names that are no option of the handler."""
    return sorted(options.keys() - Options.__dataclass_fields__.keys() - {*OF_THE_HANDLER})


def options_of_lines(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the options that concern lines, by their names there, and those that do not.

    Raises:
        OptionError: an option cannot work, be it used or not.
    """
    Options(**{name: item for name, item in options.items() if name not in OF_THE_HANDLER})
    used = {_OF_BOTH[name]: item for name, item in options.items() if name in _OF_BOTH}
    return used, sorted(name for name in options if name not in _OF_BOTH)


def _is_collected(options: Mapping[str, Any]) -> bool:
    """Tell whether an agent collects stdout, and nothing asks for the API. Does no network."""
    wants_api = any(options.get(name) is not None for name in _TO_THE_API)
    if wants_api or os.environ.get("LOGGING_EMULATOR_HOST"):
        return False
    if resource_of_environment().get("type") in _COLLECTED:
        return True
    return "KUBERNETES_SERVICE_HOST" in os.environ and _is_googles_machine()


def _is_googles_machine() -> bool:
    """Tell whether this is a machine of Google's, as a node of GKE is; google.auth asks so too."""
    try:
        return _MACHINE.read_text(encoding="ascii", errors="replace").startswith("Google")
    except OSError:
        return False
