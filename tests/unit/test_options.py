"""The options: what is taken, what is refused, and what the refusal says."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import logging
import pydoc
import re
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.cloud.logging import Resource

import forklog
from forklog import OptionError
from forklog.options import Options


class _Unequal:
    """As an array of numpy: it has no truth, and compares to no truth."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError


_WRONG = [
    ("project", "", "must be a project id"),
    ("project", 5, "must be a project id"),
    ("project", "My Project!", "must be a project id"),
    ("project", "projects/web", "without the prefix"),
    ("project", "Web", "give 'web'"),
    ("project", "Web-1", "write it in lower-case"),
    ("resource", {"type": ""}, "with a string 'type'"),
    ("resource", {"type": "x", "label": {}}, "and 'labels' at most"),
    ("project", "web\udcff", "must be a project id"),
    ("credentials", 5, "path of a file"),
    ("credentials", "", "path of a file"),
    ("credentials", '{"type": "service_account"}', "path of a file"),
    ("labels", {"a": "\udcff"}, "UTF-8"),
    ("resource", {"type": "\udcff"}, "UTF-8"),
    ("log_name", "", "1 to 511 characters"),
    ("log_name", "a b", "1 to 511 characters"),
    ("log_name", "x" * 512, "1 to 511 characters"),
    ("log_name", "web\n", "1 to 511 characters"),
    ("log_name", None, "1 to 511 characters"),
    ("labels", "env=prod", "must be a mapping"),
    ("labels", {"env": 5}, "must be strings"),
    ("labels", {1: "x"}, "must be strings"),
    ("labels", {str(n): "" for n in range(65)}, "at most 64"),
    ("resource", "gce_instance", "string 'type'"),
    ("resource", {"labels": {}}, "string 'type'"),
    ("resource", {"type": "global", "labels": "zone"}, "labels"),
    ("endpoint", "127.0.0.1:8085", "http(s) URL"),
    ("endpoint", "ftp://x", "http(s) URL"),
    ("endpoint", "http://user:secret@x", "http(s) URL"),
    ("endpoint", "http://", "http(s) URL"),
    ("endpoint", "http://[::1", "http(s) URL"),
    ("endpoint", "http://x:port", "http(s) URL"),
    ("endpoint", 8085, "http(s) URL"),
    ("max_latency", -1, ">= 0"),
    ("max_latency", "0.2", ">= 0"),
    ("max_latency", float("nan"), ">= 0"),
    ("max_latency", float("inf"), ">= 0"),
    ("shutdown_timeout", 1e10, "at most 1_000_000"),
    ("max_latency", 10**400, "at most 1_000_000"),
    ("max_latency", True, ">= 0"),
    ("block_timeout", None, ">= 0"),
    ("shutdown_timeout", -0.1, ">= 0"),
    ("connect_timeout", 0, "> 0"),
    ("answer_timeout", 0.0, "> 0"),
    ("max_retry_delay", 0, "> 0"),
    ("max_batch_entries", 0, "from 1 to 1_000_000"),
    ("max_batch_entries", 1.5, "from 1 to 1_000_000"),
    ("max_batch_entries", True, "from 1 to 1_000_000"),
    ("max_batch_bytes", 1000, "from 300_000"),
    ("max_batch_bytes", 10_000_000, "from 300_000"),
    ("max_buffer_bytes", 1000, "from 1_048_576"),
    ("flush_level", "SEVERE", "level of logging"),
    ("flush_level", -1, "level of logging"),
    ("flush_level", 3.5, "level of logging"),
    ("flush_level", None, "level of logging"),
    ("last_resort", "stdout", "absolute path"),
    ("last_resort", "logs/lost.json", "absolute path"),
    ("last_resort", None, "absolute path"),
    ("last_resort", "/var/lost\0", "absolute path"),
    ("name", "a b", "1 to 511 characters"),
    ("name", 5, "1 to 511 characters"),
    ("transport", Path("/var"), "object with open()"),
    ("compression", [], "gzip"),
    ("compression", _Unequal(), "gzip"),
    ("access_log", _Unequal(), "query"),
    ("resource", _Unequal(), "mapping"),
    ("on_drop", "print", "callable"),
]


