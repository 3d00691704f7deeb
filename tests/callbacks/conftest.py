"""What each framework is given to train: data that can only be overfitted, and a small network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Noise = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def noise() -> Noise:
    """Inputs [80, 8] and labels [80] that have nothing to do with each other: there is only overfitting to be had."""
    chance = np.random.default_rng(0)
    return chance.standard_normal((80, 8)).astype(np.float32), chance.integers(0, 2, 80)


@pytest.fixture
def layers() -> Callable[[], Any]:
    """Makes a network from 8 inputs to the logits of 2 classes, the same each time."""
    import torch

    def made() -> Any:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    return made


@pytest.fixture
def lightning_module(layers: Callable[[], Any]) -> Any:
    """A module of Lightning that logs `train_loss` and `val_loss`."""
    lightning = pytest.importorskip("lightning")
    import torch

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = layers()

        def training_step(self, batch: Any, _: int) -> Any:
            loss = torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_loss", torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    return Module()


@pytest.fixture
def loaders(noise: Noise) -> Callable[[int], list[Any]]:
    """Makes a loader of 40 rows to train on and one of 40 for val, in batches of a size."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    x, y = map(torch.from_numpy, noise)
    return lambda size: [DataLoader(TensorDataset(x[a:b], y[a:b]), batch_size=size) for a, b in ((0, 40), (40, 80))]
