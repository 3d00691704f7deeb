"""Logs of other programs: what a curve is made of, and one line for what cannot be read.

The files in `logs/` were written by the programs themselves (Keras 3.15, Lightning 2.6, skorch 1.4, transformers 5.23;
two as tensorboard's own protocol buffers), on 256 points of noise.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import downstroke
from downstroke.advice import logs
from downstroke.advice.curve import Curve
from downstroke.advice.verdict import advise
from downstroke.errors import LogError
from downstroke.history import EPOCH_COLUMNS

LOGS = Path(__file__).parent / "logs"


def written(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, **names: Any) -> str:
    """The one line that is raised."""
    with pytest.raises(LogError) as caught:
        logs.read(path, **names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the formats -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "epochs", "val_loss", "loss", "lr"),
    [
        ("keras.csv", [1, 2, 3, 4, 5, 6], (0.9314, 0.8345), (0.8952, 0.8023), None),
        ("keras-freq2.csv", [2, 4, 6], (0.6797, 0.6505), (0.7319, 0.6970), None),
        ("lightning.csv", [1, 2, 3, 4], (0.6754, 0.5384), (0.7259, 0.5556), (0.01, 0.00729)),
        ("lightning.tfevents", [1, 2, 3, 4], (0.6754, 0.5384), (0.7259, 0.5556), (0.01, 0.00729)),
        ("keras-tensorboard", [1, 2, 3], (0.95, 0.75), (0.9, 0.5), (0.01, 0.001)),
        ("skorch-history.json", [1, 2, 3], (0.6786, 0.6159), (0.7000, 0.6018), None),
        ("trainer_state.json", [0.5, 1, 1.5, 2, 2.5, 3], (0.6847, 0.4954), (0.7297, 0.4909), (0.0084375, 0.000104167)),
    ],
)
def test_the_log_of_another_program_becomes_its_curve(
    name: str, epochs: list[float], val_loss: tuple[float, float], loss: tuple[float, float], lr: Any
) -> None:
    curve = logs.read(LOGS / name)
    assert curve.epoch.tolist() == epochs
    assert curve.val_loss[[0, -1]] == pytest.approx(val_loss, abs=1e-4)
    assert curve.loss is not None
    assert curve.loss[[0, -1]] == pytest.approx(loss, abs=1e-4)
    if lr is None:
        assert curve.lr is None
    else:
        assert curve.lr is not None
        assert curve.lr[[0, -1]] == pytest.approx(lr, rel=1e-4)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_separator_is_seen(tmp_path: Path, separator: str) -> None:
    text = (LOGS / "keras.csv").read_text().replace(",", separator)
    assert logs.read(written(tmp_path, text)).val_loss.tolist() == logs.read(LOGS / "keras.csv").val_loss.tolist()


def test_fastais_csv_is_read_past_its_times(tmp_path: Path) -> None:
    text = "epoch,train_loss,valid_loss,accuracy,time\n0,0.5,0.6,0.8,00:12\n1,0.4,0.55,0.82,00:11\n"
    curve = logs.read(written(tmp_path, text, "history.csv"))
    assert (curve.epoch.tolist(), curve.val_loss.tolist()) == ([1, 2], [0.6, 0.55])
    assert curve.loss is not None
    assert curve.loss.tolist() == [0.5, 0.4]


def test_epochs_counted_from_0_are_counted_from_1_and_that_is_said() -> None:
    said: list[str] = []
    logs.read(LOGS / "keras.csv", say=said.append)
    assert said == [f"{LOGS / 'keras.csv'} counts epochs from 0; here its first is epoch 1"]


def test_a_w_measured_before_training_is_no_epoch(tmp_path: Path) -> None:
    state = {"log_history": [{"epoch": e, "eval_loss": 1 - e / 9} for e in (0, 1, 2)]}
    assert logs.read(written(tmp_path, json.dumps(state), "trainer_state.json")).epoch.tolist() == [1, 2]


def test_nan_and_infinity_are_losses_and_an_empty_cell_is_none(tmp_path: Path) -> None:
    text = "epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,\n3,0.5,nan\n4,0.6,inf\n"
    curve = logs.read(written(tmp_path, text))
    assert curve.epoch.tolist() == [1, 3, 4]
    assert np.isnan(curve.val_loss[1])
    assert np.isposinf(curve.val_loss[2])


def test_epochs_that_are_missing_stay_a_gap(tmp_path: Path) -> None:
    assert logs.read(written(tmp_path, "epoch,val_loss\n1,0.6\n2,0.5\n7,0.4\n")).epoch.tolist() == [1, 2, 7]


def test_a_log_that_begins_again_is_counted_through_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    text = "epoch,val_loss\n0,0.6\n1,0.5\n0,0.4\n1,0.3\n"
    assert logs.read(written(tmp_path, text), say=said.append).epoch.tolist() == [1, 2, 3, 4]
    assert "line 4: epoch goes back to 0, after 1" in said[0]


def test_of_several_val_losses_in_an_epoch_the_last_is_taken_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    text = "epoch,step,val_loss\n1,5,0.9\n1,10,0.6\n2,15,0.8\n2,20,0.5\n"
    assert logs.read(written(tmp_path, text), say=said.append).val_loss.tolist() == [0.6, 0.5]
    assert "several times an epoch" in said[0]


def test_without_an_epoch_column_val_losses_are_counted(tmp_path: Path) -> None:
    curve = logs.read(written(tmp_path, "step,Loss/train,Loss/val\n430,0.5,0.6\n860,0.4,0.5\n"))
    assert curve.epoch.tolist() == [1, 2]
    assert curve.loss is not None
    assert curve.loss.tolist() == [0.5, 0.4]


def test_a_line_still_being_written_is_left_out_and_a_whole_one_without_its_newline_is_not(tmp_path: Path) -> None:
    text = "epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.5"
    assert len(logs.read(written(tmp_path, text)).epoch) == 2
    assert len(logs.read(written(tmp_path, text[:-4])).epoch) == 1


def test_an_event_file_still_being_written_is_read_up_to_there(tmp_path: Path) -> None:
    data = (LOGS / "lightning.tfevents").read_bytes()
    (tmp_path / "events.out.tfevents.1").write_bytes(data[: len(data) * 2 // 3])
    curve = logs.read(tmp_path)
    assert curve.val_loss.tolist() == logs.read(LOGS / "lightning.tfevents").val_loss[: len(curve.epoch)].tolist()
    assert 1 <= len(curve.epoch) < 4


def test_of_several_event_files_in_a_folder_the_newest_is_read_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    for age, name in ((100, "events.out.tfevents.2"), (50, "events.out.tfevents.1")):
        (tmp_path / name).write_bytes((LOGS / "lightning.tfevents").read_bytes()[: 1970 - 10 * age])
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    newest = logs.read(tmp_path / "events.out.tfevents.1")
    assert logs.read(tmp_path, say=said.append).val_loss.tolist() == newest.val_loss.tolist()
    assert said[0].endswith("several event files; reading the newest, events.out.tfevents.1")


# ---- which column ----------------------------------------------------------------------------------------


def columns(tmp_path: Path, header: str, **names: Any) -> tuple[float, float | None]:
    """(val loss, training loss) of one row of the numbers 1, 2, 3, ..."""
    numbers = ",".join(str(i) for i in range(1, header.count(",") + 2))
    curve = logs.read(written(tmp_path, f"{header}\n{numbers}\n"), **names)
    return float(curve.val_loss[0]), None if curve.loss is None else float(curve.loss[0])


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("epoch,val_loss,val_head_loss,loss,head_loss", (2, 4)),
        ("epoch,Loss/Train,Loss/Validation", (3, 2)),
        ("epoch,train_loss_step,train_loss_epoch,val_loss_step,val_loss_epoch", (5, 3)),
        ("epoch,eval_loss,train_loss,loss", (2, 4)),
        ("epoch,valid_loss,test_loss", (2, None)),
        ("epoch,batch_loss,loss,dev_loss", (4, 3)),
    ],
)
def test_columns_are_known_by_the_words_in_their_names(
    tmp_path: Path, header: str, found: tuple[float, float | None]
) -> None:
    assert columns(tmp_path, header) == found


def test_columns_can_be_named(tmp_path: Path) -> None:
    assert columns(tmp_path, "epoch,a,b", val_loss="a", loss="b") == (2, 3)


def test_training_losses_that_cannot_be_told_apart_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert columns(tmp_path, "epoch,val_loss,a_loss,b_loss", say=said.append) == (2, None)
    assert said == ["a_loss, b_loss could each be the training loss: it is left out, unless --loss names one"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("epoch,loss\n1,2\n", "no val loss: no column is named like one; there are loss, epoch: name it"),
        ("epoch,val_a_loss,val_b_loss\n1,2,3\n", "val_a_loss, val_b_loss could each be the val loss; name one"),
        ("epoch,val_loss\n1,0.5\n2,x1\n", "line 3: val_loss is 'x1'; expected a number"),
        ("epoch,val_loss\none,0.5\n", "line 2: epoch is 'one'; expected a number"),
        ("epoch,val_loss\n1,0.5,7\n2,0.4\n", "line 2: 3 fields; expected 2"),
        ("epoch,val_loss\n1,\n", "column val_loss is empty"),
        ("epoch,val_loss\n", "column val_loss is empty"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("import os\nf(a, b)\n", "is not a known kind of log: its first line is 'import os'"),
        ("{", "is not valid JSON"),
        ("{}", "is not a known kind of log"),
        ("[1, 2]", "is not a known kind of log"),
        ("\x89PNG\0\0", "is a binary file"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_why(tmp_path: Path, text: str, line: str) -> None:
    path = written(tmp_path, text)
    said = refused(path)
    assert line in said
    assert str(path) in said


def test_a_column_that_is_not_there_is_named_with_its_neighbour(tmp_path: Path) -> None:
    path = written(tmp_path, "epoch,my_val\n1,2\n")
    assert "no column 'my_vl'; did you mean my_val?" in refused(path, val_loss="my_vl")
    assert "there are epoch, my_val" in refused(path, val_loss="zzz")


def test_a_missing_file_and_a_folder_without_a_log_are_one_line(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent")
    assert "holds no log; looked for metrics.csv" in refused(tmp_path)


def test_a_damaged_event_file_is_one_line(tmp_path: Path) -> None:
    data = bytearray((LOGS / "lightning.tfevents").read_bytes())
    data[12 + 40 : 200] = b"\xff" * 160
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    with pytest.raises(LogError):
        logs.read(path)


# ---- runs of downstroke ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> downstroke.Run:
    home = tmp_path_factory.mktemp("runs")
    fields = {"data": str(tiny), "model": "mlp", "batch_size": 64, "val_size": 50, "lr": 0.02, "optimizer": "nesterov"}
    return downstroke.train("textbook", runs_dir=home, name="mine", epochs=3, **fields)


def test_a_run_brings_the_loss_of_every_val_image(run: downstroke.Run) -> None:
    curve = logs.read(run.folder)
    assert curve.epoch.tolist() == [1, 2, 3]
    assert curve.val_loss.tolist() == run.history.column("val_loss")
    assert curve.loss is not None
    assert curve.loss.tolist() == run.history.column("loss"), "the one measured as val is, not the batches'"
    assert curve.val_images == 50
    assert curve.val_losses is not None
    assert sorted(curve.val_losses) == [1, 2, 3]
    for epoch, losses in curve.val_losses.items():
        assert losses.mean() == pytest.approx(curve.val_loss[epoch - 1], rel=1e-3)


def test_a_run_that_has_written_an_epochs_row_but_not_its_losses_is_read(run: downstroke.Run, tmp_path: Path) -> None:
    copy = half_written(run, tmp_path)
    np.save(copy / "val_losses.npy", np.load(run.folder / "val_losses.npy")[:-1])
    curve = logs.read(copy)
    assert curve.val_losses is not None
    assert sorted(curve.val_losses) == [1, 2]


def test_val_losses_of_something_else_are_left_out_and_that_is_said(run: downstroke.Run, tmp_path: Path) -> None:
    said: list[str] = []
    copy = half_written(run, tmp_path)
    np.save(copy / "val_losses.npy", np.full((2, 50), 3.0, np.float16))
    assert logs.read(copy, say=said.append).val_losses is None
    assert "does not fit metrics.csv" in said[0]


def half_written(run: downstroke.Run, folder: Path) -> Path:
    for name in ("metrics.csv", "recipe.json"):
        (folder / name).write_bytes((run.folder / name).read_bytes())
    return folder


def test_in_downstrokes_own_file_an_empty_val_loss_is_nan_where_val_was_measured(tmp_path: Path) -> None:
    header = ",".join(EPOCH_COLUMNS)
    text = f"{header}\n1,10,1.0,0.1,0.5,0.4,0.9,0.5,0.9\n2,20,2.0,0.1,0.5,0.4,0.9,,\n"
    assert np.isnan(logs.read(written(tmp_path, text)).val_loss).tolist() == [False, True]
    assert "column val_loss is empty" in refused(written(tmp_path, f"{header}\n1,10,1.0,0.1,0.5,0.4,0.9,,\n"))


def test_reading_a_log_loads_neither_torch_nor_pandas() -> None:
    log = str(LOGS / "lightning.tfevents")
    code = f"from downstroke.advice import logs; logs.read({log!r}); import sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "pandas", "tensorboard", "matplotlib"}.isdisjoint(said.stdout.split())


FALLING = [0.9, 0.7, 0.6, 0.55]
BY_EPOCH = list(enumerate(FALLING, start=1))
ROWS = "\n".join(f"{i},{v / 2},{v}" for i, v in enumerate(FALLING))


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(f"INFO Epoch {i}: Train Loss={v / 2}, Val Loss={v}" for i, v in enumerate(FALLING, 1)).encode(),
        "\n".join(f"step {100 * i}: train loss {v / 2}, val loss {v}" for i, v in enumerate(FALLING)).encode(),
        "\n".join(f'{{"epoch": {i}, "train_loss": {v / 2}, "test_loss": {v}}}' for i, v in enumerate(FALLING)).encode(),
        json.dumps({"loss": [v / 2 for v in FALLING], "val_loss": FALLING}).encode(),
        f"epoch,loss,val_loss\n{ROWS}".replace(",", ";").replace(".", ",").encode(),
        f"epoch,loss,valLoss\n{ROWS}".encode("utf-16"),
        gzip.compress(f"# made by me\nepoch,loss,val_loss\n{ROWS}".encode()),
        f"Epoche,Trainingsverlust,Validierungsverlust\n{ROWS}".encode(),
        ("epoch,loss,val_loss\n" + re.sub(r"(\d)\.(\d+)", r'"\1,\2"', ROWS)).encode(),
        f"epoch,loss,val_loss\n{ROWS}".replace(",", "  ").encode(),
        f",epoch,loss,val_loss\n{re.sub('^', '7,', ROWS, flags=re.MULTILINE)}".encode(),
        f"epoch,loss,val_loss\n0,9,9\n1,8,8\nepoch,loss,val_loss\n{ROWS}".encode(),
        f"epoch,val_loss,val_acc\n0,9,9\n1,8,8\nepoch,loss,val_loss\n{ROWS}".encode(),
        "".join(f"Epoch {i}\ntrain loss: {v / 2}\nval loss: {v} (best loss 0.1)\n" for i, v in BY_EPOCH).encode(),
        "".join(f"Epoch {i}/9\n10/10 - loss: {v / 2} - acc: 0.5 - val_loss: {v}\n" for i, v in BY_EPOCH).encode(),
        "".join(f"Epoch: {i} | Train Loss: {v / 2} | Test Loss: {v}\n" for i, v in BY_EPOCH).encode(),
        "".join(
            f"| train | epoch 00{i} | loss {v / 2} | nll_loss 7\n| valid | epoch 00{i} | on 'v' subset | loss {v}\n"
            for i, v in BY_EPOCH
        ).encode(),
        "".join(f"{ {'loss': v / 2, 'epoch': i + 0.0} }\n{ {'eval_loss': v, 'epoch': i + 0.0} }\n" for i, v in BY_EPOCH)
        .encode(),
        "".join(
            json.dumps({"mode": mode, "epoch": i, "iter": 50, "loss": loss}) + "\n"
            for i, v in BY_EPOCH
            for mode, loss in (("train", v / 2), ("val", v))
        ).encode(),
        json.dumps(
            [{"epoch": i, "train": {"loss": v / 2}, "validation": {"loss": v, "top1": 50}} for i, v in BY_EPOCH]
        ).encode(),
        ("epoch,train_loss,eval_loss,eval_top1\n" + "".join(f"{i - 1},{v / 2},{v},50\n" for i, v in BY_EPOCH)).encode(),
    ],
    ids=[
        "text", "nanogpt", "json-lines", "keras-dict", "decimal-comma", "utf-16", "gz-and-comments", "german",
        "quoted-decimal-comma", "spaces", "pandas-index", "names-again", "other-names-again", "lines-apart",
        "keras-printed", "test-loss", "fairseq", "hugging-face-printed", "mmdetection", "timm-json", "timm-summary",
    ],
)  # fmt: skip
def test_each_form_of_a_log_is_read_the_same(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "training.log"
    path.write_bytes(data)
    seen = logs.read(path)
    assert seen.epoch.tolist() == [1, 2, 3, 4]
    assert seen.val_loss.tolist() == FALLING
    assert seen.loss is not None
    assert seen.loss.tolist() == pytest.approx([v / 2 for v in FALLING])


def test_the_parts_of_ultralytics_loss_are_summed_and_its_lr_is_not_that_of_the_biases(tmp_path: Path) -> None:
    head = "epoch,train/box_loss,train/cls_loss,val/box_loss,val/cls_loss,lr/pg0,lr/pg1,lr/pg2"
    path = written(tmp_path, f"{head}\n1,1,2,3,4,0.1,0.01,0.02\n2,1,1,2,4,0.05,0.01,0.02\n")
    notes: list[str] = []
    seen = logs.read(path, say=notes.append)
    assert seen.val_loss.tolist() == [7, 6]
    assert seen.loss is not None
    assert seen.loss.tolist() == [3, 2]
    assert seen.lr is not None
    assert seen.lr.tolist() == [0.02, 0.02]
    assert "the val loss is the sum of val/box_loss, val/cls_loss" in notes


def test_of_runs_in_one_file_the_last_is_judged_and_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "epoch,loss,val_loss\n0,1.0,1.0\n1,0.8,0.9\n2,0.7,0.8\n0,1.1,1.2\n1,0.9,0.95\n")
    notes: list[str] = []
    assert logs.read(path, say=notes.append).val_loss.tolist() == [1.2, 0.95]
    assert any("a new run; the last is judged" in note for note in notes)


def test_evaluations_within_an_epoch_are_counted_and_the_step_is_named(tmp_path: Path) -> None:
    rows = "\n".join(f"0,{500 * i},{v}" for i, v in enumerate([4.0, 2.0, 1.5, 1.6, 1.9, 2.4, 3.1, 4.0, 5.0]))
    seen = logs.read(written(tmp_path, f"epoch,step,val_loss\n{rows}\n"))
    assert seen.epoch.tolist() == list(range(1, 10))
    said = advise(seen)
    assert said.stop
    assert said.step == 4000
    assert "evaluation 3" in said.reason
    assert "Evaluation 3 is step 1000." in said.reason
    assert "epoch" not in said.reason


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        ("name,epoch,val_loss\nrun-a,20,0.3\nrun-b,30,0.2\n", "table of runs, one a row (run-a, run-b)"),
        ("epoch,accuracy,val_accuracy\n1,0.5,0.4\n", "scores (accuracy, val_accuracy) and no val loss"),
        ("batch_size: 4\n------\nmax_seq_len: 128\n", "not a known kind of log: its first line is 'batch_size: 4'"),
        ('{"mode": "train", "epoch": 1, "loss": 2, "acc": 0.3}\n', "there are loss, mode, epoch: name it"),
    ],
)
def test_what_is_no_history_of_losses_is_named(tmp_path: Path, text: str, line: str) -> None:
    assert line in refused(written(tmp_path, text))


def test_a_score_is_not_taken_for_a_loss_even_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path, "epoch,val_accuracy\n1,0.5\n2,0.6\n")
    with pytest.raises(LogError, match="is a score by its name"):
        logs.read(path, val_loss="val_accuracy")


def test_mlflows_metrics_and_the_newest_checkpoint_are_read_from_their_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    for name, scale in (("val_loss", 1.0), ("train_loss", 0.5)):
        lines = (f"169140974{i}901 {v * scale} {i}" for i, v in enumerate(FALLING))
        (tmp_path / "metrics" / name).write_text("\n".join(lines))
    seen = logs.read(tmp_path / "metrics")
    assert seen.val_loss.tolist() == FALLING
    assert seen.loss is not None
    for steps in (900, 1000):
        state = {"log_history": [{"epoch": 1.0, "eval_loss": steps / 1000, "step": steps}]}
        (tmp_path / f"checkpoint-{steps}").mkdir()
        (tmp_path / f"checkpoint-{steps}" / "trainer_state.json").write_text(json.dumps(state))
    assert logs.read(tmp_path).val_loss.tolist() == [1.0]


def test_catboosts_own_logs_are_read_by_the_first_metric_that_is_to_fall(tmp_path: Path) -> None:
    meta = {
        "test_metrics": [{"best_value": "Max", "name": "AUC"}, {"best_value": "Min", "name": "Logloss"}],
        "learn_metrics": [{"best_value": "Min", "name": "Logloss"}],
    }
    rows = [{"iteration": i, "learn": [v / 2], "test": [1 - v, v]} for i, v in enumerate(FALLING)]
    (tmp_path / "catboost_training.json").write_text(json.dumps({"meta": meta, "iterations": rows}))
    (tmp_path / "learn_error.tsv").write_text("iter\tLogloss\n" + "".join(f"{i}\t{v / 2}\n" for i, v in BY_EPOCH))
    test = "".join(f"{i}\t{1 - v}\t{v}\n" for i, v in enumerate(FALLING))
    (tmp_path / "test_error.tsv").write_text(f"iter\tAUC\tLogloss\n{test}")
    notes: list[str] = []
    for path in (tmp_path, tmp_path / "test_error.tsv"):
        seen = logs.read(path, say=notes.append)
        assert seen.val_loss.tolist() == FALLING
        assert seen.loss is not None
        assert seen.loss.tolist() == [v / 2 for v in FALLING]
        assert "iterations" in advise(seen).reason
    assert notes.count("Logloss of the test set is taken for the val loss") == 2
    assert "of the learn set alone" in refused(tmp_path / "learn_error.tsv")
    (tmp_path / "test_error.tsv").write_text("iter\tAUC\n0\t0.5\n")
    assert "scores of the test set and no loss" in refused(tmp_path / "test_error.tsv")


def test_an_lr_that_one_row_lacks_is_that_of_the_row_before() -> None:
    lr = np.linspace(1, 0, 21)[:20]
    lr[-1] = np.nan
    known = Curve(np.arange(1.0, 21), np.linspace(2, 1, 20), lr=lr).known_lr
    assert known is not None
    assert known[-1] == known[-2]


def test_negative_losses_are_advised_on_by_their_differences() -> None:
    t = np.arange(1.0, 13)
    rising = Curve(t, np.linspace(-0.8, -0.3, 12))
    assert advise(rising).verdict == "overfitting"
    said = advise(Curve(t, np.linspace(-0.1, -0.8, 12)))
    assert said.verdict == "continue"
    assert said.forecast[0].val_loss < -0.5


def test_a_table_may_begin_with_a_blank_line_and_an_event_file_be_gzipped(tmp_path: Path) -> None:
    path = written(tmp_path, "\nepoch,val_loss\n1,0.5\n2,0.4\n")
    assert logs.read(path).val_loss.tolist() == [0.5, 0.4]
    packed = tmp_path / "events.gz"
    packed.write_bytes(gzip.compress((LOGS / "lightning.tfevents").read_bytes()))
    assert logs.read(packed).val_loss.tolist() == logs.read(LOGS / "lightning.tfevents").val_loss.tolist()
