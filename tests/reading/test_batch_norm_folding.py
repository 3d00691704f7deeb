"""Reading takes fewer operations than training, and gives the same logits."""

import numpy as np
import pytest
import torch
from torch import nn

from downstroke.data.dataset import Dataset
from downstroke.learning import models
from downstroke.learning.evaluate import read_logits
from downstroke.learning.models import Network
from downstroke.reading.batch_norm_folding import folded, logits_by_torch
from downstroke.reading.reader import Reader
from downstroke.recipe import Recipe


def as_if_trained(net: nn.Module, images: torch.Tensor, least: float = 0.5) -> Network:
    """Scales from `least` to 1.5, shifts, and batch statistics of real images."""
    network = net if isinstance(net, Network) else Network(net, 10)
    random = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.uniform_(layer.weight, least, 1.5, generator=random)
            nn.init.normal_(layer.bias, generator=random)
    network.train()
    for _ in range(5):
        network(images)
    network.temperature.fill_(0.7)
    return network.eval()


def norms(network: Network) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize("name", list(models.MODELS))
def test_a_folded_network_gives_the_same_logits(mnist: Dataset, name: str) -> None:
    images = torch.from_numpy(mnist.train.images[:300])
    network = as_if_trained(models.build(Recipe(model=name), 10), images)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = folded(network)
    torch.testing.assert_close(read_logits(made, images), read_logits(network, images), rtol=1e-4, atol=1e-4)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_batch_normalisation_goes_into_the_convolution_before_it(mnist: Dataset) -> None:
    images = torch.from_numpy(mnist.train.images[:300])
    assert norms(folded(as_if_trained(models.build(Recipe(model="cnn"), 10), images))) == 0


ROWS: dict[str, tuple[list[nn.Module], float, int]] = {  # layers, the least scale, norms that stay
    "after pooling, with a scale below 0": ([nn.MaxPool2d(4), nn.BatchNorm2d(8)], -1.5, 1),
    "after pooling, without a scale": ([nn.MaxPool2d(4), nn.BatchNorm2d(8, affine=False)], 0.5, 0),
    "with a ReLU between": ([nn.ReLU(), nn.BatchNorm2d(8), nn.AvgPool2d(4)], 0.5, 1),
    "by each batch's own statistics": ([nn.BatchNorm2d(8, track_running_stats=False), nn.AvgPool2d(4)], 0.5, 1),
}


@pytest.mark.parametrize("row", list(ROWS))
def test_what_cannot_be_folded_stays(mnist: Dataset, row: str) -> None:
    layers, least, stay = ROWS[row]
    net = nn.Sequential(nn.Conv2d(1, 8, 5), *layers, nn.Flatten(), nn.Linear(288, 10))
    images = torch.from_numpy(mnist.train.images[:300])
    network = as_if_trained(net, images, least)
    made = folded(network)
    assert norms(made) == stay
    torch.testing.assert_close(read_logits(made, images), read_logits(network, images), rtol=1e-4, atol=1e-4)


def test_many_glyphs_at_once_are_read_as_one_by_one(mnist: Dataset) -> None:
    glyphs = mnist.train.images[:600]
    network = as_if_trained(models.build(Recipe(), 10), torch.from_numpy(glyphs))
    reader = Reader(logits_by_torch(folded(network)), tuple("0123456789"))
    y = reader.probabilities(glyphs)
    assert y.shape == (600, 10)
    assert reader.probabilities(glyphs[:0]).shape == (0, 10)
    np.testing.assert_allclose(y.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(y, network.probabilities(torch.from_numpy(glyphs)).numpy(), atol=1e-5)
    np.testing.assert_allclose(
        y[:3], np.concatenate([reader.probabilities(glyphs[i : i + 1]) for i in range(3)]), atol=1e-5
    )
