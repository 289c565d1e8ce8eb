"""What the page shows and does, in a real Chromium."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import shop
from browser import write
from cases import few, further
from helpers import python_path

from forklog.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    OpenPage = Callable[..., Page]
    Store = Callable[..., None]

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = playwright.expect
_BUSY_SECONDS = 120.0  # 4 s of CPU time for a filter, on a machine with ten others at work


def rows(page: Page) -> Locator:
    """Return the rows that are in the document."""
    return page.locator("#list .row")


def messages(page: Page) -> list[str]:
    """Return the messages of the rows, from top to bottom."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("#list .row")]
            .sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)
            .map((row) => row.querySelector(".message").textContent)"""
    )
    return found


def ago(**since: float) -> str:
    """Return the timestamp of a moment in the past, by the arguments of timedelta."""
    return (datetime.now(timezone.utc) - timedelta(**since)).isoformat()


def test_what_arrives_is_shown_at_once(page: Page, store: Store) -> None:
    """An entry appears without a reload, newest at the bottom, its severity as a word."""
    expect(page.locator("#status")).to_have_text("Live")
    noon = f"{ago(days=1)[:10]}T12:00:00.25Z"
    store({"textPayload": "first", "severity": "INFO", "timestamp": noon})
    expect(rows(page)).to_have_count(1)
    store({"jsonPayload": {"message": "second", "a": 1}, "severity": "ERROR"})
    expect(rows(page)).to_have_count(2)
    assert messages(page) == ["first", "second"]
    last = rows(page).filter(has_text="second")
    expect(last.locator(".severity")).to_have_text("ERROR")
    expect(last.locator(".source")).to_have_text("web")
    expect(rows(page).first.locator(".time")).to_have_text(f"{noon[5:10]} 12:00:00.250")


def test_a_late_entry_stands_at_its_time(page: Page, store: Store) -> None:
    """Rows are ordered by time: an entry that a worker sends late is not at the bottom."""
    store({"textPayload": "0"}, {"textPayload": "30", "timestamp": ago(seconds=30)})
    expect(rows(page)).to_have_count(2)
    store({"textPayload": "40", "timestamp": ago(seconds=40)})
    expect(rows(page)).to_have_count(3)
    assert messages(page) == ["40", "30", "0"]


def test_the_first_record_is_sent_as_the_empty_page_says(page: Page) -> None:
    """The two lines of the empty page, run by a shell as they stand, send the first record."""
    code = page.locator("#empty pre").first
    expect(code).to_contain_text("LOGGING_EMULATOR_HOST")
    lines = code.inner_text().replace("python3", sys.executable)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": python_path()}
    subprocess.run(["sh", "-c", lines], env=environment, check=True, timeout=60)
    expect(rows(page)).to_have_count(1)
    assert messages(page) == ["hello"]
    expect(page.locator("#empty")).to_be_hidden()


def test_the_filter_is_the_emulators(page: Page, store: Store) -> None:
    """The filter box takes the query language, applies it to what is there and what comes."""
    store(*[{"textPayload": f"a {n}", "severity": "INFO"} for n in range(3)])
    store({"textPayload": "b", "severity": "ERROR", "labels": {"k": "v"}})
    expect(rows(page)).to_have_count(4)
    page.locator("#filter").fill('severity>=ERROR AND labels.k="v"')
    expect(rows(page)).to_have_count(1)
    store({"textPayload": "c", "severity": "ERROR"}, {"textPayload": "d", "severity": "ERROR",
                                                      "labels": {"k": "v"}})  # fmt: skip
    expect(rows(page)).to_have_count(2)
    assert messages(page) == ["b", "d"]
    assert "filter=severity" in page.url
    page.reload()
    expect(rows(page)).to_have_count(2)
    page.locator("#filter-clear").click()
    expect(rows(page)).to_have_count(6)


@pytest.mark.parametrize(
    ("source", "message", "place", "marked"),
    [
        *further(("severity>=WARNIG", "'WARNIG' is not a severity", (1, 11), "WARNIG")),
        ('labels.a="😀" OR\ntexPayload:x', "a LogEntry has no field", (2, 1), "texPayload"),
        ('textPayload="😀"\nAND )', "unexpected ')'", (2, 5), ")"),
        *further(("severity=ERROR AND", "unexpected end of the filter", (1, 19), " ")),
    ],
)
def test_an_error_of_the_filter_is_shown_at_its_place(
    page: Page, source: str, message: str, place: tuple[int, int], marked: str
) -> None:
    """A wrong filter is marked where it is wrong; a click on the error goes there."""
    field = page.locator("#filter")
    field.fill(source)
    expect(page.locator("#filter-error")).to_contain_text(message)
    expect(page.locator("#filter-error")).to_contain_text("line {}, column {}".format(*place))
    assert page.locator("#filter-marks mark").text_content() == marked
    assert field.get_attribute("aria-invalid") == "true"
    page.locator("#filter-error").click()
    at: int = page.evaluate("document.activeElement.selectionStart")
    assert source.encode("utf-16-le")[2 * at :].decode("utf-16-le").startswith(marked.strip())
    field.fill("severity>=DEFAULT")
    expect(page.locator("#filter-error")).to_be_hidden()
    expect(page.locator("#filter-marks mark")).to_have_count(0)


def test_choosers_of_severity_log_and_process(page: Page, store: Store) -> None:
    """Severities are shown and hidden, and a log or a process is shown alone, with counts."""
    labels = {"process_id": "7", "host": "h", "process_name": "ForkPoolWorker-1"}
    store({"textPayload": "a", "severity": "INFO"}, {"textPayload": "b", "severity": "ERROR"},
          {"textPayload": "c", "severity": "INFO", "logName": "projects/p/logs/jobs%2Fnight"},
          {"textPayload": "d", "severity": "ERROR", "labels": labels})  # fmt: skip
    expect(rows(page)).to_have_count(4)
    info = page.get_by_role("button", name="INFO")
    expect(info).to_have_text("INFO2")
    info.click()
    expect(info).to_have_attribute("aria-pressed", "false")
    expect(rows(page)).to_have_count(2)
    info.click()
    page.locator("#log").select_option(label="jobs/night (1)")
    expect(rows(page)).to_have_count(1)
    assert messages(page) == ["c"]
    page.locator("#log").select_option(label="All logs")
    page.locator("#process").select_option(label="h/7 ForkPoolWorker-1 (1)")
    expect(rows(page)).to_have_count(1)
    assert messages(page) == ["d"]
    expect(page.locator("#shown")).to_have_text("1 of 4 entries")
    info.click(modifiers=["Alt"])
    expect(page.get_by_role("heading", name="No entry matches")).to_be_visible()
    page.get_by_role("button", name="Show all entries").click()
    expect(rows(page)).to_have_count(4)


def test_an_entry_is_expanded_by_click_and_by_keyboard(page: Page, store: Store) -> None:
    """A click, or Enter on the row that the arrows chose, shows the entry as JSON and hides it."""
    store(*[{"textPayload": f"t{n}", "labels": {"n": str(n)}} for n in range(3)])
    expect(rows(page)).to_have_count(3)
    middle = rows(page).filter(has_text="t1")
    middle.locator(".message").click()
    expect(middle.locator(".json")).to_contain_text('"n": "1"')
    expect(middle).to_have_attribute("aria-expanded", "true")
    middle.locator(".message").click()
    expect(page.locator(".json")).to_have_count(0)
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    first = rows(page).filter(has_text="t0")
    expect(first.locator(".json")).to_contain_text('"textPayload": "t0"')
    assert page.locator("#list").get_attribute("aria-activedescendant") == first.get_attribute("id")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".json")).to_have_count(0)


def test_rows_do_not_move_while_they_are_read(page: Page, emulator: Emulator) -> None:
    """Scrolled up, arrivals and late entries leave what is read in its place, and are counted."""
    made = shop.entries(600)
    write(emulator.host, made[:500])
    expect(page.locator("#shown")).to_have_text("500 entries")
    page.locator("#list").evaluate("(list) => list.scrollTo(0, 5000)")
    button = page.locator("#to-newest")
    expect(button).to_have_text("Newest ↓")
    place = """() => { const top = document.querySelector("#list").getBoundingClientRect().top;
        return [...document.querySelectorAll("#list .row")]
            .map((row) => [row.id, Math.round(row.getBoundingClientRect().top - top)])
            .filter(([, y]) => y > 100 && y < 300) }"""
    page.wait_for_function(f"() => ({place})().length > 3")
    before = page.evaluate(place)
    late = {**made[0], "insertId": "late", "textPayload": "late"}
    write(emulator.host, [*made[500:], late])
    expect(button).to_have_text("101 new ↓")
    assert page.evaluate(place) == before
    button.click()
    expect(button).to_be_hidden()
    expect(page.locator(f"#list .row[aria-posinset='{601}']")).to_be_visible()


def test_a_choice_keeps_the_place_that_is_read(page: Page, store: Store) -> None:
    """A severity that is hidden, and shown again, leaves the row that is read in its place."""
    start = datetime(2026, 11, 28, 9, tzinfo=timezone.utc)
    for name, severity, count in (("i", "INFO", 800), ("e", "ERROR", 200)):
        step = timedelta(seconds=1000 / count)
        made = [{"textPayload": f"{name}{n}", "severity": severity, "insertId": f"{name}{n}",
                 "timestamp": (start + n * step).isoformat()} for n in range(count)]  # fmt: skip
        store(*made)
    expect(page.locator("#shown")).to_have_text("1,000 entries")
    height = "parseInt(getComputedStyle(list).getPropertyValue('--row'))"
    page.locator("#list").evaluate(f"(list) => list.scrollTo(0, 500 * {height})")
    top = """() => { const list = document.querySelector("#list").getBoundingClientRect();
        const rows = [...document.querySelectorAll("#list .row")].filter(
            (row) => row.getBoundingClientRect().top >= list.top - 1);
        rows.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet);
        return rows[0]?.querySelector(".message").textContent }"""
    page.wait_for_function(f"() => ({top})() === 'e100'")
    page.get_by_role("button", name="INFO").click()
    expect(page.locator("#shown")).to_have_text("200 of 1,000 entries")
    page.wait_for_function(f"() => ({top})() === 'e100'")
    page.get_by_role("button", name="INFO").click()
    expect(page.locator("#shown")).to_have_text("1,000 entries")
    page.wait_for_function(f"() => ({top})() === 'e100'")
    store({"textPayload": "e1", "insertId": "e1", "severity": "ERROR",
           "timestamp": (start + timedelta(seconds=5)).isoformat()})  # fmt: skip
    expect(page.locator("#repeated")).to_have_text("1 stored more than once")
    page.wait_for_function(f"() => ({top})() === 'e100'")


def test_a_trace_of_many_entries_is_whole(page: Page, store: Store) -> None:
    """More entries than a page of the API has are shown; where some are left out, it says so."""
    trace = "projects/p/traces/many"
    made = [{"textPayload": str(n), "insertId": str(n), "trace": trace} for n in range(5001)]
    store(*made[:1200])
    rows(page).last.locator(".trace").click()
    expect(page.locator("#drawer header")).to_contain_text("1,200 entries")
    expect(page.locator(".span")).to_have_count(1200)
    store(*made[1200:])
    expect(page.locator("#drawer header")).to_contain_text("the first 5,000 entries")


def test_a_trace_is_its_request_and_children(page: Page, emulator: Emulator) -> None:
    """A click on a trace shows the request above its children, also those that a filter hides."""
    write(emulator.host, shop.entries(60))
    page.locator("#filter").fill("severity>=CRITICAL AND NOT httpRequest:*")
    expect(page.locator("#status")).to_have_text("Live")
    row = page.locator("#list .row").filter(has_text="rolled back").last
    row.locator(".trace").click()
    spans = page.locator(".span")
    expect(spans).to_have_count(5)
    expect(spans.first).to_have_class("span parent")
    expect(spans.first).to_contain_text("502 POST")
    expect(page.locator(".span.child .message")).to_have_text(
        [
            "checkout of cart 8841 begins",
            "payment provider answers slowly: 1.2 s",
            "payment failed: upstream timed out after 1.5 s",
            "order 55120 left without payment, rolled back",
        ]
    )
    assert page.evaluate("[...document.querySelectorAll('.span .lane i')].length") == 5
    spans.first.get_by_role("button").click()
    expect(spans.first.locator(".json")).to_contain_text('"latency": "1.84s"')
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()


def test_a_trace_that_is_open_grows(page: Page, store: Store) -> None:
    """What arrives for the open trace is added to it; by keyboard, t opens it."""
    trace = 'projects/p/traces/a"b\\c'
    store({"textPayload": "a", "trace": trace}, {"textPayload": "other"})
    expect(rows(page)).to_have_count(2)
    page.keyboard.press("Home")
    page.keyboard.press("t")
    expect(page.locator(".span")).to_have_count(1)
    expect(page.locator("#drawer")).to_contain_text("access_log=True")
    button = page.locator(".span.child button")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".span .json")).to_contain_text('"textPayload": "a"')
    store({"trace": trace, "httpRequest": {"status": 200, "latency": "0.5s"}})
    expect(page.locator(".span")).to_have_count(2)
    expect(page.locator(".span").first).to_have_class("span parent")
    expect(page.locator("#drawer .note")).to_be_hidden()
    expect(page.locator(".span.child .json")).to_be_visible()
    expect(button).to_be_focused()


def test_the_chart_counts_by_severity(page: Page, store: Store) -> None:
    """The bars of the last ten minutes sum up to what is shown; older entries are in no bar."""
    store(*[{"textPayload": "a", "severity": "INFO"} for _ in range(5)],
          *[{"textPayload": "a", "severity": "ERROR"} for _ in range(2)],
          {"textPayload": "a", "severity": "ERROR", "timestamp": ago(minutes=11)})  # fmt: skip
    chart = page.get_by_role("img", name="Entries of the last 10 minutes: 5 INFO, 2 ERROR")
    expect(chart).to_be_visible()
    sums: dict[str, int] = page.evaluate(
        """() => { const sums = {};
            for (const { dataset } of document.querySelectorAll("#chart [data-count]"))
                sums[dataset.severity] = (sums[dataset.severity] ?? 0) + Number(dataset.count);
            return sums }"""
    )
    assert sums == {"INFO": 5, "ERROR": 2}
    page.get_by_role("button", name="INFO").click()
    expect(page.locator("#chart svg")).to_have_attribute(
        "aria-label", "Entries of the last 10 minutes: 2 ERROR"
    )


def test_duplicates_are_marked(page: Page, store: Store) -> None:
    """An entry that is written again is marked, whether the page saw the first copy or not."""
    one = {"textPayload": "a", "insertId": "1", "timestamp": ago(minutes=1)}
    store(one, {"textPayload": "b"})
    expect(rows(page)).to_have_count(2)
    expect(page.locator(".copies")).to_have_count(0)
    rows(page).last.locator(".message").click()
    copy = page.get_by_role("button", name="Copy")
    copy.focus()
    store(one, one)
    expect(rows(page).filter(has_text="a").locator(".copies")).to_have_text("\u00d73")
    expect(page.locator("#repeated")).to_have_text("1 stored more than once")
    expect(copy).to_be_focused()
    page.reload()
    expect(page.locator(".copies")).to_have_text("\u00d73")


def test_faults_are_armed_and_cleared(page: Page, emulator: Emulator, store: Store) -> None:
    """Each fault is armed by its button with what is written beside it; one button clears all."""
    button = page.locator("#open-faults")
    button.click()
    status = page.locator(".fault[data-kind=status]")
    status.get_by_label("count").fill("2")
    status.get_by_role("button").click()
    expect(page.locator(".armed li")).to_have_text(["status · status=503 · 2 calls left"])
    assert emulator.faults() == [
        {"kind": "status", "status": 503, "on": "any", "retry_after": None, "body": None,
         "count": 2}
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="503"):
        store({"textPayload": "a"})
    expect(page.locator(".armed li")).to_have_text(["status · status=503 · 1 call left"])
    kinds = ("delay", "drop", "hang", "idle_close", "refuse", "quota")
    for number, kind in enumerate(kinds, 2):
        page.locator(f".fault[data-kind={kind}]").get_by_role("button").click()
        expect(button).to_have_text(f"Faults: {number}")  # the list has moved the buttons below it
    assert {fault["kind"] for fault in emulator.faults()} == {
        "status", "delay", "drop", "hang", "idle_close", "refuse", "quota"
    }  # fmt: skip
    page.locator("#clear-faults").click()
    expect(button).to_have_text("Faults")
    assert emulator.faults() == []


def test_a_wrong_fault_is_refused_in_the_emulators_words(page: Page) -> None:
    """A value that the emulator refuses is shown with its rule."""
    page.locator("#open-faults").click()
    delay = page.locator(".fault[data-kind=delay]")
    delay.get_by_label("seconds").fill("soon")
    delay.get_by_role("button").click()
    expect(page.locator(".fault-error")).to_contain_text("a number of seconds from 0 to 3600")


def test_clear_asks_first(page: Page, emulator: Emulator, store: Store) -> None:
    """Removing all entries takes a second click; then the page is empty."""
    store({"textPayload": "a"})
    expect(rows(page)).to_have_count(1)
    button = page.locator("#clear")
    button.click()
    expect(button).to_have_text("Remove all?")
    assert len(emulator.entries()) == 1
    button.click()
    expect(rows(page)).to_have_count(0)
    assert emulator.entries() == []
    store({"textPayload": "b"})
    expect(rows(page)).to_have_count(1)


def test_an_outage_is_shown_and_over(page: Page, store: Store) -> None:
    """While the emulator is down the page says so, and goes on by itself."""
    store({"textPayload": "a"})
    expect(rows(page)).to_have_count(1)
    page.locator("#open-faults").click()
    outage = page.locator(".fault[data-kind=outage]")
    outage.get_by_label("seconds").fill("1.5")
    outage.get_by_role("button").click()
    expect(page.locator("#lost")).to_contain_text("does not answer")
    expect(page.locator("#status")).to_have_text("Connection lost")
    expect(page.locator("#status")).to_have_text("Live")
    expect(page.locator("#lost")).to_be_hidden()
    expect(rows(page)).to_have_count(1)


def test_another_emulator_at_the_port_is_found(open_page: OpenPage) -> None:
    """After a restart the page shows what the new emulator has, and nothing of the old one."""
    entry = {"logName": "projects/p/logs/l", "resource": {"type": "global"}}
    with Emulator.start() as first:
        port = int(first.host.rpartition(":")[2])
        page = open_page(first.url)
        write(first.host, [{**entry, "textPayload": "old"}])
        expect(rows(page)).to_have_count(1)
    expect(page.locator("#lost")).to_be_visible()
    assert messages(page) == ["old"]
    with Emulator.start(port=port) as second:
        write(second.host, [{**entry, "textPayload": "new"}])
        expect(page.locator("#lost")).to_be_hidden()
        expect(rows(page).locator(".message")).to_have_text(["new"])


def test_keys_reach_everything(page: Page, store: Store) -> None:
    """Without a mouse: the filter by /, the keys by ?, and each control by Tab."""
    store({"textPayload": "a"})
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.type("textPayload=b")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(0)
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(1)
    page.locator("#list").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(page.locator("#log")).to_be_enabled()  # as soon as it has a log to offer
    page.locator("body").evaluate("() => document.activeElement.blur()")
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert reached >= {"open-faults", "export", "clear", "open-keys", "filter", "log", "list"}


def _contrasts(page: Page) -> dict[str, float]:
    """Return the contrast of each severity's word with what is behind it, by WCAG's formula."""
    found: dict[str, Any] = page.evaluate(
        """() => {
          const canvas = document.createElement("canvas").getContext("2d");
          const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color;
            canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
          const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (element) => {
            const color = rgb(getComputedStyle(element).backgroundColor);
            return color[3] === 255 ? color : behind(element.parentElement); };
          const result = {};
          for (const cell of document.querySelectorAll(".row :is(.severity, .time, .message)")) {
            const pair = [light(rgb(getComputedStyle(cell).color)), light(behind(cell))];
            const name = cell.closest(".row").dataset.severity + " " + cell.className;
            result[name] = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
          }
          return result;
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(
    open_page: OpenPage, emulator: Emulator, store: Store, scheme: str
) -> None:
    """The page follows the system's scheme; text of every severity has a contrast of 4.5."""
    names = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT",
             "EMERGENCY")  # fmt: skip
    store(*[{"textPayload": name, "severity": name} for name in names])
    page = open_page(emulator.url, color_scheme=scheme)
    expect(rows(page)).to_have_count(len(names))
    dark: bool = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 100"
    )
    assert dark == (scheme == "dark")
    contrasts = _contrasts(page)
    assert len(contrasts) == 3 * len(names)
    assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("width", few([320, 390, 700], 320))
