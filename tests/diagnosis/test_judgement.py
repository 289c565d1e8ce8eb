"""What is made of the facts: pure, one row for each finding."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from forklog.diagnosis.examine import judge
from forklog.diagnosis.facts import (
    Delivery,
    Exits,
    Frameworks,
    Handler,
    Neighbour,
    Process,
    Role,
    Routes,
)
from forklog.diagnosis.finding import Severity
from forklog.diagnosis.look.exits import exits_of
from forklog.diagnosis.look.handlers import plain_options
from forklog.diagnosis.report import Report
from forklog.drops import REMEDIES, remedy_of
from forklog.options import Options

FRAMEWORKS = [
    "celery's worker_process_shutdown",
    "the end of RQ's job",
    "the end of uvicorn's shutdown",
]
PROCESS = Process(pid=7, role=Role(), python="3.11", has_threads=True)
HANDLER = Handler(
    name="cloud",
    loggers=("root",),
    level="NOTSET",
    options=plain_options(Options()),
    state="running",
)
ROUTES = Routes(handlers=(HANDLER,), root_level="INFO")
DELIVERY = Delivery(endpoint="https://logging.googleapis.com", outcome="accepted", status=200)


def process(**changes: Any) -> Process:
    """Return a healthy process with changes."""
    return dataclasses.replace(PROCESS, **changes)


def uwsgi(*options: str, **changes: Any) -> Process:
    """Return a uWSGI worker with options."""
    role = changes.pop("role", Role(server="uwsgi", name="worker 1", model="prefork"))
    return process(role=role, uwsgi_options=options, **changes)


def celery(**changes: Any) -> Process:
    """Return a child of celery's pool."""
    return process(role=Role(server="celery", name="child ForkPoolWorker-1"), **changes)


def beat() -> Process:
    """Return the process of beat in celery's worker."""
    return process(role=Role(server="celery", name="beat"), time_limit="celery's limit")


def loader(**changes: Any) -> Process:
    """Return a uWSGI master before its workers."""
    name = "master, before its workers"
    return uwsgi(role=Role(server="uwsgi", name=name, model="prefork", is_loader=True), **changes)


def handler(options: dict[str, Any] | None = None, **changes: Any) -> Routes:
    """Return routes to one handler with changes."""
    if options:
        changes["options"] = plain_options(Options(**options))
    return dataclasses.replace(ROUTES, handlers=(dataclasses.replace(HANDLER, **changes),))


def beside(kind: str, effect: str, *, has_ours_behind: bool = False) -> Routes:
    """Return routes with another handler."""
    other = Neighbour(kind=kind, loggers=("root",), effect=effect, has_ours_behind=has_ours_behind)
    return dataclasses.replace(ROUTES, neighbours=(other,))


def routes(**changes: Any) -> Routes:
    """Return healthy routes with changes."""
    return dataclasses.replace(ROUTES, **changes)


def delivery(**changes: Any) -> Delivery:
    """Return a delivery with changes."""
    return dataclasses.replace(DELIVERY, **changes)


def ends(subject: Process, *, version: tuple[int, ...] = (3, 11)) -> Exits:
    """Return the ends of a process whose exits forklog has hooked."""
    hooked = {"threading._register_atexit", "atexit", *FRAMEWORKS}
    if subject.has_own_atexit:
        hooked.add("uwsgi.atexit")
    return exits_of(subject, hooked, version)


def codes(
    severity: Severity,
    subject: Process = PROCESS,
    reached: Routes = ROUTES,
    way: Delivery = DELIVERY,
    accept: tuple[str, ...] = (),
) -> list[str]:
    """Return the codes of the findings of one severity."""
    found = judge(subject, ends(subject), reached, (way,), accept)
    assert all(finding.text and finding.text.isascii() for finding in found)
    assert all(f.remedy for f in found if f.severity is Severity.PROBLEM)
    return [finding.code for finding in found if finding.severity is severity]


def test_a_healthy_process_has_no_problem() -> None:
    """All findings are ok where all is well."""
    assert codes(Severity.PROBLEM) == codes(Severity.NOTE) == []
    assert codes(Severity.OK) == ["dry-run", "handler", "exit"]


