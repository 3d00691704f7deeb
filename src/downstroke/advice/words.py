"""Verdicts in words: one or two sentences, with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from downstroke.advice.curve import Curve
from downstroke.advice.futures import Futures

if TYPE_CHECKING:
    from downstroke.advice.verdict import Forecast, Judged

#: Relative noise of a curve that swings; a sound run is far below it.
SWINGS = 0.15
FEW_IMAGES = 200  # of val: below it a loss is mostly luck
NEXT = 5  # epochs that `continue` is told to train


def command(verdict: str, run: str | None, missing: int) -> str | None:
    """What to type next; nothing where there is no run to name."""
    if run is None:
        return None
    if verdict == "too-early":
        return f"downstroke continue {run} --epochs {missing}"
    if verdict == "continue":
        return f"downstroke continue {run} --epochs {NEXT}"
    return None if verdict == "unstable" else f"downstroke test {run}"


def not_finite(curve: Curve) -> str:
    """Where val loss stopped being a number."""
    bad = ~np.isfinite(curve.val_loss)
    first = int(np.argmax(bad))
    what = "is no number" if np.isnan(curve.val_loss[first]) else "is infinite"
    if not bad[-1]:
        what += " (it was one again later)"
    kept = f" The best W is epoch {_best(curve)}'s." if not bad.all() else ""
    return f"Stop: val loss {what} at epoch {curve.epoch[first]:g}.{_smaller_lr(curve, first)}{kept}"


def too_early(curve: Curve, enough: int) -> str:
    """How many epochs are missing."""
    missing = enough - len(curve)
    more = "one epoch more is needed" if missing == 1 else f"{missing} epochs more are needed"
    return f"Too early: a trend and its noise need {enough} epochs, there {_are(len(curve))}; {more}."


def goes_on(curve: Curve, seen: Futures, judged: Judged, forecast: Sequence[Forecast]) -> str:
    """Why it is worth going on."""
    rows = min(3, len(curve) - 1)
    was, now = float(np.median(seen.trend[:, -1 - rows])), float(np.median(seen.trend[:, -1]))
    noise = _noise(curve, seen)
    ahead = forecast[1]
    coming = f"5 more epochs should bring about {_n(ahead.val_loss)} ({_n(ahead.low)} to {_n(ahead.high)})."
    if now - was < -2 * seen.noise / rows**0.5:
        told = f"Val loss still falls: {_n(np.exp(was))} -> {_n(np.exp(now))} over the last {rows} epochs"
        return f"Continue. {told}, well outside the noise (±{noise:.2g}). {coming}"
    if judged.gain < 0.001:
        return f"Continue. It costs little beside the {curve.epoch[-1]:g} epochs done. {coming}"
    hope = (
        f"it may still get {judged.gain:.1%} lower than the best so far (by more than 1%: {judged.better:.0%} likely)"
    )
    large = (
        ""
        if seen.noise < SWINGS
        else f" But it swings by {seen.noise:.0%} from epoch to epoch.{_smaller_lr(curve, -1)}"
    )
    return f"Continue. Val loss moves within its noise (±{noise:.2g}), but {hope}. {coming}{large}"


def outlook(curve: Curve, judged: Judged) -> str:
    """How likely something better is, and how much of it is expected."""
    return (
        f"after epoch {curve.epoch[-1]:g}: the best val loss so far is {_n(curve.val_loss.min())}; with more epochs "
        f"one lower by more than 1% is {_chance(judged.better)} likely, and "
        f"{judged.gain / (1 + judged.gain):.1%} lower is expected (a forecast)"
    )


def overfits(curve: Curve, seen: Futures, judged: Judged) -> str:
    """Since when, and by how much."""
    best = int(np.argmin(curve.val_loss))
    trend = np.median(seen.trend, 0)
    rise = float(np.exp(trend[-1]) - np.exp(trend.min()))
    if judged.risen > 0.9:
        told = f"val loss rose by {rise:.2g}, more than chance (noise ±{_noise(curve, seen):.2g})"
    else:
        since = float(np.mean(curve.val_loss[best + 1 :]))
        told = f"val loss did not follow ({_n(curve.val_loss[best])} then, {_n(since)} on average since)"
    if curve.loss is not None and judged.unfollowed > 0:
        told = f"training loss went on falling ({_n(curve.loss[best])} -> {_n(curve.loss[-1])}), {told}"
    return f"Stop: overfitting since epoch {_best(curve)}. {told[0].upper()}{told[1:]}. {_kept(curve)}"


def flat(curve: Curve, seen: Futures, judged: Judged) -> str:
    """Why nothing more is expected."""
    if seen.ends is not None and curve.epoch[-1] >= seen.ends - 0.5:
        return f"Stop: the schedule has brought lr to 0, and val loss stays where it is. {_kept(curve)}"
    told = (
        f"the best val loss, {_n(curve.val_loss.min())}, is expected to get {judged.gain / (1 + judged.gain):.1%} lower"
    )
    noise = f"noise ±{_noise(curve, seen):.2g}"
    likely = f"by more than 1%: {_chance(judged.better)} likely"
    return f"Stop: plateau. With more epochs {told} ({noise}; {likely}). {_kept(curve)}"


def swings(curve: Curve, seen: Futures) -> str:
    """That steps are too large."""
    said = f"val loss swings by {seen.noise:.0%} from epoch to epoch"
    if curve.val_loss[-1] > 2 * curve.val_loss.min():
        said = f"val loss went from {_n(curve.val_loss.min())} to {_n(curve.val_loss[-1])}, and training loss with it"
    return f"Stop: unstable: {said}.{_smaller_lr(curve, -1)} {_kept(curve)}"


def warnings(curve: Curve) -> list[str]:
    """What is wrong with the data, a sentence each."""
    said = []
    gaps = np.diff(curve.epoch)
    if np.any(gaps > 1):
        said.append(f"The history has gaps: {int(np.sum(gaps > 1))}, the largest of {gaps.max() - 1:g} epochs.")
    if curve.val_images is not None and curve.val_images < FEW_IMAGES:
        said.append(f"Val has {curve.val_images} images only: its loss says little, take {FEW_IMAGES} at least.")
    return said


def _smaller_lr(curve: Curve, row: int) -> str:
    if curve.lr is None or not np.isfinite(curve.lr[row]) or curve.lr[row] <= 0:
        return " A smaller lr should help: try a third of it."
    lr = float(curve.lr[row])
    factor = 10 if not np.isfinite(curve.val_loss[row]) else 3
    return f" lr {lr:.3g} is too large: try {lr / factor:.2g}."


def _noise(curve: Curve, seen: Futures) -> float:
    """In units of the loss; of two epochs compared on the same images, where their losses are known."""
    paired = curve.paired_noise
    return seen.noise * float(curve.val_loss[-1]) if paired is None else paired


def _chance(share: float) -> str:
    if share < 0.01:
        return "less than 1%"
    return "more than 99%" if share > 0.99 else f"{share:.0%}"


def _best(curve: Curve) -> str:
    return f"{curve.epoch[int(np.nanargmin(np.where(np.isfinite(curve.val_loss), curve.val_loss, np.nan)))]:g}"


def _kept(curve: Curve) -> str:
    return f"The best W is epoch {_best(curve)}'s."


def _are(rows: int) -> str:
    return "is 1" if rows == 1 else f"are {rows}"


def _n(loss: float) -> str:
    """Three digits, never in powers of ten."""
    return f"{loss:.4f}" if 0.001 <= loss < 1 else f"{loss:.3g}"
