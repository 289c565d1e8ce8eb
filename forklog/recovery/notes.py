"""Lists for `forklog recover` the files of a spool's folder that no process like it sends."""

from __future__ import annotations

from forklog.errors import OptionError
from forklog.option_checks import check_endpoint
from forklog.spool.folder import Folder
from forklog.spool.head import Head
from forklog.spool.left.tidy import age_of
from forklog.spool.scan import Found

BROKEN = "broken, or not this user's alone"
VANISHED = "vanished before it was read; another program has removed it, and what stood in it"


def notes_of(folder: Folder, found: Found, project: str | None, endpoint: str) -> dict[str, str]:
    """Return what is to be read of each file that stays, by its name.

    Args:
        folder: where they are.
        found: by a look at it.
        project: of what the reader would send.
        endpoint: where to.
    """
    notes = {name: _whose(found.heads.get(name), project, endpoint) for name in found.foreign}
    notes |= dict.fromkeys(found.refused, BROKEN)
    notes |= dict.fromkeys(
        found.aside, "broken, set aside, read by no process, removed after a week"
    )
    notes |= dict.fromkeys(found.headless, "a segment whose head is gone; no process sends it")
    notes = {name: f"{span(age_of(folder, name))} old, {text}" for name, text in notes.items()}
    return notes | dict.fromkeys(found.adopted, "another process sends it now")


def span(seconds: float) -> str:
    """Return a number of seconds in the largest unit of which it has two."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _whose(head: Head | None, project: str | None, endpoint: str) -> str:
    """Return whose a spool is that these options may not send, and the options that may."""
    if head is None:
        return "of another format; the forklog that has written it can send it"
    try:
        check_endpoint(head.endpoint)
    except OptionError:  # another process's content, which may be anything
        return "of an endpoint that is none"
    place = head.endpoint or "no endpoint, as a wire of the application's has"
    given = []
    if head.project not in (None, project) and project is not None:
        given.append(f"--project {head.project}")
    if head.endpoint not in (None, endpoint):
        given.append(f"--endpoint {head.endpoint}")
    text = f"of {f'project {head.project}' if head.project else 'an unknown project'} at {place}"
    return f"{text}; give {' '.join(given)}" if given else text
