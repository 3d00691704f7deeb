"""Continue, or stop and why: a verdict on a history, in one or two sentences with their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from downstroke import display
from downstroke.advice import words
from downstroke.advice.curve import Curve
from downstroke.advice.features import ROWS, blocks, features, just_better, level, level_since_drop, shift
from downstroke.advice.fitted import fitted, probability
from downstroke.advice.judgement import Forecast, Judged
from downstroke.errors import DownstrokeError
from downstroke.history import four_decimals

AHEAD = (1, 5, 10)  # epochs that are forecast
ENOUGH = 3  # rows below which nothing is said
#: What epochs are worth: training as long again as was needed weighs as much as a loss higher by this share.
OPERATING_POINTS: Mapping[str, float] = MappingProxyType({"quick": 0.1, "balanced": 0.02, "thorough": 0.01})
RISES = 0.1  # probability above which a stop is called overfitting, where val loss lies above its best:
ABOVE = math.log(1.03)  # its trend, in logarithms,
ABOVE_NOISE = 1.0  # and in units of the noise
FELL = 0.1  # logarithm of the fall of training loss since the best epoch that overfitting is told from
ALARM = 0.85  # probability above which it is a stop by itself,
ALARM_ROWS = 6  # so many rows after the best: a rise of fewer is often a spike
NOTHING = 1e-6  # a val loss below it is 0 but for rounding
FAR_FROM_GUESSING = 10  # times what guessing costs is divergence
FAR_FROM_FIRST = 100  # times the first epoch's val loss is, where that cost is not known
GUESSING = 0.005  # relative: so near to what guessing costs
LEARNED = 0.002  # relative: a fall below it is no learning


@dataclass(frozen=True)
class Advice:
    """A verdict: continue and too-early go on; plateau, overfitting and unstable stop."""

    epoch: float  # an int where it is whole
    verdict: str
    best_epoch: float | None
    best_val_loss: float | None
    forecast: tuple[Forecast, ...]
    reason: str
    command: str | None
    step: int | None = None  # of the last row, where the log has it
    likely_better: float | None = None  # probability, 0..1, of a val loss lower by more than 1%

    @property
    def stop(self) -> bool:
        return self.verdict in ("plateau", "overfitting", "unstable")

    def __repr__(self) -> str:
        return f"Advice({self.verdict!r} after epoch {self.epoch}: {self.reason!r})"

    def _repr_html_(self) -> str:
        return display.html(*self.elements())

    def elements(self) -> list[Element]:
        """What a notebook shows: the verdict and its reason, the forecast, and the command to go on with."""
        told = f"{self.verdict} after epoch {self.epoch}"
        parts = [display.element("p", display.element("b", told)), display.element("p", self.reason)]
        if self.forecast:
            rows = [
                (f"{one.epochs}", four_decimals(one.val_loss), f"{four_decimals(one.low)} to {four_decimals(one.high)}")
                for one in self.forecast
            ]
            parts.append(display.table(("epochs ahead", "val loss", "80% interval"), rows))
        if self.command:
            parts.append(display.element("pre", self.command))
        return parts

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
    seen = blocks(curve)
    told = features(seen)
    judged = judge(curve, told, operating_point)
    forecast = _forecasts(curve)
    if not judged.stop:
        return _answer(curve, "continue", forecast, words.goes_on(curve, judged, forecast), run, judged)
    verdict, reason = _why(curve, told, judged)
    return _answer(curve, verdict, forecast, reason, run, judged)


def advise_every(curve: Curve, *, run: str | None = None, operating_point: str = "balanced") -> list[Advice]:
    """Advice after every row, each made from the rows up to it alone."""
    return [advise(curve.first(rows), run=run, operating_point=operating_point) for rows in range(1, len(curve) + 1)]


def judge(curve: Curve, told: Mapping[str, float], operating_point: str) -> Judged:
    """Weigh what more epochs may still bring against what they cost; `told` are the features of the history.

    Each is a weighted sum of the features. The weights of the stop are those with which, over the histories they were
    fitted on, regret + price * cost of the first stop is least; those of the probabilities are logistic regressions.
    """
    models = fitted()
    x = models.standard(told)
    risen = probability(models.risen, x)
    if curve.ended or curve.spent:
        return Judged(True, 0.0, 0.0, risen)
    stop = float(models.stop[operating_point] @ x) > 0 and not just_better(blocks(curve))
    stop = stop or (risen > ALARM and told["since_best"] > math.log(ALARM_ROWS + 0.5))
    return Judged(stop, probability(models.lower, x), probability(models.better, x), risen)


def outlook(curve: Curve) -> str | None:
    """What more epochs may still bring, in a line; None for a val loss that is not finite or too short."""
    if len(curve) < ENOUGH or not np.isfinite(curve.val_loss).all():
        return None
    return words.outlook(curve, judge(curve, features(blocks(curve)), "balanced"))


def _forecasts(curve: Curve) -> tuple[Forecast, ...]:
    """From the last rows alone, each an epoch."""
    recent = level_since_drop(curve.last(ROWS))
    models, raised, start = fitted(), shift(recent.val_loss), level(recent)
    x = models.standard(features(recent))
    found = []
    for epochs in AHEAD:
        middle, spread, quantiles = models.ahead[epochs]
        expected, scale = float(middle @ x), math.exp(float(spread @ x))
        low, half, high = (math.exp(start + expected + scale * quantile) - raised for quantile in quantiles)
        found.append(Forecast(epochs, half, low, high))
    return tuple(found)


def _why(curve: Curve, told: Mapping[str, float], judged: Judged) -> tuple[str, str]:
    """The name of a stop, and the reason."""
    best = int(np.argmin(curve.val_loss))
    left = best < len(curve) - 1
    rose = bool(np.any(np.diff(curve.val_loss[-words.RECENT :]) > 0))
    swings = math.exp(told["noise"]) > words.SWINGS and rose
    runs_away = told["train_rose"] > 0 and told["least_of_3"] > words.SWINGS
    memorises = told["train_fell"] > FELL  # NaN where it is not known
    if left and (swings or runs_away) and not memorises:
        return "unstable", words.swings(curve)
    above = told["above"] > ABOVE and told["above_in_noise"] > ABOVE_NOISE
    if left and above and judged.risen > RISES:
        return "overfitting", words.overfits(curve)
    return "plateau", words.complete(curve) if curve.ended else words.flat(curve, judged)


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


def _answer(
    curve: Curve,
    verdict: str,
    forecast: tuple[Forecast, ...],
    reason: str,
    run: str | None,
    judged: Judged | None = None,
) -> Advice:
    finite = np.isfinite(curve.val_loss)
    best = int(np.nanargmin(np.where(finite, curve.val_loss, np.nan))) if finite.any() else None
    return Advice(
        epoch=_whole(curve.epoch[-1]),
        verdict=verdict,
        best_epoch=None if best is None else _whole(curve.epoch[best]),
        best_val_loss=None if best is None else float(curve.val_loss[best]),
        forecast=forecast,
        reason=words.counted_in(curve, " ".join([reason, *words.warnings(curve, ROWS)])),
        command=words.command(verdict, run, ENOUGH - len(curve)),
        step=None if curve.step is None else round(float(curve.step[-1])),
        likely_better=None if judged is None else judged.better,
    )


def _whole(epoch: float) -> float:
    """An epoch as it is told: an int, unless val was measured within it."""
    return int(epoch) if epoch == int(epoch) else float(epoch)
