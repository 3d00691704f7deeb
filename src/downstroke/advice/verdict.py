"""Continue, or stop and why: a verdict on a history, in one or two sentences with their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from downstroke.advice import words
from downstroke.advice.curve import Curve
from downstroke.advice.futures import TINY, Futures, futures
from downstroke.advice.judgement import Forecast, Judged
from downstroke.errors import DownstrokeError

AHEAD = (1, 5, 10)  # epochs that are forecast
ENOUGH = 3  # rows below which nothing is said
#: What epochs are worth: training as long again as was needed weighs as much as a loss higher by this share.
OPERATING_POINTS: Mapping[str, float] = MappingProxyType({"quick": 0.03, "balanced": 0.007, "thorough": 0.003})
REFERENCE = 60  # epochs that a run may take; longer ones may take a quarter more than they did
NEAR = math.log(1.01)  # what counts as equally good
LIKELY = 0.9
#: How much less likely a better val loss becomes, in logarithms, for each fall of training loss by a factor e since the
#: best epoch that val loss did not follow; chosen on the develop half.
UNFOLLOWED = 3.0
FELL = 0.15  # logarithm of the fall of training loss, since the best epoch, that overfitting is told from
UNLIKELY = 0.1  # probability of getting better by more than 1% below which overfitting is said
NOTHING = 1e-6  # a val loss below it is 0 but for rounding
FAR_FROM_GUESSING = 10  # times what guessing costs is divergence
FAR_FROM_FIRST = 100  # times the first epoch's val loss is, where that cost is not known
GUESSING = 0.005  # relative: so near to what guessing costs
LEARNED = 0.002  # relative: a fall below it is no learning
DIVERGED = math.log(3)  # val loss so far above its lowest trend, and training loss with it, is divergence
#: Quantiles of an 80% interval, and what they are widened by around the median, for 1, 5 and 10 epochs ahead.
INTERVAL = (0.1, 0.5, 0.9)
WIDEN = MappingProxyType({1: 0.9, 5: 1.05, 10: 1.2})


@dataclass(frozen=True)
class Advice:
    """A verdict: continue and too-early go on; plateau, overfitting and unstable stop."""

    epoch: int
    verdict: str
    best_epoch: int | None
    best_val_loss: float | None
    forecast: tuple[Forecast, ...]
    reason: str
    command: str | None

    @property
    def stop(self) -> bool:
        return self.verdict in ("plateau", "overfitting", "unstable")

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `downstroke advise`."""
        return {**asdict(self), "forecast": [asdict(forecast) for forecast in self.forecast]}


def advise(curve: Curve, *, run: str | None = None, operating_point: str = "balanced") -> Advice:
    """What to do after the last row of `curve`; `run` is what the next command is to name.

    The same history gets the same advice. Raises DownstrokeError for a history without val loss or an unknown
    `operating_point`.
    """
    if operating_point not in OPERATING_POINTS:
        raise DownstrokeError(f"no operating point {operating_point!r}; there are {', '.join(OPERATING_POINTS)}")
    if not len(curve):
        raise DownstrokeError("the history has no epoch yet; advice needs val_loss of one epoch at least")
    if np.all(np.isnan(curve.val_loss)) and not _lost(curve):
        raise DownstrokeError("the history has no val_loss; train with val (not --no-val), or name the column")
    clear = _clear(curve)
    if clear:
        return _answer(curve, clear[0], (), clear[1], run)
    guess = _guessing(curve)
    if guess is not None:
        return _answer(curve, "plateau", (), words.guessing(curve, guess), None)
    ahead = _ahead(curve)
    seen = futures(curve, max(ahead, AHEAD[-1]))
    forecast = tuple(_forecast(seen, epochs) for epochs in AHEAD)
    judged = judge(curve, seen, min(ahead, _left(curve, seen)), OPERATING_POINTS[operating_point])
    if not judged.stop:
        return _answer(curve, "continue", forecast, words.goes_on(curve, judged, forecast), run)
    verdict, told = _why(curve, seen, judged)
    return _answer(curve, verdict, forecast, told, run)