KUBERNETES = {"platform": "Kubernetes", "platform_sign": "KUBERNETES_SERVICE_HOST"}
STOCK = "google.cloud.logging_v2.handlers.handlers.CloudLoggingHandler"
PROBLEMS = {
    "threads-off": {"subject": uwsgi(has_threads=False)},
    "fork-hook-overwritten": {"subject": loader(has_own_fork_hook=False)},
    "threads-before-fork": {"subject": loader(has_fork_hooks=False, other_threads=("poller",))},
    "skip-atexit": {"subject": uwsgi("skip-atexit")},
    "skip-atexit-teardown": {"subject": uwsgi("skip-atexit-teardown", has_own_atexit=False)},
    "harakiri": {"subject": uwsgi("harakiri")},
    "time-limit": {"subject": celery(time_limit="celery's task_time_limit (9 s)")},
    "no-exit-hook": {"subject": beat()},
    "spool-off": {
        "reached": handler({"spool": "/spool"}, stats=(("spool", "off: no space"),)),
    },
    "async": {"subject": uwsgi("async")},
    "atexit-overwritten": {"subject": uwsgi(has_own_atexit=False)},
    "exit-hook-overwritten": {"subject": uwsgi("gevent", has_own_atexit=False)},
    "config": {"reached": Routes(config_error="no such class")},
    "no-handler": {"reached": Routes()},
    "unattached": {"reached": handler(loggers=())},
    "thread-dead": {"reached": handler(is_thread_alive=False)},
    "small-buffer": {"reached": handler({"max_buffer_bytes": 2**20})},
    "no-last-resort": {"reached": handler({"last_resort": "none"})},
    "no-shutdown-time": {"reached": handler({"shutdown_timeout": 0})},
    "dropped-buffer-full": {"reached": handler(stats=(("dropped.buffer_full", 3),))},
    "queue-in-front": {
        "reached": beside("logging.handlers.QueueHandler", "queue", has_ours_behind=True)
    },
    "held-in-front": {
        "reached": beside("logging.handlers.MemoryHandler", "holds", has_ours_behind=True)
    },
    "second-shipper": {"reached": beside(STOCK, "ships")},
    "doubled": {"reached": routes(doubled=("shop",))},
    "celery-root": {"reached": routes(frameworks=Frameworks(is_root_kept=True))},
    "kept-loggers": {"reached": routes(frameworks=Frameworks(kept=("uvicorn.error",)))},
    "emulator-in-production": {
        "subject": process(**KUBERNETES),
        "way": delivery(endpoint="http://127.0.0.1:8085", endpoint_from="LOGGING_EMULATOR_HOST"),
    },
    "no-credentials": {"way": delivery(outcome="no_credentials")},
    "no-access": {"way": delivery(outcome="blocked", status=0, reason="no project; set it")},
    "dry-run-refused": {"way": delivery(outcome="blocked", status=403, reason="403 X: grant it")},
    "dry-run-failed": {"way": delivery(outcome="retry", status=503, reason="503 UNAVAILABLE")},
    "unreachable": {"way": delivery(outcome="retry", status=0, reason="no connection")},
    "dry-run-unfinished": {"way": delivery(outcome="unfinished", step="looking for credentials")},
}


@pytest.mark.parametrize("code", PROBLEMS)
def test_what_loses_records_is_a_problem(code: str) -> None:
    """Each fact that loses, doubles or holds up records is found, has a remedy, can be accepted."""
    found = codes(Severity.PROBLEM, **PROBLEMS[code])  # type: ignore[arg-type]
    assert code in found
    accepted = codes(Severity.PROBLEM, **PROBLEMS[code], accept=(code,))  # type: ignore[arg-type]
    assert accepted == [other for other in found if other != code]


def test_a_spool_keeps_what_no_hook_delivers() -> None:
    """A process that ends without a hook has no problem where its handlers have the option."""
    assert codes(Severity.PROBLEM, beat(), handler({"spool": "/spool"})) == []
    assert codes(Severity.PROBLEM, beat()) == ["no-exit-hook"]


