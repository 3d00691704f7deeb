"""What one would pick instead to read digits: programs that read text, where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Of a picture uint8 [H,W] and whether it is a single digit, the digits it reads; `|` between lines.
Reads = Callable[[NDArray[np.uint8], bool], str]
_LEAST, _RIM = 96, 32  # pixels: what is smaller is made larger and gets a rim of paper, which helps both


def installed() -> dict[str, Reads]:
    """Those that are here, by name and version."""
    return {name: reads for find in (_rapidocr, _tesseract) for name, reads in find().items()}


def _rapidocr() -> dict[str, Reads]:
    try:
        from importlib.metadata import version

        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        return {}
    engine = RapidOCR()

    def reads(grey: NDArray[np.uint8], single: bool) -> str:
        picture = cv2.cvtColor(_ready(grey), cv2.COLOR_GRAY2BGR)
        if single:  # it finds no text in so small a picture: let it recognise without
            found, _ = engine(picture, use_det=False, use_cls=False, use_rec=True)
            return _digits(found[0][0]) if found else ""
        found, _ = engine(picture)
        return "|".join(filter(None, map(_digits, _lines(found or []))))

    return {f"RapidOCR {version('rapidocr-onnxruntime')}": reads}


def _lines(found: list[Any]) -> list[str]:
    """The texts of boxes [corners, text, score], joined where they stand beside each other."""
    lines: list[tuple[float, float, list[tuple[float, str]]]] = []
    for corners, text, _ in sorted(found, key=lambda box: float(np.mean([y for _, y in box[0]]))):
        (left, top), (_, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
        middle = (top + bottom) / 2
        if lines and abs(middle - lines[-1][0]) < max(bottom - top, lines[-1][1]) / 2:
            lines[-1][2].append((float(left), text))
        else:
            lines.append((float(middle), float(bottom - top), [(float(left), text)]))
    return ["".join(text for _, text in sorted(line)) for _, _, line in lines]


def _tesseract() -> dict[str, Reads]:
    program = shutil.which("tesseract")
    if program is None:
        return {}
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()

    def reads(grey: NDArray[np.uint8], single: bool) -> str:
        content = cv2.imencode(".png", _ready(grey))[1].tobytes()
        mode = "10" if single else "6"  # one character; one block of text
        command = [program, "stdin", "stdout", "--psm", mode, "-c", "tessedit_char_whitelist=0123456789"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        done = subprocess.run(command, input=content, capture_output=True, check=False, env=environment)
        return "|".join(filter(None, map(_digits, done.stdout.decode(errors="replace").splitlines())))

    return {f"Tesseract {told[1] if len(told) > 1 else ''}".strip(): reads}


def _ready(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark on light, as print is; what is small is made larger."""
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    grey = 255 - grey if np.median(rim) < 96 else grey
    least = min(grey.shape)
    if least >= _LEAST:
        return grey
    times = -(-_LEAST // least)
    larger = cv2.resize(grey, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(larger, _RIM, _RIM, _RIM, _RIM, cv2.BORDER_REPLICATE), np.uint8)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isdigit())