def advise_every(curve: Curve, *, run: str | None = None, operating_point: str = "balanced") -> list[Advice]:
    """Advice after every row, each made from the rows up to it alone."""
    return [advise(curve.first(rows), run=run, operating_point=operating_point) for rows in range(1, len(curve) + 1)]


def judge(curve: Curve, seen: Futures, ahead: int, price: float) -> Judged:
    """Weigh what the next `ahead` epochs may still bring against what they cost.

    On each path that val loss may take, the best of all is known, and so is the epoch from which one was within 1% of
    it: the epochs that were needed. Stopping after m more epochs then loses (best by then - best of all) / best of all,
    and costs m epochs more, counted in epochs needed. Stop where on average no m > 0 makes loss + price * cost smaller.
    """
    past = np.log(np.maximum(curve.val_loss, TINY))
    unfollowed = _unfollowed(curve, seen)
    risen = float(np.mean(seen.trend[:, -1] - seen.trend.min(1) > NEAR))
    if ahead < 1:
        return Judged(True, 0.0, 0.0, unfollowed, risen)
    if _diverged(curve, seen):
        return Judged(True, 0.0, 0.0, 0.0, risen, diverged=True)
    best = past.min()
    paths = np.clip(seen.paths[:, :ahead], best - 10, best + 10)
    lowest = np.minimum(np.minimum.accumulate(paths, 1), best)
    final = lowest[:, -1]
    whole = np.concatenate([np.broadcast_to(past, (len(paths), len(past))), paths], 1)
    needed = np.concatenate([curve.epoch, curve.epoch[-1] + np.arange(1, ahead + 1)])[
        (whole <= final[:, None] + NEAR).argmax(1)
    ]
    stopped = np.concatenate([np.full((len(paths), 1), best), lowest], 1)
    better = best - final > NEAR
    weights = np.where(better, np.exp(-UNFOLLOWED * unfollowed), 1.0)
    weights /= weights.sum()
    # One path on which all becomes three times better counts no more than that.
    loss = weights @ np.minimum(np.exp(stopped - final[:, None]) - 1, 3)
    worth = loss + price * np.arange(ahead + 1) * float(weights @ (1 / needed))
    likely = float(weights @ better)
    memorises = likely < UNLIKELY and unfollowed > FELL
    return Judged(memorises or bool(worth[0] <= worth.min()), float(loss[0]), likely, unfollowed, risen)


def outlook(curve: Curve) -> str | None:
    """What more epochs may still bring, in a line; None where val loss is no number or of fewer than ENOUGH epochs."""
    if len(curve) < ENOUGH or not np.isfinite(curve.val_loss).all():
        return None
    ahead = _ahead(curve)
    seen = futures(curve, max(ahead, AHEAD[-1]))
    judged = judge(curve, seen, min(ahead, _left(curve, seen)), OPERATING_POINTS["balanced"])
    return words.outlook(curve, judged)


def _diverged(curve: Curve, seen: Futures) -> bool:
    """Whether both losses climb away, under a lr that no schedule is about to lower."""
    if curve.loss is None or seen.ends is not None or not np.all(np.isfinite(curve.loss)):
        return False
    above = np.mean(seen.trend[:, -1] - seen.trend.min(1) > DIVERGED) > LIKELY
    return bool(above and curve.loss[-2:].min() > 2 * curve.loss.min() > 0)


def _unfollowed(curve: Curve, seen: Futures) -> float:
    """By how much log training loss fell since the best epoch while val loss did not.

    0 where training loss is not known, where both swing, and under a schedule on its way to 0: there val loss has
    something else to wait for.
    """
    loss = curve.loss
    if loss is None or seen.ends is not None or not np.all(np.isfinite(loss)) or loss.min() <= 0:
        return 0.0
    if seen.noise > words.SWINGS:
        return 0.0
    return max(0.0, float(np.log(loss[int(np.argmin(curve.val_loss))] / loss[-1])))


