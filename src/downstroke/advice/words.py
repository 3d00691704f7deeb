"""Verdicts in words: a few short sentences, with their numbers.

Every loss, epoch and count that is said of the past is one of the history's rows; the noise is measured on them.
What the fitted curves expect stands only in the sentence that begins with "Forecast".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from downstroke.advice.curve import Curve
from downstroke.advice.judgement import Forecast, Judged
from downstroke.errors import counted

#: Relative noise of a curve that swings; a sound run is far below it.
SWINGS = 0.15
FEW_IMAGES = 200  # of val: below it a loss is mostly luck
EVEN = 50  # probability, in percent, of getting better by more than 1% below which "Continue" is not the first word
FAINT = 10  # below it, next to nothing is expected
RECENT = 10  # epochs in which a swing is looked for
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
    told = f"val loss {what} at epoch {curve.epoch[first]:g}"
    return f"Stop: {told}.{_smaller_lr(curve, first, factor=10)}{_kept_if_any(curve)}"


def far_off(curve: Curve) -> str:
    """That val loss has left every range that training starts in."""
    told = f"val loss is {_at(curve, -1)}"
    if curve.guess is not None:
        told += f"; guessing among the classes would cost {_n(curve.guess)}"
    else:
        told += f", and was {_at(curve, 0)}"
    return f"Stop: unstable: {told}.{_smaller_lr(curve, -1, factor=10)} {_kept(curve)}"


def nothing_left(curve: Curve) -> str:
    """That val loss has reached 0."""
    return f"Stop: val loss is {_at(curve, _least(curve))}, and cannot get lower than 0. {_kept(curve)}"


def guessing(curve: Curve, guess: float) -> str:
    """That nothing has been learned."""
    return (
        f"Stop: stuck at guessing. Val loss was {_at(curve, 0)} and is {_at(curve, -1)}; naming each class equally "
        f"often costs {_n(guess)}. More epochs will not help: train anew with another lr (a tenth is a good first try)."
    )


def too_early(curve: Curve, enough: int) -> str:
    """How many epochs are missing."""
    missing = enough - len(curve)
    more = f"{counted(missing, 'epoch')} more {'is' if missing == 1 else 'are'} needed"
    return f"Too early: a trend and its noise need {counted(enough, 'epoch')}, there {_are(len(curve))}; {more}."


def goes_on(curve: Curve, judged: Judged, forecast: Sequence[Forecast]) -> str:
    """Why it is worth going on: what was measured, then what is forecast."""
    if round(100 * judged.better) >= EVEN:
        head = "Continue."
    elif round(100 * judged.better) >= FAINT:
        head = "Undecided: a better val loss is possible, not likely."
    else:
        head = "Little is left to gain: going on costs little, and so does stopping."
    return f"{head} {_moved(curve)} {_coming(curve, judged, forecast[1])}"


def outlook(curve: Curve, judged: Judged) -> str:
    """How likely something better is, and how much of it is expected."""
    return (
        f"after epoch {curve.epoch[-1]:g}: the best val loss so far is {_at(curve, _least(curve))}; with more epochs "
        f"one lower by more than 1% is {_chance(judged.better)} likely, and "
        f"{judged.lower:.1%} lower is expected (a forecast)"
    )


def overfits(curve: Curve) -> str:
    """Since when, and by how much."""
    best = _least(curve)
    told = f"Val loss was {_at(curve, best)} and is {_at(curve, -1)}{_noise(curve)}"
    if curve.loss is not None and curve.loss[-1] < curve.loss[best]:
        told = (
            f"Training loss went on falling ({_n(curve.loss[best])} -> {_n(curve.loss[-1])}), val loss did not. {told}"
        )
    return f"Stop: overfitting since epoch {_best(curve)}. {told}. {_kept(curve)}"


def complete(curve: Curve) -> str:
    """That the schedule has ended where it was to end."""
    return (
        f"Stop: the run is complete. Its schedule ended at epoch {curve.epoch[-1]:g}, as planned. Val loss is "
        f"{_at(curve, -1)}. {_kept(curve)}"
    )


def flat(curve: Curve, judged: Judged) -> str:
    """Why nothing more is expected."""
    told = f"The lowest val loss was {_at(curve, _least(curve))}{_noise(curve)}"
    if curve.spent:
        return f"Stop: plateau. The schedule has brought lr to its end. {told}. {_kept(curve)}"
    return f"Stop: plateau. {told}. {_hope(judged)}. {_kept(curve)}"


def swings(curve: Curve) -> str:
    """That steps are too large."""
    best, said = _least(curve), _swing(curve)
    if said is None or curve.val_loss[-1] > 2 * curve.val_loss[best]:
        said = f"val loss went from {_at(curve, best)} to {_at(curve, -1)}"
        if curve.loss is not None and curve.loss[-1] > curve.loss[best]:
            said += f", and training loss from {_n(curve.loss[best])} to {_n(curve.loss[-1])}"
    return f"Stop: unstable: {said}.{_smaller_lr(curve, -1)} {_kept(curve)}"


def warnings(curve: Curve, most: int) -> list[str]:
    """What a person should know of the data, a sentence each; `most`: rows that are judged one by one."""
    said = []
    if len(curve) > most:
        said.append(f"The {counted(len(curve), 'row')} are judged in blocks of {-(-len(curve) // most):,}.")
    gaps = np.diff(curve.epoch)
    if np.any(gaps > 1):
        said.append(
            f"The history has gaps: {int(np.sum(gaps > 1))}, the largest of {counted(gaps.max() - 1, 'epoch')}."
        )
    if curve.val_images is not None and curve.val_images < FEW_IMAGES:
        said.append(
            f"Val has {counted(curve.val_images, 'image')} only: its loss says little, take {FEW_IMAGES} at least."
        )
    return said


def counted_in(curve: Curve, reason: str) -> str:
    """The reason in the unit that the rows are counted in, with the step of the best."""
    if curve.unit == "epoch":
        return reason
    told = reason.replace("epoch", curve.unit)
    if curve.step is None or not np.isfinite(curve.val_loss).any():
        return told
    return f"{told} {curve.unit.capitalize()} {_best(curve)} is step {curve.step[_least(curve)]:g}."


def _smaller_lr(curve: Curve, row: int, factor: int = 3) -> str:
    if curve.lr is None or not np.isfinite(curve.lr[row]) or curve.lr[row] <= 0:
        share = "a third" if factor == 3 else "a tenth"
        return f" A smaller lr should help: try {share} of it."
    lr = float(curve.lr[row])
    return f" lr {lr:.3g} is too large: try {lr / factor:.2g}."


def _moved(curve: Curve) -> str:
    """What was measured in the last epochs; "falls" is said where each is lower than the one before."""
    rows = min(3, len(curve) - 1)
    last = curve.val_loss[-1 - rows :]
    span = counted(curve.epoch[-1] - curve.epoch[-1 - rows], "epoch").removeprefix("1 ")
    moves = f"{_n(last[0])} -> {_n(last[-1])} over the last {span}"
    noise = curve.noise
    if np.all(np.diff(last) < 0) and _n(last[0]) != _n(last[-1]):
        clear = noise is not None and last[0] - last[-1] > 2 * noise
        beside = f", well outside the noise (±{noise:.2g})" if clear else _noise(curve)
        return f"Val loss still falls: {moves}{beside}."
    told = f"Val loss does not fall at every epoch: {moves}{_noise(curve)}, the lowest {_at(curve, _least(curve))}."
    swing = _swing(curve)
    if swing and noise is not None and noise > SWINGS * float(np.median(last)):
        told += f" {swing[0].upper()}{swing[1:]}.{_smaller_lr(curve, -1)}"
    return told


def _swing(curve: Curve) -> str | None:
    """The largest rise from one epoch to the next among the last ones; None where it is too small to be called that."""
    begin = max(0, len(curve) - RECENT)
    row = begin + int(np.argmax(np.diff(curve.val_loss[begin:])))
    if curve.val_loss[row + 1] - curve.val_loss[row] <= SWINGS * abs(curve.val_loss[row]):
        return None
    return f"val loss swings: {_at(curve, row)}, {_at(curve, row + 1)}"


def _coming(curve: Curve, judged: Judged, ahead: Forecast) -> str:
    """The forecast, named as one; its rows are epochs where val is measured once in each."""
    rows = "epoch" if abs(curve.spacing - 1) < 0.01 else "evaluation"
    five = f"{_n(ahead.val_loss)} ({_n(ahead.low)} to {_n(ahead.high)}) in {counted(ahead.epochs, rows)}"
    return f"{_hope(judged)}; val loss {five}."


def _hope(judged: Judged) -> str:
    likely = f"by more than 1%: {_chance(judged.better)} likely"
    return f"Forecast: the best gets {judged.lower:.1%} lower with more epochs, {likely}"


def _noise(curve: Curve) -> str:
    return "" if curve.noise is None else f" (noise ±{curve.noise:.2g})"


def _at(curve: Curve, row: int) -> str:
    """A measured val loss and its epoch."""
    return f"{_n(curve.val_loss[row])} at epoch {curve.epoch[row]:g}"


def _least(curve: Curve) -> int:
    return int(np.nanargmin(np.where(np.isfinite(curve.val_loss), curve.val_loss, np.nan)))


def _chance(share: float) -> str:
    if share < 0.01:
        return "less than 1%"
    return "more than 99%" if share > 0.99 else f"{share:.0%}"


def _best(curve: Curve) -> str:
    return f"{curve.epoch[_least(curve)]:g}"


def _kept(curve: Curve) -> str:
    return f"The best weights are those of epoch {_best(curve)}."


def _kept_if_any(curve: Curve) -> str:
    return f" {_kept(curve)}" if np.isfinite(curve.val_loss).any() else ""


def _are(rows: int) -> str:
    return "is 1" if rows == 1 else f"are {rows}"


def _n(loss: float) -> str:
    """Four decimals, or three digits."""
    return f"{loss:.4f}" if 0.001 <= loss < 10 else f"{loss:.3g}"