NOTES = {
    "no-wipe": {"subject": process(has_wipe=False)},
    "sigterm": {"subject": process(dies_of_term=True)},
    "skip-atexit-teardown": {"subject": uwsgi("skip-atexit-teardown")},
    "spooler": {"subject": uwsgi(role=Role(server="uwsgi", name="spooler", model="prefork"))},
    "no-spool": {"subject": uwsgi()},
    "no-config": {"subject": process(is_command=True), "reached": Routes()},
    "closed": {"reached": handler(state="closed")},
    "handler-level": {"reached": handler(level="ERROR")},
    "retrying": {"reached": handler(stats=(("pending", 5), ("retries", 2)))},
    "queue": {"reached": beside("logging.handlers.QueueHandler", "queue")},
    "printed-too": {
        "subject": process(**KUBERNETES),
        "reached": beside("logging.StreamHandler", "printed"),
    },
    "logging-disabled": {"reached": routes(disabled_below="INFO")},
    "root-level": {"reached": routes(root_level="WARNING")},
    "inherited-context": {"reached": routes(frameworks=Frameworks(has_inherited_context=True))},
    "disabled-loggers": {"reached": routes(disabled=tuple("abcdefgh"))},
    "disables-existing": {"reached": routes(disables_existing=True)},
    "unreached": {"reached": routes(unreached=("gunicorn.error",))},
    "emulator": {"way": delivery(endpoint_from="LOGGING_EMULATOR_HOST")},
    "local-endpoint": {
        "subject": process(**KUBERNETES),
        "way": delivery(endpoint="http://127.0.0.1:1"),
    },
    "user-credentials": {
        "subject": process(**KUBERNETES),
        "way": delivery(credentials="user credentials"),
    },
    "dry-run-skipped": {"way": delivery(outcome="skipped", reason="another transport")},
}


@pytest.mark.parametrize("code", NOTES)
def test_what_is_worth_knowing_is_a_note(code: str) -> None:
    """It does not make the process unhealthy."""
    assert code in codes(Severity.NOTE, **NOTES[code])  # type: ignore[arg-type]
    assert codes(Severity.PROBLEM, **NOTES[code]) == []  # type: ignore[arg-type]


PRINTED = dataclasses.replace(beside("forklog.StructuredLogHandler", "agent"), handlers=())


def test_lines_that_are_printed_wait_for_no_end() -> None:
    """Where forklog prints alone, no end, kill or missing thread is of any matter."""
    subject = uwsgi("skip-atexit", "harakiri", "async", has_threads=False, **KUBERNETES)
    findings = judge(subject, ends(subject), PRINTED, ())
    assert [(f.code, f.severity) for f in findings] == [("printed", Severity.OK)]
    [elsewhere] = judge(PROCESS, ends(PROCESS), PRINTED, ())
    assert (elsewhere.code, elsewhere.severity) == ("printed", Severity.NOTE)


KILLED = {
    "harakiri": uwsgi("harakiri"),
    "time limit": celery(time_limit="celery's task_time_limit (9 s)"),
    "uwsgi": uwsgi(),
    "gunicorn": process(role=Role(server="gunicorn", name="worker (SyncWorker)")),
    "celery": celery(),
    "rq": process(role=Role(server="rq", name="work horse")),
    "spooler": uwsgi(role=Role(server="uwsgi", name="spooler", model="prefork")),
}


@pytest.mark.parametrize("name", KILLED)
def test_where_workers_are_killed_a_spool_is_missed(name: str) -> None:
    """Without one there is a finding whose remedy is the spool; with it there is none."""
    subject = KILLED[name]
    without = judge(subject, ends(subject), ROUTES, (DELIVERY,))
    assert [f.code for f in without if "spool=" in f.remedy]
    spooled = handler({"spool": "/spool"}, stats=(("spool", "/spool"),))
    found = judge(subject, ends(subject), spooled, (DELIVERY,))
    assert {f.severity for f in found} == {Severity.OK}
    assert "/spool" in next(f.text for f in found if f.code == "spool")


@pytest.mark.parametrize("subject", [PROCESS, loader()], ids=["plain", "uwsgi's loader"])
def test_where_no_server_kills_no_spool_is_missed(subject: Process) -> None:
    """A script, and the master that only loads the application, need none."""
    assert "no-spool" not in codes(Severity.NOTE, subject)


