"""Whatever computes the logits gives the same: ONNX Runtime, torch and NumPy."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import downstroke
from downstroke.data.dataset import Dataset
from downstroke.errors import RunError
from downstroke.learning import models
from downstroke.learning.models import MODELS, Network
from downstroke.reading import engine, onnx_graph
from downstroke.reading.batch_norm_folding import folded, onnx_layers
from downstroke.reading.locator_network import NumpyLocator
from downstroke.reading.reader import Reader
from downstroke.reading.shipped import HOME, LOCATOR, shipped
from downstroke.recipe import Recipe

pytest.importorskip("onnxruntime")


def network(model: str) -> Network:
    """Batch statistics as after a few steps, a temperature and a pixel scale."""
    made = models.build(Recipe(model=model, seed=1), 10)
    torch.manual_seed(0)
    made.measure(torch.randint(0, 256, (50, 28, 28), dtype=torch.uint8))
    made(torch.rand(64, 28, 28))
    made.temperature.fill_(0.7)
    with torch.no_grad():  # scales below 0 keep a normalisation behind its pooling
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight[::2] *= -1
    return made.eval()


def bytes_of(made: Network) -> bytes:
    layers = onnx_layers(folded(made))
    assert layers is not None
    scales = (float(value) for value in (made.scale / 255, made.shift, made.temperature))
    return onnx_graph.reader(layers, 10, onnx_graph.Scales(*scales))


@pytest.mark.parametrize("model", MODELS)
def test_onnx_runtime_gives_what_torch_gives(model: str, mnist: Dataset) -> None:
    made = network(model)
    found = engine.of_network(made)
    assert isinstance(found, engine.OnnxEngine)
    glyphs = mnist.train.images[:7]
    with torch.inference_mode():
        expected = made(torch.from_numpy(glyphs))
    np.testing.assert_allclose(found(glyphs), expected, atol=1e-4)
    np.testing.assert_allclose(found.probabilities(glyphs), expected.softmax(1), atol=1e-5)


def test_the_shipped_reader_reads_the_same_with_numpy_and_onnx_runtime(mnist: Dataset) -> None:
    from safetensors.numpy import load

    weights = load(shipped().weights)
    found = engine.of_arrays(weights)
    assert found.name == "onnxruntime"
    glyphs = mnist.train.images[:20]
    np.testing.assert_allclose(found(glyphs), engine.numpy_network.logits_by_numpy(weights)(glyphs), atol=1e-4)


def locator_weights() -> dict[str, NDArray[np.float16]]:
    from safetensors.numpy import load

    return load((HOME / LOCATOR).read_bytes())


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (160, 96)])
def test_the_shipped_locator_says_the_same_with_numpy_and_onnx_runtime(shape: tuple[int, int]) -> None:
    found = engine.locator_of_arrays(locator_weights())
    assert isinstance(found, engine.OnnxLocator)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    given, expected = found(x), NumpyLocator(locator_weights())(x)
    for one, other in zip(astuple(given), astuple(expected), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_locator_that_onnx_runtime_computes_otherwise_is_computed_by_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    right = onnx_graph.locator

    def wrong(weights: onnx_graph.Weights) -> bytes:
        kernel, bias = weights["ink"]
        return right({**weights, "ink": (kernel, bias + 1)})

    monkeypatch.setattr(engine, "locator", wrong)
    assert isinstance(engine.locator_of_arrays(locator_weights()), NumpyLocator)


@pytest.mark.parametrize("model", ["cnn", "deeper", "tiny"])
def test_the_model_is_what_onnx_itself_calls_one(model: str) -> None:
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load_from_string(bytes_of(network(model))), full_check=True)


def test_a_layer_that_is_not_known_is_left_to_torch() -> None:
    own = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softsign()), 10)
    assert engine.of_network(own).name == "torch"


def test_what_answers_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Scales", lambda scale, shift, _: onnx_graph.Scales(scale, shift, 2.0))
    assert engine.of_network(network("mlp")).name == "torch"


def test_without_onnx_runtime_torch_reads_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    assert engine.of_network(network("mlp")).name == "torch"
    assert Reader.shipped().engine == "torch"


def test_a_reader_says_what_computes(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(data=str(tiny), model="mlp", epochs=1, runs_dir=tmp_path, progress=False)
    assert run.reader().engine == "onnxruntime"
    assert Reader(lambda glyphs: np.zeros((len(glyphs), 10), np.float32), tuple("0123456789")).engine == "a function"


def test_probabilities_and_logits_are_of_one_mind(mnist: Dataset) -> None:
    reader = Reader.shipped()
    glyphs = mnist.train.images[:501]  # more than are read at once
    logits = reader.logits(glyphs)
    y = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(reader.probabilities(glyphs), y / y.sum(1, keepdims=True), atol=1e-6)


def test_weights_that_give_no_numbers_are_refused_whatever_computes() -> None:
    made = network("mlp")
    with torch.no_grad():
        next(made.parameters()).fill_(float("nan"))
    reader = Reader(engine.of_network(made), tuple("0123456789"))
    for read in (reader.logits, reader.probabilities):
        with pytest.raises(RunError, match="gives no numbers"):
            read(np.zeros((1, 28, 28), np.uint8))
