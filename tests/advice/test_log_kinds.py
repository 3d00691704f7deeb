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
    "bars": lines("{n}|{t}|{v}", "epoch|loss|val_loss\n"),
    "separator-at-the-end": lines("{n},{t},{v},", "epoch,loss,val_loss\n"),
    "names-of-two-words": lines("{n}      {t}      {v}", "epoch  train loss  val loss\n"),
    "pandas-printed": lines("{i}  {t}  {v}", "     loss  val_loss\n"),
    "pandas-index": lines("{i},{n},{t},{v}", "Unnamed: 0,epoch,loss,val_loss\n"),
    "skorch-printed": lines("    {n}    {t}  0.5  {v}  0.01",
                            "  epoch    train_loss  valid_acc  valid_loss  dur\n-------  ------  ---  ---  ---\n"),
    "numpy-savetxt": lines("{n} {t} {v}", "# epoch loss val_loss\n"),
    "model-card": "---\nlicense: mit\n---\n# A model\n\n- Loss: 0.4\n\n" + lines(
        "| {t} | {n}.0 | {n}00 | {v} |",
        "| Training Loss | Epoch | Step | Validation Loss |\n|:---:|:---:|:---:|:---:|\n") + "\n### Versions\n",
    "percent-and-an-lr-in-brackets": lines("{n},{t},{v},50.0%,[0.1]", "epoch,loss,val_loss,val_acc,lr\n"),
    "fairseq-json": lines(
        '2023-01-01 | INFO | train | {{"epoch": {n}, "train_loss": "{t}", "train_nll_loss": "9", "train_lr": "0.1"}}\n'
        '2023-01-01 | INFO | valid | {{"epoch": {n}, "valid_loss": "{v}", "valid_best_loss": "0.1"}}'),
    "hugging-face-5": lines("{{'loss': '{t}', 'epoch': '{n}'}}\n{{'eval_loss': '{v}', 'epoch': '{n}'}}"),
    "informer": lines("Epoch: {n}, Steps: 9 | Train Loss: {t} Vali Loss: {v} Test Loss: 9.9\n"
                      "Validation loss decreased (0.6 --> {v}).  Saving model ..."),
    "means": lines("Epoch {n} - avg_train_loss: {t}  avg_val_loss: {v}"),
    "loss-first": lines("Epoch {n}, loss(train): {t}, loss(val): {v}"),
    "loss-after-epoch": lines("Training loss after epoch {n}: {t}\nValidation loss after epoch {n}: {v}"),
    "pytorch-example": lines("Train Epoch: {n} [0/60 (0%)]\tLoss: {t}\n\nTest set: Average loss: {v}, Acc: 9/10\n"),
    "keras-str": str({"loss": TRAIN, "val_loss": VAL}),
    "history-of-sets": json.dumps({"train": {"loss": TRAIN}, "val": {"loss": VAL}}),
    "wandb-chart-of-a-run-named-eval": lines(
        '"{n}","{t}","0","9","{v}","0","9"',
        '"Step","eval-run - loss","eval-run - loss__MIN","eval-run - loss__MAX",'
        '"eval-run - val/loss","eval-run - val/loss__MIN","eval-run - val/loss__MAX"\n'),
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


def test_a_metric_of_mlflow_with_a_slash_lies_in_a_folder(tmp_path: Path) -> None:
    for name, held in (("val/loss", VAL), ("train/loss", TRAIN)):
        path = tmp_path / "run" / "metrics" / name
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{1691409746901 + i} {loss} {i}\n" for i, loss in enumerate(held)))
    for folder in ("run", "run/metrics"):
        curve = logs.read(tmp_path / folder)
        np.testing.assert_allclose(curve.val_loss, VAL)
        np.testing.assert_allclose(curve.loss, TRAIN)


def test_a_folder_without_a_log_names_what_may_be_one(tmp_path: Path) -> None:
    for name in ("out/version_0/metrics.csv", "out/training.log", "out/weights.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("epoch,val_loss\n1,0.5\n")
    with pytest.raises(LogError, match=r"it has training\.log, version_0/metrics\.csv: name one$"):
        logs.read(tmp_path / "out")


def test_a_pointer_of_git_lfs_is_told_in_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(LogError, match="pointer of Git LFS"):
        logs.read(tmp_path)


def test_histories_of_folds_are_no_boosted_trees(tmp_path: Path) -> None:
    log = tmp_path / "folds.json"
    log.write_text(json.dumps({fold: {"loss": TRAIN, "val_loss": VAL} for fold in ("fold_1", "fold_2")}))
    with pytest.raises(LogError, match="fold_1/val_loss, fold_2/val_loss could each be the val loss"):
        logs.read(log)


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