BOTH = ["threading._register_atexit", "atexit"]
MP = Role(server="multiprocessing", name="child", model="fork")
ENDS = {
    "plain": (PROCESS, (3, 11), BOTH),
    "os.fork": (process(role=Role(server="fork")), (3, 11), BOTH),
    "multiprocessing": (process(role=MP), (3, 12), BOTH[:1]),
    "multiprocessing, 3.13": (process(role=MP), (3, 13), BOTH),
    "spawn": (process(role=dataclasses.replace(MP, model="spawn")), (3, 11), BOTH),
    "gunicorn": (process(role=Role(server="gunicorn", name="arbiter")), (3, 11), BOTH),
    "celery main": (process(role=Role(server="celery", name="main process")), (3, 11), BOTH),
    "celery child": (
        process(role=Role(server="celery", name="child ForkPoolWorker-1")),
        (3, 11),
        FRAMEWORKS[:1],
    ),
    "celery beat": (beat(), (3, 11), []),
    "rq worker": (process(role=Role(server="rq", name="worker")), (3, 11), BOTH),
    "rq horse": (process(role=Role(server="rq", name="work horse")), (3, 11), FRAMEWORKS[1:2]),
    "uvicorn": (process(role=Role(server="uvicorn", name="server")), (3, 11), FRAMEWORKS[2:]),
    "gunicorn with uvicorn": (
        process(role=Role(server="gunicorn", name="worker (UvicornWorker)")),
        (3, 11),
        FRAMEWORKS[2:],
    ),
    "uwsgi": (uwsgi(), (3, 11), ["uwsgi.atexit", *BOTH]),
    "uwsgi master": (loader(), (3, 11), []),
    "uwsgi gevent": (uwsgi("async", "gevent"), (3, 11), ["uwsgi.atexit"]),
    "uwsgi async": (uwsgi("async"), (3, 11), []),
    "uwsgi spooler": (
        uwsgi(role=Role(server="uwsgi", name="spooler", model="prefork")),
        (3, 11),
        [],
    ),
    "uwsgi skip-atexit": (uwsgi("skip-atexit"), (3, 11), []),
    "uwsgi teardown": (uwsgi("skip-atexit-teardown"), (3, 11), ["uwsgi.atexit"]),
}


@pytest.mark.parametrize("name", ENDS)
def test_which_hooks_run(name: str) -> None:
    """The hooks that run at the end are those of the measured table, for each kind of process."""
    subject, version, expected = ENDS[name]
    found = ends(subject, version=version)
    assert [hook.name for hook in found.hooks if hook.fires] == expected
    assert found.without


def test_the_most_severe_comes_first() -> None:
    """Problems, then notes, then what is well; what makes the rest doubtful is on top."""
    subject = uwsgi("harakiri", has_wipe=False)
    found = judge(subject, ends(subject), Routes(config_error="x"), (DELIVERY,))
    assert [f.code for f in found] == ["config", "harakiri", "no-wipe", "dry-run", "exit"]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"status": 404, "reason": "404 X: create the log"}, "create the log"),
        ({"status": 0, "reason": "cannot use it; renew it"}, "renew it"),
    ],
)
def test_a_refusal_says_what_to_grant(changes: dict[str, Any], remedy: str) -> None:
    """The verdict's remedy becomes the finding's, and the server's words and account are shown."""
    way = delivery(outcome="blocked", account="me@x", detail="not you", **changes)
    found = judge(PROCESS, ends(PROCESS), ROUTES, (way,))[0]
    assert (found.severity, found.remedy) == (Severity.PROBLEM, remedy)
    assert "me@x" in found.text
    assert "not you" in found.text


def test_a_missing_role_comes_with_the_command_that_grants_it() -> None:
    """Where account and project are known, the whole command is there to be copied."""
    account = "writer@p.iam.gserviceaccount.com"
    way = delivery(
        outcome="blocked", status=403, reason="403 X: grant", account=account, project="p"
    )
    found = judge(PROCESS, ends(PROCESS), ROUTES, (way,))[0]
    expected = (
        f"add-iam-policy-binding p --member=serviceAccount:{account} --role=roles/logging.log"
    )
    assert expected in found.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint_from": "LOGGING_EMULATOR_HOST", "endpoint": "http://h:85"}, "--port 85"),
        ({"detail": "certificate verify failed"}, "REQUESTS_CA_BUNDLE"),
        ({"proxy": "proxy:3128"}, "proxy:3128"),
        ({"endpoint": "http://127.0.0.1:9"}, "listen"),
        ({}, "DNS"),
    ],
)
def test_a_way_that_is_closed_says_where_to_look(changes: dict[str, Any], words: str) -> None:
    """What to do about an endpoint that cannot be reached depends on what stands in the way."""
    way = delivery(outcome="retry", status=0, reason="no connection", **changes)
    assert words in judge(PROCESS, ends(PROCESS), ROUTES, (way,))[0].remedy


