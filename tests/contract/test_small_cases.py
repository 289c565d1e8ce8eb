"""Small faults of earlier reviews: each has a test that is still there, or a reason for none.

Where siblings of a fault are known, the docstring of its test names its class and them.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_UNIT = "tests/unit"
_CASES = {
    "stats() begins at zero after close() and a new record": (
        f"{_UNIT}/delivery/test_foreign_code.py::test_stats_over_a_close"
    ),
    "a 401 with a renewed token counts as one request": (
        "tests/wire/test_http.py::test_given_credentials_are_used_and_renewed"
    ),
    "an enumeration whose JSON contains null": (
        f"{_UNIT}/encoding/test_jsonable.py::test_an_enumeration_is_its_value_whatever_that_is"
    ),
    "a latency beyond protobuf's bound": f"{_UNIT}/encoding/test_repair.py::test_latencies",
    "EMFILE in the hand-over": (
        f"{_UNIT}/process/test_handover.py::test_no_free_descriptor_raises_nothing_and_loses_nothing"
    ),
    "a record whose attribute thread raises": (  # the corpus's BrokenRecord
        "tests/contract/test_corpus.py::test_it_arrives_as_faithfully_as_the_limits_allow"
    ),
    'doctor(timeout="x")': (
        "tests/diagnosis/test_doctor.py::test_a_timeout_that_is_none_is_refused"
    ),
    "FakeTransport(Fail) without parentheses": (
        f"{_UNIT}/test_testing.py::test_what_is_no_outcome_is_refused_at_once"
    ),
    "REQUESTS_CA_BUNDLE for https on loopback": (
        "tests/wire/test_tokens.py::test_the_environment_s_certificates_hold_on_this_machine_too"
    ),
    "list(WeakSet) while another thread adds": (
        f"{_UNIT}/process/test_members.py::test_threads_add_while_others_look"
    ),
    # Its test runs both in one thread: the buffer calls `keep` between counting an overflow and
    # keeping its entry, and there the test reports. A switch of threads at that point has the same
    # lines run in the same order on the same values. No lock and no thread's own data is in play.
    # Two threads that both report take each entry once, because `deque.popleft` is one step.
    "two threads in Overflow.tell": (
        f"{_UNIT}/delivery/test_worker.py"
        "::test_a_drop_counted_before_its_entry_was_kept_is_passed_on_later"
    ),
    "the label forklog_repaired where json_fields is no mapping": (
        f"{_UNIT}/encoding/test_lenient.py::test_json_fields_that_are_no_mapping_are_named"
    ),
    "the label forklog_repaired elsewhere": (
        f"{_UNIT}/encoding/test_repair.py::test_each_change_is_reported"
    ),
    "no label forklog_repaired for depth, NaN and cycles": (
        f"{_UNIT}/encoding/test_lenient.py::test_what_shows_its_change_is_not_named"
    ),
    "forklog doctor | head": (
        "tests/diagnosis/test_command.py::test_a_reader_that_has_gone_causes_no_traceback"
    ),
    "forklog emulator --port 99999": (
        "tests/emulator/server/test_guard.py::test_arguments_are_refused_by_their_rule"
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_a_small_case_has_its_test(case: str) -> None:
    """The test that is named exists."""
    file, _, name = _CASES[case].partition("::")
    assert name in _tests_of(_ROOT / file)


def _tests_of(file: Path) -> dict[str, str]:
    """Return the docstring of each test, by its name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in nodes}


def test_the_siblings_exist() -> None:
    """Each test that a docstring names beside a class of fault is there."""
    files = (_ROOT / "tests").rglob("test_*.py")
    known = {name for file in files for name in _tests_of(file)}
    named: set[str] = set()
    for case in _CASES.values():
        file, _, name = case.partition("::")
        docstring = _tests_of(_ROOT / file)[name]
        named |= set(re.findall(r"test_\w+", docstring.partition("Class of fault: ")[2]))
    assert len(named) > 10
    assert named <= known, named - known
