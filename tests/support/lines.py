"""A fake reporter: keeps the lines that forklog would write to stderr, for tests of the spool."""

from __future__ import annotations


class Lines(list[str]):
    """Stands where `forklog.delivery.base.Reporter` is asked for."""

    def say(self, _key: str, text: str) -> bool:
        """Keep a line."""
        self.append(text)
        return True
