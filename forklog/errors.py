"""What forklog raises: a small family, all of it at construction, none of it from a log call."""

from __future__ import annotations

import re

_MAX_CHARS = 500  # of a value in a message
# Of a secret that was given to another option: keys, and tokens as Google writes them.
_SIGNS = ("-----BEGIN", "private_key", "Bearer ", "ya29.", "AIza", "GOCSPX-", "eyJ")
_USER = re.compile(r"://[^/?#\s]*@|:[^/@\s]+@")  # of a URL, or of one without its scheme
_QUERY = re.compile(r"(://|:\d)\S*[?#]|[?&][\w\-]+=")  # or a fragment; keys are given in both


class NoCredentialsError(Exception):
    """There cannot be credentials here, as on a laptop; the message says why and what to do."""


class ForklogError(Exception):
    """Root of everything that forklog raises on purpose."""


class Hidden:
    """Stands in a message for a value that may be a secret: its type is shown, the value is not."""

    def __init__(self, value: object) -> None:
        """Keep the name of the type, nothing of the value."""
        self._type = type(value).__name__

    def __repr__(self) -> str:
        return f"<{self._type}>"


_PLAIN = (str, int, float, bool, type(None), Hidden)  # others may hold anything


class OptionError(ForklogError, ValueError):
    """An option of the handler has a value that cannot work.

    The message names the option, shows its value (the type alone where it may be a secret), states
    the rule and says what to do.
    """

    def __init__(self, option: str, value: object, rule: str, remedy: str) -> None:
        """Compose the message from its four parts; keep the option's name for programs."""
        kind = "variable" if option.isupper() else "option"
        super().__init__(f"{kind} {option}={shown(value)}: {rule}; {remedy}")
        self.option = option


def shown(value: object) -> str:
    """Return a value for a message, cut; the type alone where it is, or may hold, a secret."""
    text = repr(value) if type(value) in _PLAIN or isinstance(value, type) else ""
    if not text or any(sign in text for sign in _SIGNS) or _is_secret_url(text):
        return repr(Hidden(value))
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."


def _is_secret_url(text: str) -> bool:
    return bool(_USER.search(text) or _QUERY.search(text))


def unpicklable(handler: object, what: str) -> TypeError:
    """Return the error of pickling a handler: what belongs to this process, and what works."""
    return TypeError(
        f"a {type(handler).__name__} cannot be pickled, because {what} to this process; pass the "
        "logger, which is pickled by its name, and configure logging in the other process as here"
    )


def is_of_forklog(error: BaseException) -> bool:
    """Tell whether this package raised an exception, and no signal handler that struck it."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = str(last.tb_frame.f_globals.get("__name__")) if last is not None else ""
    return where.partition(".")[0] == "forklog"
