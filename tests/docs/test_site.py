"""The documentation: every link leads somewhere, every page is in the site, which is built and needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The headings of a page as its links name them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in re.findall(r"^#+ (.*)$", text, re.M))
    return {title.strip().replace(" ", "-") for title in plain}


def broken(page: Path) -> list[str]:
    """The links of a page that lead to no file, or to no heading of it."""
    found = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target, _, heading = link.partition("#")
        if re.match(r"\w+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (heading and heading not in anchors(path)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n[a](gone.md) [b](#one) [c](#two) [d](page.md#three) [e](https://example.org)\n")
    assert broken(page) == ["gone.md", "#two", "page.md#three"]


def test_every_page_of_docs_is_in_the_sites_menu() -> None:
    menu = set(re.findall(r"^  - .*: (\S+)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= menu


@pytest.mark.slow
def test_the_site_is_built_and_needs_no_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("index", "walk", "notebook", "studio", "events", "api", "decisions/index"):
        assert (tmp_path / f"{name}.html").is_file(), name
    assert "downstroke.api.train" in (tmp_path / "api.html").read_text(encoding="utf-8")
    assert list(tmp_path.glob("search/search_index.js*"))
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*"', page.read_text(encoding="utf-8"))
        fetched += re.findall(r'<link[^>]*href="https?://[^"]*"', page.read_text(encoding="utf-8"))
        assert fetched == [], page
