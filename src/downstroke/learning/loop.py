"""The notes' loop: batch, model, criterion, backward, update."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstroke.augment import variation
from downstroke.data.batches import batches, steps_per_epoch
from downstroke.learning import optimizers, uncertain
from downstroke.learning.distributed import World
from downstroke.learning.events import Event, Note, StepDone, Stopped, StopReason
from downstroke.learning.guard import DeferredGuard, Guard, Pending
from downstroke.learning.learner import Images, Learner, Position
from downstroke.learning.measure import Measure


def learn(learner: Learner, train: Images, val: Images) -> Iterator[Event]:
    """Train to the end of the learner's leg, an event at a time; between two events its state is whole.

    Each epoch is one pass over `train` in an order that is a function of (seed, epoch). After it the judged W is
    measured on val, and on as many training images, always the same ones. Raises NonFiniteError, with W as it was.
    """
    recipe, at, world = learner.recipe, learner.at, learner.world
    network, criterion, optimizer = world.parallel(learner.network), learner.criterion, learner.optimizer
    guard = DeferredGuard(learner.weights) if learner.machine.deferred else Guard()
    per_epoch = steps_per_epoch(recipe, len(train))
    measure = Measure(learner, train, val)
    clock = _Clock(at)
    network.train()

    if recipe.windows and at.epoch < at.leg.last_epoch:
        count = learner.window_count(train)
        yield Note(f"Before the first step {count:,} windows of pages are drawn, a thousand a second.")
        if learner.windows(train) is None:
            yield Stopped(StopReason.INTERRUPTED)
            return
    stopping = False
    while at.epoch < at.leg.last_epoch and not stopping:
        for images, labels, share in _batches(learner, train):
            lr = learner.lr(per_epoch)
            optimizers.set_lr(optimizer, lr)
            with learner.machine.precise():
                logits = network(images)  # y = f(W, x)
            loss = criterion(logits, labels)  # L = criterion(y, labels)
            optimizer.zero_grad()
            loss.backward(share.weight)  # type: ignore[no-untyped-call]  # dL/dW, by backpropagation
            guard.admit(_pending(learner, lr, loss, share))
            optimizer.step()  # W = W - lr * dL/dW
            guard.confirm()

            at.batch, at.step, at.last_lr = at.batch + 1, at.step + 1, lr
            if learner.average:
                learner.average.update(at.step)
            if learner.watch and (threads := learner.watch.look()):
                at.threads.append([at.step, threads])
            if guard.due or at.batch == per_epoch:
                rows, stopping = guard.read()
                for done, row in rows:
                    at.loss_sum += row.batch_loss * done.images
                    at.images += done.images
                    clock.stop()
                    yield StepDone(row, done.epoch, done.batch, per_epoch, done.images, at.leg.last_epoch)
                    clock.start()
                stopping = stopping or learner.stops_alone
                if stopping and at.batch < per_epoch:
                    clock.stop()
                    yield Stopped(StopReason.INTERRUPTED)
                    return

        done_epoch = measure.close_epoch(clock.now)
        clock.stop()
        yield done_epoch
        clock.start()
        stopping = stopping or learner.stops_alone
    clock.stop()
    finished = at.epoch >= at.leg.last_epoch
    yield Stopped(StopReason.FINISHED if finished else StopReason.INTERRUPTED)


def _batches(learner: Learner, train: Images) -> Iterator[tuple[Tensor, Tensor, Share]]:
    """The batches left of the epoch under way: images [B,28,28], varied as the recipe says, and labels [B].

    Images that are varied are float32 in 0..1; others stay uint8, and the network takes either. Negatives come last.

    Of several processes each gets its part of every batch. Where dL/dW is computed from the least certain images alone,
    they are chosen as the batch is asked for, with W as it is then.
    """
    recipe, epoch = learner.recipe, learner.at.epoch + 1
    variation = Variation(learner, train, epoch)
    sizes = recipe.batch_size, learner.at.batch, recipe.late_batch_size
    for chosen in batches(recipe.seed, epoch, len(train), *sizes):
        mine, share = _share(chosen, learner.world)
        index = torch.from_numpy(mine).to(train.images.device)
        images, labels = variation(index)
        if uncertain.due(recipe, learner.at.step):
            images, labels, loss = uncertain.choose(learner, images, labels)
            share = replace(share, loss=loss)
        yield images, labels, share


class Variation:
    """How the images of one epoch are varied, and what is added to them: functions of (seed, epoch, image)."""

    def __init__(self, learner: Learner, train: Images, epoch: int) -> None:
        self.train, self.augmentation, self.negatives = train, learner.augmentation, learner.recipe.negatives
        self.share = learner.recipe.windows
        if self.share:
            windows = learner.windows(train)
            assert windows is not None, "`learn` has had them drawn"
            self.windows = windows
            drawn = variation.draw(learner.recipe.seed + 1, epoch, len(train), 1 + variation.NUMBERS)
            self.window_numbers = drawn.to(train.images.device)
        count = self.augmentation.numbers if self.augmentation else 0
        total, parts = count, [count]
        if self.negatives:
            from downstroke.augment import negatives

            self.draw_negatives = negatives.draw
            total, parts = 2 * count + negatives.NUMBERS, [count, count + negatives.NUMBERS]
        drawn = variation.draw(learner.recipe.seed, epoch, len(train), total).to(train.images.device)
        # Of the image itself; of the negative beside it; and of how that is varied in its turn.
        self.numbers, *self.negative_numbers = drawn.tensor_split(parts, 1)

    def __call__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The images [B,28,28] and labels [B] of the training images at `index`, then of negatives, then of windows."""
        # On a CPU `tensor[index]` takes ten times as long.
        images, labels = (whole.index_select(0, index) for whole in (self.train.images, self.train.labels))
        if self.augmentation or self.negatives:
            images = images.float().div_(255)
        numbers = self.numbers.index_select(0, index)
        if self.negatives:
            made, made_labels, made_numbers = self._negatives(images, labels, index)
            images, numbers = torch.cat([images, made]), torch.cat([numbers, made_numbers])
            labels = torch.cat([labels, made_labels])
        if self.augmentation:
            images = self.augmentation.vary(images, numbers)
        if self.share:
            made, made_labels = self._windows(index)
            images, labels = torch.cat([images, made]), torch.cat([labels, made_labels])
        return images, labels

    def _windows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Windows of drawn pages, one for each of the first images of the batch, turned and moved a little."""
        numbers = self.window_numbers[index[: _share_of(self.share, index)]]
        chosen = ((numbers[:, 0] + 1) / 2 * (len(self.windows) - 1)).long()
        made = self.windows.take(chosen)
        return variation.affine(made.images.float().div_(255), numbers[:, 1:]).clamp_(0, 1), made.labels

    def _negatives(self, images: Tensor, labels: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One for each of the first images of the batch, their labels, and the numbers that vary them."""
        count = _share_of(self.negatives, images)
        index = index[:count]
        numbers, varying = (part[index] for part in self.negative_numbers)
        other = ((numbers[:, -1] + 1) / 2 * (len(self.train) - 1)).long()
        others = self.train.images[other].float().div_(255)
        made = self.draw_negatives(images[:count], labels[:count], others, self.train.labels[other], numbers)
        return *made, varying


