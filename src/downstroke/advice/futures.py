"""What val loss may do next: a weighted family of curves, fitted to the history, and paths drawn from it.

All is done on the logarithm of val loss, so that only ratios count. Each curve of the family is

    log val loss = level + b * fall(s) + c * rise(s) + drift + noise,     b >= 0, c >= 0

where s is the epoch, or the lr spent so far. Falls are powers, a logarithm and exponentials of several rates, rises are
slow growths, from the start or from some epoch on; `drift` is a random walk that stands for what no such curve knows.
For given shapes this is a Bayesian linear regression with a conjugate prior: its evidence weighs the shapes against
each other, and its posterior, Student's t, says how sure each is (Gelman et al., Bayesian Data Analysis, 14).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from downstroke.advice.curve import Curve, Floats, lr_ahead, wobble

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Prior:
    """What is believed before a history is seen; chosen on the develop half of the corpus."""

    early: float = 9.0  # spread of the first epochs: sqrt(1 + (early / epoch)^2) times the later one
    noise: float = 0.02  # relative, of one epoch
    noise_weight: float = 1.0  # worth so many epochs
    fall: float = 0.8  # spread of b, of a fall as a whole, in logarithms
    rise: float = 0.15  # spread of c
    rising: float = 0.5  # probability that there is a rise, where the training loss is not known
    rising_floor: float = 0.1  # where it is known and does not fall
    rising_slope: float = 1.0  # for each fall of it by a factor e over the last half of the history
    drop: float = 0.5  # spread of what a sudden drop of lr does
    excess: float = 1.0  # a lr that fell to 0 would lower the loss by so many times the noise
    surprise: float = 0.25  # probability that lr is lowered, unannounced, within `surprise_epochs`
    surprise_depth: float = 15.0  # the loss then falls by so many times the noise, where training is stuck
    surprise_epochs: float = 60.0
    drifts: tuple[float, ...] = (0.0, 0.02, 0.2)  # variance of a step of the walk over that of the noise
    rises_from: tuple[float, ...] = (2, 3, 5, 8, 13, 21, 34)  # epochs
    draws: int = 400


PRIOR = Prior()
TINY = 1e-12
TRIES = 5


@dataclass(frozen=True)
class Futures:
    """Paths drawn from what is believed: natural logarithms of val loss."""

    paths: Floats  # [S, M] as it would be measured at the next M epochs
    trend: Floats  # [S, E] without noise, at the epochs of the history
    ahead: Floats  # [S, M] without noise, at the next M epochs
    noise: float  # standard deviation of one epoch's measurement around the trend (relative)
    ends: float | None  # the epoch at which lr reaches 0, where the schedule says so


class _Family(NamedTuple):
    """Candidate columns over past and future epochs, and the shapes made of them."""

    columns: Floats  # [P, E + M]
    spread: Floats  # [P] of each coefficient's prior
    shapes: Ints  # [K, Q] columns of each shape; the last two are its fall and its rise, -1 for none
    prior: Floats  # [K] logarithm of each shape's prior weight
    noise: Floats  # [E + M] relative to the usual
    expected: Floats  # [E + M] what is expected of lr alone


def futures(curve: Curve, ahead: int, prior: Prior = PRIOR) -> Futures:
    """What may follow a history [E] of finite val losses, for the next `ahead` epochs. The same each time."""
    log_loss = np.log(np.maximum(curve.val_loss, TINY))
    level = float(log_loss.mean())
    log_loss = log_loss - level
    families, ends = _families(curve, ahead, prior)
    fits = [_Fit(family, curve.epoch, log_loss, drift, prior) for family in families for drift in prior.drifts]
    evidence = np.concatenate([fit.evidence for fit in fits])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    chance = np.random.default_rng(0)
    # Systematic resampling: each shape as often as its weight says, to within one.
    places = (np.arange(prior.draws) + 0.5) / prior.draws
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)
    draws: list[_Draws] = []
    begin = 0
    for fit in fits:
        end = begin + len(fit.evidence)
        mine = chosen[(chosen >= begin) & (chosen < end)] - begin
        if len(mine):
            draws.append(fit.draw(mine, chance))
        begin = end
    paths, mean = (np.concatenate(parts) for parts in zip(*((d.paths, d.mean) for d in draws), strict=True))
    noise = np.concatenate([d.noise for d in draws])
    rows = len(log_loss)
    if ends is None:
        fall = _surprises(curve, noise, ahead, prior, chance)
        paths, mean = paths - fall, np.concatenate([mean[:, :rows], mean[:, rows:] - fall], 1)
    paths, mean = paths + level, mean + level
    return Futures(paths, mean[:, :rows], mean[:, rows:], float(np.median(noise)), ends)


def _surprises(curve: Curve, noise: Floats, ahead: int, prior: Prior, chance: np.random.Generator) -> Floats:
    """[S, M] how much a fall of lr that nobody announced would lower each path: for most of them, not at all."""
    when = 1 + np.floor(chance.random(len(noise)) * prior.surprise_epochs / prior.surprise)
    fallen = _train_fall(curve)
    stuck = 0.5 if fallen is None else 1 / (1 + max(fallen, 0.0) / 0.1)
    depth = stuck * prior.surprise_depth * noise * np.abs(chance.standard_normal(len(noise)))
    since = np.arange(1, ahead + 1) - when[:, None] + 1
    return np.where(since > 0, depth[:, None] * (1 - np.exp(-np.maximum(since, 0) / 1.5)), 0.0)


def _train_fall(curve: Curve) -> float | None:
    """By how much log training loss fell over the last half of the history; None where it is not known."""
    if curve.loss is None or len(curve) < 3 or not np.all(np.isfinite(curve.loss)) or curve.loss.min() <= 0:
        return None
    half = len(curve) // 2
    return float(np.log(curve.loss[half - 1 : half + 1].mean() / curve.loss[-2:].mean()))


def _rising(curve: Curve, prior: Prior) -> float:
    """How probable a rise is: overfitting needs a training loss that still falls. In twentieths."""
    fallen = _train_fall(curve)
    if fallen is None:
        return prior.rising
    return round(20 * min(max(prior.rising_floor + prior.rising_slope * fallen, prior.rising_floor), 0.7)) / 20


def _families(curve: Curve, ahead: int, prior: Prior) -> tuple[list[_Family], float | None]:
    """The family over epochs and, where lr changes, the one over lr spent."""
    epochs = np.concatenate([curve.epoch, curve.epoch[-1] + np.arange(1, ahead + 1)])
    epochs = epochs + max(0.0, 1 - epochs[0])  # some count from 0
    lr = curve.known_lr
    if lr is None or lr.max() < 1.05 * lr.min():
        return [_family(curve, epochs, epochs, None, prior)], None
    coming = lr_ahead(curve.epoch, lr, ahead)
    share = np.concatenate([lr, coming.lr]) / lr.max()
    spent = np.cumsum(share * np.diff(epochs, prepend=epochs[0] - 1)) + epochs[0] - 1
    return [_family(curve, epochs, time, share, prior) for time in (epochs, np.maximum(spent, 0.05))], coming.ends


def _family(curve: Curve, epochs: Floats, time: Floats, share: Floats | None, prior: Prior) -> _Family:
    """Shapes over `time` [E + M]; `share` [E + M] is lr over its largest, where it changes."""
    falls = [time**-power for power in (2.0, 1.0, 0.5, 0.25)] + [-np.log(time), -np.sqrt(time) / 3, -time / 20]
    falls += [np.exp(-(time - 1) / span) for span in (1.5, 3, 6, 12, 25, 50)]
    rises = [np.log(np.maximum(time, 1)), np.sqrt(time) / 3, time / 20]
    rises += [np.log(np.maximum(time / start, 1)) for start in prior.rises_from]
    noise = np.sqrt(1 + (prior.early / epochs) ** 2)
    if share is not None:
        # Steps of half the size wander half as far: what is left of the noise of the gradient falls with lr.
        falls += [share, np.sqrt(share), np.log(share) / 2]
        if time is not epochs:
            noise = noise * np.maximum(np.sqrt(share), 0.1)
    drops = curve.drops[-3:]
    fixed = [np.ones_like(time)]
    means = [0.0] * (1 + len(drops))
    fixed += [-np.where(epochs >= drop, 1 - np.exp(-(epochs - drop + 1) / 1.5), 0) for drop in drops]
    excess = prior.excess * wobble(curve.val_loss)
    fixed_spread = [10.0] + [prior.drop] * len(drops)
    if share is not None:
        fixed, means, fixed_spread = [*fixed, share], [*means, excess], [*fixed_spread, excess + 0.05]
    shapes, weights = _shapes(len(fixed), len(falls), len(rises), _rising(curve, prior))
    spread = fixed_spread + [prior.fall] * len(falls) + [prior.rise] * len(rises)
    expected = np.array(means) @ np.stack(fixed)
    return _Family(np.stack(fixed + falls + rises), np.array(spread), shapes, weights, noise, expected)


@functools.cache
def _shapes(fixed: int, falls: int, rises: int, rising: float) -> tuple[Ints, Floats]:
    """Every fall with every rise, and either alone, and neither; with the logarithms of their prior weights."""
    columns = [(fall, rise) for fall in range(-1, falls) for rise in range(-1, rises)]
    pairs = np.array([[-1 if f < 0 else fixed + f, -1 if r < 0 else fixed + falls + r] for f, r in columns])
    weights = np.where(pairs[:, 0] >= 0, np.log(0.9 / falls), np.log(0.1))
    weights = weights + np.where(pairs[:, 1] >= 0, np.log(rising / rises), np.log(1 - rising))
    shapes = np.concatenate([np.tile(np.arange(fixed), (len(pairs), 1)), pairs], 1).astype(np.int64)
    return shapes, np.asarray(weights, dtype=np.float64)


class _Draws(NamedTuple):
    paths: Floats  # [S, M]
    mean: Floats  # [S, E + M]
    noise: Floats  # [S]


class _Fit:
    """Every shape of a family fitted to a history, for one size of drift."""

    def __init__(self, family: _Family, epoch: Floats, log_loss: Floats, drift: float, prior: Prior) -> None:
        self.family, self.drift, self.prior, self.rows = family, drift, prior, len(log_loss)
        walked = epoch - epoch[0] + 1
        self.walk = drift * np.minimum.outer(walked, walked)
        root = np.linalg.cholesky(np.diag(family.noise[: self.rows] ** 2) + self.walk)
        left = log_loss - family.expected[: self.rows]
        known = np.concatenate([family.columns[:, : self.rows], left[None], self.walk]).T
        self.known = np.linalg.solve(root, known)
        columns = len(family.columns)
        gram = self.known[:, : columns + 1].T @ self.known[:, : columns + 1]
        missing = family.shapes < 0
        at = np.where(missing, 0, family.shapes)
        absent = missing[:, :, None] | missing[:, None, :]
        bare = np.where(absent, 0.0, gram[at[:, :, None], at[:, None, :]])
        right = np.where(missing, 0.0, gram[at, columns])
        self.missing = missing
        self.half_weight = (prior.noise_weight + self.rows) / 2
        # The conjugate prior is in units of the noise: once the noise is known roughly, its spread is set anew.
        noise = np.full(len(at), prior.noise)
        for _ in range(2):
            precision = np.where(missing, 1.0, (noise[:, None] / family.spread[at]) ** 2)
            self.covariance = np.linalg.inv(bare + np.eye(at.shape[1]) * precision[:, :, None])
            self.mean = (self.covariance @ right[:, :, None])[:, :, 0]
            misfit = np.maximum(gram[columns, columns] - (right * self.mean).sum(1), TINY)
            self.half_misfit = (prior.noise_weight * prior.noise**2 + misfit) / 2
            noise = np.sqrt(self.half_misfit / self.half_weight)
        self.evidence = (
            family.prior
            - np.log(np.diag(root)).sum()
            + (np.log(precision).sum(1) + np.linalg.slogdet(self.covariance)[1]) / 2
            - self.half_weight * np.log(self.half_misfit)
            + self._sign()
        )

    def _sign(self) -> Floats:
        """[K] how probable it is that fall and rise have the signs they must have, over 1/2 each before."""
        variance = self.covariance[:, [-2, -1], [-2, -1]] * (self.half_misfit / self.half_weight)[:, None]
        z = self.mean[:, -2:] / np.sqrt(variance)
        # Close to the normal distribution function, and quick.
        probable = 1 / (1 + np.exp(-np.clip(1.702 * z, -50, 50)))
        logs: Floats = np.log(np.where(self.missing[:, -2:], 1.0, 2 * probable) + TINY)
        total: Floats = logs.sum(1)
        return total

    def draw(self, shapes: Ints, chance: np.random.Generator) -> _Draws:
        """A path for each of `shapes` [S]: of several draws the first whose fall and rise have the right sign."""
        total = self.family.columns.shape[1]
        variance = self.half_misfit[shapes] / chance.standard_gamma(self.half_weight, len(shapes))
        root = np.linalg.cholesky(self.covariance[shapes])
        spread = np.sqrt(variance)[:, None]
        drawn = chance.standard_normal((TRIES, *root.shape[:2], 1))
        tried = self.mean[shapes] + spread * (root @ drawn)[..., 0]
        tried = np.where(self.missing[shapes], 0.0, tried)
        first = (tried[..., -2:] >= 0).all(-1).argmax(0)
        coefficients = tried[first, np.arange(len(shapes))]
        coefficients[:, -2:] = np.maximum(coefficients[:, -2:], 0)
        weights = np.zeros((len(shapes), len(self.family.columns) + 1))  # the last column is for what a shape lacks
        weights[np.arange(len(shapes))[:, None], self.family.shapes[shapes]] = coefficients
        weights = weights[:, :-1]
        mean = self.family.expected + weights @ self.family.columns
        if self.drift:
            mean = mean + self._drift(weights, spread, total, chance)
        noise = self.family.noise[self.rows :]
        paths = mean[:, self.rows :] + spread * noise * chance.standard_normal((len(shapes), len(noise)))
        return _Draws(paths, mean, spread[:, 0] * noise[0])

    def _drift(self, weights: Floats, spread: Floats, total: int, chance: np.random.Generator) -> Floats:
        """[S, E + M] the walk: as the residuals have it so far, then on at random."""
        columns = len(self.family.columns)
        residuals = self.known[:, columns] - weights @ self.known[:, :columns].T
        walk = self.known[:, columns + 1 :]
        past = residuals @ walk
        left = max(self.walk[-1, -1] - float(walk[:, -1] @ walk[:, -1]), 0.0)
        now = past[:, -1:] + np.sqrt(left) * spread * chance.standard_normal(spread.shape)
        steps = np.sqrt(self.drift) * spread * chance.standard_normal((len(spread), total - self.rows))
        return np.concatenate([past, now + np.cumsum(steps, 1)], 1)
