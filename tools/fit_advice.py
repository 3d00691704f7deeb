"""Fit the weights that advice judges with: src/downstroke/advice/fitted.json.

    python tools/fit_advice.py HISTORIES            # fit on all, write the file
    python tools/fit_advice.py HISTORIES --check    # each data set judged by weights that never saw it

HISTORIES is a folder of CSV files (epoch,loss,val_loss) on MNIST made by other code. Added are the histories of other
programs, logs of public repositories and the develop half of downstroke's own, which travel in the package. The report
half is never seen here. For --check the data sets are cut into five folds; MNIST is one of them, a quarter of the
public logs is in each other. Simulated histories (`simulate_histories.py`) are judged there, too, and never fitted on,
unless they are given a weight.

A history is walked row by row. The stop is fitted by gradient descent on what counts: the expected regret (capped at 1)
plus price times the cost of the first stop, each row stopping with the logistic probability of its score. Its constant
is then fitted anew with no stop where val loss has just got better, as advice does it; the weights are not, because
fitted so they are worse on MNIST held out (docs/decisions/2026-11-27-public-logs.md). Last, the first rows' stops are
made as much rarer as loses least with the public logs among the others. What is expected (better, lower,
risen) are logistic regressions, and the forecasts a middle and a spread by Student's t.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstroke.advice.curve import Curve
from downstroke.advice.features import CLOSE, features, just_better, level, logarithms, shift
from downstroke.advice.fitted import CUT, FILE, fitted
from downstroke.advice.verdict import AHEAD, ENOUGH, OPERATING_POINTS
from downstroke.bench import advice as bench
from downstroke.bench import histories, hull
from simulate_histories import histories as simulated

Floats = NDArray[np.float64]
#: Of a history: the others are many and alike; the simulated ones are for --check alone.
WEIGHTS = {"plain": 1.0, "own": 1.0, "others": 0.25, "public": 2.0, "simulated": 0.0}
#: For the stop: fitted on the public logs, too, it is no better on those held out, and worse on the others. And for a
#: rise, whose alarm stops by itself: with them it stops one or two of the report half too soon.
STOP_WEIGHTS = {**WEIGHTS, "public": 0.0}
#: For how much later a stop comes in the first rows: where a val loss falls late, public logs tell.
EARLY_WEIGHTS = {**WEIGHTS, "public": 0.25}
MOST = 1.0  # regret counts no higher
RISEN = 1.10
#: Data sets and simulated kinds that are held out together.
FOLDS = (
    ("mnist", "nothing"),
    ("digits", "autoencoder", "classifier", "speech", "public 0"),
    ("cancer", "wine", "iris", "fine-tuning", "trees", "public 1"),
    ("diabetes", "friedman", "regression", "language", "public 2"),
    ("moons", "blobs", "characters", "detector", "too large", "public 3"),
)


@dataclass(frozen=True)
class History:
    """One training of a corpus."""

    corpus: str
    data: str  # the data set, or the kind of simulated history
    curve: Curve


@dataclass
class Table:
    """Every row of every history from ENOUGH on: N rows of F features, and what came after."""

    history: NDArray[np.int64]  # [N]
    rows: NDArray[np.int64]  # [N]
    told: Floats  # [N, F]
    fresh: NDArray[np.bool_]  # [N] whether val loss has just got better
    better: Floats  # [N] 0 or 1
    lower: Floats  # [N] 0..1
    risen: Floats  # [N] 0 or 1
    ahead: dict[int, Floats]  # epochs -> [N], NaN where the history ends before


def collect(folder: Path) -> list[History]:
    """All that is fitted on: finite histories of 8 rows at least that do not reach 0."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        columns = [np.array([float(row[name] or "nan") for row in rows]) for name in ("epoch", "val_loss", "loss")]
        found.append(History("plain", "mnist", Curve(*columns)))
    found += [History("own", "mnist", bench.of(recorded)) for recorded in histories.load("develop")]
    found += [History("others", other.data, other.curve) for other in histories.others()]
    found += [History("public", other.data, other.curve) for other in histories.others(histories.PUBLIC)]
    found += [History("simulated", kind, curve) for kind, curve in simulated()]
    usual = (h for h in found if len(h.curve) >= 8 and np.isfinite(h.curve.val_loss).all())
    return [h for h in usual if not 0 <= h.curve.val_loss.min() <= 1e-6]