def test_a_narrow_screen_needs_no_sideways_scroll(
    open_page: OpenPage, emulator: Emulator, width: int
) -> None:
    """On a telephone nothing is wider than the screen: list, detail, trace and faults."""
    made = shop.entries(200)
    made[-1] = {**made[-1], "textPayload": "x" * 3000, "labels": {"y" * 300: "z" * 900}}
    write(emulator.host, made)
    page = open_page(emulator.url, viewport={"width": width, "height": 700})

    def is_narrow() -> bool:
        wide: list[Any] = page.evaluate(
            """() => [document.documentElement, document.querySelector("#list"),
                      document.querySelector("#drawer .body") ?? document.body]
                .map((one) => one.scrollWidth - one.clientWidth)"""
        )
        return wide == [0, 0, 0]

    expect(page.locator("#shown")).to_have_text("200 entries")
    assert is_narrow()
    rows(page).filter(has_text="xxx").locator(".message").click()
    expect(page.locator(".json")).to_contain_text("zzz")
    assert is_narrow()
    page.locator("#list .trace").last.click()
    expect(page.locator(".span").first).to_be_visible()
    assert is_narrow()
    page.get_by_role("button", name="Close").click()
    page.locator("#open-faults").click()
    assert is_narrow()


@pytest.mark.long
def test_a_filter_that_takes_too_long_is_given_up(page: Page, store: Store) -> None:
    """The page shows which expression took too long; another filter works at once."""
    store({"textPayload": "x" * 5000}, {"textPayload": "a"})
    expect(rows(page)).to_have_count(2)
    page.locator("#filter").fill('textPayload=~"(x+x+)+y"')
    given_up = expect(page.locator("#filter-error"))
    given_up.to_contain_text("takes too long on an entry", timeout=_BUSY_SECONDS * 1000)
    expect(page.locator("#status")).to_have_text("Filter given up")
    expect(page.locator("#lost")).to_be_hidden()
    with page.expect_request("**/emulator/live*"):
        page.locator("#filter").press("Enter")
    given_up.to_contain_text("takes too long on an entry", timeout=_BUSY_SECONDS * 1000)
    page.locator("#filter").fill("textPayload=a")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#filter-error")).to_be_hidden()
