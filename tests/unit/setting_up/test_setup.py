"""`forklog.setup` and what concerns all handlers of a process; each body in a fresh interpreter."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from cases import few
from helpers import check_python
from printed import FAKE_WIRE, last_printed

import forklog
from forklog.drops import REMEDIES
from forklog.setting_up.everywhere import GAUGES
from forklog.setting_up.outputs import _is_googles_machine
from forklog.testing import FakeTransport, Hang

_ROOT = Path(__file__).resolve().parents[3]


def test_one_line_is_enough() -> None:
    """INFO and above of any logger arrive; what is below does not."""
    arrived = last_printed("""
    forklog.setup(transport=wire, project="p")
    logging.getLogger("shop").info("one")
    logging.getLogger("shop").debug("no")
    logging.getLogger("google.auth").error("kept out")
    logging.warning("two")
    print(json.dumps(texts()))
    """)
    assert arrived == ["one", "two"]


def test_a_second_equal_call_is_the_first() -> None:
    """An equal call returns the same; another raises and names what differs; a child has it too."""
    found = last_printed("""
    first = forklog.setup(transport=wire, project="p", log_name="shop")
    same = forklog.setup(transport=wire, project="p", log_name="shop")
    def refused(**options):
        try:
            forklog.setup(transport=wire, **options)
        except forklog.OptionError as error:
            return error.option, str(error)
    print(json.dumps([
        first is same,
        len(logging.root.handlers),
        refused(project="p", log_name="other"),
        refused(project="p", log_name="shop", max_latency=1)[0],
        refused(project="p", log_name="shop", level="DEBUG")[0],
        refused(log_name="shop")[0],
    ]))
    """)
    assert found[:2] == [True, 1]
    assert found[2][0] == "log_name"
    assert "'other'" in found[2][1]
    assert found[3:] == ["max_latency", "level", "project"]


def test_calls_are_equal_by_what_they_mean() -> None:
    """A level as its name or number, and an option at its default, make no difference.

    A name that is unknown is reported as that, and a value that cannot work by its rule.
    """
    found = last_printed("""
    first = forklog.setup(transport=wire)
    def tried(**options):
        try:
            return forklog.setup(transport=wire, **options) is first
        except forklog.OptionError as error:
            return str(error)
    print(json.dumps([tried(**options) for options in (
        {"level": 20}, {"level": "info"}, {"log_name": "python"}, {"name": "python"},
        {"labels": None}, {"flush_level": 40}, {"resource": {}},
        {"log_nam": "x"}, {"max_latency": "x"}, {"level": "nonsense"}, {"name": "other"},
    )]))
    """)
    assert found[:7] == [True] * 7
    assert "did you mean log_name" in found[7]
    assert not [text for text in found[7:10] if "differs" in text]
    assert "log_name='other': differs" in found[10]


def test_handlers_of_others_stay_unless_they_are_to_be_replaced() -> None:
    """A console handler stays; `replace` removes it and says so; forklog's own is not doubled."""
    found = last_printed("""
    console = logging.StreamHandler()
    logging.root.addHandler(console)
    kept = forklog.setup(transport=wire, project="p")
    stays = console in logging.root.handlers
    logging.root.handlers.remove(kept.handler)
    logging.root.addHandler(forklog.CloudLoggingHandler(transport=wire, project="p"))
    try:
        forklog.setup(transport=wire, project="p")
    except forklog.OptionError as error:
        option = error.option
    new = forklog.setup(transport=wire, project="p", replace=True)
    print(json.dumps([stays, option, logging.root.handlers == [new.handler], str(new)]))
    """)
    assert found[:3] == [True, "replace", True]
    assert "removed from the root logger" in found[3]
    assert "StreamHandler" in found[3]


_REMOVALS = {
    "dictConfig": 'logging.config.dictConfig({"version": 1, "root": {"handlers": []},'
    ' "disable_existing_loggers": False})',
    "basicConfig": "logging.basicConfig(force=True)",
    "removeHandler": "logging.root.removeHandler(first.handler)",
}


@pytest.mark.parametrize("removal", _REMOVALS.values(), ids=_REMOVALS)
def test_after_the_handler_was_removed_it_sets_up_anew(removal: str) -> None:
    """A configuration that removed the handler does not make the call a lie.

    Each record, of uvicorn's loggers too, and each request arrives once, by the new handler.
    """
    found = last_printed(
        """
    import logging.config, uvicorn.config
    from forklog.middleware import WSGIMiddleware
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    first = forklog.setup(transport=wire, project="p", access_log=True)
    REMOVAL
    forklog.setup(transport=wire, project="p", access_log=True)
    logging.warning("again")
    logging.getLogger("uvicorn.error").warning("of uvicorn", extra={"color_message": ""})
    WSGIMiddleware(lambda *_: [b""])({}, lambda *_: None).close()
    forklog.flush(5)
    print(json.dumps([e.get("textPayload", "a request") for e in wire.entries]))
    """.replace("REMOVAL", removal)
    )
    assert sorted(found) == ["a request", "again", "of uvicorn"]