def test_the_report_cannot_be_changed() -> None:
    """Reports are values: frozen, slotted, comparable; their text is ASCII and short-lined."""
    subject = uwsgi("harakiri")
    report = Report(
        findings=judge(subject, ends(subject), ROUTES, (DELIVERY,)),
        process=subject,
        ends=ends(subject),
        routes=ROUTES,
        deliveries=(DELIVERY,),
        version="1",
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.version = "2"  # type: ignore[misc]
    assert not hasattr(report, "__dict__")
    assert not report.is_healthy
    assert report.as_dict()["is_healthy"] is False
    lines = str(report).splitlines()
    assert str(report).isascii()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "forklog 1 doctor, process 7: 1 problem"
    assert lines[2].startswith("PROBLEM  harakiri is set")


def _report(subject: Process, reached: Routes, way: Delivery) -> Report:
    return Report(
        findings=judge(subject, ends(subject), reached, (way,)),
        process=subject,
        ends=ends(subject),
        routes=reached,
        deliveries=(way,),
        version="0.1.0",
    )


LONG = "europe-west1-production-cluster-with-a-long-name"
FULL = {
    "credentials": "service account key",
    "credentials_from": "GOOGLE_APPLICATION_CREDENTIALS",
    "account": f"logger@{LONG}.iam.gserviceaccount.com",
    "project": LONG,
    "project_from": "GOOGLE_CLOUD_PROJECT",
    "resource": f"k8s_container ({', '.join(f'label_{n}={LONG}' for n in range(6))})",
    "proxy": "proxy.example:3128",
}


@pytest.mark.parametrize("name", ["plain", *KILLED])
def test_a_report_without_a_problem_fits_on_a_terminal(name: str) -> None:
    """It has 24 lines of 80 columns at most, whatever server, machine and options there are."""
    subject = dataclasses.replace(
        KILLED.get(name, PROCESS), **KUBERNETES, other_threads=("a-thread-of-the-application",) * 9
    )
    numbers = (("accepted", 10**7), ("delivered", 10**7), ("requests", 10**5), ("spool", "/spool"))
    options = {"spool": "/spool", "labels": {"l": LONG}, "log_name": "x", "max_latency": 1.0}
    report = _report(subject, handler(options, stats=numbers), delivery(**FULL))
    lines = str(report).splitlines()
    assert lines[0].endswith("all is well")
    assert len(lines) <= 24, str(report)
    assert max(map(len, lines)) <= 80
    for word in ("k8s_container", "logger@", "accepted=10000000", "log_name='x'", "Kubernetes"):
        assert word in str(report)


def test_a_report_with_a_problem_has_all_facts() -> None:
    """What a report without a problem cuts or leaves out is there, in lines of 80 columns."""
    subject = uwsgi("skip-atexit", **KUBERNETES)
    text = str(_report(subject, ROUTES, delivery(**FULL)))
    for word in ("at-fork hooks", "notices forks", "does not run", "dry run", f"label_5={LONG}"):
        assert word in text
    words = [word for line in text.splitlines() if len(line) > 80 for word in line.split()]
    assert all(len(word) > 60 for word in words[1:]), text


@pytest.mark.parametrize("reason", [*REMEDIES, "of_a_foreign_transport"])
def test_a_drop_has_the_remedy_that_stderr_names(reason: str) -> None:
    """The report and the line on stderr take it from one place."""
    report = _report(PROCESS, handler(stats=((f"dropped.{reason}", 3),)), DELIVERY)
    [found] = [finding for finding in report.findings if finding.severity is Severity.PROBLEM]
    assert (found.code, found.remedy) == (f"dropped-{reason.replace('_', '-')}", remedy_of(reason))


def test_the_page_lists_every_problem() -> None:
    """docs/doctor.md has a row for each problem that is tested here."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    assert {code for code in PROBLEMS if f"`{code}`" not in page} == {"dropped-buffer-full"}
    assert {
        code
        for code in ("no-spool", "no-middleware", "inherited-context")
        if f"`{code}`" not in page
    } == set()
