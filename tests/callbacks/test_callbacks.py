"""Early stopping by advice, inside each framework that is installed."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from downstroke import callbacks
from downstroke.callbacks import AdviceStopper
from downstroke.errors import DownstrokeError

Noise = tuple[np.ndarray, np.ndarray]


def overfitting(count: int = 60) -> list[tuple[float, float]]:
    """Val loss and training loss of a training that overfits from epoch 9 on."""
    t = np.arange(1.0, count + 1)
    val = (0.2 + 0.6 * np.exp(-t / 3) + 0.012 * np.maximum(t - 9, 0)) * np.exp(
        0.01 * np.random.default_rng(0).standard_normal(count)
    )
    return list(zip(val.tolist(), (0.7 * np.exp(-t / 5)).tolist(), strict=True))


def test_a_loop_of_ones_own_is_stopped_soon_after_the_best() -> None:
    stopper = AdviceStopper()
    for val_loss, loss in overfitting():
        if stopper.update(val_loss, loss=loss, lr=0.01).stop:
            break
    assert stopper.advice is not None
    assert stopper.advice.verdict == "overfitting"
    assert stopper.advice.best_epoch is not None
    assert abs(stopper.advice.best_epoch - 9) <= 3
    assert len(stopper) <= 17


def test_a_training_that_was_resumed_hears_what_an_unbroken_one_hears() -> None:
    unbroken, first, second = AdviceStopper("quick"), AdviceStopper("quick"), AdviceStopper()
    rows = overfitting(20)
    for val_loss, loss in rows[:8]:
        first.update(val_loss, loss=loss)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    said = [unbroken.update(val_loss, loss=loss) for val_loss, loss in rows]
    assert second.advice == said[7]
    assert [second.update(val_loss, loss=loss) for val_loss, loss in rows[8:]] == said[8:]


def test_a_loss_that_is_no_number_is_unstable_and_a_wrong_state_is_named() -> None:
    stopper = AdviceStopper()
    assert not stopper.update(0.5).stop
    assert stopper.update(math.nan).verdict == "unstable"
    assert not stopper.improved
    assert AdviceStopper().update(math.nan, loss=0.5).verdict == "unstable", "in the first epoch too"
    with pytest.raises(DownstrokeError, match="expected what state_dict"):
        stopper.load_state_dict({"weights": 1})
    with pytest.raises(DownstrokeError, match="quick, balanced, thorough"):
        AdviceStopper("hasty")


@pytest.mark.parametrize(
    "given",
    [{"val_loss": None}, {"val_loss": "low"}, {"val_loss": np.zeros(2)}, {"val_loss": 0.5, "loss": "low"}],
    ids=["nothing", "a word", "two numbers", "a word for loss"],
)
def test_what_is_no_number_is_one_line_and_leaves_no_trace(given: dict[str, Any]) -> None:
    stopper = AdviceStopper()
    stopper.update(0.5)
    before = stopper.state_dict()
    with pytest.raises(DownstrokeError, match=r"loss is .*; expected a number$"):
        stopper.update(**given)
    np.testing.assert_equal(stopper.state_dict(), before)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"val_loss": [0.5], "loss": [], "lr": []},
        {"val_loss": ["low"], "loss": [0.5], "lr": [0.5]},
        {"val_loss": [0.5], "loss": [0.5], "lr": [0.5], "operating_point": "hasty"},
    ],
    ids=["nothing", "lists of two lengths", "a word", "no operating point"],
)
def test_a_state_that_is_none_is_one_line_and_leaves_no_trace(wrong: Any) -> None:
    stopper = AdviceStopper()
    stopper.update(0.5)
    before = stopper.state_dict()
    with pytest.raises(DownstrokeError, match=r"expected|there are"):
        stopper.load_state_dict(wrong)
    np.testing.assert_equal(stopper.state_dict(), before)


def test_whether_the_last_epoch_was_the_best_is_known_after_a_state_was_loaded() -> None:
    first, second = AdviceStopper(), AdviceStopper()
    assert not first.improved
    for val_loss, best in ((0.5, True), (math.nan, False), (0.6, False), (0.4, True)):
        first.update(val_loss)
        second.load_state_dict(first.state_dict())
        assert first.improved is second.improved is best


@pytest.mark.filterwarnings("ignore")  # of the framework itself
@pytest.mark.parametrize("name", ["KerasAdvice", "LightningAdvice", "TransformersAdvice"])
def test_a_score_is_not_monitored_as_if_it_were_a_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(callbacks._HOME[name])
    with pytest.raises(DownstrokeError, match=r"accuracy is a score by its name \(accuracy\), not a loss"):
        getattr(callbacks, name)(monitor="val_accuracy")


@pytest.mark.parametrize("name", sorted(set(callbacks.__all__) - {"AdviceStopper"}))
def test_a_framework_that_is_not_installed_is_named_with_how_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = callbacks._HOME[name]
    monkeypatch.setitem(sys.modules, framework, None)
    monkeypatch.delitem(sys.modules, f"downstroke.callbacks.{framework}", raising=False)
    with pytest.raises(DownstrokeError, match=rf"^{name} needs {framework}: pip install {framework}$") as caught:
        getattr(callbacks, name)
    assert isinstance(caught.value, ImportError)


def test_the_stopper_needs_neither_torch_nor_a_framework() -> None:
    code = "from downstroke.callbacks import AdviceStopper; import sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "keras", "lightning", "skorch", "transformers"} & set(said.stdout.split()) == set()


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_keras_is_stopped_and_gets_its_best_weights_back(noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from downstroke.callbacks import KerasAdvice

    keras.utils.set_random_seed(0)
    x, y = noise
    model = keras.Sequential([keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = KerasAdvice()
    told = model.fit(x[:40], y[:40], validation_data=(x[40:], y[40:]), epochs=200, batch_size=8, verbose=0,
                     callbacks=[callback])  # fmt: skip
    assert len(told.history["val_loss"]) < 60
    assert callback.stopper.advice is not None
    assert callback.stopper.advice.stop
    best = model.evaluate(x[40:], y[40:], verbose=0)
    assert best == pytest.approx(min(told.history["val_loss"]), rel=1e-4)


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_keras_may_measure_val_at_some_epochs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from downstroke.callbacks import KerasAdvice

    for every, measured in ((2, 3), ([1, 4], 2)):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        rows = np.ones((4, 1), np.float32)
        callback = KerasAdvice(validation_freq=every, operating_point="thorough")
        model.fit(rows, rows, validation_data=(rows, rows), validation_freq=every, epochs=6, verbose=0,
                  callbacks=[callback])  # fmt: skip
        assert len(callback.stopper) == measured


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_skorch_is_stopped_and_gets_its_best_weights_back(noise: Noise, layers: Callable[[], Any]) -> None:
    skorch = pytest.importorskip("skorch")
    import torch

    from downstroke.callbacks import SkorchAdvice

    torch.manual_seed(0)
    x, y = noise
    net = skorch.NeuralNetClassifier(
        layers(),
        criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, batch_size=8, max_epochs=200,
        verbose=0, callbacks=[SkorchAdvice()],
    )  # fmt: skip
    net.fit(x, y.astype(np.int64))
    losses = net.history[:, "valid_loss"]
    assert len(losses) < 60
    _, val = net.get_split_datasets(x, y.astype(np.int64))
    with torch.no_grad():
        inputs, labels = (torch.tensor(np.array(part)) for part in zip(*val, strict=True))
        again = torch.nn.functional.cross_entropy(net.module_(inputs), labels).item()
    assert again == pytest.approx(min(losses), rel=1e-3)


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_lightning_is_stopped_and_its_checkpoint_holds_the_state(
    lightning_module: Any, loaders: Callable[[int], list[Any]], tmp_path: Path
) -> None:
    lightning = pytest.importorskip("lightning")
    import torch

    from downstroke.callbacks import LightningAdvice

    lightning.seed_everything(0)
    callback = LightningAdvice()
    trainer = lightning.Trainer(max_epochs=200, callbacks=[callback], logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")  # fmt: skip
    trainer.fit(lightning_module, *loaders(8))
    assert trainer.current_epoch < 60
    assert len(callback.stopper) == trainer.current_epoch
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    held = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["LightningAdvice"]
    again = LightningAdvice()
    again.load_state_dict(held)
    assert again.stopper.advice == callback.stopper.advice


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_lightning_may_measure_val_across_epochs_and_another_training_begins_anew(
    lightning_module: Any, loaders: Callable[[int], list[Any]]
) -> None:
    lightning = pytest.importorskip("lightning")
    from downstroke.callbacks import LightningAdvice

    callback = LightningAdvice()
    for _ in range(2):  # 5 batches an epoch, val after every 8: in the epochs 2, 4 and 5
        trainer = lightning.Trainer(max_epochs=5, val_check_interval=8, check_val_every_n_epoch=None, logger=False,
                                    callbacks=[callback], enable_checkpointing=False, enable_progress_bar=False,
                                    enable_model_summary=False, accelerator="cpu")  # fmt: skip
        trainer.fit(lightning_module, *loaders(8))
        assert len(callback.stopper) == 3


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_the_trainer_of_hugging_face_is_stopped_and_its_state_comes_back() -> None:
    transformers = pytest.importorskip("transformers")
    from downstroke.callbacks import TransformersAdvice

    callback = TransformersAdvice()
    state, control = transformers.TrainerState(), transformers.TrainerControl()
    for number, (val_loss, loss) in enumerate(overfitting(), start=1):
        state.log_history.append({"loss": loss, "learning_rate": 1e-4, "step": number})
        callback.on_evaluate(None, state, control, metrics={"eval_loss": val_loss})
        if control.should_training_stop:
            break
    assert control.should_training_stop
    assert number <= 17
    again = TransformersAdvice.from_state(json.loads(json.dumps(callback.state())))
    assert again.stopper.advice == callback.stopper.advice


@pytest.mark.filterwarnings("ignore")  # of the framework itself
def test_the_trainer_of_hugging_face_goes_on_from_its_log_and_a_wrong_metric_is_named() -> None:
    transformers = pytest.importorskip("transformers")
    from downstroke.callbacks import TransformersAdvice

    args, control = SimpleNamespace(eval_strategy="epoch"), transformers.TrainerControl()
    state = transformers.TrainerState(global_step=8, epoch=8.0)
    for number, (val_loss, loss) in enumerate(overfitting(8), start=1):
        state.log_history += [{"loss": loss, "step": number}, {"eval_loss": val_loss, "step": number}]
    resumed, other = TransformersAdvice(monitor="loss"), TransformersAdvice(monitor="val_loss")
    resumed.on_train_begin(args, state, control)
    assert len(resumed.stopper) == 8
    resumed.on_train_end(args, state, control)
    resumed.on_evaluate(args, state, control, metrics={"eval_loss": 9.0})
    assert len(resumed.stopper) == 8, "an evaluation after training is no part of it"
    resumed.on_train_begin(args, transformers.TrainerState(epoch=0), control)
    resumed.on_evaluate(args, transformers.TrainerState(epoch=0), control, metrics={"eval_loss": 9.0})
    assert len(resumed.stopper) == 0, "nor is one of the W before training"
    other.on_evaluate(args, state, control, metrics={"eval_loss": 0.5})
    with pytest.raises(DownstrokeError, match=r"measured eval_loss; expected eval_val_loss$"):
        other.on_step_begin(args, state, control)
    with pytest.raises(DownstrokeError, match="eval_strategy is 'no'"):
        other.on_train_begin(SimpleNamespace(eval_strategy="no"), state, control)
