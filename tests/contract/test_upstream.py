"""google-cloud-logging's own tests of its handlers, run on forklog by a thin shim.

They come with its source distribution, which pip downloads. `tests/support/upstream_shim.py` puts
forklog's classes where the tests look for Google's. Which tests do not pass is listed here, each
with the reason.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from helpers import python_path

_VERSION = "3.17.0"
_FILES = (
    "test_handlers.py",
    "test_structured_log.py",
    "test__monitored_resources.py",
    "test__helpers.py",
)
"""Left out are `transports/` and `middleware/`, which stay Google's own classes. So are the
handlers of App Engine and GKE that Google has deprecated, which forklog does not replace.
"""
_PASSED = 109

_NO_TRACE = "its trace is `123`, `12345` or a word; a trace has 32 hexadecimal digits"
_BOTH = "Flask is asked after Django has answered, and Django's answer wins"
DIFFERENCES = {
    "TestCloudLoggingHandler.test_emit_manual_field_override": "looks at what a transport is "
    "given, where the stock one still has `request_url`; forklog has the API's spelling by then, "
    "and so has the server",
    "TestCloudLoggingHandler.test_format_with_nested_json": "the record's time is None: set to "
    "now, and marked",
    "TestCloudLoggingFilter.test_record_with_xctc_request": _NO_TRACE,
    "TestStructuredLogHandler.test_format_minimal": "the record's time is None: set to now, and "
    "marked",
    "TestStructuredLogHandler.test_format_with_reserved_json_field": "a field that is left out is "
    "named in a label",
    "TestStructuredLogHandler.test_format_with_xctc_request": _NO_TRACE,
    "TestStructuredLogHandler.test_emits_instrumentation_info": "no diagnostic line about the "
    "library is printed",
    "TestStructuredLogHandler.test_valid_instrumentation_info": "no diagnostic line about the "
    "library is printed",
    "Test_Resource_Detection.test_detect_partial_data": "a metadata server that names no project: "
    "the option's is the label, in place of none",
    "Test_get_request_data_from_flask.test_xcloud_header": _NO_TRACE,
    "Test_get_request_data_from_django.test_xcloud_header": _NO_TRACE,
    "Test_get_request_data.test_from_django": _BOTH,
    "Test_get_request_data.test_from_django_and_flask": _BOTH,
    "Test__parse_xcloud_trace.test_no_trace": "a span without a trace names nothing",
    **{
        f"Test__parse_xcloud_trace.{name}": _NO_TRACE
        for name in (
            "test_no_span",
            "test_with__sampled",
            "test_with_explicit_no_sampled",
            "test_with_extra_characters",
            "test_with_span",
            "test_with_span_decimal_not_in_bounds",
        )
    },
}
"""By class and name of a test: why it does not pass."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the upstream tests and the shim as their conftest."""
    try:
        found = importlib.metadata.version("google-cloud-logging")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != _VERSION:
        pytest.skip(f"the tests are those of google-cloud-logging {_VERSION}; here is {found}")
    made = tmp_path_factory.mktemp("upstream")
    name = "google-cloud-logging"
    quiet = ("-q", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", name)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *quiet, "-d", made, f"{name}=={_VERSION}"],
            capture_output=True,
            check=False,
            timeout=90,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the source of google-cloud-logging could not be downloaded in 90 s")
    sources = list(made.glob("*.tar.gz"))
    if done.returncode or not sources:
        pytest.skip("the source of google-cloud-logging cannot be downloaded here")
    with tarfile.open(sources[0]) as archive:
        for member in archive.getmembers():
            parts = Path(member.name).parts
            is_wanted = parts[1:4] == ("tests", "unit", "handlers") and ".." not in parts
            if is_wanted and member.isfile():
                path = made.joinpath(*parts[1:])
                path.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
    for package in ("tests", "tests/unit"):
        (made / package / "__init__.py").touch()
    shim = Path(__file__).parents[1] / "support" / "upstream_shim.py"
    shutil.copy(shim, made / "conftest.py")
    (made / "pytest.ini").write_text("[pytest]\n")
    return made


@pytest.mark.long  # pip builds the metadata of a source distribution
def test_googles_tests_pass_but_for_listed_differences(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tests of handlers, resources and requests pass, but for those with a reason."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    report = folder / "report.xml"
    files = [f"tests/unit/handlers/{name}" for name in _FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - made here
    failed = {
        f"{case.attrib['classname'].rpartition('.')[2]}.{case.attrib['name']}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    assert failed == DIFFERENCES.keys(), done.stdout[-5000:]
    assert len(cases) - len(failed) == _PASSED