def tabulate(found: Sequence[History]) -> tuple[Table, list[str]]:
    """Walk every history; the names of the features besides."""
    columns = ("history", "rows", "told", "fresh", "better", "lower", "risen")
    table: dict[str, list[Any]] = {name: [] for name in columns}
    ahead: dict[int, list[float]] = {epochs: [] for epochs in AHEAD}
    names: list[str] = []
    for number, history in enumerate(found):
        losses = history.curve.val_loss
        z = logarithms(losses)
        for rows in range(ENOUGH, len(losses)):
            seen = history.curve.first(rows)
            told = features(seen)
            names = list(told)
            gain = z[:rows].min() - z.min()
            table["history"].append(number)
            table["rows"].append(rows)
            table["told"].append(list(told.values()))
            table["fresh"].append(just_better(seen))
            table["better"].append(float(gain > CLOSE))
            table["lower"].append(1 - np.exp(-gain))
            ends = np.median(losses[-5:]) > RISEN * losses[:rows].min()
            table["risen"].append(float(ends and gain <= CLOSE))
            for epochs in AHEAD:
                at = rows - 1 + epochs
                ahead[epochs].append(z[at] - level(seen) if at < len(z) else np.nan)
    arrays = {name: np.array(values) for name, values in table.items()}
    return Table(**arrays, ahead={epochs: np.array(values) for epochs, values in ahead.items()}), names


def fit(
    found: Sequence[History],
    table: Table,
    names: Sequence[str],
    kept: NDArray[np.bool_],
    points: Sequence[str] = tuple(OPERATING_POINTS),
) -> dict[str, Any]:
    """The weights, from the rows whose history is `kept` [H]; stops at `points`, balanced among them."""
    of_all, of_stop = (by_corpus(found, weights) for weights in (WEIGHTS, STOP_WEIGHTS))
    chosen, scaled = ((kept & (weights > 0))[table.history] for weights in (of_all, of_stop))
    mean = np.nanmean(table.told[scaled], 0)
    filled = np.where(np.isfinite(table.told), table.told, mean)
    spread = filled[scaled].std(0) + 1e-9
    x = np.append(np.clip((filled - mean) / spread, -CUT, CUT), np.ones((len(filled), 1)), 1)
    rows = np.bincount(table.history, minlength=len(found))
    weight, of_rise = ((weights / rows)[table.history] for weights in (of_all, of_stop))
    at = torch.tensor(x[chosen])
    told: dict[str, Any] = {"names": list(names), "mean": mean, "spread": spread, "stop": {}}
    every_row = np.ones(len(x), dtype=bool)
    start = stop(walks_of(found, table, x, kept, every_row, STOP_WEIGHTS), OPERATING_POINTS["balanced"])
    walks, with_public = (walks_of(found, table, x, kept, ~table.fresh, w) for w in (STOP_WEIGHTS, EARLY_WEIGHTS))
    for name in points:
        price = OPERATING_POINTS[name]
        weights = stop(walks, price, start)
        told["stop"][name] = later_at_first(with_public, price, weights, names.index("early"))
    for name, given in (("better", weight), ("lower", weight), ("risen", of_rise)):
        w = torch.tensor(given[chosen] / given[chosen].sum())
        told[name] = logistic(at, torch.tensor(getattr(table, name)[chosen]), w)
    told["ahead"] = {}
    for epochs in AHEAD:
        y = table.ahead[epochs]
        known = chosen & np.isfinite(y)
        told["ahead"][epochs] = forecast(x[known], y[known], weight[known] / weight[known].sum())
    return told


