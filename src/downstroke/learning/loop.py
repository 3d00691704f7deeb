"""The notes' loop: batch, model, criterion, backward, update.

`learn` is the loop; `Learner` is what it changes: W, its average, the optimizer's state and the place in the order of
the batches. All of it can be taken out between two steps and put back, so that training goes on bit for bit as if it
had never stopped.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstroke.data import augment
from downstroke.data.batches import batches
from downstroke.data.dataset import Part
from downstroke.history import EpochRow
from downstroke.learning import criteria, models, optimizers, schedules
from downstroke.learning.average import Average
from downstroke.learning.distributed import World, world
from downstroke.learning.evaluate import Evaluation, evaluate
from downstroke.learning.events import EpochDone, Event, StepDone, Stopped, StopReason
from downstroke.learning.guard import DeferredGuard, Guard, Pending
from downstroke.learning.machine import Machine, choose
from downstroke.recipe import Recipe

#: Training images that an epoch is measured on where there is no val to be compared with.
NO_VAL_SAMPLE = 1000


class Images:
    """Images and labels as two tensors on the device: uint8 [N,28,28] and int64 [N]."""

    def __init__(self, part: Part, device: str) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(part.images)).to(device)
        self.labels = torch.from_numpy(part.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class Leg:
    """A stretch of training under one schedule. Without a horizon, a leg can be made longer; with one it cannot."""

    first_epoch: int = 0  # epochs done when it began
    first_step: int = 0
    last_epoch: int = 0  # epochs done when it will be complete
    changes: dict[str, Any] = field(default_factory=dict)  # recipe fields that this leg has otherwise


@dataclass
class Position:
    """Where training stands, between two steps."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the epoch under way
    step: int = 0  # updates of W
    elapsed_s: float = 0.0
    loss_sum: float = 0.0  # of the epoch under way: the criterion, summed over images
    images: int = 0  # of the epoch under way
    last_lr: float = 0.0
    best_epoch: int | None = None
    best_val_loss: float | None = None
    val_losses: list[float | None] = field(default_factory=list)  # an epoch each, since the leg began
    leg: Leg = field(default_factory=Leg)