@pytest.mark.parametrize(("option", "value", "rule"), _WRONG)
def test_a_wrong_option_says_all(option: str, value: object, rule: str) -> None:
    """The message holds the option, its value, the rule and what to do; programs get the name."""
    with pytest.raises(forklog.OptionError) as caught:
        forklog.CloudLoggingHandler(**{option: value})  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"option {option}=")
    assert rule in message
    assert message.count("; ") >= 1, "the remedy follows"
    assert caught.value.option == option


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    """A misspelt option does not pass silently."""
    with pytest.raises(forklog.OptionError, match=r"max_latencies=.*is not an option.*max_latency"):
        forklog.CloudLoggingHandler(max_latencies=1)


_OF_THE_HANDLER = ["client", "name", "transport", "level", "stream", "unknown"]


def test_the_signature_shows_every_option() -> None:
    """Editors, help() and type checkers see each option with its type and its default."""
    shown = inspect.signature(forklog.CloudLoggingHandler).parameters
    known = {field.name: field for field in dataclasses.fields(Options)}
    assert sorted(shown) == sorted([*known, *_OF_THE_HANDLER])
    for name, field in known.items():
        default = {} if field.default is dataclasses.MISSING else field.default
        assert (shown[name].default or default) == default, name
        annotation = shown[name].annotation.removesuffix(" | None")
        wider = "Any" if name == "resource" else annotation  # google's Resource is taken, too
        assert annotation in (wider, str(field.type).removesuffix(" | None")), name
    assert shown["unknown"].annotation == "NoReturn", "a type checker refuses any other name"
    page = pydoc.render_doc(forklog.CloudLoggingHandler, renderer=pydoc.plaintext)
    assert re.search("max_latency: ('float'|float) = 0.2", page)  # without quotes from 3.15 on


@pytest.mark.parametrize("name", ["max_latncy", "Project", "credential", "lables", "transprt"])
def test_a_misspelt_option_is_recognised(name: str) -> None:
    """The message asks whether the nearest name was meant, lists all, and hides the value."""
    with pytest.raises(forklog.OptionError, match="did you mean") as caught:
        forklog.CloudLoggingHandler(**{name: "s3cret"})  # type: ignore[arg-type]
    message = str(caught.value)
    names = [*(field.name for field in dataclasses.fields(Options)), *_OF_THE_HANDLER[:-2]]
    assert all(f"{known}" in message.partition("known are: ")[2] for known in names)
    assert "s3cret" not in message


@pytest.mark.parametrize("level", ["info", "Info", " INFO ", logging.INFO])
def test_the_level_is_taken_as_people_write_it(level: str | int) -> None:
    """The level of the handler is a number, or a name in any letters."""
    assert forklog.CloudLoggingHandler(level=level).level == logging.INFO


class _Setting(str, Enum):
    PROJECT = "my-project"
    LOG = "web"
    KEY = "env"
    SPOOL = "auto"


class _Size(IntEnum):
    BATCH = 300_000


