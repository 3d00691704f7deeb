"""All forms in which weights are exported, and one call that writes those that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError, RecipeError
from downstroke.runs.run import Run

FORMS = ("onnx", "page", "numpy", "torchscript")


def export(
    run: Run | None,
    wanted: Mapping[str, Path],
    *,
    int8: bool = False,
    data: str | None = None,
    val_data: str | None = None,
) -> list[dict[str, Any]]:
    """Write the weights of a run (None: the shipped reader) in each form of `FORMS` that `wanted` has a path for.

    Returns a dict a file: `form`, `file`, `bytes`, and what else its form has to say. RecipeError where nothing is
    wanted; DownstrokeError.
    """
    if not wanted:
        raise RecipeError(f"nothing to export: say at least one of {', '.join(f'--{form}' for form in FORMS)}")
    if int8 and "onnx" not in wanted:
        raise RecipeError("--int8 is a form of --onnx; say --onnx FILE too")
    for form, path in wanted.items():
        if not path.resolve().parent.is_dir():
            raise DownstrokeError(f"{path}: there is no folder {path.parent}; make it first")
        if form != "numpy" and path.is_dir():
            raise DownstrokeError(f"{path} is a folder; give --{form} the name of a file")
    if "onnx" in wanted:
        from downstroke.show.export.onnx_file import refuse_missing

        refuse_missing("onnxruntime")
    from downstroke.show.export import numpy_folder, onnx_file, page, torchscript
    from downstroke.show.export.subject import Subject

    subject = Subject.of(run)
    made = {
        "onnx": lambda path: onnx_file.write(subject, path, int8=int8, data=data, val_data=val_data),
        "page": lambda path: page.write(subject, path),
        "numpy": lambda path: numpy_folder.write(subject, path),
        "torchscript": lambda path: torchscript.write(subject, path),
    }
    return [made[form](wanted[form]) for form in FORMS if form in wanted]
