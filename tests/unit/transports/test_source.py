"""A line about credentials names where they come from and what is wrong, and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import google.auth.environment_vars as names
import pytest

from forklog.options import Options
from forklog.transports.base import WireError
from forklog.transports.google.access import find_access
from forklog.transports.google.machine import login_file
from forklog.transports.google.source import fault_of_file, source_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (names.CREDENTIALS, "LOGGING_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


def _missing(_path: Path) -> None: ...


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def _other_text(path: Path) -> None:
    path.write_text("s3cret, as of a key")


def _other_json(path: Path) -> None:
    path.write_text('{"type": "s3cret"}')


_FAULTS = {
    _missing: "the credentials file is missing: ",
    _folder: "the credentials file cannot be read (IsADirectoryError): ",
    _link_to_itself: "the credentials file cannot be read (OSError): ",
    _other_text: "the credentials file is malformed (JSONDecodeError): ",
    _other_json: "the credentials file is malformed (DefaultCredentialsError): ",
}
_SOURCES = {
    "option": "option credentials=",
    "variable": "variable GOOGLE_APPLICATION_CREDENTIALS=",
    "login": "gcloud's login ",
}


@pytest.mark.parametrize(
    ("way", "make"),
    [
        *((way, make) for way in ("option", "variable") for make in _FAULTS),
        *(("login", make) for make in (_other_text, _other_json)),  # else there is no login
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    way: str, make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has its source, its path, and whether it is missing, unreadable or malformed."""
    path = login_file() if way == "login" else tmp_path / "key.json"
    path.parent.mkdir(exist_ok=True)
    make(path)
    if way == "variable":
        monkeypatch.setenv(names.CREDENTIALS, str(path))
    options = Options(project="p", credentials=str(path) if way == "option" else None)
    fault, source = _FAULTS[make], _SOURCES[way]
    with pytest.raises(WireError) as caught:
        find_access(options)
    assert str(caught.value).startswith(f"{fault}{source}{str(path)!r}; ")
    assert "s3cret" not in str(caught.value)
    assert caught.value.is_blocked


def test_credentials_without_a_file_have_no_fault_of_a_file(tmp_path: Path) -> None:
    """An error of google.auth about the machine's account is shown by its class, and no more."""
    text = fault_of_file(None, tmp_path / "no-login", OSError("s3cret"))
    source = "the metadata server's account"
    assert text.startswith(f"the credentials cannot be used (OSError): {source}; correct ")
    assert "s3cret" not in text


@pytest.mark.parametrize(
    "given",
    [
        "AIzaSyD-s3cretkey0123456789",
        "/etc/ya29.s3cret-token",
        "s3cret",
        "s3cret/relative.json",
        "/s3cretInBase64/AAAA+BBBB==",
        "/s3cret",
        "https://user:s3cret@host/key.json",
    ],
)
@pytest.mark.parametrize("is_option", [True, False], ids=["option", "variable"])
def test_a_key_in_place_of_a_path_is_not_shown(
    given: str, monkeypatch: pytest.MonkeyPatch, *, is_option: bool
) -> None:
    """Whatever is no absolute path is named by its type.

    Class of fault: a message quotes a value that may be a secret; siblings:
    `test_no_option_shows_a_user_or_what_a_container_holds`, `test_a_wrong_variable_is_named`,
    `test_a_url_without_its_secrets`.
    """
    if not is_option:
        monkeypatch.setenv(names.CREDENTIALS, given)
    with pytest.raises(WireError) as caught:
        find_access(Options(project="p", credentials=given if is_option else None))
    assert "s3cret" not in str(caught.value)
    assert "=<str>; " in str(caught.value)


@pytest.mark.parametrize("given", ["/etc/forklog/no-suffix", "/no-such-volume/key.json"])
def test_a_path_of_a_file_that_is_not_there_is_shown(given: str) -> None:
    """Its first folder is there, as of a name that was misspelt, or it has a suffix."""
    assert source_of(given, Path("/no-login")) == f"option credentials={given!r}"


def test_a_path_is_one_printable_line() -> None:
    """A name of a file may hold what would control a terminal, and may be long."""
    text = source_of("/etc/\x1b]0;x\x07\n" + "x" * 4000, Path("/no-login"))
    assert text.isprintable()
    assert len(text) < 600


def test_other_sources_are_named(tmp_path: Path) -> None:
    """An object by its type, gcloud's login by its file; else the machine's account remains."""
    login = tmp_path / "login.json"
    assert source_of(object(), login) == "option credentials=<object>"
    assert source_of(None, login) == "the metadata server's account"
    login.write_text("{}")
    assert source_of(None, login) == f"gcloud's login {str(login)!r}"
