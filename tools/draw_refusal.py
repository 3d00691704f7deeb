"""Draw docs/pictures/refusal.png and print its table: what each threshold of refusal accepts.

python tools/draw_refusal.py [DIR]      DIR: a folder laid out as for `downstroke bench reading`
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstroke.augment import negatives, variation
from downstroke.data import sources
from downstroke.errors import PictureError
from downstroke.glyphs.glyph import looks
from downstroke.glyphs.window import all_looks
from downstroke.learning.evaluate import Evaluation, calibration_error, read_logits
from downstroke.reading import refusal
from downstroke.reading.shipped import Shipped, shipped
from downstroke.recipe import Recipe
from downstroke.runs.parts import Parts
from downstroke.show.style import INK, MUTED, RUN_COLOURS, drawing, heading

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "refusal.png"
UNREADABLE = -30.0  # the score of a picture in which no glyph is found: it is refused whatever the threshold


def drawn_strays(images: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Non-digits drawn as those of the recipe are, from val digits and other numbers: float32 [N,28,28]."""
    digits = images.float() / 255
    numbers = variation.draw(seed, 1, len(digits), negatives.NUMBERS)
    made, kinds = negatives.draw(digits, labels, digits.roll(1, 0), labels.roll(1, 0), numbers)
    return made[kinds == 10]


def read_set(reader: Shipped, path: Path) -> tuple[Tensor, refusal.Floats, NDArray[np.int64]]:
    """(logits, scores, labels) of a set of pictures, each taken as one digit."""
    with np.load(path, allow_pickle=False) as entries:
        pictures, labels = entries["images"], entries["labels"].astype(np.int64)
    logits, scores = np.zeros((len(pictures), 10), np.float32), np.full(len(pictures), UNREADABLE)
    for i, picture in enumerate(pictures):
        with suppress(PictureError):
            glyphs = all_looks(picture, looks(picture))
            logits[i] = refusal.of_looks(read_logits(reader.network, torch.from_numpy(glyphs)).numpy())
            scores[i] = refusal.score(logits[i : i + 1])[0]
    return torch.from_numpy(logits), scores, labels


def share(scores: refusal.Floats, reader: Shipped) -> float:
    return float((scores >= reader.threshold).mean())


def main() -> None:
    torch.set_num_threads(1)
    reader = shipped()
    recipe = Recipe.from_dict(reader.record["recipe"])
    val = Parts(sources.load(recipe.data, recipe.split_seed), recipe).val
    images, labels = torch.from_numpy(val.images), torch.from_numpy(val.labels)
    on_val = refusal.score(read_logits(reader.network, images).numpy())
    synthetic = refusal.score(read_logits(reader.network, drawn_strays(images, labels, seed=1)).numpy())
    pairs = {"MNIST's val digits, drawn non-digits": (on_val, synthetic)}
    print(f"val digits accepted {share(on_val, reader):.1%}, drawn non-digits {share(synthetic, reader):.1%}")

    if len(sys.argv) > 1:
        home, digits = Path(sys.argv[1]), []
        for path in sorted(home.glob("glyphs/*.npz")):
            logits, scores, truth = read_set(reader, path)
            read = Evaluation.of(logits, torch.from_numpy(truth))
            right, digits = scores[read.predictions == truth], [*digits, scores]
            print(
                f"{path.stem}: accuracy {read.accuracy:.1%}, ECE {calibration_error(read):.1%}, accepted "
                f"{share(scores, reader):.1%}, of those read right {share(right, reader):.1%}"
            )
        others = np.concatenate([read_set(reader, path)[1] for path in sorted(home.glob("not-digits/*.npz"))])
        print(f"not-digits: accepted {share(others, reader):.1%} of {len(others)}")
        pairs["MNIST's val digits, letters and signs"] = (on_val, others)
        pairs["digits of other pens, letters and signs"] = (np.concatenate(digits), others)

    with drawing(PICTURE, 900, 520) as figure:
        heading(figure, "What each threshold accepts", "the ring is the threshold shipped: 99% of MNIST's val digits")
        ax = figure.add_axes((84 / 900, 52 / 520, 780 / 900, 396 / 520))
        for colour, (name, (digits_of, negatives_of)) in zip(RUN_COLOURS, pairs.items(), strict=False):
            _, accepted, wrongly = refusal.curve(digits_of, negatives_of)
            ax.plot(100 * wrongly, 100 * accepted, color=colour, linewidth=2, label=name)
            at = (100 * share(negatives_of, reader), 100 * share(digits_of, reader))
            ax.plot(*at, marker="o", markersize=11, markerfacecolor="none", markeredgecolor=INK, linestyle="")
        ax.axvline(5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        ax.axhline(95, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        ax.set_xlabel("non-digits accepted (%)")
        ax.set_ylabel("digits accepted (%)")
        ax.set_xlim(0, 40)
        ax.set_ylim(60, 100.5)
        ax.legend(loc="lower right", frameon=False)


if __name__ == "__main__":
    main()