def test_a_member_of_an_enumeration_is_what_it_holds() -> None:
    """A text or a number of a derived class becomes a plain one, in mappings as well.

    An f-string has the name of a member, and orjson takes no derived class as a key.
    """
    options = Options(
        project=_Setting.PROJECT,
        log_name=_Setting.LOG,
        labels={_Setting.KEY: _Setting.LOG},
        resource={"type": _Setting.KEY, "labels": {_Setting.KEY: _Setting.LOG}},
        service={"service": _Setting.LOG},
        max_batch_bytes=_Size.BATCH,
    )
    assert f"{options.project} {options.log_name}" == "my-project web"
    assert orjson.dumps(options.labels) == b'{"env":"web"}'
    assert orjson.dumps(options.resource) == b'{"type":"env","labels":{"env":"web"}}'
    assert orjson.dumps(options.service, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    assert type(options.max_batch_bytes) is int


def test_a_member_of_an_enumeration_is_plain_in_lines_as_well() -> None:
    """`StructuredLogHandler` takes its project and labels the same way."""
    stream = io.StringIO()
    handler = forklog.StructuredLogHandler(
        stream=stream, project_id=_Setting.PROJECT, labels={_Setting.KEY: _Setting.LOG}
    )
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert f"{handler.project_id}" == "my-project"
    assert json.loads(stream.getvalue())["logging.googleapis.com/labels"]["env"] == "web"


def test_a_spool_named_by_an_enumeration_is_made() -> None:
    """Its construction returns."""
    assert forklog.CloudLoggingHandler(spool=_Setting.SPOOL)._options.spool == "auto"


def test_name_and_log_name_exclude_each_other() -> None:
    """The stock handler's word and ours for one thing cannot both be given."""
    with pytest.raises(forklog.OptionError, match="only one of them"):
        forklog.CloudLoggingHandler(name="a", log_name="b")


def test_an_option_error_is_a_value_error() -> None:
    """Callers may catch it as ValueError, which dictConfig wraps, or as ForklogError."""
    assert issubclass(forklog.OptionError, ValueError)
    assert issubclass(forklog.OptionError, forklog.ForklogError)


@pytest.mark.parametrize(
    ("given", "level"), [("error", 40), (" Warning ", 30), (25, 25), (0, 0), ("CRITICAL", 50)]
)
def test_flush_level_is_a_name_or_a_number(given: str | int, level: int) -> None:
    """Level names are taken in any case."""
    assert Options(flush_level=given).flush_level == level


def test_flush_level_may_be_a_level_of_the_application() -> None:
    """A level that the application has named is known by its name."""
    logging.addLevelName(27, "NOTED")
    assert Options(flush_level="noted").flush_level == 27


def test_a_resource_of_the_google_library_is_taken() -> None:
    """The stock handler's ``Resource`` and a plain mapping mean the same."""
    stock = Resource(type="gce_instance", labels={"zone": "b"})
    plain = {"type": "gce_instance", "labels": {"zone": "b"}}
    for resource in (stock, plain):
        assert Options(resource=resource).resource == plain  # type: ignore[arg-type]


def test_what_the_caller_changes_later_does_not_matter() -> None:
    """Options hold copies of the mappings."""
    labels = {"env": "prod"}
    options = Options(labels=labels)
    labels["env"] = "test"
    assert options.labels == {"env": "prod"}


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8085/", "https://logging.example.com", "http://[::1]:1"]
)
def test_an_endpoint_is_an_url(endpoint: str) -> None:
    """A trailing slash is not part of it."""
    assert Options(endpoint=endpoint).endpoint == endpoint.rstrip("/")


def test_the_last_resort_may_be_a_path(tmp_path: Path) -> None:
    """A path is taken as text and as an object."""
    for path in (tmp_path / "lost", str(tmp_path / "lost")):
        assert Options(last_resort=path).last_resort == str(path)  # type: ignore[arg-type]


def test_every_option_is_keyword_only() -> None:
    """Options have no order that could be mistaken."""
    with pytest.raises(TypeError):
        Options("project")  # type: ignore[call-arg,misc,unused-ignore]


_KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg"


@pytest.mark.parametrize(
    "options",
    [
        {"credential": _KEY},
        {"credentials": _KEY},
        {"credentials": [_KEY]},
        {"client": _KEY},
        {"token": {"private_key": _KEY}},
        {"endpoint": f"https://user:{_KEY}@host"},
        {"endpoint": "-----BEGIN PRIVATE KEY-----MIIEvQ"},
        *({name: _KEY} for name in ("project", "log_name", "labels", "resource", "last_resort")),
        *({name: _KEY} for name in ("level", "flush_level", "on_drop", "transport", "max_latency")),
        {"labels": {"key": 5, "other": _KEY}},
    ],
)
def test_no_error_shows_what_may_be_a_secret(options: dict[str, object]) -> None:
    """A misspelt or misplaced secret is named by its type; its value is in no message.

    Class of fault: a message quotes a value that may be a secret; siblings:
    `test_a_token_or_key_in_the_place_of_another_option_is_hidden`,
    `test_options_do_not_print_their_credentials`, `test_a_key_given_for_the_project_is_not_shown`,
    `test_a_token_that_no_header_can_hold_is_not_shown`.
    """
    with pytest.raises(forklog.OptionError) as caught:
        forklog.CloudLoggingHandler(**options)  # type: ignore[arg-type]
    assert "MIIEvQ" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("option", ["level", "flush_level", "last_resort", "project", "log_name"])
