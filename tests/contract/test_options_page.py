"""The page of options has each option as the constructor has it, with an example that works."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import google.cloud.logging
import pytest
from google.auth.credentials import AnonymousCredentials

from forklog import CloudLoggingHandler
from forklog.testing import FakeTransport

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
_SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", _PAGE, re.MULTILINE | re.DOTALL))
_PARAMETERS = {
    name: parameter
    for name, parameter in inspect.signature(CloudLoggingHandler.__init__).parameters.items()
    if name not in ("self", "unknown")
}


def test_each_option_has_a_section() -> None:
    """The page has the options of the constructor, no more and no less."""
    assert sorted(_SECTIONS) == sorted(_PARAMETERS)


@pytest.mark.parametrize("name", sorted(_PARAMETERS))
def test_type_and_default_are_those_of_the_constructor(name: str) -> None:
    """The first line of a section is the option as the signature has it."""
    (kind, default) = re.findall(rf"^`{name}: (.*) = (.*)`\n", _SECTIONS[name])[0]
    parameter = _PARAMETERS[name]
    assert kind == parameter.annotation
    assert eval(default, {"NOTSET": 0}) == parameter.default  # noqa: S307 - of our own page


@pytest.mark.parametrize("name", sorted(_PARAMETERS.keys() - {"stream"}))
def test_an_example_builds_a_handler(
    name: str, tmp_path: Path, forklog_transport: FakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of an option is accepted by the constructor."""
    (text,) = re.findall(rf"^Set it, as\s+in\s+`{name}=([^`]+)`", _SECTIONS[name], re.MULTILINE)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")

    def client() -> google.cloud.logging.Client:
        return google.cloud.logging.Client(credentials=AnonymousCredentials(), _use_grpc=False)

    names = {"keep": print, "FakeTransport": FakeTransport}
    text = text.replace("google.cloud.logging.Client()", "client()").replace("/etc", str(tmp_path))
    value = eval(text, {**names, "client": client})  # noqa: S307 - of our own page
    wire = {} if name == "transport" else {"transport": forklog_transport}
    CloudLoggingHandler(**{**wire, name: value}).close()
