"""The reader that comes with downstroke: a W made by `downstroke train reader`, and the record of how it was made."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downstroke.errors import CheckpointError
from downstroke.learning import models
from downstroke.learning.models import Network
from downstroke.recipe import Recipe

HOME = Path(__file__).with_name("shipped")
WEIGHTS, RECORD = "reader.safetensors", "reader.json"


@dataclass(frozen=True)
class Shipped:
    """A W ready to read with."""

    network: Network  # in evaluation mode; its temperature is set
    classes: tuple[str, ...]
    threshold: float  # the least `refusal.score` that is accepted
    record: dict[str, Any]  # command, seed, recipe, val figures, checksum

    @property
    def note(self) -> str:
        """What it is, in words."""
        return f"the shipped reader (val accuracy {self.record['val']['accuracy']:.2%})"


@functools.cache
def shipped() -> Shipped:
    """The shipped reader; loaded once. Raises CheckpointError where its files are missing or not those that were made.

    >>> shipped().classes
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    return load(HOME)


def load(folder: Path) -> Shipped:
    """The reader in `folder`, its checksum verified."""
    from safetensors.torch import load as tensors

    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        data = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the reader in {folder} cannot be read ({error}); install downstroke again") from None
    found = hashlib.sha256(data).hexdigest()
    if found != record["sha256"]:
        raise CheckpointError(
            f"{folder / WEIGHTS} has the SHA-256 {found}, expected {record['sha256']}; install downstroke again"
        )
    network = models.build(Recipe.from_dict(record["recipe"]), len(record["classes"]))
    network.load_state_dict(tensors(data))
    return Shipped(network.eval(), tuple(record["classes"]), record["threshold"], record)
