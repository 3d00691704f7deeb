"""All forms in which weights are exported, and one call that writes those that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from downstroke.errors import DownstrokeError, RecipeError
from downstroke.runs.files import is_stream
from downstroke.runs.outputs import identities, identity, refuse_missing_folder, refuse_output
from downstroke.runs.run import Run

FORMS = ("onnx", "page", "numpy", "torchscript")
_OF_A_RUN = ("best*/*", "last*/*", "*.json", "*.csv", "*.np[yz]")  # files that no export may replace


def export(
    run: Run | None,
    wanted: Mapping[str, Path],
    *,
    int8: bool = False,
    data: str | None = None,
    val_data: str | None = None,
) -> list[dict[str, Any]]:
    """Write the weights of a run (None: the shipped reader) in each form of `FORMS` that `wanted` has a path for.

    Returns one dict per file: `form`, `file`, `bytes`, and what else its form has to say. RecipeError where nothing is
    wanted; DownstrokeError.
    """
    if not wanted:
        raise RecipeError(f"nothing to export: give a file name for at least one of {', '.join(FORMS)}")
    if int8 and "onnx" not in wanted:
        raise RecipeError("int8 changes the ONNX file; give a file name for onnx, too")
    read = [path for path in (data, val_data) if path is not None]
    read += [str(path) for kind in _OF_A_RUN for path in run.folder.glob(kind)] if run else []
    for form, path in wanted.items():
        if form != "numpy":
            refuse_output(path, read)
        elif path.exists() and not path.is_dir():
            raise DownstrokeError(f"{path} is not a folder; give numpy the name of a new or an empty one")
        else:
            refuse_missing_folder(path)
    for form, other in permutations(wanted, 2):
        within = identity(wanted[form]) in identities((wanted[other], wanted[other].absolute().parent))
        if within and not is_stream(wanted[form]):
            raise DownstrokeError(
                f"{wanted[other]} is given as {other}, and as {form} {wanted[form]}: one would replace the other; give "
                f"each a place of its own"
            )
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
