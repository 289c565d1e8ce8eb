"""Following by polls: each entry once and none left out, against a server that is scripted."""

from __future__ import annotations

import contextlib
import random
import time
from datetime import datetime, timezone
from typing import NamedTuple

import pytest

from forklog.tail import follow
from forklog.tail.follow import Follower
from forklog.tail.source import Entry, Page, ReadError

_OVERLAP = 15.0


class Stored(NamedTuple):
    """An entry of the scripted server."""

    timestamp: float
    received: float
    visible: float
    """From when on a read finds it."""
    name: str

    def entry(self) -> Entry:
        """Return it as entries:list does."""
        return {
            "logName": "projects/p/logs/x",
            "timestamp": _text(self.timestamp),
            "receiveTimestamp": _text(self.received),
            "insertId": self.name,
            "textPayload": self.name,
        }


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Server:
    """Answers reads at a time that the test sets; pages are small, and each takes a second."""

    is_emulator = False

    def __init__(self, page: int = 3, seconds: float = 1.1) -> None:
        """Hold nothing."""
        self.now = int(time.time()) + 0.25  # the first read asks for the last day
        self.stored: list[Stored] = []
        self.queries: list[str] = []
        self.fails: list[ReadError | None] = []
        self._page, self._seconds = page, seconds

    def store(self, name: str, *, age: float = 0.0, hidden: float = 0.0) -> None:
        """Store an entry whose timestamp is ``age`` seconds old, unseen for ``hidden`` seconds."""
        self.stored.append(Stored(self.now - age, self.now, self.now + hidden, name))

    def read(
        self, query: str, *, is_newest_first: bool = False, token: str = "", size: int = 3
    ) -> Page:
        """Answer; a token is the place of the last entry that was shown."""
        assert size > 0
        self.queries.append(query)
        began = float(int(self.now))
        self.now += self._seconds
        if self.fails and (failure := self.fails.pop(0)):
            raise failure
        clause, since = _clause(query)
        fit = [s for s in self.stored if s.visible <= self.now and getattr(s, clause) >= since]
        fit.sort(key=lambda s: (s.timestamp, s.name), reverse=is_newest_first)
        if token:
            stamp, name = token.split("|")
            place = (float(stamp), name)
            fit = [s for s in fit if _is_behind((s.timestamp, s.name), place, is_newest_first)]
        page = fit[: self._page]
        more = f"{page[-1].timestamp!r}|{page[-1].name}" if len(fit) > len(page) else ""
        return Page([s.entry() for s in page], more, began)


def _is_behind(one: tuple[float, str], place: tuple[float, str], is_newest_first: bool) -> bool:  # noqa: FBT001
    return one < place if is_newest_first else one > place


def _clause(query: str) -> tuple[str, float]:
    name, _, quoted = query.rpartition(" AND ")[2].partition(">=")
    text = quoted.strip('"')[:26]
    when = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
    return {"timestamp": "timestamp", "receiveTimestamp": "received"}[name], when.timestamp()


def _names(entries: object) -> list[str]:
    return [entry["insertId"] for entry in entries]  # type: ignore[attr-defined]


def test_it_begins_with_the_newest_and_goes_on_from_there() -> None:
    """The oldest of them comes first; an entry of before the call is not shown later."""
    server = Server(page=10)
    for number in range(5):
        server.store(f"old {number}", age=100 - number)
    follower = Follower(server, "", _OVERLAP)
    assert _names(follower.begin(2)) == ["old 3", "old 4"]
    server.now += 60
    assert _names(follower.poll()) == []
    server.store("new")
    assert _names(follower.poll()) == ["new"]
    assert _names(follower.poll()) == []


def test_no_line_at_first() -> None:
    """With 0 lines nothing of before the call is shown."""
    server = Server()
    server.store("old", age=60)
    follower = Follower(server, "", _OVERLAP)
    assert follower.begin(0) == []
    server.store("new")
    assert _names(follower.poll()) == ["new"]


def test_an_entry_that_comes_late_is_shown() -> None:
    """Its own timestamp may be an hour old, as after an outage."""
    server = Server()
    follower = Follower(server, "", _OVERLAP)
    follower.begin(10)
    server.now += 100
    server.store("now")
    assert _names(follower.poll()) == ["now"]
    server.store("late", age=3600)
    assert _names(follower.poll()) == ["late"]


def test_an_entry_that_a_read_finds_late_is_shown_once() -> None:
    """Polls go back behind the one before, and leave out what was shown."""
    server = Server()
    follower = Follower(server, "", _OVERLAP)
    follower.begin(10)
    server.store("slow", hidden=9)
    server.store("quick")
    shown = [_names(follower.poll()) for _ in range(12)]
    assert [names for names in shown if names] == [["quick"], ["slow"]]


