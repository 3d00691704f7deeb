"""What a history looks like after its last row, in numbers: where its best lies, its trend, its noise, its lr.

All is done on logarithms, so that only ratios of losses count; a loss that falls below 0 is shifted above it first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from downstroke.advice.curve import Curve, Floats, lr_ahead

#: Rows that are judged one by one; a longer history is judged in blocks, each a row.
ROWS = 120
QUIET = 1e-4  # relative noise below it is that of the digits logged
TINY = 1e-9
JUST = 2  # rows
LR_ROWS = 60  # of lr, looked ahead
EARLY = 8  # rows: before them val loss may still rise or stay, and fall only later
CLOSE = float(np.log(1.01))  # what counts as equally good


def blocks(curve: Curve) -> Curve:
    """The history in rows of equal length, at most ROWS, the last complete: medians of val loss, means of loss."""
    size = -(-len(curve) // ROWS)
    if size < 2:
        return curve
    count = len(curve) // size
    begin = len(curve) - size * count

    def cut(values: Floats) -> Floats:
        return values[begin:].reshape(count, size)

    return Curve(
        epoch=cut(curve.epoch)[:, -1],
        val_loss=np.median(cut(curve.val_loss), axis=1),
        loss=None if curve.loss is None else cut(curve.loss).mean(1),
        lr=None if curve.lr is None else cut(curve.lr)[:, -1],
        horizon=curve.horizon,
    )


def shift(values: Floats) -> float:
    """What is added to the values before their logarithm is taken: 0 where all are 0 or above."""
    low = float(values.min())
    if low >= 0:
        return 0.0
    return (float(np.ptp(values)) or 1.0) - low


def logarithms(values: Floats) -> Floats:
    """Logarithms of the values, shifted above 0 where some are below."""
    logs: Floats = np.log(np.maximum(values + shift(values), TINY))
    return logs


def scatter(z: Floats) -> float:
    """The standard deviation of a row around its neighbours, of the last 14: the noise of now, single spikes apart."""
    if len(z) < 3:
        return 0.05
    return max(QUIET, float(np.median(np.abs(np.diff(z[-14:], 2)))) / (0.6745 * 6**0.5))


def trained(curve: Curve) -> Floats | None:
    """The training loss [E], its gaps filled; None where less than half of it is known."""
    if curve.loss is None:
        return None
    known = np.isfinite(curve.loss)
    if known.sum() < max(2, len(curve) / 2):
        return None
    return np.interp(np.arange(len(curve)), np.flatnonzero(known), curve.loss[known])


def features(curve: Curve) -> dict[str, float]:
    """The numbers that advice is drawn from, after at least 3 rows of finite val loss."""
    z = logarithms(curve.val_loss)
    return {**_of_val(z), **_of_training(z, trained(curve)), **_of_lr(curve)}


def just_better(curve: Curve) -> bool:
    """Whether the last two rows brought a best that is lower by more than half the noise: no moment to stop."""
    z = logarithms(curve.val_loss)
    return bool(z[:-JUST].min() - z.min() > 0.5 * scatter(z))


def level_since_drop(curve: Curve) -> Curve:
    """The history with the fall that the last drop of lr brought taken away: such a fall does not go on."""
    before = curve.epoch < curve.drops[-1] if len(curve.drops) else np.zeros(len(curve), dtype=bool)
    if not before.any() or curve.val_loss.min() <= 0:
        return curve
    fall = np.median(curve.val_loss[~before][:3]) / np.median(curve.val_loss[before][-3:])
    return replace(curve, val_loss=np.where(before, curve.val_loss * min(1.0, fall), curve.val_loss))


def level(curve: Curve) -> float:
    """What a forecast starts from: the median logarithm of the last three rows."""
    return float(np.median(logarithms(curve.val_loss)[-3:]))


def _of_val(z: Floats) -> dict[str, float]:
    rows, low = len(z), float(z.min())
    best = int(np.argmin(z)) + 1
    near = int(np.argmax(z <= low + CLOSE)) + 1  # the first row as good as the best
    lowest = np.minimum.accumulate(z)
    noise, trend = np.log(scatter(z)), smooth(z)
    above = trend[-1] - trend.min()
    half, quarter = max(6, rows // 2), max(5, rows // 4)
    slopes = {name: slope(z, over) for name, over in (("4", 4), ("quarter", quarter), ("half", half))}
    return {
        "early": max(0.0, 1 - rows / EARLY),
        "rows": np.log(rows),
        "near": np.log(near),
        "best": np.log(best),
        "since_best": np.log(rows - best + 1),
        "since_near": np.log(rows - near + 1),
        "since_best_relative": (rows - best) / best,
        "since_near_relative": (rows - near) / near,
        "noise": noise,
        "large_noise": max(0.0, noise - np.log(0.05)),
        "moved_4": slopes["4"][0] * min(4, rows),
        "moved_quarter": slopes["quarter"][0] * min(quarter, rows),
        "moved_half": slopes["half"][0] * min(half, rows),
        "certain_quarter": certain(*slopes["quarter"]),
        "certain_half": certain(*slopes["half"]),
        "pace_quarter": np.clip(slopes["quarter"][0] * rows, -3, 3),
        "pace_half": np.clip(slopes["half"][0] * rows, -3, 3),
        "above": above,
        "above_in_noise": np.clip(above / np.exp(noise), 0, 50),
        "lucky": trend.min() - low,  # how far the best dips below the trend
        "now": z[-1] - low,
        "gained_quarter": _gained(lowest, 0.25),
        "gained_half": _gained(lowest, 0.5),
        "fallen": z[0] - low,
        "least_of_3": min(0.5, z[-3:].min() - low),
        "least_of_5": min(0.5, z[-5:].min() - low),
        "least_of_8": min(0.5, z[-8:].min() - low),
        "middle_of_5": min(0.5, float(np.median(z[-5:])) - low),
        "far_above": float(np.mean(z[-6:] > low + np.log(1.2))),
        "range": np.log(z.max() - low + 1e-3),
        "against_first": min(1.0, z[-1] - z[0]),
    }


def _of_training(z: Floats, loss: Floats | None) -> dict[str, float]:
    names = ("train_fell", "gap", "gap_grew", "train_moved_4", "train_moved_quarter", "train_moved_half", "train_above")
    if loss is None:
        return {"has_train": 0.0, **dict.fromkeys(names, np.nan), "train_rose": 0.0}
    y, rows, best = logarithms(loss), len(z), int(np.argmin(z))
    values = (
        y[best] - y[-1],
        z[-1] - y[-1],
        (z[-1] - y[-1]) - (z[best] - y[best]),
        slope(y, 4)[0] * 4,
        slope(y, max(5, rows // 4))[0] * rows,
        slope(y, max(6, rows // 2))[0] * rows,
        y[-1] - y.min(),
    )
    rose = float(y[-3:].min() > y[best] + np.log(1.1))
    return {"has_train": 1.0, **dict(zip(names, values, strict=True)), "train_rose": rose}


def _of_lr(curve: Curve) -> dict[str, float]:
    lr, rows = curve.known_lr, len(curve)
    told = {"has_lr": 0.0, "lr": 0.0, "lr_to_fall": 0.0, "lr_ends": 0.0, "since_drop": np.nan}
    if lr is None:
        return told
    told["has_lr"] = 1.0
    if lr.max() > 1.05 * lr.min():
        coming = lr_ahead(curve.epoch, lr, LR_ROWS)
        told["lr"] = np.log(lr[-1] / lr.max())
        told["lr_to_fall"] = np.log(coming.lr[min(LR_ROWS - 1, max(5, rows // 4))] / lr[-1])
        if coming.ends is not None:
            told["lr_ends"] = 0.01 + np.clip((coming.ends - curve.epoch[-1]) / rows, 0, 5)
        if len(curve.drops):
            told["since_drop"] = np.log(np.sum(curve.epoch >= curve.drops[-1]))
    return told


def smooth(z: Floats) -> Floats:
    """Medians of three, then their means of three."""
    padded = np.concatenate([z[:1], z, z[-1:]])
    middle = np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
    padded = np.concatenate([middle[:1], middle, middle[-1:]])
    smoothed: Floats = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return smoothed


def slope(z: Floats, rows: int) -> tuple[float, float]:
    """The slope of a straight line through the last rows, a row, and its standard error."""
    y = z[-rows:]
    x = np.arange(len(y)) - (len(y) - 1) / 2
    steep = float(x @ y / (x @ x))
    left = y - y.mean() - steep * x
    return steep, float(np.sqrt(left @ left / max(len(y) - 2, 1) / (x @ x)))


def certain(steep: float, error: float) -> float:
    """A slope in standard errors of it, -20 to 20."""
    return float(np.clip(steep / (error + 1e-4), -20, 20))


def _gained(lowest: Floats, share: float) -> float:
    """By how much the best fell over the last `share` of the rows."""
    back = int(np.ceil(share * len(lowest)))
    return float(lowest[max(0, len(lowest) - 1 - back)] - lowest[-1])
