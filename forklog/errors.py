"""What forklog raises: a small family, all of it at construction, none of it from a log call."""

from __future__ import annotations

__all__ = ["ForklogError", "OptionError"]


class ForklogError(Exception):
    """Root of everything that forklog raises on purpose."""


class OptionError(ForklogError, ValueError):
    """An option of the handler has a value that cannot work.

    The message names the option, shows its value, states the rule and says what to do.
    """

    def __init__(self, option: str, value: object, rule: str, remedy: str) -> None:
        """Compose the message from its four parts; keep the option's name for programs."""
        super().__init__(f"option {option}={value!r}: {rule}; {remedy}")
        self.option = option
