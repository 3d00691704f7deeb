"""The locator's input: a picture normalised for light and paper; and its units, shared by training and reading.

Local contrast is normalised, so that ink has the same contrast in any light and on any paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRIDE = 4  # pixels for one place of its heat maps
USUAL = 16.0  # pixels: boxes are told as logarithms of their sides by this
_WINDOW, _LEAST_SPREAD = 49, 8.0  # pixels; grey levels


def normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each pixel of grey [H,W] minus the local mean, over the local standard deviation: float32 [H,W], about -5..5.

    0 where the surroundings are flat, as in padding.
    """
    import cv2

    grey = image.astype(np.float32)
    mean = cv2.blur(grey, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(grey * grey, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray((grey - mean) / (spread + np.float32(_LEAST_SPREAD)), np.float32)
