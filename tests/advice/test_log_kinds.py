"""Logs as other programs print and save them: each is read, or refused in one line that says what it is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from downstroke.advice import logs
from downstroke.errors import LogError

VAL = [round(0.3 + 0.9 * math.exp(-row / 3), 4) for row in range(6)]
TRAIN = [round(loss - 0.1, 4) for loss in VAL]
PAIRS = list(enumerate(zip(TRAIN, VAL, strict=True)))


def lines(form: str, head: str = "") -> str:
    """A line an epoch: {i} counts from 0, {n} from 1, {t} and {v} are training and val loss."""
    return head + "".join(form.format(i=i, n=i + 1, t=t, v=v) + "\n" for i, (t, v) in PAIRS)


READ = {
    "xgboost": lines("[{i}]\ttrain-logloss:{t}\teval-logloss:{v}"),
    "xgboost-sklearn": lines(
        "[{i}]\tvalidation_0-auc:0.9\tvalidation_0-rmse:{t}\tvalidation_1-auc:0.8\tvalidation_1-rmse:{v}"
    ),
    "lightgbm": lines("[{n}]\ttraining's l2: {t}\tvalid_1's l2: {v}", "[LightGBM] [Info] Total Bins 510\n"),
    "catboost": lines("{i}:\tlearn: {t}\ttest: {v}\tbest: {v} ({i})\ttotal: 3ms\tremaining: 1s", "Learning rate set\n"),
    "megatron": lines(
        " iteration {n}00/ 5000 | lm loss: {t}E+00 | loss scale: 1.0 |\n"
        " validation loss at iteration {n}00 | lm loss value: {v}E+00 | lm loss PPL: 2.5E+00 |"
    ),
    "fastai": lines("{i}  {t}  {v}  0.9  00:12", "epoch  train_loss  valid_loss  accuracy  time\n"),
    "markdown": lines("| {n} | {t} | {v} |", "| Epoch | Training Loss | Validation Loss |\n|:-:|---:|---|\n"),
    "keras-progress": lines(
        "Epoch {n}/6\n 1/10 [=>...] - loss: 2.3\r10/10 [=====] - 1s - loss: {t} - val_loss: {v} - val_accuracy: 0.5"
    ),
    "espnet": lines("[host] INFO: {n}epoch results: [train] loss={t}, acc=0.5, [valid] loss={v}, acc=0.5"),
    "xgboost-evals": json.dumps({"train": {"logloss": TRAIN}, "eval": {"logloss": VAL}}),
    "ludwig": json.dumps({name: {"combined": {"loss": held}, "label": {"loss": held}}
                          for name, held in (("training", TRAIN), ("validation", VAL))}),
    "pandas": json.dumps({name: {str(i): loss for i, loss in enumerate(held)}
                          for name, held in (("loss", TRAIN), ("val_loss", VAL))}),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_a_log_as_a_program_writes_it_is_read(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(READ[kind], newline="")
    curve = logs.read(log)
    np.testing.assert_allclose(curve.val_loss, VAL)
    assert curve.loss is not None
    np.testing.assert_allclose(curve.loss, TRAIN)
    np.testing.assert_allclose(curve.epoch, np.arange(1, len(VAL) + 1))


def test_what_is_taken_for_the_val_loss_of_trees_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "log"
    log.write_text(READ["xgboost-sklearn"])
    logs.read(log, say=said.append)
    assert said[:2] == [
        "validation_1-rmse is taken for the val loss, validation_0-rmse for the training loss",
        "an epoch is a tree",
    ]


def test_a_table_of_hugging_face_may_have_no_training_loss_yet(tmp_path: Path) -> None:
    log = tmp_path / "README.md"
    log.write_text(lines("| No log | {n}.0 | {v} |", "| Training Loss | Epoch | Validation Loss |\n|---|---|---|\n"))
    np.testing.assert_allclose(logs.read(log).val_loss, VAL)


def test_marians_cross_entropy_of_valid_is_its_val_loss(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        lines(
            "[2026-01-01 10:00:00] Ep. 1 : Up. {n}00 : Sen. 1,000 : Cost {t} : Time 10s\n"
            "[2026-01-01 10:01:00] [valid] Ep. 1 : Up. {n}00 : cross-entropy : {v} : new best"
        )
    )
    curve = logs.read(log)
    np.testing.assert_allclose(curve.val_loss, VAL)
    assert curve.unit == "evaluation"
    assert curve.step is not None
    assert curve.step[-1] == 600


def test_the_files_of_allennlp_are_epochs_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for epoch in range(12):
        held = {"epoch": epoch, "training_loss": 1 / (epoch + 1), "validation_loss": 2 / (epoch + 1), "best_epoch": 0}
        (tmp_path / f"metrics_epoch_{epoch}.json").write_text(json.dumps(held))
    np.testing.assert_allclose(logs.read(tmp_path).val_loss, 2 / np.arange(1, 13))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (lines("Iteration {n}, loss = {t}\nValidation score: 0.9"), "training loss and no val loss"),
        (lines("[{i}]\ttrain-auc:0.8\teval-auc:{v}"), "scores"),
        (lines("[{i}]\ttrain-logloss:{t}"), "training set alone"),
        (lines("[2026-01-01] step {n} done"), "is not a known kind of log"),
    ],
)
def test_what_has_no_val_loss_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    with pytest.raises(LogError) as error:
        logs.read(log)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
