"""Which layer of a model of one's own it is that cannot be exported."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from downstroke.errors import DownstrokeError, shown


@contextmanager
def naming_the_layer(module: nn.Module, model: str) -> Iterator[None]:
    """What fails while `module` computes becomes a DownstrokeError that names the layer that was at work."""
    entered: list[str] = []

    def left(*_: Any) -> None:
        entered.pop()

    hooks: list[Any] = []
    for place, layer in module.named_modules():
        hooks.append(layer.register_forward_pre_hook(lambda *_, place=place: entered.append(place)))
        hooks.append(layer.register_forward_hook(left))
    try:
        yield
    except Exception as error:
        raise unfit(module, model, entered[-1] if entered else "", error) from error
    finally:
        for hook in hooks:
            hook.remove()


def node_at_fault(error: BaseException | None) -> str:
    """The place of the layer whose node of torch's graph could not be translated.

    The message names the node, and not as the graph does; the node itself is at hand where the error was raised.
    """
    place = ""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            nodes = [value for value in frame.f_locals.values() if isinstance(value, torch.fx.Node)]
            stacks = [stack for node in nodes if (stack := node.meta.get("nn_module_stack"))]
            place = str(list(stacks[-1].values())[-1][0]) if stacks else place
        error = error.__cause__
    return place


def unfit(module: nn.Module, model: str, place: str, error: BaseException) -> DownstrokeError:
    """The layer at `place` of the network inside `module`, and the first line of what torch says of it."""
    inside = place.removeprefix("network").removeprefix(".net").removeprefix(".")
    layer = f"layer {inside} ({type(module.get_submodule(place)).__name__})" if inside else "its forward"
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    reason = shown(first.strip()).rstrip(".")[:300]
    return DownstrokeError(f"model {model!r} cannot be exported: {layer}: {reason}; change that layer")
