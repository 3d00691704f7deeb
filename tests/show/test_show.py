"""The pictures: what they must say, what they must survive, and that none is ever left half written."""

from __future__ import annotations

import html
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from downstroke.errors import DownstrokeError
from downstroke.history import EpochRow, History, StepRow
from downstroke.show import curves, plots, style
from downstroke.show.plots import loss_plot, overlay_plot
from downstroke.show.report import confusion_picture, misread_picture

NAN, INF = math.nan, math.inf
DIGITS = [str(i) for i in range(10)]
TITLE = "run_$x^2$ <é> お"  # dollars are not mathematics; the last letter is not in the font


def words(path: Path) -> list[str]:
    """Every piece of text in an SVG."""
    found = re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(encoding="utf-8"), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", text)).strip() for text in found]


def row(epoch: int, loss: float = 0.1, val_loss: float = 0.1, accuracy: float = 0.98, **other: float) -> EpochRow:
    fields = {"lr": 1e-3, "batch_loss": loss, "val_accuracy": accuracy, **other}
    return EpochRow(epoch, 10 * epoch, float(epoch), loss=loss, val_loss=val_loss, accuracy=accuracy, **fields)


def learning(epochs: int) -> History:
    return History([row(e, 0.1 / e, 0.12 / e**0.5, 1 - 0.02 / e) for e in range(1, epochs + 1)])


def overfitting() -> History:
    return History([row(e, 0.5 * 0.6**e, 0.3 + 0.01 * abs(e - 4), 0.9) for e in range(1, 13)])


def steps(count: int, lr: Callable[[float], float] = lambda share: 1e-3) -> list[StepRow]:
    return [StepRow(s, lr(s / count), 2 / s, 1.0) for s in range(1, count + 1)]


# Drawing is what takes the time here: a picture that several tests look at is drawn once. SVG unless pixels count.


@pytest.fixture(scope="module")
def with_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("with-steps") / "loss.svg"
    return loss_plot(learning(3), path, title=TITLE, steps=steps(30))


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return words(loss_plot(overfitting(), tmp_path_factory.mktemp("overfitted") / "loss.svg"))


# ---- one run -------------------------------------------------------------------------------------------


def test_the_axes_are_named_with_their_units(with_steps: Path) -> None:
    wanted = {"loss (nats, mean over images)", "accuracy (%)", "lr (per step)", "epoch", TITLE}
    assert wanted <= set(words(with_steps))


def test_each_line_is_named_with_its_last_value(tmp_path: Path) -> None:
    history = History([row(1, 0.5, 0.6, 0.9), row(2, 0.25, 0.41, 0.95, val_accuracy=0.9321, batch_loss=0.333)])
    said = words(loss_plot(history, tmp_path / "loss.svg"))
    assert {"train 0.2500", "val 0.4100", "batch 0.3330", "train 95.00%", "val 93.21%", "lr 0.001"} <= set(said)


def test_the_best_epoch_is_marked_with_its_value(overfitted: list[str]) -> None:
    assert "best: epoch 4, val loss 0.3000, val accuracy 90.00%" in overfitted


def test_overfitting_is_shaded_and_said_and_learning_is_not(tmp_path: Path, overfitted: list[str]) -> None:
    assert "overfitting" in overfitted
    assert "overfitting" not in words(loss_plot(learning(12), tmp_path / "fine.svg"))
    # Val rises, but so does train: that is not overfitting.
    rising = History([row(e, 0.1 * e, 0.1 * e) for e in range(1, 6)])
    assert "overfitting" not in words(loss_plot(rising, tmp_path / "rising.svg"))


def test_a_run_without_val_is_drawn_and_does_not_mention_val(tmp_path: Path) -> None:
    history = History([row(e, 0.5 / e, NAN, val_accuracy=NAN) for e in (1, 2, 3)])
    said = words(loss_plot(history, tmp_path / "loss.svg", steps=steps(30)))
    assert "train 0.1667" in said
    assert not [text for text in said if re.search(r"\bval\b|best", text)]


