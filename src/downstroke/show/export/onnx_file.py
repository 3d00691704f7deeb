"""ONNX: the network as a file that many programs run.

The graph of a row of layers that we know is written here; that of any other model by torch's own exporter, and its
8-bit form by ONNX Runtime's quantization.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from downstroke.data.dataset import Part
from downstroke.errors import DownstrokeError, to_install
from downstroke.learning.models import Network
from downstroke.reading.batch_norm_folding import onnx_layers
from downstroke.reading.onnx_graph import ACCEPT, INPUT, OPSET, PROBABILITIES, Scales, exported
from downstroke.runs.outputs import write_output
from downstroke.show.export.fault import naming_the_layer, node_at_fault, unfit
from downstroke.show.export.subject import (
    Subject,
    as_images,
    as_text,
    checked_images,
    refuse_other_answers,
)

OUTPUTS = (PROBABILITIES, ACCEPT)
_CALIBRATED = 500  # training images from which the ranges of 8-bit values are taken
_AT_ONCE = 250


def write(
    subject: Subject, path: Path, *, int8: bool = False, data: str | None = None, val_data: str | None = None
) -> dict[str, Any]:
    """Make ONNX of the network, ask ONNX Runtime for 1,000 images, write it, and return what is to be said of the file.

    Input `images`, float32 [N,1,28,28], 0..1; outputs `probabilities`, float32 [N,C], and `accept`, bool [N].
    `int8`: weights and values between layers in 8 bits; its accuracy on val is measured, on the run's data, which may
    be at `data` now. Raises DownstrokeError that names the layer of a model that cannot be exported.
    """
    parts = subject.parts(data, val_data) if int8 else None  # before the work: the data may be gone
    facts = as_text(subject.facts() | ({"weights": "int8"} if int8 else {}))
    seen = parts[0].images[:_CALIBRATED] if parts else None
    model = serialized(subject, facts, seen)
    difference, accepted = subject.differs(*answers(model, checked_images()))
    if not int8:
        refuse_other_answers(path, difference)
    on_val = _on_val(subject, model, parts[1]) if parts else {}
    write_output(path, model)
    return {
        "form": "onnx",
        "file": str(path.resolve()),
        "bytes": len(model),
        "opset": OPSET,
        "int8": int8,
        "largest_difference": difference,
        "accepted_otherwise": accepted,
        "images": len(checked_images()),
        **on_val,
    }


def answers(model: bytes, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What ONNX Runtime makes of float32 [N,1,28,28] with the model: (probabilities [N,C], accept [N])."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = [session.run(OUTPUTS, {INPUT: images[at : at + _AT_ONCE]}) for at in range(0, len(images), _AT_ONCE)]
    return np.concatenate([y for y, _ in found]), np.concatenate([accept for _, accept in found])


def serialized(subject: Subject, facts: dict[str, str], seen: NDArray[np.uint8] | None) -> bytes:
    """The model; in 8 bits where there are images, uint8 [N,28,28], from which its ranges are `seen`."""
    network = subject.network
    layers = onnx_layers(network)
    if layers is None:
        return _of_any(subject, facts, seen)
    scales = Scales(*(float(value) for value in (network.scale, network.shift, network.temperature)))
    ranges = None if seen is None else _ranges(network, seen)
    return exported(layers, network.classes, scales, threshold=subject.threshold, facts=facts, ranges=ranges)


def _ranges(network: Network, images: NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Of what goes into each layer with weights, in order, the least and the largest value."""
    found: list[tuple[float, float]] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append((float(given[0].min()), float(given[0].max())))

    weighed = [layer for layer in network.net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    held = [layer.register_forward_pre_hook(note) for layer in weighed]
    with torch.inference_mode():
        network(torch.from_numpy(images))
    for handle in held:
        handle.remove()
    return found


def _of_any(subject: Subject, facts: dict[str, str], seen: NDArray[np.uint8] | None) -> bytes:
    """As `serialized`, by torch's exporter."""
    import onnx

    model = converted(subject.answers(), torch.zeros(2, 1, 28, 28), INPUT, OUTPUTS, subject.recipe.model)
    if seen is not None:
        model = _in_8_bits(model, seen)
    onnx.helper.set_model_props(model, facts)
    model.producer_name = "downstroke"
    onnx.checker.check_model(model, full_check=True)
    written: bytes = model.SerializeToString()
    return written


def converted(module: nn.Module, example: Tensor, given: str, made: Sequence[str], name: str) -> Any:
    """An `onnx.ModelProto` of a module of one input, whose first dimension is as long as one likes.

    `name`: what an error calls the model. Raises DownstrokeError.
    """
    refuse_missing("onnx", "onnxscript", "onnxruntime")
    any_number = ({0: torch.export.Dim("N")},)
    with naming_the_layer(module, name), _quiet():
        module(torch.cat([example, example[:1]]))  # another number of images: does each layer take it?
        program = torch.export.export(module, (example,), dynamic_shapes=any_number)
    try:
        with _quiet():
            done = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=any_number,
                input_names=[given],
                output_names=made,
                verbose=False,
            )
    except Exception as error:
        raise unfit(module, name, node_at_fault(error), error) from error
    assert done is not None
    model = done.model_proto
    _forget_places(model)
    return model


def refuse_missing(*packages: str) -> None:
    """DownstrokeError where one of these is missing."""
    for package in packages:
        if find_spec(package) is None:
            raise DownstrokeError(f"{package} is not installed; to have it: {to_install('onnx')}")


def _in_8_bits(model: Any, seen: NDArray[np.uint8]) -> Any:
    """The same with the weights, and the values between layers, of its convolutions and products in 8 bits."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Seen(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(np.array_split(as_images(seen), 5))

        def get_next(self) -> dict[str, Any] | None:
            images = next(self.left, None)
            return None if images is None or not len(images) else {INPUT: images}

    with tempfile.TemporaryDirectory(prefix="downstroke-export-") as home, _quiet():
        out = Path(home) / "int8.onnx"
        quantize_static(
            model,
            out,
            Seen(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return onnx.load(out)


def _on_val(subject: Subject, model: bytes, val: Part) -> dict[str, Any]:
    """The model on the val images, beside the network as it was: accuracies 0..1, null where there is no val."""
    if not len(val):
        return {"val_images": 0, "val_accuracy": None, "val_accuracy_before": None}
    before = subject.network.probabilities(torch.from_numpy(val.images)).argmax(1).numpy()
    now = answers(model, as_images(val.images))[0].argmax(1)
    shares = (float((found == val.labels).mean()) for found in (now, before))
    return {"val_images": len(val), **dict(zip(("val_accuracy", "val_accuracy_before"), shares, strict=True))}


def _forget_places(model: Any) -> None:
    """Take out what torch noted for its developers: lines of code, with where they lie on this machine."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph, model):
        del part.metadata_props[:]
        part.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters tell their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