def _share_of(share: float, batch: Tensor) -> int:
    """How many images are a share of a batch: at least one, also where it has so few that none would be next to it."""
    return max(1, round(share * len(batch)))


@dataclass(frozen=True)
class Share:
    """This process' part in a batch."""

    images: int  # in the whole batch
    #: Of this process' mean loss, such that the mean over processes is the mean over the batch's images; None is 1.
    weight: Tensor | None
    loss: Tensor | None = None  # the criterion over all images of this part, where dL/dW is not computed from all


def _share(batch: NDArray[np.int64], world: World) -> tuple[NDArray[np.int64], Share]:
    mine = batch[world.part(len(batch))]
    even = len(mine) * world.size == len(batch)
    share = Share(len(batch), None if even else torch.tensor(len(mine) * world.size / len(batch)))
    # The last batch may have fewer images than there are processes; one without an image computes, but counts as 0.
    return (mine if len(mine) else batch[:1]), share


def _pending(learner: Learner, lr: float, loss: Tensor, share: Share) -> Pending:
    """The step about to be made: the loss of the whole batch, the norm of dL/dW, and whether anybody wants to stop."""
    at, world = learner.at, learner.world
    stop: Tensor | float
    whole, stop = (loss if share.loss is None else share.loss).detach(), float(learner.stopping)
    if world.size > 1:
        mine = whole.float() / world.size
        mine = mine if share.weight is None else mine * share.weight
        whole, stop = world.sum(torch.stack([mine, torch.full_like(mine, stop)]))
    norm = optimizers.gradient_norm(learner.weights)
    return Pending(at.epoch + 1, at.batch + 1, share.images, at.step + 1, lr, whole, norm, stop)


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