def test_a_poll_of_many_pages_loses_nothing() -> None:
    """What arrives behind the place of a long poll belongs to the next one."""
    server = Server(page=2, seconds=5)
    follower = Follower(server, "", _OVERLAP)
    follower.begin(10)
    for number in range(20):
        server.store(f"e{number:02}", age=number * 0.001)
    found = []
    for number, entry in enumerate(follower.poll()):
        found.append(entry["insertId"])
        if number == 10:
            server.store("behind", age=50)
    server.now += 100
    found += _names(follower.poll())
    assert sorted(found) == sorted([f"e{number:02}" for number in range(20)] + ["behind"])


def test_after_a_failure_in_the_middle_nothing_is_missing() -> None:
    """The next poll begins where the failed one did, and shows what that had not."""
    server = Server(page=2)
    follower = Follower(server, "", _OVERLAP)
    follower.begin(10)
    server.now += 50
    for number in range(6):
        server.store(f"e{number}")
        server.now += 0.001
    server.fails = [None, ReadError("busy", is_passing=True)]
    found: list[str] = []
    with pytest.raises(ReadError):
        _poll_into(found, follower)
    server.now += 300
    found += _names(follower.poll())
    assert found == [f"e{number}" for number in range(6)]


def _poll_into(found: list[str], follower: Follower) -> None:
    """Poll; what came before a failure was shown."""
    for entry in follower.poll():
        found.append(entry["insertId"])  # noqa: PERF401 - one by one, as the command shows them


def test_each_entry_once_whatever_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 entries at random times, seen late by up to 12 s: each is shown once."""
    monkeypatch.setattr(follow, "_KEPT_KEYS", 50)  # so that keys are forgotten, too
    source = random.Random(15)  # noqa: S311 - repeatable on purpose
    server = Server(page=40)
    follower = Follower(server, 'severity>="INFO" -- a comment', _OVERLAP)
    follower.begin(10)
    shown: list[str] = []
    for number in range(5000):
        server.store(
            f"{number:04}", age=source.choice((0, 0.1, 5, 3000)), hidden=source.uniform(0, 12)
        )
        server.now += source.uniform(0, 0.1)
        if number % 50 == 0:
            if source.random() < 0.1:
                server.fails = [ReadError("busy", is_passing=True)]
            with contextlib.suppress(ReadError):
                _poll_into(shown, follower)
    server.now += 12
    shown += _names(follower.poll())
    assert len(shown) == len(set(shown))
    assert sorted(shown) == [f"{number:04}" for number in range(5000)]
    assert len(follower._seen) < 2000, "keys are forgotten"


def test_a_filter_keeps_its_meaning() -> None:
    """It is put into brackets; a comment at its end hides nothing that is added."""
    server = Server()
    follower = Follower(server, "a OR b -- why", _OVERLAP)
    follower.begin(1)
    list(follower.poll())
    for query in server.queries:
        assert query.startswith("(\na OR b -- why\n) AND ")


def test_pages_without_entries_are_read_on() -> None:
    """The API may answer with a token and nothing else while it searches."""
    server = Server()
    pages = iter([Page([], "a", 1.0), Page([{"insertId": "1"}], "b", 2.0), Page([], "", 3.0)])
    server.read = lambda *_args, **_more: next(pages)  # type: ignore[method-assign]
    assert _names(Follower(server, "", _OVERLAP).begin(5)) == ["1"]


def test_many_entries_just_before_the_call_are_not_shown_by_the_first_poll() -> None:
    """A poll goes back behind the call; what was there then is left out, however much it is."""
    server = Server(page=1000, seconds=0.01)
    for number in range(5000):
        server.store(f"old {number}", age=number / 2500)
    server.now += 0.2
    follower = Follower(server, "", 2.0)
    assert len(follower.begin(10)) == 10
    server.store("new")
    assert _names(follower.poll()) == ["new"]
    server.now += 2
    assert _names(follower.poll()) == []


def test_a_failure_among_the_entries_before_the_call_loses_nothing() -> None:
    """The next poll goes on where the one that failed was; what comes then is shown."""
    server = Server(page=10, seconds=0.01)
    for number in range(50):
        server.store(f"old {number}", age=number / 100)
    follower = Follower(server, "", 2.0)
    follower.begin(10)
    server.store("new")
    server.fails = [None, ReadError("busy", is_passing=True)]
    with pytest.raises(ReadError):
        list(follower.poll())
    assert _names(follower.poll()) == ["new"]


def test_entries_long_before_the_call_are_not_read() -> None:
    """Of the pages of old entries only those are read that the next poll may find again."""
    server = Server(page=10, seconds=0.01)
    for number in range(500):
        server.store(f"old {number}", age=number)
        server.stored[-1] = server.stored[-1]._replace(received=server.now - number)
    follower = Follower(server, "", 5.0)
    follower.begin(10)
    assert _names(follower.poll()) == []
    assert len(server.queries) <= 4
