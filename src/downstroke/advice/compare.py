"""Two networks on the same val images: which reads better, and whether the difference is more than chance.

The test is paired: how hard an image is cancels out of the difference. Chance here is the choice of the val images and
nothing else: another seed would give the same recipe other weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstroke import display
from downstroke.errors import counted
from downstroke.history import four_decimals

#: 95% of a normal distribution lies within this many standard deviations.
Z95 = 1.959963984540054
#: A difference is more than chance where chance would make as large a one less often than this.
LEVEL = 0.05
#: Below so many images the interval of the losses is too narrow, and that is said.
FEW = 200


@dataclass(frozen=True)
class Comparison:
    """The second network against the first, on N images."""

    images: int  # N
    errors: tuple[int, int]  # misread images
    only_right: tuple[int, int]  # images that the one reads right and the other does not
    p: float  # of the digits: McNemar's test, exact, two-sided
    val_loss: tuple[float, float]  # mean cross-entropy, nats
    difference: float  # of the val losses, second less first
    standard_error: float  # of that difference, paired; NaN for a single image
    interval: tuple[float, float]  # 95%, of that difference

    def _repr_html_(self) -> str:
        names = "the first", "the second"
        return shown_pair(
            {**self.to_dict(), "digits": self.digits(*names, "images"), "losses": self.losses(*names)}, names
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "images": self.images,
            "errors": list(self.errors),
            "accuracy": [1 - errors / self.images for errors in self.errors],
            "only_right": list(self.only_right),
            "p": self.p,
            "val_loss": list(self.val_loss),
            "val_loss_difference": self.difference,
            "val_loss_standard_error": self.standard_error,
            "val_loss_interval": list(self.interval),
        }

    def digits(self, first: str, second: str, what: str = "digits") -> str:
        """The readings in one sentence; `first` and `second` are names."""
        gain = self.errors[0] - self.errors[1]
        if not gain:
            return f"both read {self.images - self.errors[0]:,} of {self.images:,} {what}"
        better, worse = (second, first) if gain > 0 else (first, second)
        chance = "within chance" if self.p >= LEVEL else "more than chance"
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}"
        told = f"the difference is {chance} ({p})"
        return f"{better} reads {abs(gain):,} more of {self.images:,} {what} than {worse}; {told}"

    def losses(self, first: str, second: str) -> str:
        """The val losses in one sentence; `first` and `second` are names."""
        if not self.difference:
            return f"the val losses are equal, {four_decimals(self.val_loss[0])}"
        low, high = self.interval
        better, worse = first, second
        if self.difference < 0:
            better, worse, low, high = second, first, -high, -low
        chance = "more than chance" if low > 0 else "within chance"
        if self.images < FEW:
            chance += f", as far as {counted(self.images, 'image')} can tell"
        # Where the interval leaves 0 out, it is not told as if it began there.
        places = max(4, min(12, -math.floor(math.log10(low)))) if low > 0 else 4
        by, low_told, high_told = (
            f"{value:.{places}f}" if places > 4 else four_decimals(value) for value in (abs(self.difference), low, high)
        )
        return (
            f"the val loss of {better}, {four_decimals(min(self.val_loss))}, is lower than that of {worse} by "
            f"{by} (95% interval {low_told} to {high_told}); "
            f"the difference is {chance}"
        )


def shown_pair(told: Mapping[str, Any], names: Sequence[str]) -> str:
    """A comparison as a notebook shows it, in HTML; `told` is the JSON of `downstroke compare`."""
    rows = [
        (name, four_decimals(told["val_loss"][i]), f"{100 * told['accuracy'][i]:.2f}%", f"{told['errors'][i]:,}")
        for i, name in enumerate(names)
    ]
    sentences = [told[key] for key in ("digits", "losses", "lengths", "damage") if told.get(key)]
    figures = display.table(("", "val loss", "val accuracy", "misread"), rows)
    return display.html(figures, *(display.element("p", line) for line in sentences))


def compare(
    losses: tuple[NDArray[np.floating], NDArray[np.floating]], right: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> Comparison:
    """Compare two networks by their losses on N images, nats, [N] each, and by whether each was read right, [N] each.

    The interval takes the mean of N differences to be normal. Their tail is long: drawn from those of two runs, it held
    the truth 94 times in 100 with 1,000 images, 92 with 200 and 83 with 50.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in losses)
    count = len(first)
    assert count > 0
    assert {len(second), len(right[0]), len(right[1])} == {count}
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    paired = second - first
    difference = float(paired.mean())
    error = float(paired.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return Comparison(
        images=count,
        errors=(int((~right[0]).sum()), int((~right[1]).sum())),
        only_right=only,
        p=mcnemar(*only),
        val_loss=(float(first.mean()), float(second.mean())),
        difference=difference,
        standard_error=error,
        interval=(difference - Z95 * error, difference + Z95 * error),
    )


def lengths(names: tuple[str, str], trained: tuple[int, int], used: tuple[int, int]) -> str | None:
    """That two runs were `trained` for different numbers of epochs, in a sentence; None where they were not.

    `used`: the epochs of the weights that were compared.
    """
    if trained[0] == trained[1]:
        return None
    told = (
        f"{name} for {counted(epochs, 'epoch')} (weights of epoch {epoch})"
        for name, epochs, epoch in zip(names, trained, used, strict=True)
    )
    return f"the runs' epochs differ: {' and '.join(told)}; some of the difference may be longer training"


def mcnemar(one: int, other: int) -> float:
    """How often chance gives a split of `one + other` images at least as uneven as this, each side equally likely.

    McNemar 1947, with the binomial distribution itself instead of its normal approximation: exact, also for a handful.
    """
    total = one + other
    ways, tail = 1, 0  # whole numbers throughout: nothing is rounded before the end
    for k in range(min(one, other) + 1):
        tail += ways
        ways = ways * (total - k) // (k + 1)
    p: float = 2 * tail / 2**total
    return min(1.0, p)


def paired_noise(runs: Sequence[Mapping[int, NDArray[np.floating]]]) -> list[dict[int, float]]:
    """The standard error of each epoch's val loss, run by run, without what all have in common.

    `runs`: epoch -> loss of each val image [N], all on the same N images. From each loss the image's own mean over all
    runs and epochs is taken away first: how hard the images are moves all curves together and tells none from another
    (Cousineau 2005, "Confidence intervals in within-subject designs", with the correction of Morey 2008).
    """
    kept = [losses for run in runs for losses in run.values()]
    if len(kept) < 2 or len(kept[0]) < 2:
        return [{} for _ in runs]
    hard: NDArray[np.float64] = np.stack(kept).mean(0, dtype=np.float64)
    scale = math.sqrt(len(kept) / (len(kept) - 1) / len(hard))
    return [{epoch: float((losses - hard).std(ddof=1)) * scale for epoch, losses in run.items()} for run in runs]