def test_val_measured_now_and_then_is_drawn(tmp_path: Path) -> None:
    history = History([row(e, 0.5 / e, 0.4 / e if e % 3 == 0 else NAN) for e in range(1, 9)])
    said = words(loss_plot(history, tmp_path / "loss.svg"))
    assert "val 0.0667" in said
    assert "not finite" not in said


@pytest.mark.parametrize("last", [(INF, INF), (NAN, NAN), (0.2, INF), (NAN, 0.3)])
def test_a_diverged_run_is_drawn_and_says_so(tmp_path: Path, last: tuple[float, float]) -> None:
    history = History([row(1, 0.4, 0.5), row(2, 30.0, 50.0), row(3, *last)])
    said = words(loss_plot(history, tmp_path / "loss.svg", stopped="the loss is not finite"))
    assert "not finite" in said
    assert any("stopped: the loss is not finite" in text for text in said)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(learning(1), id="one epoch"),
        pytest.param(learning(2), id="two epochs"),
        pytest.param(learning(300), id="300 epochs"),
        pytest.param(History([row(1, NAN, NAN, NAN)]), id="nothing finite"),
        pytest.param(History([row(1, INF, INF, 0.1)]), id="diverged at once"),
        pytest.param(History([row(1, 1e-300, 1e300), row(2, 0.0, 1e308)]), id="all magnitudes"),
        pytest.param(History([row(e, 0.0, 0.0, 1.0) for e in (1, 2)]), id="perfect"),
        pytest.param(History([row(e, 2.3, 2.3, 0.1) for e in (1, 2)]), id="learns nothing"),
        pytest.param(History([row(e, 0.3, 0.3, 0.0, lr=0.0) for e in (1, 2)]), id="zeros"),
        pytest.param(History([row(e, 0.1, 0.1, 0.5, lr=NAN) for e in (7, 8)]), id="another program's log"),
    ],
)
def test_any_history_is_drawn(tmp_path: Path, history: History) -> None:
    said = words(loss_plot(history, tmp_path / "loss.svg"))
    assert "epoch" in said
    assert all("nan" not in text and "inf" not in text for text in said)


@pytest.mark.parametrize("history", [learning(1), History([row(1, NAN, NAN, NAN)]), History([row(7), row(8)])])
def test_any_history_is_drawn_with_its_steps(tmp_path: Path, history: History) -> None:
    recorded = [*steps(25), StepRow(26, 1e-3, INF, NAN)]
    said = words(loss_plot(history, tmp_path / "loss.svg", steps=recorded))
    assert "batch 0.0800" in said  # of the last step whose loss was a number: 2 / 25


def test_perfect_accuracy_is_100_on_its_axis(tmp_path: Path) -> None:
    history = History([row(e, 0.1 / e, 0.1 / e, min(0.98 + 0.005 * e, 1.0)) for e in range(1, 7)])
    said = words(loss_plot(history, tmp_path / "loss.svg"))
    assert "100" in said
    assert "val 100%" in said


def test_nearly_perfect_is_never_rounded_to_perfect() -> None:
    assert [style.percent(v) for v in (1.0, 0.99999, 0.5, 1e-9, 0.0)] == ["100%", "99.99%", "50.00%", "0.01%", "0%"]


def test_log_ticks_are_round_and_few() -> None:
    for low, high in [(0.018, 2.4), (3e-5, 1.2), (0.011, 0.024), (0.5, 0.58), (1e-30, 1e10)]:
        ticks = style.log_ticks(low, high, 6)
        assert 2 <= len(ticks) <= 6, (low, high, ticks)
        assert all(low <= tick <= high for tick in ticks)
        assert all(len(style.number(tick)) <= 6 for tick in ticks)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_names_beside_the_curves_never_touch(count: int) -> None:
    for wanted in (np.zeros(count), np.ones(count), np.linspace(0.48, 0.52, count)):
        places = np.array(plots._spread(list(wanted), 0.1))
        assert (np.diff(places) > 0.0999).all()
        assert places.max() <= 1


