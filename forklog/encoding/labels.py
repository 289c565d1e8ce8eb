"""Merges the labels of an entry, as text and within the limits, for the encoders. Pure.

Limits: Cloud Logging's quotas page. Two or three labels of full length fit into an entry; of more,
the longest are cut further.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from forklog.encoding.text import safe_text
from forklog.encoding.truncate import cut_bytes, fit_object
from forklog.limits import MAX_KEY_BYTES, MAX_LABELS, MAX_LABELS_BYTES, MAX_VALUE_BYTES


def names_logger(shared: Collection[str]) -> bool:
    """Tell whether entries name their logger, given the handler's labels."""
    return "python_logger" not in shared and len(shared) < MAX_LABELS


def labels_of(
    given: Iterable[object], shared: Collection[str], room: int = MAX_LABELS_BYTES
) -> tuple[dict[str, str], bool]:
    """Merge mappings, later ones win; return valid labels and whether anything had to be changed.

    Args:
        given: mappings, or None, or what the application gave instead.
        shared: keys that the request has already; with them there are at most 64.
        room: what all of them may take, in bytes.
    """
    labels: dict[str, str] = {}
    free = MAX_LABELS - len(shared)
    changed = False
    wrong: list[object] = []
    for name, text in _label_items(given, wrong):
        key, value = cut_bytes(name, MAX_KEY_BYTES), cut_bytes(text, MAX_VALUE_BYTES)
        changed = changed or value != text or key != name
        if key not in shared and key not in labels:
            free -= 1
            if free < 0:
                return fit_object(labels, room), True
        labels[key] = value
    bounded = fit_object(labels, room)
    return bounded, changed or bool(wrong) or bounded is not labels


def _label_items(given: Iterable[object], wrong: list[object]) -> Iterator[tuple[str, str]]:
    """Yield the labels as text; what is no mapping is put on the list of the wrong ones."""
    for value in given:
        if value is None:
            continue
        try:
            items = list(value.items()) if isinstance(value, Mapping) else None
        except Exception:  # noqa: BLE001 - a mapping of the application
            items = None
        if items is None:
            wrong.append(value)
            continue
        yield from ((safe_text(key), safe_text(item)) for key, item in items)
