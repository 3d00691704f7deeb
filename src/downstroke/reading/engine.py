"""What computes a reader's logits: ONNX Runtime where it is installed, else torch where it is loaded, else NumPy.
And what computes the locator's output: ONNX Runtime, else NumPy.

ONNX Runtime is the fastest at every batch size, and loads in a tenth of the time of torch; docs/figures.md has the
figures. It is asked once, when a reader is opened, whether it gives what torch or NumPy gives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from downstroke.reading import numpy_network
from downstroke.reading.locator_network import Locator, LocatorOutput, NumpyLocator
from downstroke.reading.onnx_graph import BOXES, HEAT, INK, INPUT, LOGITS, PROBABILITIES, Layer, Scales, locator, reader

if TYPE_CHECKING:
    from downstroke.learning.models import Network

Floats = NDArray[np.float32]
Logits = Callable[[NDArray[np.uint8]], Floats]
TOLERANCE = 1e-3  # of a logit, beside the largest of them: what differs by more is no rounding
_CHECKED = 4  # glyphs


class Engine:
    """uint8 [N,28,28] -> logits, float32 [N,C]; `name`: onnxruntime, torch or numpy."""

    def __init__(self, name: str, logits: Logits) -> None:
        self.name, self._logits = name, logits

    def __call__(self, glyphs: NDArray[np.uint8]) -> Floats:
        return self._logits(glyphs)


class OnnxEngine(Engine):
    """ONNX Runtime, which gives probabilities as well."""

    def __init__(self, session: Any) -> None:
        super().__init__("onnxruntime", lambda glyphs: session.run([LOGITS], {INPUT: glyphs})[0])
        self._session = session

    def probabilities(self, glyphs: NDArray[np.uint8]) -> Floats:
        """uint8 [N,28,28] -> float32 [N,C], each row sums to 1."""
        found: Floats = self._session.run([PROBABILITIES], {INPUT: glyphs})[0]
        return found


def of_network(network: Network) -> Engine:
    """Of a network in torch, which is left as it is: ONNX Runtime where it knows all of its layers, else torch."""
    from downstroke.reading.batch_norm_folding import folded, logits_by_torch, onnx_layers

    own = folded(network)
    by_torch = Engine("torch", logits_by_torch(own))
    layers = onnx_layers(own) if find_spec("onnxruntime") else None
    if layers is None:
        return by_torch
    scales = Scales(*(float(value) for value in (own.scale / 255, own.shift, own.temperature)))
    return _checked(reader(layers, own.classes, scales), by_torch)


def of_arrays(weights: Mapping[str, Floats]) -> Engine:
    """Of the weights of the network `deeper`, its state dict: ONNX Runtime, else NumPy."""
    by_numpy = Engine("numpy", numpy_network.logits_by_numpy(weights))
    if find_spec("onnxruntime") is None:
        return by_numpy
    scale, shift, temperature = (float(weights[name]) for name in ("scale", "shift", "temperature"))
    classes = len(weights[f"net.{numpy_network.LAST}.bias"])
    return _checked(reader(_layers_of(weights), classes, Scales(scale / 255, shift, temperature)), by_numpy)


def _layers_of(weights: Mapping[str, Floats]) -> list[Layer]:
    made = [Layer("SpaceToDepth", attributes={"blocksize": 2})]
    for place, border, pool in numpy_network.LAYERS:
        kernel, summand = numpy_network.batch_norm_folded(weights, place)
        pads = {"pads": (1, 1, 1, 1)} if border else {}
        made += [
            Layer("Conv", (kernel.transpose(3, 2, 0, 1), summand), pads),
            Layer("Relu"),
        ]
        if pool:
            made.append(Layer("MaxPool", attributes={"kernel_shape": (2, 2), "strides": (2, 2)}))
    name = f"net.{numpy_network.LAST}"
    made += [Layer("Transpose", attributes={"perm": (0, 2, 3, 1)}), Layer("Flatten")]
    return [*made, Layer("Gemm", (weights[f"{name}.weight"], weights[f"{name}.bias"]), {"transB": 1})]


def _checked(onnx: bytes, other: Engine) -> Engine:
    """ONNX Runtime with the model, where it gives what the other gives; else the other."""
    try:
        found = OnnxEngine(_session(onnx))
        glyphs = np.random.default_rng(0).integers(0, 256, (_CHECKED, 28, 28), np.uint8)
        given, expected = found(glyphs), other(glyphs)
    except Exception:  # what a foreign library raises for a model that it cannot run; there is another engine
        return other
    largest = max(1.0, float(np.abs(expected).max()))
    # Weights that give no numbers are reported by whoever reads with them, whichever engine it is.
    return found if np.allclose(given, expected, 0, TOLERANCE * largest, equal_nan=True) else other


def locator_of_arrays(arrays: Mapping[str, NDArray[np.float16]]) -> Locator:
    """A locator of what `learning.locator.arrays` gives: ONNX Runtime where it gives what NumPy gives, else NumPy."""
    by_numpy = NumpyLocator(arrays)
    if find_spec("onnxruntime") is None:
        return by_numpy
    stems = [name.removesuffix(".bias") for name in arrays if name.endswith(".bias")]
    weights = {
        stem: (
            arrays[f"{stem}.kernel"].astype(np.float32).transpose(3, 2, 0, 1),
            arrays[f"{stem}.bias"].astype(np.float32),
        )
        for stem in stems
    }
    try:
        found = OnnxLocator(_session(locator(weights)))
        x = np.random.default_rng(0).normal(size=(48, 80)).astype(np.float32)
        given, expected = found(x), by_numpy(x)
    except Exception:  # as in _checked
        return by_numpy
    same = (np.allclose(getattr(given, part), getattr(expected, part), 0, TOLERANCE) for part in (HEAT, BOXES, INK))
    return found if all(same) else by_numpy


class OnnxLocator(Locator):
    """A locator that ONNX Runtime computes."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def padded(self, x: Floats) -> LocatorOutput:
        heat, boxes, ink = self._session.run([HEAT, BOXES, INK], {INPUT: x})
        return LocatorOutput(heat[0], boxes[0], ink[0, 0])


def _session(onnx: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def _threads() -> int:
    """As many as torch has where it is loaded; else those that OMP_NUM_THREADS gives, 0 for one a core."""
    if torch := sys.modules.get("torch"):
        return int(torch.get_num_threads())
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else 0
