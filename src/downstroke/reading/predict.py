"""Images without labels, each read as one digit: a table to hand in, such as Kaggle's."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstroke.data.unlabelled import Unlabelled
from downstroke.reading.reader import Reader


@dataclass(frozen=True)
class Predictions:
    """`ids`: each image's number from 1, or its path in a folder. `probabilities`: float32 [N, C], rows sum to 1."""

    ids: tuple[int | str, ...]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[index] for index in self.probabilities.argmax(1).tolist()]

    def to_csv(self, *, probabilities: bool = False) -> str:
        """`ImageId,Label`, one row per image; with `probabilities` also a column for each class, 0..1."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["ImageId", "Label", *(self.classes if probabilities else ())])
        for name, label, row in zip(self.ids, self.labels, self.probabilities.tolist(), strict=True):
            table.writerow([name, label, *(f"{value:.6f}" for value in row if probabilities)])
        return text.getvalue()


def predict(reader: Reader, found: Unlabelled) -> Predictions:
    """Read each image. RunError where the reader's weights give no numbers."""
    ids: tuple[int | str, ...] = found.names or tuple(range(1, len(found.images) + 1))
    return Predictions(ids, tuple(map(str, reader.classes)), reader.probabilities(found.images))