def test_uncaught_exceptions() -> None:
    """What nothing catches arrives once, from the main thread and others, and is printed still."""
    done = check_python(
        FAKE_WIRE
        + """
    printed = []
    sys.excepthook = lambda *args: printed.append(args[0].__name__)
    for _ in range(2):
        forklog.setup(transport=wire, project="p", uncaught=True)
    def fail():
        raise ValueError("of a thread")
    thread = threading.Thread(target=fail, name="t")
    thread.start()
    thread.join()
    try:
        raise RuntimeError("of main")
    except RuntimeError:
        sys.excepthook(*sys.exc_info())
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
    print(json.dumps([texts(), [e["severity"] for e in wire.entries], printed]))
    """
    )
    texts, severities, printed = json.loads(done.stdout)
    assert len(texts) == 2
    assert texts[0].startswith("uncaught exception in thread t\nTraceback")
    assert texts[1].endswith("RuntimeError: of main")
    assert severities == ["CRITICAL"] * 2
    assert printed == ["RuntimeError", "KeyboardInterrupt"]
    assert "of a thread" in done.stderr


def test_flush_has_one_deadline_for_all_handlers() -> None:
    """Three handlers whose server hangs are waited for once; false, since they are not settled."""
    found = last_printed("""
    import time
    wires = [FakeTransport(Hang()) for _ in range(3)]
    handlers = [forklog.CloudLoggingHandler(transport=w, project="p", last_resort="none")
                for w in wires]
    for handler in handlers:
        handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 40}))
    begin = time.monotonic()
    settled = forklog.flush(2)
    took = time.monotonic() - begin
    for w in wires:
        w.release()
    print(json.dumps([settled, took, forklog.flush(10), len(forklog.stats()),
                      [s.delivered for s in forklog.stats()]]))
    """)
    assert found[0] is False
    assert 1.9 < found[1] < 5.5  # one after the other would take six seconds
    assert found[2:] == [True, 3, [1, 1, 1]]


def test_metrics_are_in_the_form_of_prometheus() -> None:
    """Each series has a type and the labels log and pid; two handlers of one log are added up."""
    text = last_printed("""
    handlers = [forklog.CloudLoggingHandler(transport=FakeTransport(), project="p", log_name=name)
                for name in ("a", "a", "b")]
    for handler in handlers:
        handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 40}))
    forklog.flush(10)
    print(json.dumps(forklog.metrics()))
    """)
    line = re.compile(r'forklog_[a-z_]+\{log="[ab]",pid="\d+"(,\w+="\w+")?\} \d+(\.\d+)?')
    kinds = dict(re.findall(r"^# TYPE (\w+) (counter|gauge)$", text, re.MULTILINE))
    for row in text.splitlines():
        assert row.startswith("# TYPE ") or line.fullmatch(row), row
        if not row.startswith("#"):
            assert row.partition("{")[0] in kinds
    assert re.search(r'^forklog_delivered_total\{log="a",pid="\d+"\} 2$', text, re.MULTILINE)
    assert re.search(
        r'^forklog_dropped_total\{log="b",pid="\d+",reason="refused"\} 0$', text, re.MULTILINE
    )
    assert kinds["forklog_pending"] == "gauge"


def test_the_gaps_of_handlers_of_one_log_are_not_added_up() -> None:
    """The series has the longest: two gaps of half a second are no gap of a second."""
    text = last_printed("""
    import time
    refused = Fail(429, retry_after=60)
    options = dict(project="p", log_name="a", last_resort="none", shutdown_timeout=0)
    handlers = [forklog.CloudLoggingHandler(transport=one, **options)
                for one in (FakeTransport(refused), FakeTransport(refused), wire)]
    for handler in handlers:
        handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 40}))
    deadline = time.monotonic() + 30
    while [h.stats().request_gap for h in handlers] != [0.5, 0.5, 0.0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    print(json.dumps(forklog.metrics()))
    """)
    assert re.search(r'^forklog_request_gap\{log="a",pid="\d+"\} 0\.5$', text, re.MULTILINE)
    assert re.search(r'^forklog_accepted_total\{log="a",pid="\d+"\} 3$', text, re.MULTILINE)


