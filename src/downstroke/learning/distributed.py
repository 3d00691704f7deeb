"""One run on several processes, started by torchrun: this process' rank, and what the processes share.

    torchrun --nproc-per-node 2 -m downstroke train

Every process holds all of W and works on its part of each batch; DistributedDataParallel averages the gradients, so
that all make the same update. The first process alone writes. Nothing here does anything in a process of its own.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from downstroke.errors import DownstrokeError


@dataclass(frozen=True)
class World:
    """All processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process' share of `count` things in a row: disjoint, in order, and of sizes that differ by one."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, numbers: Tensor) -> Tensor:
        """The sum over all processes, on each of them; in place."""
        if self.size > 1:
            dist.all_reduce(numbers)
        return numbers

    def broadcast(self, thing: Any) -> Any:
        """The first process' value, on every process. It is pickled, so use it between our own processes only."""
        if self.size == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def average_buffers(self, network: nn.Module) -> None:
        """Give every process the mean of all processes' batch statistics: each saw only its own part of the images."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    self.sum(buffer).div_(self.size)

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network to call in training: its backward pass averages dL/dW over the processes."""
        if self.size == 1:
            return network
        with warnings.catch_warnings():
            # The option's new name, of torch 2.13, is not known to 2.9.
            warnings.simplefilter("ignore", FutureWarning)
            return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)


def world() -> World:
    """The world this process is in; alone where it was not started by torchrun, or has not joined yet."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


def process_count() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def is_first_rank() -> bool:
    """Whether this process has rank 0 and so is the one that prints, also after it has left the others."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, if it did, and leave them at the end. `device`: as in `machine.choose`.

    An error of one process ends it, and so breaks off what the others wait for; torchrun then names the process that
    failed first and ends the rest.
    """
    if process_count() == 1:
        yield World()
        return
    cuda = device != "cpu" and torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield world()
    except (RuntimeError, ValueError) as error:
        if isinstance(error, DownstrokeError):
            raise
        text = " ".join(str(error).split())
        raise DownstrokeError(
            f"process {world().rank} of {world().size} cannot go on: {text}. The last checkpoint is whole; "
            f"continue with any number of processes"
        ) from error
    finally:
        dist.destroy_process_group()


def leave(code: int) -> None:
    """End a process that was part of a world, at once, once all is written.

    Gloo's threads may still free tensors while Python shuts down, and abort (PyTorch issue 190489): one process in
    fifteen ended with an error after its work was done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
