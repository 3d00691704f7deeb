"""One number that makes probabilities honest again after label smoothing, or after learning from the least certain.

A criterion with smoothed labels teaches the network to be less sure than it should be: of ten digits, with a tenth
smoothed, a certain reading is given 91%. So does dL/dW from the least certain images of each batch: nothing teaches it
to be surer of the others. Dividing the logits by one number, the temperature (Guo et al. 2017), undoes that and changes
no reading.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHARPEST, SOFTEST = 4.0, 0.25  # bounds of 1/T: a few images, all read right, would want it endless
NEWTON_STEPS = 12


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T in 0.25..4 for which cross-entropy of logits / T, float32 [N,C], with labels, int64 [N], is the lowest.

    Cross-entropy is convex in s = 1/T. Its slope is mean(E[z] - z_label) and its curvature mean(Var[z]), both under
    the probabilities softmax(s z); Newton's steps find where the slope is 0.
    """
    z = logits.double()
    right = z.gather(1, labels[:, None]).squeeze(1)
    s = 1.0
    for _ in range(NEWTON_STEPS):
        y = (s * z).softmax(1)
        mean = (y * z).sum(1)
        slope = (mean - right).mean()
        curvature = ((y * z.square()).sum(1) - mean.square()).mean()
        s = float(torch.clamp(s - slope / (curvature + 1e-12), max(SOFTEST, s / 2), min(SHARPEST, s * 2)))
    return 1 / s
