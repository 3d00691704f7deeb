"""What training changes: W, its average, the optimizer's state and the place in the order of the batches.

All of it can be taken out between two steps and put back, so that training goes on bit for bit as if it had never
stopped.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from downstroke.augment import variation
from downstroke.data.dataset import Part
from downstroke.errors import RecipeError, counted
from downstroke.learning import criteria, models, optimizers, schedules
from downstroke.learning.average import Average
from downstroke.learning.distributed import world
from downstroke.learning.machine import Machine, choose
from downstroke.learning.threads import Watch
from downstroke.learning.whitening import whiten
from downstroke.recipe import Recipe

_MOST_WINDOWS, _EACH_SEEN = 100_000, 6  # windows of drawn pages; how often in a training each is seen, at least


class Images:
    """Images and labels as two tensors on the device: uint8 [N,28,28] and int64 [N]."""

    def __init__(self, part: Part, device: str) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(part.images)).to(device)
        self.labels = torch.from_numpy(part.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Images:
        """The images and labels at `index`, int64 [M]."""
        taken = object.__new__(Images)
        taken.images, taken.labels = self.images.index_select(0, index), self.labels.index_select(0, index)
        return taken


@dataclass
class Leg:
    """A stretch of training under one schedule. Without a horizon, a leg can be made longer; with one it cannot."""

    first_epoch: int = 0  # epochs done when it began
    first_step: int = 0
    last_epoch: int = 0  # epochs done when it will be complete
    until_done: bool = False  # it is made an epoch longer after each, until the advice is to stop
    max_epoch: int | None = None  # epochs done when it ends at the latest, where it lasts until it is done
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
    threads: list[list[int]] = field(default_factory=list)  # [step, threads from there on], where they changed
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
        if recipe.negatives and classes != 10:
            raise RecipeError(
                f"negatives teach what is not one of ten digits, and the data has "
                f"{counted(classes, 'class', 'classes')}; leave them at 0"
            )
        self.recipe = recipe
        self.world = world()
        self._apply_changes({})
        self.criterion = criteria.build(recipe, classes)
        self.augmentation = variation.augmentation(recipe.augment)
        self.network = models.build(recipe, classes)
        self.machine: Machine = choose(device, precision, threads, recipe.model)
        self.watch: Watch | None = None  # where threads are not given
        self.network.to(self.machine.device)
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.optimizer = optimizers.build(recipe, self.network)
        self.average: Average | None = None
        self.at = Position(leg=Leg(last_epoch=recipe.epochs))
        self._stop = False
        self._windows: Images | None = None

    def window_count(self, train: Images) -> int:
        """How many windows of drawn pages are learned from."""
        seen = self.recipe.windows * len(train) * self.recipe.epochs
        return min(_MOST_WINDOWS, max(1, round(seen / _EACH_SEEN)))

    def windows(self, train: Images) -> Images | None:
        """Windows of pages that are drawn with the training images, the same ones whenever they are asked for.

        None where it was asked to stop before they were drawn.
        """
        if self._windows is None:
            from downstroke.augment.windows import windows

            images, labels = train.images.cpu().numpy(), train.labels.cpu().numpy()
            drawn = windows(images, labels, self.window_count(train), self.recipe.seed, lambda: self.stops_alone)
            self._windows = drawn and Images(Part(*drawn), str(train.images.device))
        return self._windows

    @property
    def judged(self) -> models.Network:
        return self.average.network if self.average else self.network

    def begin(self, images: Tensor, start: Mapping[str, Tensor] | None = None) -> None:
        """Measure the training images, uint8 [N,28,28], start the average from the first W, and seed dropout.

        `start`: the W to start with, tensors by name; its pixel scale is kept. RecipeError where it does not fit.
        """
        torch.manual_seed(self.recipe.seed + self.world.rank)  # each process drops different values
        if start is None:
            self.network.measure(images)
            if self.recipe.first_layer == "whitening":
                whiten(self.network, images)
        else:
            models.take(self.network, start, str(self.recipe.start_from))
            self.network.temperature.fill_(1.0)  # it is fitted anew where there is one
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
        self._apply_changes(merged)
        self.at.leg = Leg(self.at.epoch, self.at.step, self.at.epoch + epochs, changes=merged)
        self.at.val_losses = []

    def _apply_changes(self, changes: dict[str, Any]) -> None:
        """Take lr from the recipe with a leg's changes; made once a leg, because making a recipe checks every field."""
        self._leg_recipe = self.recipe.replace(**changes)
        self.schedule = schedules.build(self._leg_recipe)

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
        return self.schedule.lr(moment, self._leg_recipe, warm=leg.first_step == 0)

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
        self._apply_changes(leg.changes)
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


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: on the CPU, in plain memory order."""
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
