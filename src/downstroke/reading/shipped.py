"""The reader that comes with downstroke: weights made by `downstroke train reader`, and the record of how it was made.

A process that has not loaded torch reads without it: see `numpy_network.py`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downstroke.errors import CheckpointError

if TYPE_CHECKING:
    from downstroke.learning.models import Network
    from downstroke.reading.engine import Engine
    from downstroke.reading.locator_network import Locator

HOME = Path(__file__).with_name("shipped")
WEIGHTS, RECORD = "reader.safetensors", "reader.json"
LOCATOR, LOCATOR_RECORD = "locator.safetensors", "locator.json"


@dataclass(frozen=True)
class Shipped:
    """The shipped weights as bytes, verified against their record."""

    weights: bytes  # safetensors
    record: dict[str, Any]  # command, seed, recipe, val figures, checksum

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.record["classes"])

    @property
    def threshold(self) -> float:
        """The least `refusal.score` that is accepted."""
        return float(self.record["threshold"])

    @property
    def val_accuracy(self) -> float:
        """0..1, on MNIST's val images."""
        return float(self.record["val"]["accuracy"])

    @property
    def note(self) -> str:
        """What it is, in words."""
        return f"the shipped reader (val accuracy {self.val_accuracy:.2%})"

    @functools.cached_property
    def network(self) -> Network:
        """For torch: in evaluation mode; its temperature is set."""
        from safetensors.torch import load as tensors

        from downstroke.learning import models
        from downstroke.recipe import Recipe

        network = models.build(Recipe.from_dict(self.record["recipe"]), len(self.classes))
        network.load_state_dict(tensors(self.weights))
        return network.eval()

    def engine(self) -> Engine:
        """uint8 [N,28,28] -> logits, float32 [N,C]; torch is used where it is loaded already, and never loaded."""
        from downstroke.reading import engine, numpy_network

        if "torch" not in sys.modules and self.record["recipe"]["model"] == numpy_network.MODEL:
            from safetensors.numpy import load as arrays

            return engine.of_arrays(arrays(self.weights))
        return engine.of_network(self.network)


@functools.cache
def shipped() -> Shipped:
    """The shipped reader; loaded once. Raises CheckpointError where its files are missing or not those that were made.

    >>> shipped().classes
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    return load(HOME)


@functools.cache
def locator() -> Locator:
    """The shipped locator; loaded once. Raises CheckpointError as `shipped` does."""
    from safetensors.numpy import load as arrays

    from downstroke.reading.engine import locator_of_arrays

    weights, _ = _verified(HOME, "locator", LOCATOR, LOCATOR_RECORD)
    return locator_of_arrays(arrays(weights))


def load(folder: Path) -> Shipped:
    """The reader in `folder`, its checksum verified."""
    return Shipped(*_verified(folder, "reader", WEIGHTS, RECORD))


def _verified(folder: Path, what: str, weights_name: str, record_name: str) -> tuple[bytes, dict[str, Any]]:
    """(weights, record) of what is shipped in a folder. Raises CheckpointError where the checksum is another."""
    try:
        record = json.loads((folder / record_name).read_text(encoding="utf-8"))
        weights = (folder / weights_name).read_bytes()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the {what} in {folder} cannot be read ({error}); install downstroke again") from None
    found = hashlib.sha256(weights).hexdigest()
    if found != record["sha256"]:
        raise CheckpointError(
            f"{folder / weights_name} has the SHA-256 {found}, expected {record['sha256']}; install downstroke again"
        )
    return weights, record
