"""NumPy: the weights, and f(W, x) written out for this network, for a person to read."""

from __future__ import annotations

import io
import json
import os
import runpy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from downstroke.errors import DownstrokeError
from downstroke.runs.files import dumps, write_bytes
from downstroke.show.export.row import Step, row_of
from downstroke.show.export.subject import Subject, checked_images, refuse_other_answers

WEIGHTS, FORWARD, FACTS = "weights.npz", "forward.py", "facts.json"

_BEGIN = '''"""y = f(W, x): {name} in NumPy alone. `python forward.py IMAGES.npy` reads uint8 [N,28,28]."""

import sys
from pathlib import Path

import numpy as np
'''
_LOAD = 'W = dict(np.load(Path(__file__).with_name("weights.npz")))\n'
_END = """

def f(W, x):
    x = logits(W, x)
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return y / y.sum(axis=1, keepdims=True)


def accepts(W, x):
    return np.logaddexp.reduce(logits(W, x), axis=1) >= W["threshold"]


if __name__ == "__main__":
    images = np.load(sys.argv[1]).astype(np.float32) / 255
    print(*np.array(W["classes"])[f(W, images).argmax(axis=1)])
"""
#: What a kind of step needs beside it.
_FUNCTIONS = {
    "convolve": """
def convolve(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + bias[:, None, None]
""",
    "pool": """
def pool(x, size):
    n, c, h, w = x.shape
    x = x[:, :, : h // size * size, : w // size * size]
    return x.reshape(n, c, h // size, size, w // size, size).max(axis=(3, 5))
""",
    "unshuffle": """
def unshuffle(x, size):
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // size, size, w // size, size).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, c * size * size, h // size, w // size)
""",
}
#: The line of each kind of step; {0} is the layer's place.
_LINES = {
    "convolve": 'x = convolve(x, W["{0}.weight"], W["{0}.bias"], stride={stride}, padding={padding})',
    "multiply": 'x = x @ W["{0}.weight"].T + W["{0}.bias"]',
    "relu": "x = np.maximum(x, 0)",
    "pool": "x = pool(x, {size})",
    "scale": 'x = x * W["{0}.factor"][:, None, None] + W["{0}.shift"][:, None, None]',
    "unshuffle": "x = unshuffle(x, {size})",
    "flatten": "x = x.reshape(len(x), -1)",
    "rows": "x = x.transpose(0, 2, 3, 1).reshape(len(x), -1)",
}


def write(subject: Subject, folder: Path) -> dict[str, Any]:
    """Make `weights.npz`, `forward.py` and `facts.json`, run them, write them into a folder; return what is to be said.

    Raises DownstrokeError where the folder holds other files, and that names the layer of a model that is not a row.
    """
    steps = row_of(subject)
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if foreign := [name for name in others if name not in (WEIGHTS, FORWARD, FACTS)]:
        raise DownstrokeError(f"{folder} holds {foreign[0]}; give an empty or a new folder")
    weights = io.BytesIO()
    np.savez(weights, **_arrays(subject, steps))
    text, facts = forward(subject.name, steps), dumps(subject.facts()) + "\n"
    files = {WEIGHTS: weights.getvalue(), FORWARD: text.encode(), FACTS: facts.encode()}
    images = checked_images()[:, 0]
    with tempfile.TemporaryDirectory(prefix="downstroke-export-") as home:
        for name, content in files.items():
            (Path(home) / name).write_bytes(content)
        made = runpy.run_path(os.path.join(home, FORWARD))
        difference, accepted = subject.differs(made["f"](made["W"], images), made["accepts"](made["W"], images))
    refuse_other_answers(folder / FORWARD, difference)
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, content)
    return {
        "form": "numpy",
        "file": str(folder.resolve()),
        "bytes": sum(map(len, files.values())),
        "largest_difference": difference,
        "accepted_otherwise": accepted,
        "images": len(images),
    }


def forward(name: str, steps: list[Step]) -> str:
    """The text of `forward.py`."""
    kinds = dict.fromkeys(step.kind for step in steps)
    functions = "".join(f"\n{_FUNCTIONS[kind]}" for kind in kinds if kind in _FUNCTIONS)
    lines = [
        "def logits(W, x):  # float32 [N,28,28], 0 is paper, 1 is ink",
        '    x = x[:, None] * W["pixel_scale"] + W["pixel_shift"]',
        *(f"    {_LINES[step.kind].format(step.place, **step.numbers)}" for step in steps),
        '    return x / W["temperature"]',
    ]
    begin = _BEGIN.format(name=json.dumps(name, ensure_ascii=True).strip('"'))
    return f"{begin}\n{_LOAD}{functions}\n\n" + "\n".join(lines) + "\n" + _END


def _arrays(subject: Subject, steps: list[Step]) -> dict[str, Any]:
    network = subject.network
    named = {f"{step.place}.{name}": array for step in steps for name, array in step.weights.items()}
    return named | {
        "pixel_scale": network.scale.numpy(),
        "pixel_shift": network.shift.numpy(),
        "temperature": network.temperature.numpy(),
        "threshold": np.float32(subject.threshold),
        "classes": np.array(subject.classes),
    }
