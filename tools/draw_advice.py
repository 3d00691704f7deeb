"""Draw the pictures of docs/advice.md: a few histories of the develop half, and what was said when.

python tools/draw_advice.py        # writes docs/pictures/advice-*.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from downstroke.advice.curve import Curve
from downstroke.advice.verdict import Advice, advise_every
from downstroke.bench import hull
from downstroke.bench.advice import first_stop, of
from downstroke.bench.histories import Recorded, load
from downstroke.show.style import INK, TRAIN, VAL, drawing, heading, scale_loss

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
RIGHT = ("history-020", "history-013", "history-003", "history-028")
WRONG = ("history-052", "history-062", "history-124", "history-033")
SAID = {
    "right": "Where the advice was right",
    "wrong": "Where it was late, or could not know",
}
KEY = (
    "solid: val loss · dashed: train loss · ring: the W that is kept · black line: the first stop · "
    "grey: forecasts made before it"
)
FORECAST = "#777777"


def draw(name: str, wanted: tuple[str, ...], histories: dict[str, Recorded]) -> None:
    """One picture of four histories, each on its own scale: what counts is the curve beside its forecasts."""
    with drawing(PICTURES / f"advice-{name}.png", 1200, 860, scale=1.5) as figure:
        heading(figure, SAID[name], KEY)
        grid = figure.add_gridspec(2, 2, left=0.06, right=0.985, top=0.875, bottom=0.065, hspace=0.36, wspace=0.13)
        for place, which in zip(grid, wanted, strict=True):
            history = histories[which]
            known = of(history)
            draw_one(figure.add_subplot(place), history, known, advise_every(known))


def draw_one(ax: Axes, history: Recorded, known: Curve, walk: list[Advice]) -> None:
    """The losses, the stop, the best W kept, and the forecasts that were made at four moments before the stop."""
    recipe, stop = history.recipe, first_stop(walk)
    scale_loss(ax, in_sight(known), None, log_from=1.2)
    ax.set_xlim(0, 1.17 * known.epoch[-1])
    every = max(round(len(known.epoch) / 15), 1)
    ax.plot(known.epoch, known.loss, **TRAIN, markevery=every)
    ax.plot(known.epoch, known.val_loss, **VAL, markevery=every)
    for row in np.unique(np.linspace(4, stop, 4).round().astype(int)):
        told = walk[row - 1].forecast
        ahead = [walk[row - 1].epoch + f.epochs for f in told]
        look = {"color": FORECAST, "zorder": 4}
        ax.fill_between(ahead, [f.low for f in told], [f.high for f in told], alpha=0.3, linewidth=0, **look)
        ax.plot(ahead, [f.val_loss for f in told], linewidth=1, **look)
    said = walk[stop - 1]
    if said.stop:
        ax.axvline(stop, color=INK, linewidth=1)
        side = "right" if stop > 0.75 * known.epoch[-1] else "left"
        ax.annotate(f" {said.verdict} ", (stop, 0.94), xycoords=("data", "axes fraction"), ha=side, weight="bold")
    ring = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgecolor": INK}
    ax.plot([said.best_epoch], [said.best_val_loss], **ring, linestyle="", zorder=6)
    lost = hull.regret(known.val_loss, stop)
    ax.set_title(
        f"{recipe.model}, {recipe.optimizer}, lr {recipe.lr:g} {recipe.schedule}, {recipe.train_size:,} images, "
        f"label noise {recipe.label_noise:.0%}\nregret {lost:.1%}, cost {hull.cost(known.val_loss, stop):.1f}",
        fontsize=9,
        loc="left",
    )
    ax.set_xlabel("epoch")


def in_sight(known: Curve) -> list[float]:
    """Every loss, but of train only what is not far below val: it may fall to nothing, and would leave val no room."""
    least = np.nanmin(known.val_loss) / 8
    return [float(loss) for loss in np.concatenate([known.val_loss, known.loss]) if loss >= least]


def main() -> None:
    histories = {history.recipe.name: history for history in load("develop")}
    draw("right", RIGHT, histories)
    draw("wrong", WRONG, histories)


if __name__ == "__main__":
    main()
