"""docs/walk.ipynb, made from docs/walk.md and executed: `python tools/walk_notebook.py`.

The Python blocks become cells as they are, the console blocks become cells of `!downstroke ...`, and each picture that
the walk draws is shown under the cell that drew it. What the walk prints is left out: the notebook prints it itself.
Needs jupytext, nbclient and ipykernel, which `make test-slow` installs.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$(?:\n\n^```text\n.*?^```$)?", re.M | re.S)
DRAWN = re.compile(r"--out (\S+\.png)")
BEGIN = """This is [walk.md](walk.md) as a notebook, made by `tools/walk_notebook.py`. Everything it makes goes into
a new empty folder.

```python
import os
import tempfile

os.chdir(tempfile.mkdtemp())
```
"""


def cells() -> Any:
    """The notebook of the walk as it is written now, not executed."""
    text = (DOCS / "walk.md").read_text(encoding="utf-8")
    drawn = set(DRAWN.findall(text))
    text = re.sub(r"^!\[.*\]\(pictures/(\S+)\)\n\n", lambda m: "" if m[1] in drawn else m[0], text, flags=re.M)
    text = BLOCK.sub(lambda m: _python(m[2]) if m[1] == "python" else _console(m[2]), text)
    title, rest = text.split("\n\n", 1)
    notebook = jupytext.reads(f"{title}\n\n{BEGIN}\n{rest}", fmt="md")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"walk-{number}"  # the same at every making, so that a diff shows what changed
        cell.metadata = {}
    return notebook


def execute(notebook: Any) -> Any:
    """The notebook with its outputs. Raises nbclient.exceptions.CellExecutionError where a cell or a command fails."""
    from nbclient import NotebookClient  # not needed to see whether the notebook is up to date

    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    before = os.environ.get("PATH")
    os.environ["PATH"] = path
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    finally:
        if before is not None:
            os.environ["PATH"] = before
    for cell in notebook.cells:
        cell.metadata = {}  # the times of execution
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = _smaller(output["data"]["image/png"])
    return notebook


def _smaller(png: str) -> str:
    """A picture in base64 with 128 colours: a quarter of the bytes, and to the eye the same."""
    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(128).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _python(code: str) -> str:
    return f"```python\n{code}```"


def _console(lines: str) -> str:
    commands = [line[2:] for line in lines.splitlines() if line.startswith("$ ")]
    parts = []
    for command in commands:
        picture = DRAWN.search(command)
        shown = f'\n\n```python\nfrom IPython import display\n\ndisplay.Image("{picture[1]}")\n```' if picture else ""
        parts.append(f"```python\n!{command}\n```{shown}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    nbformat.write(execute(cells()), DOCS / "walk.ipynb")
