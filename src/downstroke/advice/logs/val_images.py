"""The losses of every val image, of the last epochs of a run of downstroke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve
from downstroke.advice.logs.table import Say
from downstroke.errors import RunError
from downstroke.history import ValLosses


def with_val_losses(folder: Path, curve: Curve, say: Say) -> Curve:
    """The curve of a run, with the losses of its val images in the last epochs."""
    try:
        found = ValLosses.read(folder / "val_losses.npy")
    except RunError as error:
        say(f"{error}; the noise is estimated without it")
        return curve
    if found is None or not found.losses.size:
        return curve
    kept = found.losses
    epochs = _epochs_of(kept, curve) if found.epochs is None else found.epochs.tolist()
    if epochs is None or not _fits(kept, epochs, curve):
        say(f"{folder / 'val_losses.npy'} does not fit metrics.csv; it is left out, and the noise estimated without it")
        return curve
    rows = zip(epochs, kept.astype(np.float64), strict=True)
    by_epoch = {epoch: losses for epoch, losses in rows if epoch in curve.epoch}
    return replace(curve, val_images=kept.shape[1], val_losses=by_epoch)


def _fits(kept: NDArray[np.float16], epochs: Sequence[int], curve: Curve) -> bool:
    """Whether the means of `kept`, a row for each of `epochs`, are the curve's val losses where it has those epochs."""
    measured = dict(zip(curve.epoch.tolist(), curve.val_loss.tolist(), strict=True))
    val = np.array([measured.get(epoch, np.nan) for epoch in epochs])
    plain = np.isfinite(val) & (val < 1000)  # float16 ends at 65504: the losses of a diverging run are cut there
    return bool(np.allclose(kept.astype(np.float64).mean(1)[plain], val[plain], rtol=1e-3, atol=1e-6))


def _epochs_of(kept: NDArray[np.float16], curve: Curve) -> list[int] | None:
    """The epoch of each row of `kept`; None where their means are not the curve's val losses.

    The rows are of the last epochs, but while a run is being written metrics.csv may be a row ahead.
    """
    for ahead in (0, 1):
        end = len(curve.epoch) - ahead
        epochs = [int(epoch) for epoch in curve.epoch[max(0, end - len(kept)) : max(0, end)]]
        if len(epochs) == len(kept) and _fits(kept, epochs, curve):
            return epochs
    return None