@pytest.mark.parametrize("begin", ["ya29.", "AIza", "GOCSPX-", "eyJ"])
def test_a_token_or_key_in_the_place_of_another_option_is_hidden(option: str, begin: str) -> None:
    """Google's tokens and keys, and signed ones, are known by how they begin."""
    with pytest.raises(forklog.OptionError) as caught:
        forklog.CloudLoggingHandler(**{option: f"{begin}/s3cret value?"})  # type: ignore[arg-type]
    assert begin not in str(caught.value)
    assert "s3cret" not in str(caught.value)


_USERS = (
    "https://user:s3cret@host",
    "//user:s3cret@host",
    "user:s3cret@host",
    "redis://:s3cret@host/0",
    "https://host?key=s3cret",
    "https://host/path?key=s3cret",
    "https://host#s3cret",
    "host:1?key=s3cret",
    b"https://user:s3cret@host",
    ["https://user:s3cret@host"],
    {"value": "s3cret"},
    {"a": ["s3cret"]},
    ("s3cret",),
)


@pytest.mark.parametrize("value", _USERS, ids=repr)
@pytest.mark.parametrize("option", sorted(Options.__dataclass_fields__))
def test_no_option_shows_a_user_or_what_a_container_holds(option: str, value: object) -> None:
    """A URL with a user, a query or a fragment, bytes and containers are named by their types.

    Class of fault: a message quotes a value that may be a secret; siblings:
    `test_a_url_without_its_secrets`, `test_the_proxy_is_named`,
    `test_a_proxy_is_named_without_its_secrets`, `test_a_wrong_variable_is_named`.
    """
    said = ""
    try:
        Options(**{option: value})  # type: ignore[arg-type]
    except forklog.OptionError as error:  # else it is a path, or a mapping, as the option wants it
        said = str(error)
    assert "s3cret" not in said


def test_a_misspelt_option_is_guessed_and_all_are_named() -> None:
    """The message asks for the option that was meant and lists every option."""
    with pytest.raises(forklog.OptionError, match=r"did you mean credentials\?") as caught:
        forklog.CloudLoggingHandler(credential="x")
    for name in ("client", "level", "name", "transport", *Options.__dataclass_fields__):
        assert f" {name}" in str(caught.value)


def test_options_do_not_print_their_credentials() -> None:
    """Neither ``repr`` of the options nor of the handler shows what a secret may be in."""

    class Credentials:
        token = _KEY

        def before_request(self) -> None:
            """Look like credentials of google.auth."""

        def __repr__(self) -> str:
            return _KEY

    options = Options(credentials=Credentials())
    assert "MIIEvQ" not in repr(options)
    assert "credentials=<Credentials>" in repr(options)
    handler = forklog.CloudLoggingHandler(project="p", credentials=Credentials())
    assert "MIIEvQ" not in repr(handler)


@pytest.mark.parametrize(
    "project", ["p", "my-project-1", "example.com:old-project", "123456789012", "a" * 30]
)
def test_what_is_a_project(project: str) -> None:
    """Ids, those with a domain before them, and numbers are taken."""
    assert Options(project=project).project == project


@pytest.mark.parametrize("level", ["info", " Info ", "INFO", 20, "20"])
def test_a_level_is_taken_as_people_write_it(level: int | str) -> None:
    """Lower case, spaces and digits are all the level."""
    assert forklog.CloudLoggingHandler(project="p", level=level).level == logging.INFO


@pytest.mark.parametrize(
    "key",
    [
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "GOCSPX-abcdefghijklmnop1234",
        "ya29.secret1",
        "ya29.a0AfB_by",
        b"ghp_secret",
        {"key": "secret"},
    ],
)
def test_a_key_given_for_the_project_is_not_shown(key: Any) -> None:
    """What cannot be a project's id may be a secret."""
    with pytest.raises(OptionError) as error:
        Options(project=key)
    assert str(key)[:6] not in str(error.value)
    assert "secret" not in str(error.value)


def test_an_empty_resource_is_none() -> None:
    """As the stock handler has it."""
    assert Options(resource={}).resource is None