class Learner:
    """A network being taught.

    `network` is the W that the gradient moves; `judged` is the W that is measured, saved as the result and read with:
    the running average where the recipe has one, else the same object.
    """

    def __init__(
        self,
        recipe: Recipe,
        classes: int,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.world = world()
        self.schedule = schedules.build(recipe)
        self.criterion = criteria.build(recipe, classes)
        self.augmentation = augment.augmentation(recipe.augment)
        self.network = models.build(recipe, classes)
        self.machine: Machine = choose(device, precision, threads, self.network)
        self.network.to(self.machine.device)
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = optimizers.build(recipe, self.network)
        self.average: Average | None = None
        self.at = Position(leg=Leg(last_epoch=recipe.epochs))
        self._stop = False

    @property
    def judged(self) -> models.Network:
        return self.average.network if self.average else self.network

    def begin(self, images: Tensor) -> None:
        """Measure the training images, uint8 [N,28,28], start the average from the first W, and seed dropout."""
        torch.manual_seed(self.recipe.seed + self.world.rank)  # each process drops out values of its own
        self.network.measure(images)
        self._start_average()

    def stop(self) -> None:
        """Ask `learn` to end after the step under way."""
        self._stop = True

    @property
    def stopping(self) -> bool:
        """Whether this process was asked to stop; several stop at the step in which all have heard of it."""
        return self._stop

    @property
    def stops_alone(self) -> bool:
        """Whether to stop now, without asking others."""
        return self._stop and self.world.size == 1

    def _start_average(self) -> None:
        if self.recipe.average:
            self.average = Average(self.network, self.recipe.average)

    def start_leg(self, epochs: int, changes: dict[str, Any]) -> None:
        """Begin a leg of `epochs` from here, with these recipe fields (lr, schedule) changed from now on."""
        merged = {**self.at.leg.changes, **changes}
        recipe = self.recipe.replace(**merged)
        self.schedule = schedules.build(recipe)
        self.at.leg = Leg(self.at.epoch, self.at.step, self.at.epoch + epochs, merged)
        self.at.val_losses = []

    def lr(self, steps_per_epoch: int) -> float:
        """The lr of the next step."""
        leg = self.at.leg
        moment = schedules.Moment(
            step=self.at.step - leg.first_step,
            steps_per_epoch=steps_per_epoch,
            # A leg may begin within an epoch, after an interruption: its steps are counted, not its epochs.
            total=max(1, leg.last_epoch * steps_per_epoch - leg.first_step),
            val_losses=[math.nan if loss is None else loss for loss in self.at.val_losses],
        )
        recipe = self.recipe.replace(**leg.changes) if leg.changes else self.recipe
        return self.schedule.lr(moment, recipe, warm=leg.first_step == 0)

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """All that decides what comes next: tensors by file (model, trunk, optimizer), and plain data for JSON.

        `model` is the judged W; `trunk`, where there is an average, is the W that the gradient moves.
        """
        tensors = {"model": _contiguous(self.judged.state_dict())}
        if self.average:
            tensors["trunk"] = _contiguous(self.network.state_dict())
        state = {
            f"{index}.{name}": value
            for index, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        if state:
            tensors["optimizer"] = _contiguous(state)
        random = base64.b64encode(torch.get_rng_state().numpy().tobytes()).decode()
        return tensors, {"position": asdict(self.at), "rng": random}

    def restore(self, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        """The inverse of `state`: the next step is the one that would have followed."""
        self.network.load_state_dict(tensors.get("trunk", tensors["model"]))
        self._start_average()
        if self.average:
            self.average.network.load_state_dict(tensors["model"])
        self._restore_optimizer(tensors.get("optimizer", {}))
        position = dict(state["position"])
        leg = Leg(**position.pop("leg"))
        self.at = Position(**position, leg=leg)
        self.schedule = schedules.build(self.recipe.replace(**leg.changes))
        torch.set_rng_state(torch.from_numpy(np.frombuffer(base64.b64decode(state["rng"]), np.uint8).copy()))

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        current = self.optimizer.state_dict()
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        restored: dict[int, dict[str, Tensor]] = {}
        for key, saved in tensors.items():
            index, name = key.split(".", 1)
            weight = weights[int(index)]
            # Fused optimizers walk W and its state in memory order: the state must lie as W lies.
            like = (
                torch.empty_like(weight, dtype=saved.dtype) if saved.shape == weight.shape else torch.empty_like(saved)
            )
            restored.setdefault(int(index), {})[name] = like.copy_(saved)
        self.optimizer.load_state_dict({"state": restored, "param_groups": current["param_groups"]})


def learn(learner: Learner, train: Images, val: Images) -> Iterator[Event]:
    """Train to the end of the learner's leg, an event at a time; between two events its state is whole.

    Each epoch is one pass over `train` in an order that is a function of (seed, epoch). After it the judged W is
    measured on val, and on as many training images, always the same ones. Raises NonFiniteError, with W as it was.
    """
    recipe, at, world = learner.recipe, learner.at, learner.world
    network, criterion, optimizer = world.parallel(learner.network), learner.criterion, learner.optimizer
    guard = DeferredGuard(learner.weights) if learner.machine.deferred else Guard()
    steps_per_epoch = math.ceil(len(train) / recipe.batch_size)
    sample = _sample(train, len(val) or NO_VAL_SAMPLE)
    clock = _Clock(at)
    network.train()

    stopping = False
    while at.epoch < at.leg.last_epoch and not stopping:
        for images, labels, share in _batches(learner, train):
            lr = learner.lr(steps_per_epoch)
            optimizers.set_lr(optimizer, lr)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=learner.machine.bfloat16):
                logits = network(images)  # y = f(W, x)
            loss = share.of(criterion(logits, labels))  # L = criterion(y, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # dL/dW, by backpropagation
            guard.admit(_pending(learner, lr, loss, share))
            optimizer.step()  # W = W - lr * dL/dW
            guard.confirm()

            at.batch, at.step, at.last_lr = at.batch + 1, at.step + 1, lr
            if learner.average:
                learner.average.update(at.step)
            if guard.due or at.batch == steps_per_epoch:
                rows, stopping = guard.read()
                for done, row in rows:
                    at.loss_sum += row.batch_loss * done.images
                    at.images += done.images
                    clock.stop()
                    yield StepDone(row, done.epoch, done.batch, steps_per_epoch, done.images)
                    clock.start()
                stopping = stopping or learner.stops_alone
                if stopping and at.batch < steps_per_epoch:
                    clock.stop()
                    yield Stopped(StopReason.INTERRUPTED)
                    return

        done_epoch = _close_epoch(learner, sample, val, clock)
        clock.stop()
        yield done_epoch
        clock.start()
        stopping = stopping or learner.stops_alone
    clock.stop()
    finished = at.epoch >= at.leg.last_epoch
    yield Stopped(StopReason.FINISHED if finished else StopReason.INTERRUPTED)


def _batches(learner: Learner, train: Images) -> Iterator[tuple[Tensor, Tensor, Share]]:
    """The batches left of the epoch under way: float32 [B,28,28] in 0..1, varied as the recipe says, and labels [B].

    Of several processes each gets its part of every batch.
    """
    recipe, epoch = learner.recipe, learner.at.epoch + 1
    numbers = None
    if learner.augmentation:
        numbers = augment.draw(recipe.seed, epoch, len(train)).to(train.images.device)
    for chosen in batches(recipe.seed, epoch, len(train), recipe.batch_size, start=learner.at.batch):
        mine, share = _share(chosen, learner.world)
        index = torch.from_numpy(mine).to(train.images.device)
        images = train.images[index].float().div_(255)
        if learner.augmentation and numbers is not None:
            images = learner.augmentation(images, numbers[index])
        yield images, train.labels[index], share


@dataclass(frozen=True)
class Share:
    """This process' part in a batch."""

    images: int  # in the whole batch
    weight: float  # of this process' mean loss, such that the mean over processes is the mean over the batch's images

    def of(self, loss: Tensor) -> Tensor:
        return loss if self.weight == 1 else loss * self.weight


def _share(batch: NDArray[np.int64], world: World) -> tuple[NDArray[np.int64], Share]:
    mine = batch[world.part(len(batch))]
    share = Share(len(batch), len(mine) * world.size / len(batch))
    # The last batch may have fewer images than there are processes; one without an image computes, but counts as 0.
    return (mine if len(mine) else batch[:1]), share


def _pending(learner: Learner, lr: float, loss: Tensor, share: Share) -> Pending:
    """The step about to be made: the loss of the whole batch, the norm of dL/dW, and who wants to stop."""
    at = learner.at
    numbers = torch.stack([loss.detach().float() / learner.world.size, torch.full_like(loss, learner.stopping)])
    numbers = learner.world.sum(numbers)
    norm = optimizers.gradient_norm(learner.weights)
    return Pending(at.epoch + 1, at.batch + 1, share.images, at.step + 1, lr, numbers[0], norm, numbers[1])


def _close_epoch(learner: Learner, sample: Images, val: Images, clock: _Clock) -> EpochDone:
    """Measure W, write the epoch's row, and note whether it is the best so far."""
    at = learner.at
    learner.world.agree(learner.network)
    if learner.average:
        learner.world.agree(learner.average.network)
    measured = _measure(learner, sample)
    on_val = _measure(learner, val) if len(val) else None
    at.epoch, at.batch = at.epoch + 1, 0
    val_loss = on_val.loss if on_val else math.nan
    at.val_losses.append(val_loss if math.isfinite(val_loss) else None)
    improved = math.isfinite(val_loss) and (at.best_val_loss is None or val_loss < at.best_val_loss)
    if improved:
        at.best_epoch, at.best_val_loss = at.epoch, val_loss
    row = EpochRow(
        epoch=at.epoch,
        step=at.step,
        elapsed_s=clock.now(),
        lr=at.last_lr,
        batch_loss=at.loss_sum / at.images,
        loss=measured.loss,
        accuracy=measured.accuracy,
        val_loss=val_loss,
        val_accuracy=on_val.accuracy if on_val else math.nan,
    )
    at.loss_sum, at.images = 0.0, 0
    return EpochDone(row, on_val, improved)


def _measure(learner: Learner, images: Images) -> Evaluation:
    """Each of several processes reads its part; all know the whole."""
    part = learner.world.part(len(images))
    mine = evaluate(learner.judged, images.images[part], images.labels[part], bfloat16=learner.machine.bfloat16)
    if learner.world.size == 1:
        return mine
    losses, probabilities = torch.zeros(len(images)), torch.zeros(len(images), learner.network.classes)
    losses[part], probabilities[part] = torch.from_numpy(mine.losses), torch.from_numpy(mine.probabilities)
    device = images.images.device
    losses, probabilities = (learner.world.sum(t.to(device)).cpu() for t in (losses, probabilities))
    return Evaluation(losses.numpy(), probabilities.numpy(), images.labels.cpu().numpy())


def _sample(train: Images, size: int) -> Images:
    """The training images that each epoch is measured on: evenly spaced, so always the same."""
    index = torch.linspace(0, len(train) - 1, min(size, len(train))).round().long()
    part = object.__new__(Images)
    part.images, part.labels = train.images[index], train.labels[index]
    return part


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: on the CPU, in plain memory order."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


class _Clock:
    """Counts training time into the position; stopped while others do their part between events."""

    def __init__(self, at: Position) -> None:
        self.at = at
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter()

    def now(self) -> float:
        return self.at.elapsed_s + time.perf_counter() - self._since

    def stop(self) -> None:
        self.at.elapsed_s = self.now()