def test_steps_land_on_their_epochs_also_the_ones_of_an_unfinished_epoch() -> None:
    x, lr, _, _ = curves.by_step(learning(2), steps(25, lambda share: share))  # ten steps an epoch
    assert x[[0, 9, 19, 24]] == pytest.approx([0.1, 1.0, 2.0, 2.5])
    assert lr[-1] == 1.0


def test_a_hundred_thousand_steps_are_thinned_but_keep_both_ends(tmp_path: Path) -> None:
    history = learning(10_000)
    recorded = steps(100_000, lambda share: 0.1 * (1 - share))
    x, lr, _, batch = curves.by_step(history, recorded)
    assert len(x) <= 1500
    assert (lr[0], lr[-1]) == (recorded[0].lr, recorded[-1].lr)
    assert np.nansum(batch) * 100_000 / len(batch) == pytest.approx(sum(s.batch_loss for s in recorded), rel=0.01)
    picture = loss_plot(history, tmp_path / "loss.svg", steps=recorded)
    assert picture.stat().st_size < 1_500_000


def test_a_name_with_dollars_or_without_a_glyph_in_the_font_is_drawn(with_steps: Path) -> None:
    assert "run_$x^2$ <é> お" in words(with_steps)


def test_an_svg_names_fonts_for_viewers_that_lack_ours(with_steps: Path) -> None:
    drawn = with_steps.read_text(encoding="utf-8")
    assert drawn.count("font-family") == drawn.count("font-family: 'DejaVu Sans', Verdana, sans-serif") > 0


# ---- files ---------------------------------------------------------------------------------------------


def test_a_png_is_twice_900_by_600(tmp_path: Path) -> None:
    with Image.open(loss_plot(learning(3), tmp_path / "loss.PNG")) as picture:
        assert (picture.format, picture.size) == ("PNG", (1800, 1200))


def test_an_empty_history_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(DownstrokeError, match=r"^nothing to plot yet: "):
        loss_plot(History(), tmp_path / "loss.png")
    with pytest.raises(DownstrokeError, match=r"^nothing to plot yet: "):
        overlay_plot({"a": History()}, tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["loss.pdf", "loss", "loss.png.gz"])
def test_another_suffix_is_named_with_what_was_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(DownstrokeError, match=r"expected \.png or \.svg") as caught:
        loss_plot(learning(1), tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DownstrokeError, match=r"cannot write .*No such file") as caught:
        misread_picture(*misread(0), DIGITS, tmp_path / "absent" / "misread.png")
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_picture_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "loss.svg"
    path.write_bytes(b"the old picture")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DownstrokeError, match="No space left"):
        loss_plot(learning(1), path)
    assert path.read_bytes() == b"the old picture"
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_history_gives_the_same_svg_whatever_the_users_style(tmp_path: Path, with_steps: Path) -> None:
    one = with_steps.read_bytes()
    with mpl.rc_context({"figure.facecolor": "black", "font.size": 30, "svg.fonttype": "path", "lines.marker": "x"}):
        before = dict(mpl.rcParams)
        two = loss_plot(learning(3), tmp_path / "two.svg", title=TITLE, steps=steps(30)).read_bytes()
        assert dict(mpl.rcParams) == before
    assert one == two
    assert b"<dc:date>" not in one


def test_drawing_never_loads_pyplot_or_torch() -> None:
    code = "import sys, downstroke.show.report; print({'matplotlib.pyplot', 'torch'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("backend", ["module://not_installed.backend_inline", "nonsense", "pdf"])
def test_pictures_are_drawn_by_agg_whatever_mplbackend_says(tmp_path: Path, backend: str) -> None:
    code = (
        "import sys; from pathlib import Path; from downstroke.show import style\n"
        "with style.drawing(Path(sys.argv[1]), 100, 50) as figure: print(type(figure.canvas).__module__)"
    )
    environment = {**os.environ, "MPLBACKEND": backend}
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("matplotlib.backends.backend_agg", "")
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (200, 100))


