"""Whether images of digits are transposed (rows and columns exchanged), as in EMNIST's files.

Each class's mean image is compared with that of MNIST, as it is and transposed. What is not a digit, such as the
clothes of Fashion-MNIST under the labels 0 to 9, is like neither, and nothing is said of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from downstroke.data.dataset import Part
from downstroke.glyphs.glyph import SIZE

_CELLS = 7  # a side
_MEANS = (  # of the training images of MNIST, a line per class: 7x7 cells by row, the darkest of a class 15 (f)
    "0000000003cd4002cbab007c25c10a93b8005ff9100011000",
    "00000000006710000a700000f200003e10001691000000000",
    "0001100017ca200145b300148b2005dfb5104a86400000000",
    "0000000028da200149c20007fc200223c4005bda200022000",
    "000000000224300295a4005e9f30037cb2000275100001100",
    "0000000004ab7101cd85102ee9200347c4004dfa200022100",
    "0002200003a610018921002dac7002fed60006b6100000000",
    "0000000012331005ccf400233d20001a810004a3000045100",
    "0000000003a9300198a60017f910019b71002ac7100012100",
    "0000000001651002b9c3003caf20015a91000285100023200",
)
_LIKE = 0.6  # correlation with MNIST's means at least, averaged over the classes, to be taken for digits that lie
_MORE = 0.1  # by how much it must be above the correlation as they are
_MOST = 200  # images of a class that are looked at


def are_transposed(train: Part, names: tuple[str, ...]) -> bool:
    """Whether the images of the classes named 0 to 9 look like MNIST's transposed; False where one is missing."""
    if any(str(digit) not in names for digit in range(10)):
        return False
    as_they_are, transposed = [], []
    for digit in range(10):
        chosen = train.images[np.flatnonzero(train.labels == names.index(str(digit)))[:_MOST]]
        if not len(chosen):
            return False
        mean, expected = cells(chosen), _expected(digit)
        as_they_are.append(_correlation(mean, expected))
        transposed.append(_correlation(mean.T, expected))
    return float(np.mean(transposed)) > max(_LIKE, float(np.mean(as_they_are)) + _MORE)


def cells(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean of [N, 28, 28], N > 0, in cells: [7, 7], 0..255."""
    wide = SIZE // _CELLS
    whole: NDArray[np.float64] = images.mean(axis=0).reshape(_CELLS, wide, _CELLS, wide).mean(axis=(1, 3))
    return whole


def _expected(digit: int) -> NDArray[np.float64]:
    return np.array([int(level, 16) for level in _MEANS[digit]], np.float64).reshape(_CELLS, _CELLS)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """-1..1; 0 where one of them is flat."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt(np.sum(one * one) * np.sum(other * other)))
    return float(np.sum(one * other)) / size if size else 0.0
