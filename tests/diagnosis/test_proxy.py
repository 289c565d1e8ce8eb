"""The proxy that the doctor names: host and port alone, whatever else its URL holds."""

from __future__ import annotations

import pytest

from forklog.diagnosis.look.dry_run import _proxy


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example:3128",
        "proxy.example:3128",
        "http://user:SECRET@proxy.example:3128",
        "http://proxy.example:3128/?key=SECRET",
        "http://proxy.example:3128/SECRET@x",
        "socks5h://user:SECRET@proxy.example:3128#SECRET",
    ],
)
def test_a_proxy_is_named_without_its_secrets(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither user nor path, query and fragment are printed."""
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", url)
    assert _proxy("https://logging.googleapis.com") == "proxy.example:3128"
