"""Threads and precision: chosen by the program where the user has not, and then told."""

from itertools import accumulate
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import downstroke
from downstroke.cli import main
from downstroke.learning import precision, threads
from downstroke.learning.events import Note
from downstroke.learning.machine import choose
from downstroke.learning.threads import CoreUse, Watch, fitting
from downstroke.runs import environment, files
from downstroke.runs.training import Training


def _seen(*others: float, cores: int = 2) -> list[CoreUse]:
    """A look a second, between which other programs used so many cores, and this one half a core."""
    return [CoreUse(float(i), used + i / 2, i / 2, cores) for i, used in enumerate(accumulate(others, initial=0.0))]


def _watched(most: int, looks: list[CoreUse]) -> list[int | None]:
    before = torch.get_num_threads()
    try:
        left = iter(looks)
        watch = Watch(most, most, lambda: next(left), every_s=0)
        return [watch.look() for _ in looks[1:]]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("most", "cores", "others", "expected"),
    [(2, 2, 0.0, 2), (2, 2, 0.2, 2), (2, 2, 0.5, 1), (2, 2, 9.0, 1), (8, 8, 3.9, 4), (4, 8, 3.9, 4), (1, 8, 0.0, 1)],
)
def test_other_programs_get_the_cores_that_they_use(most: int, cores: int, others: float, expected: int) -> None:
    assert fitting(most, cores, others) == expected


def test_threads_fall_at_the_first_look_that_sees_another_program_and_rise_after_three_without_one() -> None:
    assert _watched(2, _seen(0, 1, 1, 0, 0, 0, 0)) == [None, 1, None, None, None, 2, None]


def test_a_short_rest_of_the_other_program_brings_no_threads_back() -> None:
    assert _watched(2, _seen(1, 0, 0, 1, 0, 0, 1)) == [1, None, None, None, None, None, None]


def test_threads_rise_only_to_what_all_three_looks_allow() -> None:
    assert _watched(4, _seen(3, 0, 2, 1, cores=4)) == [1, None, None, 2]


def test_threads_stay_where_the_system_does_not_tell_what_is_used() -> None:
    assert Watch(4, 4, lambda: None, every_s=0).look() is None


def test_own_threads_do_not_count_as_another_program() -> None:
    before, now = CoreUse(0.0, 10.0, 4.0, 2), CoreUse(1.0, 12.0, 6.0, 2)
    assert now.others_since(before) == 0


def test_given_threads_are_kept_and_others_are_left_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.given_threads(3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.given_threads(None) == torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads.given_threads(None) is None


def test_a_training_changes_no_threads_that_were_given(tiny: Path, tmp_path: Path) -> None:
    with Training.start(_recipe(tiny), runs_dir=tmp_path, threads=2) as begun:
        assert begun.learner.watch is None
        list(begun)
    assert begun.learner.at.threads == []
    assert begun.run.environment["threads_given"] is True


def test_threads_that_changed_are_in_the_state_and_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(environment, "free_threads", lambda: 2)
    with Training.start(_recipe(tiny), runs_dir=tmp_path, name="run") as begun:
        left = iter(_seen(0, *[1.0] * 100))
        begun.learner.watch = Watch(2, 2, lambda: next(left), every_s=0)
        *_, last = begun
    assert begun.run.position["threads"] == [[2, 1]]
    assert isinstance(last, Note)  # what shows the training shows it
    assert "1 from step 3" in last.text
    assert last.text in begun.notices
    assert torch.get_num_threads() == before
    assert files.read_json(begun.run.folder / "environment.json")["threads"] == 2


def test_continue_takes_threads_and_says_the_difference(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(_recipe(tiny), runs_dir=tmp_path, name="run", threads=1)
    said = CliRunner().invoke(main, ["continue", str(run.folder), "--epochs", "1", "--threads", "2"])
    assert said.exit_code == 0
    assert "threads was 1 and is 2: the weights may differ in their last bits" in said.output
    assert run.environment["threads"] == 1
    assert run.position["threads"] == [[10, 2]]


def test_continue_goes_on_with_the_threads_that_were_given(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(_recipe(tiny), runs_dir=tmp_path, threads=2).extend(epochs=1)
    assert run.position["threads"] == []
    assert not any("threads" in notice for notice in run.notices)


def test_continue_refuses_threads_that_cannot_be(tiny: Path, tmp_path: Path) -> None:
    run = downstroke.train(_recipe(tiny), runs_dir=tmp_path)
    with pytest.raises(downstroke.RecipeError, match="threads is 0"):
        run.extend(epochs=1, threads=0)


def _recipe(tiny: Path) -> downstroke.Recipe:
    return downstroke.Recipe(name="small", model="mlp", data=str(tiny), val_size=50, batch_size=64, epochs=1)


def test_only_a_measured_gain_gives_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "family", lambda device: "AuthenticAMD 25 avx512_bf16")
    assert choose("cpu", model="coarse").precision == "bfloat16"
    assert choose("cpu", model="cnn").precision == "float32"
    assert choose("cpu", model="wide").precision == "float32"
    assert choose("cpu", "bfloat16", model="cnn").precision == "bfloat16"
    monkeypatch.setattr(precision, "family", lambda device: "GenuineIntel 6 avx512_bf16 amx_bf16")
    assert choose("cpu", model="fine").precision == "bfloat16"
    assert choose("cpu", model="cnn").precision == "float32"


@pytest.mark.parametrize("device", ["AuthenticAMD 26 avx512_bf16", "GenuineIntel 6 amx_bf16", "NVIDIA H100", ""])
def test_what_was_not_measured_gets_float32(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "family", lambda _: device)
    assert all(precision.measured_faster("cpu", model) == "float32" for model in ("cnn", "coarse", "wide", "deep"))
