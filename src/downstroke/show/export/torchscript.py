"""TorchScript: the network for programs with torch and without Python, such as those in C++."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from downstroke.runs.files import dumps
from downstroke.runs.outputs import write_output
from downstroke.show.export.fault import naming_the_layer
from downstroke.show.export.subject import Subject, checked_images, refuse_other_answers


def write(subject: Subject, path: Path) -> dict[str, Any]:
    """Trace the network, ask the result, write it, and return what is to be said of it; inputs and outputs as ONNX.

    The facts are in the archive, as `facts.json`. torch calls TorchScript deprecated and still has it.
    """
    images = torch.from_numpy(checked_images())
    module, archive = subject.answers(), io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        with naming_the_layer(module, subject.recipe.model):
            # Of a branch that depends on the images, tracing would keep the way that it took.
            warnings.simplefilter("error", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            traced = torch.jit.trace(module, images[:2])  # type: ignore[no-untyped-call]
        warnings.simplefilter("ignore")
        torch.jit.save(traced, archive, _extra_files={"facts.json": dumps(subject.facts())})
        archive.seek(0)
        probabilities, accept = torch.jit.load(archive)(images)  # type: ignore[no-untyped-call]
    difference, accepted = subject.differs(probabilities.numpy(), accept.numpy())
    refuse_other_answers(path, difference)
    write_output(path, archive.getvalue())
    return {
        "form": "torchscript",
        "file": str(path.resolve()),
        "bytes": len(archive.getvalue()),
        "torch": torch.__version__,
        "largest_difference": difference,
        "accepted_otherwise": accepted,
        "images": len(images),
    }
