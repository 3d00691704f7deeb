"""docs/walk.md does what it says: its commands run in order in one folder, and print what it shows."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from downstroke import Run
from downstroke.cli import main
from downstroke.data import sources

DOCS = Path(__file__).parents[2] / "docs"
WALK = (DOCS / "walk.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"(?:`(\w+)`)?\]\(([^)\s]+)\)")
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
TIMED = re.compile(r"(images/s|[\d.]+ s of training|[\d.]+ MB of memory).*")


@dataclass
class Shown:
    """A command or a Python block, what the walk shows of its output, and what it printed here."""

    command: str
    lines: list[str]
    output: str = ""


def _blocks() -> list[tuple[str, str]]:
    return FENCE.findall(WALK)


def _walk() -> list[tuple[str, Shown]]:
    """Commands and Python blocks in order."""
    found: list[tuple[str, Shown]] = []
    blocks = _blocks()
    for number, (kind, text) in enumerate(blocks):
        if kind == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append(("console", Shown(line[2:], [])))
                else:
                    found[-1][1].lines.append(line)
        elif kind == "python":
            after, output = blocks[number + 1]
            assert after == "text", "a Python block is followed by what it printed"
            found.append(("python", Shown(text, output.splitlines())))
    return found


def _run(command: str) -> str:
    """stdout and stderr of a `downstroke` or `head` command, run in this process: torch is imported once."""
    program, *arguments = shlex.split(command)
    if program == "head":
        count, path = int(arguments[0].removeprefix("-")), Path(arguments[1])
        return "\n".join(path.read_text(encoding="utf-8").splitlines()[:count])
    assert program == "downstroke", command
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"{command}: exit code {result.exit_code}\n{result.output}"
    return result.output


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Shown]]:
    """The folder after the walk, and what each command printed."""
    folder, here, session = tmp_path_factory.mktemp("walk"), Path.cwd(), {"__name__": "walk"}
    os.chdir(folder)
    try:
        for kind, shown in (steps := _walk()):
            if kind == "console":
                shown.output = _run(shown.command)
                continue
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(shown.command, "docs/walk.md", "exec"), session)
            shown.output = printed.getvalue()
    finally:
        os.chdir(here)
    return folder, [shown for _, shown in steps]


def _open(walked: tuple[Path, list[Shown]], name: str) -> Run:
    return Run.open(name, walked[0] / "runs")


def _printed(walked: tuple[Path, list[Shown]], word: str) -> list[float]:
    """The numbers printed by the Python block that holds `word`."""
    (shown,) = [shown for shown in walked[1] if word in shown.command and "\n" in shown.command]
    return [float(number.replace(",", "")) for number in NUMBER.findall(shown.output)]


def _skeleton(line: str) -> str:
    """A line without its numbers, bars and spacing."""
    return " ".join(NUMBER.sub("#", TIMED.sub("", line)).replace("█", "").split())


def _numbers(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(TIMED.sub("", line))]


def test_the_walk_prints_what_it_shows(walked: tuple[Path, list[Shown]]) -> None:
    """Line by line, in order, the same words; numbers alike (a fifth apart at most, where machines may differ)."""
    for shown in walked[1]:
        printed = iter(shown.output.splitlines())
        for line in shown.lines:
            cut = line.endswith("...")
            wanted = line.removesuffix("...").rstrip()
            if not wanted:
                continue
            for candidate in printed:
                found = _skeleton(candidate)
                same = found.startswith(_skeleton(wanted)) if cut else found == _skeleton(wanted)
                close = all(
                    a == pytest.approx(b, rel=0.2, abs=0.03)
                    for a, b in zip(_numbers(wanted), _numbers(candidate), strict=False)
                )
                if same and close:
                    break
            else:
                pytest.fail(f"{shown.command}\nprinted\n{shown.output}\nand not, in this order,\n{line}")


def test_every_file_the_walk_names_appears(walked: tuple[Path, list[Shown]]) -> None:
    commands = "\n".join(shown.command for shown in walked[1])
    named = re.findall(r"(?:--out |save\(\")([\w.-]+\.png)", commands)
    named += [f"runs/{name}/loss.png" for name in re.findall(r"--name (\w+)", commands)]
    named += ["runs/first/steps.csv", "runs/few/metrics.csv", "runs/few/best", "runs/few/last", "runs/more/test.json"]
    assert len(named) >= 13
    assert [name for name in named if not (walked[0] / name).exists()] == []


def test_every_link_leads_to_a_file_and_every_function_named_is_in_it() -> None:
    links = LINK.findall(WALK)
    assert len(links) > 20
    for name, target in links:
        path = (DOCS / target).resolve()
        assert path.is_file(), target
        if name:
            assert re.search(rf"^ *(def|class) {name}\b", path.read_text(encoding="utf-8"), re.M), f"{name} in {target}"


def test_every_picture_is_shown_and_small() -> None:
    shown = set(re.findall(r"\(pictures/([^)]+)\)", WALK))
    assert shown == {"lrs.png", "overfitting.png", "careful.png"}
    assert all((DOCS / "pictures" / name).stat().st_size < 150_000 for name in shown)


def test_the_lines_of_the_loop_are_the_loops() -> None:
    (quoted,) = [text for kind, text in _blocks() if kind == "text" and "loss.backward(" in text]
    source = (DOCS.parent / "src/downstroke/learning/loop.py").read_text(encoding="utf-8")
    lines = iter(line.replace("  # type: ignore[no-untyped-call]", "").strip() for line in source.splitlines())
    for line in quoted.splitlines():
        assert line.strip() in lines, f"not in loop.py, or not in this order: {line}"


def test_a_trained_w_reads_what_the_first_w_did_not(walked: tuple[Path, list[Shown]]) -> None:
    before, after = _printed(walked, "models.build(recipe, classes=10)\nf.measure"), _printed(walked, "Image.from")
    label, y = int(after[0]), after[1:11]
    assert int(before[-12]) == label
    assert max(range(10), key=before[-11:-1].__getitem__) != label
    assert max(range(10), key=y.__getitem__) == label
    assert before[-1] == pytest.approx(1)


def test_both_forms_of_the_criterion_agree_until_a_probability_is_rounded_to_zero(
    walked: tuple[Path, list[Shown]],
) -> None:
    of_logits, of_probabilities, stable = _printed(walked, "literal = ")
    assert of_logits == pytest.approx(of_probabilities, rel=1e-3)
    assert stable == 200


def test_backward_and_the_moved_weight_agree(walked: tuple[Path, list[Shown]]) -> None:
    backward, moved = _printed(walked, "L.backward()")
    assert abs(backward) > 0.05
    assert backward == pytest.approx(moved, rel=0.01)


def test_the_step_by_hand_is_the_runs_step(walked: tuple[Path, list[Shown]]) -> None:
    _, first, _, second = _printed(walked, "w -= 0.02 * w.grad")
    recorded = [step.batch_loss for step in _open(walked, "first").steps[:2]]
    assert [first, second] == pytest.approx(recorded, rel=1e-5)


def test_the_lr_matters_as_told(walked: tuple[Path, list[Shown]]) -> None:
    def val(name: str) -> float:
        return _open(walked, name).history[-1].val_loss

    assert val("linear-sgd-exponential-0.2") < val("first") < val("linear-sgd-constant-0.2")
    assert max(val("mlp-nesterov-constant-0.02"), val("mlp-adam-constant-0.001")) < val("mlp-sgd-constant-0.02") / 2


def test_a_batchs_gradient_is_an_unbiased_estimate(walked: tuple[Path, list[Shown]]) -> None:
    (shown,) = [shown for shown in walked[1] if "def gradient" in shown.command]
    rows = [[float(n) for n in re.findall(r"\d+\.\d+", line)] for line in shown.output.splitlines()]
    assert len(rows) == 4
    for length, off, centre in rows:
        assert centre < off / 10, "the mean of the batches is G"
        assert length > 0
    for of_128, of_512 in (rows[:2], rows[2:]):
        assert of_128[1] / of_512[1] == pytest.approx(2, rel=0.25)
    assert rows[0][1] < rows[0][0], "at first a batch points roughly along G"
    assert rows[2][1] > 3 * rows[2][0], "later its noise is longer than G"


def test_an_epochs_loss_is_the_mean_over_images(walked: tuple[Path, list[Shown]]) -> None:
    run = _open(walked, "first")
    losses = [step.batch_loss for step in run.steps[-79:]]
    mean = sum(loss * size for loss, size in zip(losses, [128] * 78 + [16], strict=True)) / 10_000
    assert mean == pytest.approx(run.history[-1].batch_loss, rel=1e-6)
    assert max(losses) - min(losses) > 0.2


def test_batches_get_further_than_the_whole_for_the_same_images(walked: tuple[Path, list[Shown]]) -> None:
    first, whole = _open(walked, "first").history[-1], _open(walked, "whole").history[-1]
    assert (first.step, whole.step) == (316, 4)
    assert first.val_loss < whole.val_loss / 2


def test_few_images_and_many_epochs_overfit(walked: tuple[Path, list[Shown]]) -> None:
    history = _open(walked, "few").history
    best, last = history.best, history[-1]
    assert best is not None
    assert 5 < best.epoch < 15
    assert last.epoch == 40
    assert last.val_loss > 1.3 * best.val_loss
    assert last.loss < best.loss / 30
    assert last.accuracy == 1
    assert last.val_accuracy < best.val_accuracy - 0.02


def test_the_overfitting_is_avoided(walked: tuple[Path, list[Shown]]) -> None:
    few, careful, more = (_open(walked, name).history for name in ("few", "careful", "more"))
    assert few.best is not None
    assert careful.best is not None
    assert more.best is not None
    assert _open(walked, "few").weights().epoch == few.best.epoch, "best/ was kept"
    assert careful.best.val_loss < 0.8 * few.best.val_loss
    assert careful[-1].val_loss < 1.1 * careful.best.val_loss
    assert careful[-1].accuracy < 0.95, "most of the wrong labels were not learned"
    assert more.best.val_loss < careful.best.val_loss
    assert more[1].val_loss == pytest.approx(careful.best.val_loss, rel=0.15), "level after as many steps"


def test_the_one_look_at_test_agrees_with_val(walked: tuple[Path, list[Shown]]) -> None:
    (look,) = [shown.output for shown in walked[1] if shown.command.startswith("downstroke test")]
    found = re.search(r"accuracy +([\d.]+)%", look)
    best = _open(walked, "more").history.best
    assert found
    assert best
    assert float(found[1]) / 100 == pytest.approx(best.val_accuracy, abs=0.02)
    assert look.startswith("look 1 ")


def test_the_walk_took_place_on_disjoint_sets() -> None:
    """As section 1 says; the sizes it prints are of sets that share no image of MNIST."""
    from downstroke.recipe import Recipe
    from downstroke.runs.parts import Parts

    digits = sources.load("mnist")
    parts = Parts(digits, Recipe(train_size=10_000, val_size=2_000))
    seen = [{image.tobytes() for image in part.images} for part in (parts.train, parts.val, digits.test)]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
