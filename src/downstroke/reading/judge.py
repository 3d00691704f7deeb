"""From the logits of a glyph to a decision: the digit, its probability, and whether it is accepted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from downstroke.glyphs.glyph import Box
from downstroke.reading import refusal
from downstroke.reading.outcome import Digit, Steps

Floats = refusal.Floats
DIGITS = tuple(range(10))
_VERY_THIN, _VERY_BROAD = 1.4, 4.5  # pixels of the box of 20: one in a hundred of MNIST's strokes is beyond


@dataclass(frozen=True)
class Judge:
    """`classes`: their names; `threshold`: a glyph whose `refusal.score` is below it is refused; `negatives`: whether
    the network was trained with negatives, glyphs of no digit."""

    classes: tuple[int | str, ...]
    threshold: float
    negatives: bool

    def certainty(self, logits: Floats) -> Floats:
        """For each glyph, the probability of its best class times the probability that it is a digit: [N,C] -> [N]."""
        y: Floats = refusal.softmax(logits).max(axis=1)
        return y * refusal.digit_probability(logits) if self.negatives else y

    def accepts(self, logits: Floats) -> bool:
        """Whether the reading of one glyph is accepted, from its logits [C]."""
        return bool(refusal.score(logits[None])[0] >= self.threshold)

    def digit(self, logits: Floats, box: Box, warnings: list[str], steps: Steps | None, *, there: bool = True) -> Digit:
        """The reading of one glyph from its logits [C]; refused where it may be no digit."""
        y = refusal.softmax(logits[None])[0]
        first, second = (int(i) for i in np.argsort(-y, kind="stable")[:2]) if len(y) > 1 else (0, 0)
        if second != first and y[second] > 0.2:
            warnings = [*warnings, f"could also be {self.classes[second]} ({y[second]:.0%})"]
        probabilities = [float(p) for p in y]
        accepted = there and self.accepts(logits)
        return Digit(self.classes[first], float(y[first]), probabilities, box, accepted, warnings, steps)


def about_stroke(stroke: float) -> list[str]:
    """Warnings about a stroke width, given in pixels of the 20x20 box."""
    if stroke < _VERY_THIN:
        return ["very thin stroke, thickened"]
    return ["very broad stroke, thinned"] if stroke > _VERY_BROAD else []