def test_the_reasons_and_gauges_are_those_of_the_documentation() -> None:
    """Each reason for a drop has a series from the first; gauges are what the snapshot says."""
    page = (_ROOT / "docs" / "delivery.md").read_text()
    table = page.partition("| reason for a drop |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(REMEDIES)
    source = (_ROOT / "forklog" / "snapshot.py").read_text()
    assert set(re.findall(r'^    (\w+): .*\n    """Gauge', source, re.MULTILINE)) == GAUGES


def test_handlers_in_a_process_without_any() -> None:
    """Nothing to wait for is settled; there are no numbers."""
    found = last_printed("""
    print(json.dumps([forklog.flush(), forklog.stats(), forklog.metrics()]))
    """)
    assert found == [True, [], ""]


@pytest.mark.parametrize("option", ["level", "max_latency", "unknown"])
def test_a_wrong_option_changes_nothing(option: str) -> None:
    """An option that cannot work raises before the root logger is touched."""
    transport = FakeTransport(Hang())
    before = list(logging.getLogger().handlers)
    with pytest.raises(forklog.OptionError):
        forklog.setup(transport=transport, project="p", **{option: "nonsense"})
    assert logging.getLogger().handlers == before


_PLATFORMS: dict[str, dict[str, str]] = {
    "Cloud Run": {"K_SERVICE": "s", "K_REVISION": "r", "K_CONFIGURATION": "c"},
    "Functions": {"FUNCTION_TARGET": "t", "FUNCTION_SIGNATURE_TYPE": "http", "K_SERVICE": "s"},
}
_KINDS = """
    done = forklog.setup(project="p"{more})
    print(json.dumps([type(done.handler).__name__, str(done)]))
"""


@pytest.mark.parametrize("platform", few(_PLATFORMS, "Cloud Run"))
def test_lines_where_an_agent_collects_them(platform: str) -> None:
    """On Cloud Run and Functions records are printed, unless something asks for the API."""
    environ = {"LOGGING_EMULATOR_HOST": "", **_PLATFORMS[platform]}
    wants_api = (', endpoint="http://127.0.0.1:1"', ', output="api"', ", transport=wire")
    for more in ("", ', output="stdout"', *wants_api):
        done = check_python(FAKE_WIRE + _KINDS.replace("{more}", more), env=environ)
        kind, text = json.loads(done.stdout.splitlines()[-1])
        assert kind == ("CloudLoggingHandler" if more in wants_api else "StructuredLogHandler")
        assert ("lines of JSON" in text) == (kind == "StructuredLogHandler")
    environ["LOGGING_EMULATOR_HOST"] = "127.0.0.1:1"
    done = check_python(FAKE_WIRE + _KINDS.replace("{more}", ""), env=environ)
    assert "CloudLoggingHandler" in done.stdout


def test_no_lines_elsewhere() -> None:
    """A pod of a cluster that is not Google's sends to the API."""
    environ = {"LOGGING_EMULATOR_HOST": "", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    done = check_python(FAKE_WIRE + _KINDS.replace("{more}", ""), env=environ)
    assert ("StructuredLogHandler" in done.stdout) == _is_googles_machine()


def test_lines_have_what_the_options_add() -> None:
    """Fields, labels of the process and the service are in the lines, a child's own in its own."""
    done = check_python(
        FAKE_WIRE
        + """
    import os
    done = forklog.setup(output="stdout", project="p", extra_fields=True, process_labels=True,
                         service="shop", max_latency=1, log_name="unused")
    assert "not used there: log_name, max_latency" in str(done), str(done)
    def log():
        logging.info("one", extra={"user": 7})
        try:
            raise ValueError
        except ValueError:
            logging.exception("two")
    log()
    if not os.fork():
        log()
        os._exit(DONE)
    os.wait()
    print(os.getpid())
    assert forklog.flush() and not forklog.stats()
    """
    )
    *lines, pid = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    labels = [row["logging.googleapis.com/labels"] for row in rows]
    assert [label["process_id"] == pid for label in labels] == [True, True, False, False]
    assert [row.get("user") for row in rows] == [7, None] * 2
    assert [row.get("serviceContext") for row in rows] == [None, {"service": "shop"}] * 2


@pytest.mark.parametrize(
    "options", [{"output": "file"}, {"output": "stdout", "max_latency": "x"},
                {"output": "stdout", "unknown": 1}],
    ids=str,
)  # fmt: skip
def test_wrong_options_of_an_output_are_refused(options: dict[str, Any]) -> None:
    """Options that stdout does not use are checked all the same."""
    with pytest.raises(forklog.OptionError):
        forklog.setup(**options)
