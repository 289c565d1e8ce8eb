"""The documentation site has each page once; `make docs` checks the links."""

from __future__ import annotations

import re
from pathlib import Path

import forklog

_ROOT = Path(__file__).resolve().parents[2]


def test_the_site_has_each_page() -> None:
    """Each page of `docs/` stands in the navigation, once."""
    nav = (_ROOT / "zensical.toml").read_text(encoding="utf-8").partition("[project.theme]")[0]
    pages = [page.relative_to(_ROOT / "docs").as_posix() for page in (_ROOT / "docs").rglob("*.md")]
    assert sorted(re.findall(r'"([\w/-]+\.md)"', nav)) == sorted(pages)


def test_the_reference_has_each_public_name() -> None:
    """The API page has all names of the package."""
    page = (_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: forklog\.(\w+)$", page, re.MULTILINE))
    assert shown == set(forklog.__all__) - {"__version__"}


def test_a_page_links_to_pages_alone() -> None:
    """A relative link leads to a page of the site, or to a picture: the site has nothing else."""
    for page in (_ROOT / "docs").rglob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            target = link.partition("#")[0]
            if target and "://" not in target:
                assert (page.parent / target).resolve().is_relative_to(_ROOT / "docs"), (page, link)
                assert (page.parent / target).exists(), (page, link)
