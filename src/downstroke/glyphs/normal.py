"""What the locator is given and in which measures it answers, for its training and for reading alike.

Whatever the light and the paper, ink stands out alike in the grey levels that it sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STRIDE = 4  # pixels for one place of its heat maps
USUAL = 16.0  # pixels: boxes are told as logarithms of their sides by this
_WINDOW, _LEAST_SPREAD = 49, 8.0  # pixels; grey levels


def normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel of grey [H,W] is from the level around it, by the unrest there: float32 [H,W], about -5..5.

    0 where all around is level, as where a picture is padded.
    """
    import cv2

    grey = image.astype(np.float32)
    mean = cv2.blur(grey, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(grey * grey, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray((grey - mean) / (spread + np.float32(_LEAST_SPREAD)), np.float32)
