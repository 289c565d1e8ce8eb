"""Says for `access`, in words for stderr, where credentials come from: never what may be secret."""

from __future__ import annotations

import os
from pathlib import Path

import google.auth.environment_vars as names

from forklog.errors import Hidden, shown


def source_of(given: object, login: Path) -> str:
    """Name the option, the variable or the login that credentials come from.

    Args:
        given: the option `credentials`.
        login: the file that gcloud makes where a person logs in.
    """
    path = _path_of(given, login)
    if given is not None:
        return f"option credentials={_shown(path) if path else repr(Hidden(given))}"
    if not path:
        return "the metadata server's account"
    if os.environ.get(names.CREDENTIALS):
        return f"variable {names.CREDENTIALS}={_shown(path)}"
    return f"gcloud's login {_shown(path)}"


def fault_of_file(given: object, login: Path, error: Exception) -> str:
    """Say of credentials' file that it is missing, unreadable or malformed, and what to do.

    Args:
        given: the option `credentials`.
        login: the file that gcloud makes where a person logs in.
        error: what google.auth raised, of whose text nothing is shown: it may hold the file's.
    """
    source, cause = source_of(given, login), error.__cause__ or error
    path = _path_of(given, login)
    if not path:
        text = f"the credentials cannot be used ({type(cause).__name__}): {source}"
        return f"{text}; correct the option, or the variables that google.auth reads"
    try:
        Path(path).stat()  # no open, which waits where the file is a pipe
    except (FileNotFoundError, NotADirectoryError):
        text = "the credentials file is missing"
        return f"{text}: {source}; correct the path, or put the file there"
    except (OSError, ValueError) as wrong:
        cause = wrong
    name = type(cause).__name__
    if isinstance(cause, OSError):
        text = f"the credentials file cannot be read ({name})"
        return f"{text}: {source}; check the path, and who may read the file"
    return f"the credentials file is malformed ({name}): {source}; replace it"


def _path_of(given: object, login: Path) -> str:
    """Return the path of the file, empty if there is none."""
    if isinstance(given, (str, os.PathLike)):
        return os.fsdecode(given)
    if given is not None:
        return ""
    return os.environ.get(names.CREDENTIALS) or (str(login) if login.is_file() else "")


def _shown(text: str) -> str:
    """Show an absolute path; of anything else the type, because a key may stand in its place.

    A key in base64 may begin with a slash. It has no suffix, and no folder's name after the slash.
    """
    path = Path(text)
    top = next(iter(path.parents[-2:-1]), None)
    if path.is_absolute() and (path.suffix or (top and os.access(top, os.F_OK))):
        return shown(text)
    return repr(Hidden(text))