def _ahead(curve: Curve) -> int:
    """Epochs that are looked ahead."""
    done = float(curve.epoch[-1])
    return max(1, math.ceil(max(REFERENCE - done, done / 4)))


def _left(curve: Curve, seen: Futures) -> int:
    """Epochs until the schedule's lr is 0 and nothing changes any more."""
    if curve.ended:
        return 0
    return _ahead(curve) if seen.ends is None else max(0, math.ceil(seen.ends - 0.5 - curve.epoch[-1]))


def _forecast(seen: Futures, epochs: int) -> Forecast:
    low, middle, high = np.quantile(seen.paths[:, epochs - 1], INTERVAL)
    widen = WIDEN[epochs]
    spread = (math.exp(v) for v in (middle, middle + widen * (low - middle), middle + widen * (high - middle)))
    return Forecast(epochs, *spread)


def _why(curve: Curve, seen: Futures, judged: Judged) -> tuple[str, str]:
    """The name of a stop, and the reason."""
    best = int(np.argmin(curve.val_loss))
    rose = bool(np.any(np.diff(curve.val_loss[-words.RECENT :]) > 0))
    if judged.diverged or (seen.noise > words.SWINGS and rose and best < len(curve) - 1):
        return "unstable", words.swings(curve)
    memorises = judged.unfollowed > FELL
    left = judged.risen > LIKELY and best < len(curve) - 1
    rises = left and (curve.loss is None or judged.unfollowed > 0)
    if memorises or rises:
        return "overfitting", words.overfits(curve)
    return "plateau", words.complete(curve) if curve.ended else words.flat(curve, seen, judged)


def _clear(curve: Curve) -> tuple[str, str] | None:
    """A verdict and its reason, where no forecast is needed for it; else None."""
    told: tuple[str, str] | None = None
    if not np.all(np.isfinite(curve.val_loss)):
        told = "unstable", words.not_finite(curve)
    elif _far_off(curve):
        told = "unstable", words.far_off(curve)
    elif 0 <= curve.val_loss.min() < NOTHING:
        told = "plateau", words.nothing_left(curve)
    elif len(curve) < ENOUGH:
        told = ("plateau", words.complete(curve)) if curve.ended else ("too-early", words.too_early(curve, ENOUGH))
    return told


def _far_off(curve: Curve) -> bool:
    """Whether val loss lies where no training that learns comes by: far above guessing, or above its first epoch."""
    usual = curve.guess if curve.guess is not None else float(curve.val_loss[0])
    times = FAR_FROM_GUESSING if curve.guess is not None else FAR_FROM_FIRST
    return usual > 0 and bool(curve.val_loss[-1] > times * usual)


def _guessing(curve: Curve) -> float | None:
    """What guessing costs, where val loss has been just that from the first epoch on; None where it was not.

    Among how many classes is tried up to a few dozen where it is not known: beyond, every loss is near one of them.
    """
    tried = range(2, 31) if curve.classes is None else [curve.classes]
    for guess in (math.log(classes) for classes in tried):
        near = np.all(np.abs(curve.val_loss / guess - 1) < GUESSING)
        if near and curve.val_loss[0] - curve.val_loss.min() < LEARNED * guess:
            return guess
    return None


def _lost(curve: Curve) -> bool:
    """Whether a nan in val loss is a loss that was lost, not one that was never measured."""
    return curve.loss is None or not np.all(np.isfinite(curve.loss))


def _answer(curve: Curve, verdict: str, forecast: tuple[Forecast, ...], reason: str, run: str | None) -> Advice:
    finite = np.isfinite(curve.val_loss)
    best = int(np.nanargmin(np.where(finite, curve.val_loss, np.nan))) if finite.any() else None
    return Advice(
        epoch=round(float(curve.epoch[-1])),
        verdict=verdict,
        best_epoch=None if best is None else round(float(curve.epoch[best])),
        best_val_loss=None if best is None else float(curve.val_loss[best]),
        forecast=forecast,
        reason=" ".join([reason, *words.warnings(curve)]),
        command=words.command(verdict, run, ENOUGH - len(curve)),
    )
