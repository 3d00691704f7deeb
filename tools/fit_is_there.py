"""Fit when a digit on a page is accepted, from reader and locator: `python tools/fit_is_there.py`.

A logistic regression on pages that are drawn with the digits kept apart in the locator's training. What it prints goes
into `_IS_THERE` of `reading/read_page.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from downstroke.augment.pages import Characters, draw_page
from downstroke.data import sources
from downstroke.reading.locate import shared
from downstroke.reading.read_page import Page
from downstroke.reading.reader import Reader

PAGES, SHARE = 240, 0.75
KINDS = ("lines", "form", "none", "lines", "none")


def found(reader: Reader, characters: Characters) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(the evidence and 1 of each digit read, [N,6]; 1 where it is read right, 0 where there is none, [N])."""
    rows, truths = [], []
    for seed in range(PAGES):
        drawn = draw_page(np.random.default_rng((99, seed)), characters, KINDS[seed % len(KINDS)])
        page = Page.of(drawn.image, windows=reader.windows)
        seen, _ = page.candidates(reader.logits(page.glyphs), reader.judge)
        for one in (one for row in seen for one in row):
            overlaps = [shared(one.box, tuple(other.tolist())) for other in drawn.boxes] or [0.0]
            best = int(np.argmax(overlaps))
            if 0.2 <= overlaps[best] <= 0.4:
                continue  # neither a digit nor none
            right = overlaps[best] > 0.4 and drawn.labels[best] == one.logits.argmax()
            if overlaps[best] > 0.4 and not right:
                continue
            rows.append((*one.evidence, 1.0))
            truths.append(int(right))
    return np.array(rows), np.array(truths)


if __name__ == "__main__":
    val = sources.load("mnist", 0).train.take(np.arange(5000))
    x, y = found(Reader.shipped(), Characters(val.images, val.labels))
    weights = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ weights))
        curvature = (x.T * (p * (1 - p))) @ x + 1e-3 * np.eye(len(weights))
        weights += np.linalg.solve(curvature, x.T @ (y - p) - 1e-3 * weights)
    sums = x[:, :-1] @ weights[:-1]
    least = float(np.quantile(sums[y == 1], 1 - SHARE))
    print("_IS_THERE =", (*(round(float(v), 2) for v in weights[:-1]), round(least, 2)))
    print(f"{len(y)} found on {PAGES} pages; of what is none {np.mean(sums[y == 0] >= least):.1%} is accepted still")
