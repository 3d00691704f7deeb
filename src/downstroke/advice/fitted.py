"""The weights that `tools/fit_advice.py` fitted: each judgement is a weighted sum of the features of a history."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from downstroke.advice.curve import Floats

FILE = Path(__file__).with_name("fitted.json")
#: Standard deviations from the mean at which a feature is cut: beyond, the weights have seen nothing.
CUT = 4.0


@dataclass(frozen=True)
class Fitted:
    """Linear models over the same F features, each a weight for every feature and a last one for none."""

    names: tuple[str, ...]
    mean: Floats  # [F]
    spread: Floats  # [F]
    stop: Mapping[str, Floats]  # operating point -> [F + 1]; above 0 is to stop
    better: Floats  # [F + 1] log odds that val loss gets lower by more than 1%
    lower: Floats  # [F + 1] log odds of the share by which the best gets lower
    risen: Floats  # [F + 1] log odds that val loss ends 10% above the best so far, without a better one
    ahead: Mapping[int, tuple[Floats, Floats, Floats]]  # epochs -> middle, log spread, quantiles 10, 50 and 90%

    def standard(self, told: Mapping[str, float]) -> Floats:
        """[F + 1] the features as the models take them; one that is not known counts as the mean of those known."""
        values = np.array([told[name] for name in self.names])
        scaled = (np.where(np.isfinite(values), values, self.mean) - self.mean) / self.spread
        return np.append(np.clip(scaled, -CUT, CUT), 1.0)


def probability(weights: Floats, standard: Floats) -> float:
    """0..1"""
    return float(1 / (1 + np.exp(-np.clip(weights @ standard, -30, 30))))


@functools.cache
def fitted() -> Fitted:
    """The weights that travel in the package."""
    held: dict[str, Any] = json.loads(FILE.read_text())

    def numbers(values: list[float]) -> Floats:
        return np.array(values, dtype=np.float64)

    return Fitted(
        names=tuple(held["names"]),
        mean=numbers(held["mean"]),
        spread=numbers(held["spread"]),
        stop={point: numbers(weights) for point, weights in held["stop"].items()},
        better=numbers(held["better"]),
        lower=numbers(held["lower"]),
        risen=numbers(held["risen"]),
        ahead={
            int(epochs): (numbers(middle), numbers(spread), numbers(quantiles))
            for epochs, (middle, spread, quantiles) in held["ahead"].items()
        },
    )
