"""Draw the pictures of docs/advice.md: a few histories of the develop half, and what was said when.

python tools/draw_advice.py        # writes docs/pictures/advice-*.png
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from downstroke.advice.curve import Curve
from downstroke.advice.verdict import Advice, advise_every
from downstroke.bench import hull
from downstroke.bench.advice import curve, first_stop
from downstroke.bench.histories import Recorded, load

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
RIGHT = ("history-020", "history-013", "history-003", "history-028")
WRONG = ("history-025", "history-048", "history-019", "history-044")
BLUE, ORANGE, GREY = "#1f5fa8", "#c7621a", "#777777"


def draw(name: str, wanted: tuple[str, ...], histories: dict[str, Recorded]) -> None:
    """One picture of four histories."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), constrained_layout=True)
    for ax, which in zip(axes.flat, wanted, strict=True):
        history = histories[which]
        known = curve(history)
        walk = advise_every(known)
        draw_one(ax, history, known, walk)
    figure.savefig(PICTURES / f"advice-{name}.png", dpi=80)
    plt.close(figure)


def draw_one(ax: Axes, history: Recorded, known: Curve, walk: list[Advice]) -> None:
    """The losses, the stop, the best W kept, and the forecasts that were made at four moments before the stop."""
    recipe, stop = history.recipe, first_stop(walk)
    ax.plot(known.epoch, known.val_loss, ".-", color=BLUE, ms=4, lw=1, label="val loss")
    ax.plot(known.epoch, known.loss, color=ORANGE, lw=1, label="training loss")
    for row in np.unique(np.linspace(4, stop, 4).round().astype(int)):
        told = walk[row - 1].forecast
        ahead = [walk[row - 1].epoch + f.epochs for f in told]
        ax.fill_between(ahead, [f.low for f in told], [f.high for f in told], color=GREY, alpha=0.25, lw=0)
        ax.plot(ahead, [f.val_loss for f in told], color=GREY, lw=1)
    said = walk[stop - 1]
    if said.stop:
        ax.axvline(stop, color="black", lw=1)
        ax.annotate(f" {said.verdict}", (stop, 0.94), xycoords=("data", "axes fraction"), fontsize=9)
    ax.plot([said.best_epoch], [said.best_val_loss], "o", mfc="none", mec="black", ms=10, label="the W that is kept")
    ax.set_yscale("log")
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ticks = np.geomspace(np.nanmin(known.val_loss), np.nanmax(known.val_loss), 4)
    ax.set_yticks(ticks, [f"{t:.2g}" for t in ticks])
    lost = hull.regret(known.val_loss, stop)
    ax.set_title(
        f"{recipe.model}, {recipe.optimizer}, lr {recipe.lr:g} {recipe.schedule}, {recipe.train_size:,} images, "
        f"label noise {recipe.label_noise:.0%}\nregret {lost:.1%}, cost {hull.cost(known.val_loss, stop):.1f}",
        fontsize=9,
    )
    ax.set_xlabel("epoch")
    ax.legend(fontsize=8, loc="lower left")


def main() -> None:
    histories = {history.recipe.name: history for history in load("develop")}
    draw("right", RIGHT, histories)
    draw("wrong", WRONG, histories)


if __name__ == "__main__":
    main()