@dataclass(frozen=True)
class Walks:
    """The rows of H histories side by side, L at most, from ENOUGH on; behind a history's end none stops."""

    at: Tensor  # [H, L, F + 1]
    may_stop: Tensor  # [H, L] 0 or 1
    regret: Tensor  # [H, L] of a stop there
    cost: Tensor  # [H, L]
    weight: Tensor  # [H], 1 in all

    def lost(self, score: Tensor, sharp: float, price: float) -> Tensor:
        """What the first stop is expected to lose where a row of that score [H, L] stops with its logistic."""
        stops = torch.sigmoid(score * sharp) * self.may_stop
        still = torch.exp(torch.cumsum(torch.log1p(-stops.clamp(max=1 - 1e-6)), 1))
        first = stops * torch.cat([torch.ones_like(still[:, :1]), still[:, :-1]], 1)
        worth = self.regret + price * self.cost
        return (self.weight * ((first * worth).sum(1) + still[:, -1] * worth[:, -1])).sum()


def walks_of(
    found: Sequence[History],
    table: Table,
    x: Floats,
    kept: NDArray[np.bool_],
    open_: NDArray[np.bool_],
    weights: Mapping[str, float],
) -> Walks:
    """The histories `kept` [H] whose corpus has a weight; `open_` [N]: the rows at which a training may be stopped."""
    weight = by_corpus(found, weights)
    ids = np.flatnonzero(kept & (weight > 0))
    place = np.full(len(found), -1)
    place[ids] = np.arange(len(ids))
    longest = max(len(found[i].curve) for i in ids) - ENOUGH + 1
    at, may_stop = np.zeros((len(ids), longest, x.shape[1])), np.zeros((len(ids), longest))
    regret, cost = np.zeros((len(ids), longest)), np.zeros((len(ids), longest))
    mine = np.isin(table.history, ids)
    where = (place[table.history[mine]], table.rows[mine] - ENOUGH)
    at[where], may_stop[where] = x[mine], open_[mine]
    for k, i in enumerate(ids):
        losses = found[i].curve.val_loss + shift(found[i].curve.val_loss)
        ends = np.minimum(np.arange(ENOUGH, ENOUGH + longest), len(losses))
        regret[k] = np.minimum(MOST, (np.minimum.accumulate(losses) / losses.min() - 1)[ends - 1])
        cost[k] = ends / hull.needed(losses)
    arrays = (at, may_stop, regret, cost, weight[ids] / weight[ids].sum())
    return Walks(*(torch.tensor(array, dtype=torch.float32) for array in arrays))


def by_corpus(found: Sequence[History], weights: Mapping[str, float]) -> Floats:
    """The weight of each history, [H]."""
    return np.array([weights[history.corpus] for history in found])


def stop(walks: Walks, price: float, start: Floats | None = None) -> Floats:
    """Weights [F + 1] with which the least is lost; only the last is fitted from a `start`."""
    known = None if start is None else walks.at @ torch.tensor(start, dtype=torch.float32)
    weights = torch.zeros(walks.at.shape[2] if known is None else 1)
    weights[-1] = -0.7 if known is None else 0.0
    weights.requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=0.05)
    steps = 400
    for step in range(steps):
        score = walks.at @ weights if known is None else known + weights
        lost = walks.lost(score, 1 + 3 * step / steps, price)
        if known is None:
            lost = lost + price * (1e-3 * weights.square().sum() + 5e-3 * weights.abs().sum())
        optimizer.zero_grad()
        lost.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step == int(0.7 * steps):
            optimizer.param_groups[0]["lr"] = 0.01
    fitted: Floats = weights.detach().double().numpy()
    return fitted if start is None else np.append(start[:-1], start[-1] + fitted[0])