def test_a_backend_that_is_there_stays_chosen_for_the_users_own_plots() -> None:
    code = "import downstroke.show.style, matplotlib; print(matplotlib.get_backend())"
    environment = {**os.environ, "MPLBACKEND": "svg"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.strip() == "svg"


# ---- several runs --------------------------------------------------------------------------------------


def test_overlaid_runs_are_each_named_with_their_best(tmp_path: Path) -> None:
    no_val = History([row(e, 0.5 / e, NAN, val_accuracy=NAN) for e in (1, 2)])
    runs = {"calm-otter": learning(4), "b": overfitting(), "no-val": no_val, "fresh": History()}
    said = words(overlay_plot(runs, tmp_path / "runs.svg"))
    assert {*runs, "best val 0.0600, epoch 4", "best val 0.3000, epoch 4", "no val; train 0.2500"} <= set(said)
    assert "no epoch finished yet" in said
    assert {"val loss (nats)", "train loss (nats)", "accuracy (%)", "epoch"} <= set(said)


def test_the_noise_of_val_is_a_band_around_it_and_is_said(tmp_path: Path) -> None:
    runs = {"a": learning(4), "b": overfitting()}
    noise = {"a": {3: 0.01, 4: 0.01}, "b": {}}
    with_band = overlay_plot(runs, tmp_path / "band.svg", noise=noise)
    without = overlay_plot(runs, tmp_path / "plain.svg")
    bands = [path.read_text().count("fill-opacity: 0.2") for path in (with_band, without)]
    assert bands == [1, 0]
    said = "band: ± one standard error of the val loss, paired over the val images"
    assert [any(said in text for text in words(path)) for path in (with_band, without)] == [True, False]


def test_a_band_is_drawn_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    overlay_plot({"a": learning(4)}, tmp_path / "band.svg", noise={"a": {1: 0.03, 4: 0.02}})
    val = next(ax for ax in drawn[0].axes if ax.get_ylabel() == "val loss (nats)")
    low, high = val.get_ylim()
    band = val.collections[0].get_datalim(val.transData)
    assert (low < band.y0 < 0.041, 0.149 < band.y1 < high) == (True, True)


def test_runs_with_other_val_images_are_overlaid_and_that_is_said(tmp_path: Path) -> None:
    runs = {"a": learning(4), "b": overfitting()}
    for shared in (True, False):
        said = words(overlay_plot(runs, tmp_path / "runs.svg", shared=shared))
        assert any("have not all the same val images" in text for text in said) != shared


def test_many_runs_and_long_names_stay_in_the_picture(tmp_path: Path) -> None:
    runs = {f"a-run-with-a-name-that-does-not-fit-{i}": learning(3) for i in range(40)}
    said = words(overlay_plot(runs, tmp_path / "runs.svg"))
    named = [text for text in said if "…" in text]
    assert len(set(named)) == 40  # cut in the middle: their ends tell them apart
    assert max(map(len, named)) < 25
    height = re.search(r'<svg[^>]* height="([0-9.]+)pt"', (tmp_path / "runs.svg").read_text(encoding="utf-8"))
    assert height
    assert float(height[1]) * 100 / 72 > 40 * 20  # room for a line of 20 pixels a run


# ---- confusion -----------------------------------------------------------------------------------------


def orange(path: Path) -> int:
    """How many pixels are clearly of the errors' colour."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    return int((pixels[..., 0] - pixels[..., 2] > 60).sum())


def test_the_diagonal_does_not_drown_a_single_error(tmp_path: Path) -> None:
    right = np.diag(np.full(3, 100_000))
    assert orange(confusion_picture(right, DIGITS[:3], tmp_path / "right.png")) == 0
    wrong = right.copy()
    wrong[1, 2] = 1
    assert orange(confusion_picture(wrong, DIGITS[:3], tmp_path / "wrong.png")) > 5000  # of a cell's 104 x 104


def test_the_confusion_tells_counts_recalls_and_total(tmp_path: Path) -> None:
    confusion = np.diag(np.full(10, 99))
    confusion[4, 9] = 33
    confusion[3] = 0
    said = words(confusion_picture(confusion, DIGITS, tmp_path / "confusion.svg"))
    assert "Confusion: 33 of 924 images misread (3.57%)" in said
    assert {"33", "99", "75.00%", "100%", "no images", "taken for", "true class"} <= set(said)


@pytest.mark.parametrize("count", [2, 12, 21])
def test_a_confusion_of_any_number_of_classes_names_each(tmp_path: Path, count: int) -> None:
    names = [f"glyph {i} $" for i in range(count)]
    confusion = np.random.default_rng(0).integers(0, 20, (count, count))
    said = words(confusion_picture(confusion, names, tmp_path / "confusion.svg"))
    assert all(said.count(name) == 2 for name in names)
    assert any("darkest: 19" in text for text in said) == (count > 20)  # no numbers in the cells: the scale is said


def test_above_fifty_classes_the_worst_pairs_are_listed(tmp_path: Path) -> None:
    confusion = np.diag(np.full(500, 50))
    confusion[np.arange(450), np.arange(1, 451)] = 1
    confusion[123, 456] = 17
    names = [f"c{i}" for i in range(500)]
    said = words(confusion_picture(confusion, names, tmp_path / "confusion.svg"))
    assert "c123 taken for c456" in said
    assert "17" in said
    assert "73.53% of 68" in said
    assert sum(" taken for " in text for text in said) == 20
    said = words(confusion_picture(np.diag(np.full(60, 5)), names[:60], tmp_path / "right.svg"))
    assert said.count("none") == 2


def test_a_confusion_that_does_not_fit_its_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(9, 9\); expected \[10, 10\]"):
        confusion_picture(np.zeros((9, 9), np.int64), DIGITS, tmp_path / "confusion.png")


# ---- misread digits ------------------------------------------------------------------------------------


def misread(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 4:24, 13:16] = 255
    return images, np.full(count, 7), np.full(count, 1), np.linspace(0.2, 0.98, count)


def test_each_misread_digit_says_what_it_was_taken_for_most_confident_first(tmp_path: Path) -> None:
    images, labels, predictions, probabilities = misread(5)
    predictions[2] = 7  # read rightly: left out
    said = words(misread_picture(images, labels, predictions, probabilities, DIGITS, tmp_path / "misread.svg"))
    captions = [text for text in said if text.startswith("7 ")]
    assert captions == [f"7 taken for 1, {p}%" for p in (98, 78, 40, 20)]
    assert "4 misread" in said


def test_misread_digits_are_ink_on_paper(tmp_path: Path) -> None:
    images, labels, predictions, probabilities = misread(1)
    path = misread_picture(images, labels, predictions, probabilities, DIGITS, tmp_path / "misread.png")
    with Image.open(path) as picture:
        colours = {colour: n for n, colour in picture.convert("RGB").getcolors(1 << 20)}
    side = 28 * 8  # each pixel of the glyph is 8 x 8 here
    assert colours[(16, 28, 62)] == 20 * 3 * 64
    assert colours[(250, 247, 240)] == side * side - 20 * 3 * 64


def test_a_certainty_that_nobody_claimed_is_not_written(tmp_path: Path) -> None:
    images, labels, predictions, _ = misread(3)
    likely = np.array([0.999_999, 0.9968, 0.994])
    said = words(misread_picture(images, labels, predictions, likely, DIGITS, tmp_path / "misread.svg"))
    assert {"7 taken for 1, >99.9%", "7 taken for 1, 99.7%", "7 taken for 1, 99%"} <= set(said)


def test_ten_thousand_misread_digits_are_capped_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Axes, "imshow", lambda *_, **__: None)  # only words are looked for: glyphs take 2 seconds
    said = words(misread_picture(*misread(10_000), DIGITS, tmp_path / "misread.svg"))
    assert "The 200 most confident of 10,000 misread" in said
    assert sum(text.startswith("7 taken for 1") for text in said) == 200


def test_none_misread_is_a_picture_that_says_so(tmp_path: Path) -> None:
    said = words(misread_picture(*misread(0), DIGITS, tmp_path / "none.svg"))
    assert "None misread" in said


def test_names_of_classes_break_the_caption_in_two(tmp_path: Path) -> None:
    names = [f"Ankle boot {i}" for i in range(10)]
    said = words(misread_picture(*misread(2), names, tmp_path / "misread.svg"))
    assert {"Ankle boot 7", "taken for Ankle boot 1, 98%"} <= set(said)


def test_misread_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    images, labels, predictions, probabilities = misread(3)
    with pytest.raises(ValueError, match="K of each"):
        misread_picture(images, labels[:2], predictions, probabilities, DIGITS, tmp_path / "misread.png")


@pytest.mark.parametrize("smoothed", [True, False])
def test_a_batch_loss_far_from_the_loss_has_its_own_panel_and_says_why(tmp_path: Path, smoothed: bool) -> None:
    rows = [EpochRow(e, 10 * e, 1.0 * e, 0.1, 0.55, 0.03 / e, 0.99, 0.04 / e, 0.99) for e in (1, 2, 3)]
    said = words(loss_plot(History(rows), tmp_path / "smoothed.svg", smoothed=smoothed))
    assert {"batch loss (nats)", "batch 0.5500", "val 0.0133"} <= set(said)
    assert any("the batch loss includes label smoothing" in text for text in said) == smoothed


def test_a_loss_keeps_its_four_decimals() -> None:
    assert [style.told_loss(v) for v in (0.02, 0.0, 0.5, 2.302585, 5e-4)] == [
        "0.0200",
        "0.0000",
        "0.5000",
        "2.3",
        "5e-4",
    ]


@pytest.mark.parametrize("values", [(0.12705, 0.11643), (0.0212, 0.0216), (2.302585, 2.3026), (10234.0, 10235.0)])
def test_a_tick_says_where_it_is(values: tuple[float, ...]) -> None:
    """To three digits 0.1275 would be 0.128."""
    ax = Figure().add_subplot()
    style.scale_loss(ax, values, None)
    low, high = ax.get_ylim()
    told = [(at, ax.yaxis.get_major_formatter()(at, None)) for at in ax.get_yticks() if low <= at <= high]
    assert len(told) > 1
    assert [float(said) for _, said in told] == pytest.approx([at for at, _ in told], rel=1e-6)


def accuracy_axis(*values: float) -> Axes:
    ax = Figure().add_subplot()
    style.scale_accuracy(ax, values)
    return ax


@pytest.mark.parametrize(
    "values", [(0.1, 0.5), (0.6, 0.9999), (0.98, 0.99), (0.9962, 0.9971), (0.99, 1.0), (1.0,), (0.0,)]
)
def test_accuracy_has_one_scale_everywhere_with_several_ticks_and_whole_markers(values: tuple[float, ...]) -> None:
    ax = Figure(figsize=(9, 6)).add_subplot(6, 1, 1)  # as low as it is drawn
    floor = style.scale_accuracy(ax, values)
    assert ax.get_ylabel() == "accuracy (%)"
    assert [text.get_text() for text in ax.texts] == ["the errors on a log scale"]
    ticks = [float(tick) for tick in ax.get_yticks()]
    assert len(ticks) >= 2
    low, high = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    places = ax.transData.transform([(0, min(v, floor)) for v in values])[:, 1]
    assert places.min() - low > 5
    assert high - places.max() > 5  # half a marker, in pixels


def test_above_99_5_there_are_ticks_and_runs_about_as_good_have_the_same_axis() -> None:
    one, other = accuracy_axis(0.9822, 0.9961), accuracy_axis(0.9837, 0.9968)
    assert [tick for tick in one.get_yticks() if tick > 0.995]
    assert one.get_ylim() == other.get_ylim()
