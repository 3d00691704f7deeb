"""What mkdocs does beside its plugins: pages and links from outside docs/.

README, CONTRIBUTING and CHANGELOG become pages. A link to any other file of the repository leads to a copy of it
as text, so that the site needs no server and no network.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
NOTEBOOK = "notebook.md"  # of walk.ipynb
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the root, and a copy of each file that a page links to."""
    page, extracted = MarkdownExporter().from_filename(str(ROOT / "docs" / "walk.ipynb"))
    files.append(File.generated(config, NOTEBOOK, content=page))
    for name, content in extracted["outputs"].items():
        files.append(File.generated(config, name, content=content))
    for name, uri in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=_moved(text, _seen_from_docs)))
    for file in list(files):
        if file.src_uri.endswith(".md"):
            for target in _outside(file.content_string, file.src_uri):
                if files.get_file_from_path(_copy(target)) is None:
                    content = (ROOT / target).read_bytes() if (ROOT / target).is_file() else _listed(ROOT / target)
                    files.append(File.generated(config, _copy(target), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead each link to where its file is in the site."""
    here = posixpath.dirname(page.file.src_uri)

    def led(target: str) -> str:
        if posixpath.join(here, target) == "walk.ipynb":
            return NOTEBOOK
        found = _in_repository(target, page.file.src_uri)
        if found is None:
            return target
        return posixpath.relpath(PAGES.get(found, _copy(found)), here or ".")

    return _moved(markdown, led)


def _moved(text: str, led: Any) -> str:
    """The text with each link's target changed by `led`, but for those in code blocks."""
    parts, at = [], 0
    for fence in [*FENCE.finditer(text), None]:
        end = fence.start() if fence else len(text)
        parts.append(LINK.sub(lambda m: f"{m[1]}{led(m[2])}{m[3] or ''}{m[4]}", text[at:end]))
        if fence:
            parts.append(fence[0])
            at = fence.end()
    return "".join(parts)


def _seen_from_docs(target: str) -> str:
    """A target of a page of the root, as a page in docs/ would write it."""
    if ":" in target:
        return target
    return target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"


def _in_repository(target: str, uri: str) -> str | None:
    """The path from the root of a link that leads out of docs/; None of any other."""
    if ":" in target:
        return None
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(uri), target))
    path = path.removeprefix("../")  # of a generated page
    return None if path.startswith("docs/") or path == "docs" or not (ROOT / path).exists() else path


def _outside(text: str, uri: str) -> set[str]:
    found = {_in_repository(target, uri) for _, target, _, _ in LINK.findall(text)}
    return {path for path in found if path and path not in PAGES}


def _listed(folder: Path) -> str:
    return "".join(f"{path.name}\n" for path in sorted(folder.iterdir()) if not path.name.startswith(("__", ".")))


def _copy(path: str) -> str:
    return f"source/{path}.txt"