def later_at_first(walks: Walks, price: float, weights: Floats, early: int) -> Floats:
    """The weights [F + 1] with as much less for the feature `early` as loses least; rows without it stop as before."""
    known, here = walks.at @ torch.tensor(weights, dtype=torch.float32), walks.at[:, :, early]
    least = float(here[walks.may_stop > 0].min())  # how the feature is taken where it is 0
    lost = {less: float(walks.lost(known - less * (here - least), 4.0, price)) for less in np.arange(0, 3.01, 0.1)}
    less = min(lost, key=lambda one: lost[one])
    moved = weights.copy()
    moved[early] -= less
    moved[-1] += less * least
    return moved


def logistic(x: Tensor, y: Tensor, weight: Tensor) -> Floats:
    """Weights [F + 1] of a logistic regression with a little decay."""
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def lost() -> Tensor:
        optimizer.zero_grad()
        misfit = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights, y, weight, reduction="sum")
        whole = misfit + 5e-4 * weights[:-1].square().sum()
        whole.backward()  # type: ignore[no-untyped-call]
        return whole

    optimizer.step(lost)  # type: ignore[arg-type]
    return weights.detach().numpy()


def forecast(x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle and log spread, [F + 1] each, by Student's t of 3 degrees of freedom; quantiles of what is left."""
    at, to, w = (torch.tensor(v) for v in (x, y, weight))
    middle = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    spread = torch.zeros(x.shape[1], dtype=torch.float64)
    spread[-1] = -2.0
    spread.requires_grad_()
    optimizer = torch.optim.Adam([middle, spread], lr=0.02)
    for _ in range(400):
        scale = at @ spread
        left = (to - at @ middle) / torch.exp(scale)
        decay = 3e-3 * middle[:-1].square().sum() + 3e-4 * spread[:-1].square().sum()
        lost = ((2 * torch.log1p(left * left / 3) + scale) * w).sum() + decay
        optimizer.zero_grad()
        lost.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    apart = ((to - at @ middle) / torch.exp(at @ spread)).detach().numpy()
    order = np.argsort(apart)
    places = np.searchsorted(np.cumsum(weight[order]), (0.1, 0.5, 0.9))
    quantiles = apart[order][np.minimum(places, len(order) - 1)]
    return middle.detach().numpy(), spread.detach().numpy(), quantiles


def plain(value: Any) -> Any:
    """Ready for JSON, five digits each."""
    if isinstance(value, dict):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if isinstance(value, np.ndarray):
        return [float(f"{number:.5g}") for number in value]
    return value


def write(told: dict[str, Any], file: Path) -> None:
    """The weights, a model a line."""
    lines = [f"{json.dumps(name)}: {json.dumps(held)}" for name, held in plain(told).items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main(folder: Path, check: bool) -> None:
    """Fit, and write or check."""
    torch.set_num_threads(1)
    found = collect(folder)
    table, names = tabulate(found)
    print(len(found), "histories,", len(table.rows), "rows", flush=True)
    if not check:
        write(fit(found, table, names, np.ones(len(found), dtype=bool)), FILE)
        return
    corpora = [history.corpus for history in found]
    walks: dict[int, Any] = {}
    before = FILE.read_text()
    for fold in FOLDS:
        held_out = np.array([history.data in fold for history in found])
        write(fit(found, table, names, ~held_out, ("balanced",)), FILE)
        fitted.cache_clear()
        for i in np.flatnonzero(held_out):
            walks[int(i)] = bench.walk(found[i].curve, "balanced")
    FILE.write_text(before)
    for corpus in WEIGHTS:
        mine = [i for i, name in enumerate(corpora) if name == corpus]
        figures = bench.score([found[i].curve for i in mine], [walks[i] for i in mine])
        print(corpus, json.dumps(figures, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit the weights that advice judges with.")
    parser.add_argument("histories", type=Path, help="folder of CSV files (epoch,loss,val_loss)")
    parser.add_argument("--check", action="store_true", help="judge each data set by weights that never saw it")
    given = parser.parse_args()
    if not any(given.histories.glob("*.csv")):
        parser.error(f"{given.histories} holds no CSV file; expected a folder of histories")
    main(given.histories, given.check)
