"""Histories as public logs hold them, drawn from the prior below; `fit_advice.py --check` judges them.

Trainings on small data, which anyone can repeat, leave out what most public logs are of: language models whose loss
falls for hundreds of evaluations, fine-tuning that is best after two, detectors with noisy sums of losses, boosted
trees, speech. As in LC-PFN (Adriaensen et al. 2023) such curves are drawn, not collected: history number i is a
function of i alone.

A history of a kind is, with s(t) the share of the lr that is left at epoch t and u(t) the lr used so far:

    val(t)   = floor + height * fall(u) + excess * s(t) + rise(u - onset)      times noise
    train(t) = train floor + height * fall(u) + excess * s(t)                  times less noise

- fall: a mixture of an exponential and a power law, u / tau with tau from a twentieth of the length to twice it;
  at times flat at first, as where a network finds nothing until it does (speech, detection).
- excess: what a large lr keeps the loss above what the weights could reach; a drop of the lr takes it away.
- rise: overfitting, from an onset on, as a power of u between 0.5 and 1.5.
- noise: Student's t of 2, 3, 5 or 30 degrees of freedom, its scale constant or shrinking with s(t), a part of it
  carried over to the next row; spikes of both losses that take up to three rows to go.
- a lr that is too large: both losses leave their lowest at some epoch and stay high, swing, or end as nan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from downstroke.advice.curve import Curve, Floats

COUNT = 450


@dataclass(frozen=True)
class Kind:
    """The ranges that a kind of history is drawn from; (a, b) is log-uniform unless it says otherwise."""

    rows: tuple[int, int]
    height: tuple[float, float]  # of the fall, over the floor
    tau: tuple[float, float]  # epochs of the fall, as a share of the rows
    noise: tuple[float, float]  # relative
    rises: float  # probability of overfitting
    onset: tuple[float, float]  # share of the rows
    rise: tuple[float, float]  # by the end, over the floor
    schedules: tuple[str, ...]
    waits: float = 0.0  # probability of a flat beginning
    spikes: float = 0.1  # probability that there are any
    diverges: float = 0.05
    shifted: float = 0.0  # probability that the loss is shown less something, so that it may be negative


_ANY = ("constant", "constant", "cosine", "linear", "step", "plateau", "exponential", "one-cycle", "cosine-floor")
KINDS: dict[str, Kind] = {
    "classifier": Kind((20, 150), (0.3, 30), (0.03, 0.5), (0.005, 0.08), 0.5, (0.05, 0.8), (0.05, 2), _ANY),
    "fine-tuning": Kind(
        (5, 40), (0.1, 3), (0.02, 0.3), (0.003, 0.05), 0.75, (0.05, 0.6), (0.05, 1.5),
        ("linear", "linear", "constant", "cosine"),
    ),
    "language": Kind(
        (20, 250), (0.3, 3), (0.02, 0.6), (0.0003, 0.006), 0.25, (0.1, 0.8), (0.02, 1),
        ("cosine-floor", "cosine", "linear", "constant"),
    ),
    "detector": Kind(
        (40, 300), (0.3, 4), (0.03, 0.5), (0.004, 0.1), 0.4, (0.2, 0.8), (0.02, 0.3),
        ("linear-floor", "linear-floor", "cosine-floor", "step", "cosine"), waits=0.1, spikes=0.35,
    ),
    "speech": Kind(
        (10, 80), (0.5, 20), (0.03, 0.4), (0.005, 0.08), 0.5, (0.2, 0.8), (0.03, 0.6),
        ("linear", "constant", "plateau"), waits=0.4,
    ),
    "regression": Kind(
        (20, 200), (0.3, 100), (0.02, 0.6), (0.01, 0.2), 0.35, (0.1, 0.8), (0.05, 1), _ANY, spikes=0.25, shifted=0.1
    ),
    "trees": Kind(
        (40, 250), (0.3, 3), (0.05, 0.7), (0.0005, 0.01), 0.5, (0.1, 0.8), (0.01, 0.3), ("constant",), spikes=0
    ),
    "nothing": Kind(
        (10, 80), (0.001, 0.05), (0.01, 0.1), (0.002, 0.1), 0.5, (0.02, 0.3), (0.02, 2), _ANY, diverges=0.15
    ),
    "too large": Kind(
        (15, 80), (0.3, 10), (0.02, 0.3), (0.02, 0.4), 0.2, (0.1, 0.6), (0.1, 1),
        ("constant", "constant", "plateau", "step"), spikes=0.5, diverges=0.5,
    ),
}  # fmt: skip


def history(index: int) -> tuple[str, Curve]:
    """History number `index`, from 0: its kind, and the curve; lr is there where the run would have logged it."""
    chance = np.random.Generator(np.random.PCG64([20261127, index]))
    name = list(KINDS)[index % len(KINDS)]
    kind = KINDS[name]
    rows = round(_between(kind.rows, chance))
    t = np.arange(1.0, rows + 1)
    share = schedule(str(chance.choice(kind.schedules)), rows, chance)
    clock = np.cumsum(share ** chance.choice([0.5, 1.0]))
    waits = rows * chance.uniform(0.02, 0.3) if chance.random() < kind.waits else 0.0
    used = np.maximum(clock - waits, 0.0)
    floor = _between((0.02, 5), chance)
    height = floor * _between(kind.height, chance)
    tau, slow, power = (
        rows * _between(kind.tau, chance),
        rows * _between(kind.tau, chance),
        chance.uniform(0.3, 2),
    )
    mix = chance.choice([0.0, 1.0, chance.random()])
    fall = mix * np.exp(-used / tau) + (1 - mix) * (1 + used / slow) ** -power
    excess = floor * _between((0.01, 0.6), chance) * share if chance.random() < 0.5 else 0.0 * share
    val = floor + height * fall + excess
    if chance.random() < kind.rises:
        began = clock - clock[-1] * _between(kind.onset, chance)
        val = val + floor * _between(kind.rise, chance) * (
            np.maximum(began, 0) / max(began[-1], 1e-9)
        ) ** chance.uniform(0.5, 1.5)
    train_floor = floor * _between((0.005, 1), chance)
    train = train_floor + height * fall * chance.uniform(0.7, 1.1) + excess
    scale = _between(kind.noise, chance) * share ** chance.choice([0.0, 0.5, 1.0])
    val, train = (
        val * np.exp(_noise(rows, scale, chance)),
        train * np.exp(_noise(rows, scale * chance.uniform(0.1, 0.6), chance)),
    )
    if chance.random() < kind.spikes:
        val, train = _spiked(val, train, share, chance)
    if chance.random() < kind.diverges:
        val, train = _diverged(val, train, chance)
    if chance.random() < kind.shifted:
        val, train = val - 1.5 * floor, train - 1.5 * floor
    logs_train, logs_lr = chance.random() < 0.85, chance.random() < 0.6
    base = _between((1e-5, 1e-1), chance)
    return name, Curve(t, val, train if logs_train else None, base * share if logs_lr else None)


def schedule(name: str, rows: int, chance: np.random.Generator) -> Floats:
    """The share of the lr [E] at each row."""
    s = (np.arange(rows) + 0.5) / rows
    floor = float(chance.choice([0.01, 0.1])) if name.endswith("floor") else 1e-4
    share = np.ones(rows)
    if name.startswith("cosine"):
        share = floor + (1 - floor) * (1 + np.cos(np.pi * s)) / 2
    elif name.startswith("linear"):
        share = floor + (1 - floor) * (1 - s)
    elif name in ("step", "plateau"):
        factor = float(chance.choice([0.1, 0.3, 0.5]))
        for _ in range(int(chance.integers(1, 4))):
            share[int(rows * chance.uniform(0.2, 0.95)) :] *= factor
    elif name == "exponential":
        share = float(chance.choice([0.9, 0.95, 0.98])) ** np.arange(rows)
    elif name == "one-cycle":
        share = np.where(s < 0.3, s / 0.3, (1 + np.cos(np.pi * (s - 0.3) / 0.7)) / 2) + 1e-4
    if chance.random() < 0.25:
        warm = int(max(1, rows * chance.uniform(0.01, 0.1)))
        share[:warm] *= (np.arange(warm) + 0.5) / warm
    return np.maximum(share, 1e-4)


def _between(ends: tuple[float, float], chance: np.random.Generator) -> float:
    return math.exp(chance.uniform(math.log(ends[0]), math.log(ends[1])))


def _noise(rows: int, scale: Floats, chance: np.random.Generator) -> Floats:
    """Logarithms [E] of the noise; a few degrees of freedom make its tails heavy."""
    fresh = np.clip(chance.standard_t(float(chance.choice([2, 3, 5, 30])), rows), -12, 12) * scale
    carried = float(chance.choice([0.0, 0.0, 0.3, 0.6]))
    out = fresh.copy()
    for i in range(1, rows):
        out[i] += carried * out[i - 1]
    return np.clip(out, -1.5, 3)


def _spiked(val: Floats, train: Floats, share: Floats, chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Both losses with a few spikes, the rarer the smaller the lr."""
    rate = chance.uniform(0.02, 0.15)
    for at in np.flatnonzero(chance.random(len(val)) < rate * np.sqrt(share)):
        size = float(np.exp(abs(chance.standard_normal())) - 1) * chance.choice([0.2, 1, 5])
        for later in range(int(chance.integers(1, 4))):
            if at + later < len(val):
                val[at + later] *= 1 + size / 3**later
                train[at + later] *= 1 + size * chance.uniform(0.1, 1) / 3**later
    return val, train


def _diverged(val: Floats, train: Floats, chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Both losses leave their lowest and stay high."""
    at = int(len(val) * chance.uniform(0.03, 0.9))
    rows = len(val) - at
    ramp = 1 - np.exp(-np.arange(1, rows + 1) / chance.uniform(0.3, 5))
    times = 1 + _between((0.3, 30), chance) * ramp * np.exp(chance.uniform(0, 0.6) * chance.standard_normal(rows))
    val[at:] *= np.maximum(times, 1.02)
    train[at:] *= np.maximum(1 + (times - 1) * chance.uniform(0.5, 1.2), 1.02)
    return val, train


def histories(count: int = COUNT) -> list[tuple[str, Curve]]:
    """The first `count` histories."""
    return [history(index) for index in range(count)]
