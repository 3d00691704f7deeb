"""The locator: a small network that finds the digits on a page, and learns it from pages drawn as it goes.

At each place of a coarse grid it gives heat maps, which are high at the middle of a digit or mark of that class, and
its box there (Zhou, Wang and Krähenbühl 2019, "Objects as Points"); at each pixel, whether it is a digit's ink.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from downstroke.augment.pages import OTHER, SIDE, Characters, Page, draw_pages
from downstroke.data.dataset import Dataset
from downstroke.glyphs.locator_input import STRIDE, USUAL, normalised
from downstroke.learning.machine import processor

CLASSES = OTHER + 1
_PRIOR = 0.01  # the heat everywhere before anything was learned, as in RetinaNet
_BOX_WEIGHT, _INK_WEIGHT, _OTHER_WEIGHT = 1.0, 4.0, 0.3  # there are many letters on a page, and digits matter
_PEAK_LR, _WARMUP = 3e-3, 100
_EPSILON = 1e-5  # what torch adds to a variance before it divides by its root
_VAL_GROUNDS = 400
WEIGHTS, RECORD = "locator.safetensors", "locator.json"
_SAVE_EVERY = 100  # steps
_AVERAGE = 0.998  # of the weights' moving average, a step


class _Block(nn.Sequential):
    """A convolution of 3x3, batch normalisation and a ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Locator(nn.Module):
    """[B,1,H,W] as `normalised` gives it, H and W multiples of 16 -> what is said of its places, as logits.

    Heat [B,16,H/4,W/4], of the ten digits, of `augment.pages.MARKS` and of all other characters; boxes [B,4,H/4,W/4]
    (the middle's x and y from the place's middle, in places; the logarithms of width and height by `USUAL` pixels); ink
    [B,1,H,W].
    """

    def __init__(self) -> None:
        super().__init__()
        self.at_2 = _Block(4, 16)
        self.at_4 = nn.Sequential(_Block(16, 32, 2), _Block(32, 32))
        self.at_8 = nn.Sequential(_Block(32, 48, 2), _Block(48, 48))
        self.at_16 = nn.Sequential(_Block(48, 64, 2), _Block(64, 64), _Block(64, 64))
        self.up_8 = _Block(64 + 48, 48)
        self.up_4 = _Block(48 + 32, 40)
        self.heat = nn.Conv2d(40, CLASSES, 1)
        self.box = nn.Conv2d(40, 4, 1)
        self.to_2 = nn.Conv2d(40, 16, 1)
        self.ink = nn.Conv2d(16, 4, 3, 1, 1)
        nn.init.constant_(self.heat.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
        nn.init.constant_(self.ink.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half = self.at_2(F.pixel_unshuffle(x, 2))
        quarter = self.at_4(half)
        eighth = self.at_8(quarter)
        coarse = F.interpolate(self.at_16(eighth), scale_factor=2)
        middle = F.interpolate(self.up_8(torch.cat([coarse, eighth], 1)), scale_factor=2)
        fine = self.up_4(torch.cat([middle, quarter], 1))
        ink = self.ink(F.relu(F.interpolate(self.to_2(fine), scale_factor=2) + half))
        return self.heat(fine), self.box(fine), F.pixel_shuffle(ink, 2)


@dataclass(frozen=True)
class Targets:
    """What is to be said of pages: heat [B,16,h,w] and boxes [B,4,h,w] with the boxes' weights [B,1,h,w]; ink [B,1,H,W]
    with `seen` [B,1,H,W], 0 where nothing is to be said of it: where a page was padded, and at letters."""

    heat: Tensor
    boxes: Tensor
    weights: Tensor
    ink: Tensor
    seen: Tensor


def batch(grounds: list[list[tuple[Page, int, int]]]) -> tuple[Tensor, Targets]:
    """Pages as the locator sees them, [B,1,SIDE,SIDE], and what to say of them. `grounds`: see `draw_pages`."""
    places = SIDE // STRIDE
    x = np.zeros((len(grounds), 1, SIDE, SIDE), np.float32)
    ink, seen = np.zeros_like(x), np.zeros_like(x)
    heat = np.zeros((len(grounds), CLASSES, places, places), np.float32)
    boxes = np.zeros((len(grounds), 4, places, places), np.float32)
    weights = np.zeros((len(grounds), 1, places, places), np.float32)
    row, column = np.mgrid[:places, :places].astype(np.float32)
    for index, pages in enumerate(grounds):
        for page, page_x, page_y in pages:
            height, width = page.image.shape
            part = index, 0, slice(page_y, page_y + height), slice(page_x, page_x + width)
            x[part], ink[part], seen[part] = normalised(page.image), page.ink, page.ink | ~page.letters
            for (left, top, wide, high), label in zip(page.boxes, np.minimum(page.labels, OTHER), strict=True):
                middle_x = (page_x + left + wide / 2) / STRIDE - 0.5
                middle_y = (page_y + top + high / 2) / STRIDE - 0.5
                off_x, off_y = column - middle_x, row - middle_y
                spread_x, spread_y = max(0.6, 0.15 * wide / STRIDE), max(0.6, 0.15 * high / STRIDE)
                bump = np.exp(-((off_x / spread_x) ** 2 + (off_y / spread_y) ** 2) / 2)
                # The place nearest to the middle counts as the middle.
                bump[round(min(max(middle_y, 0), places - 1)), round(min(max(middle_x, 0), places - 1))] = 1
                np.maximum(heat[index, label], bump, out=heat[index, label])
                own = (bump > 0.4) & (bump > weights[index, 0])
                weights[index, 0][own] = bump[own]
                size = (math.log(wide / USUAL), math.log(high / USUAL))
                boxes[index, 0][own], boxes[index, 1][own] = -off_x[own], -off_y[own]
                boxes[index, 2][own], boxes[index, 3][own] = size
    return torch.from_numpy(x), Targets(*(torch.from_numpy(array) for array in (heat, boxes, weights, ink, seen)))


def loss(said: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Tensor:
    """The mean loss of a batch: focal loss of the heat, L1 of the boxes, cross-entropy of the ink.

    The focal loss is that of Law and Deng 2018, "CornerNet", equation 1 with alpha 2 and beta 4.
    """
    heat, boxes, ink = (tensor.float() for tensor in said)
    log_p, log_q, p = F.logsigmoid(heat), F.logsigmoid(-heat), heat.sigmoid()
    middles = targets.heat == 1
    at_middles = torch.where(middles, (1 - p).square() * log_p, 0).sum((0, 2, 3))
    elsewhere = torch.where(middles, 0, (1 - targets.heat).pow(4) * p.square() * log_q).sum((0, 2, 3))
    weights = torch.ones(CLASSES)
    weights[OTHER] = _OTHER_WEIGHT
    characters = (middles.sum((0, 2, 3)) * weights).sum().clamp_min(1)
    off = ((boxes - targets.boxes).abs() * targets.weights).sum() / targets.weights.sum().clamp_min(1)
    of_ink = (F.binary_cross_entropy_with_logits(ink, targets.ink, reduction="none") * targets.seen).sum()
    of_heat = -((at_middles + elsewhere) * weights).sum() / characters
    return of_heat + _BOX_WEIGHT * off + _INK_WEIGHT * of_ink / targets.seen.sum()


@dataclass(frozen=True)
class Plan:
    """How a locator is trained; with the digits that it is given, it says what comes out."""

    steps: int = 8000
    batch_size: int = 16
    seed: int = 0
    bfloat16: bool = True


def train(plan: Plan, characters: Characters, kept: Path, say: Callable[[int, float], None]) -> dict[str, Tensor]:
    """The weights of a locator, a moving average over the steps. `say` is told each step and its loss.

    Where it stands is kept in the file `kept` now and then, and a training of the same plan goes on from there.
    """
    torch.manual_seed(plan.seed)
    locator = Locator()
    locator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {name: tensor.detach().clone() for name, tensor in locator.state_dict().items()}
    optimizer = torch.optim.AdamW(locator.parameters(), lr=_PEAK_LR, weight_decay=1e-4)
    first = 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        if json.loads(state["plan"]) == asdict(plan):
            locator.load_state_dict(state["locator"])
            optimizer.load_state_dict(state["optimizer"])
            average, first = state["average"], state["step"]
    for step in range(first, plan.steps):
        rng = np.random.default_rng((plan.seed, step))
        x, targets = batch([draw_pages(rng, characters) for _ in range(plan.batch_size)])
        share = step / plan.steps
        lr = _PEAK_LR * min(1.0, (step + 1) / _WARMUP) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = lr
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
            said = locator(x.to(memory_format=torch.channels_last))
        value = loss(said, targets)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(locator.parameters(), 5.0)
        optimizer.step()
        keep = min(_AVERAGE, 1 - 1 / (1 + step / 10))
        for name, tensor in locator.state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor, 1 - keep)
            else:
                average[name].copy_(tensor)
        say(step + 1, float(value.detach()))
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == plan.steps:
            state = {"plan": json.dumps(asdict(plan)), "step": step + 1, "average": average}
            state |= {"locator": locator.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, kept.with_suffix(".writing"))
            kept.with_suffix(".writing").replace(kept)
    return average


def arrays(weights: dict[str, Tensor]) -> dict[str, NDArray[np.float16]]:
    """What is shipped of a locator: kernels [k,k,I,O] with the batch normalisation folded in, and biases [O]."""
    made: dict[str, NDArray[np.float16]] = {}
    for name, tensor in weights.items():
        if not name.endswith(".weight") or tensor.ndim != 4:
            continue
        stem = name.removesuffix(".weight")
        kernel = tensor.double()
        if (norm := f"{stem.removesuffix('.0')}.1") + ".running_var" in weights:
            variance, mean = weights[f"{norm}.running_var"].double(), weights[f"{norm}.running_mean"].double()
            factor = weights[f"{norm}.weight"].double() / (variance + _EPSILON).sqrt()
            kernel, bias = kernel * factor[:, None, None, None], weights[f"{norm}.bias"] - mean * factor
            stem = stem.removesuffix(".0")
        else:
            bias = weights[f"{stem}.bias"]
        made[f"{stem}.kernel"] = np.ascontiguousarray(kernel.permute(2, 3, 1, 0).numpy(), np.float16)
        made[f"{stem}.bias"] = np.asarray(bias.numpy(), np.float16)
    return made


def make(plan: Plan, data: Dataset, folder: Path, say: Callable[[int, float], None]) -> dict[str, Any]:
    """Train a locator on the digits of `data` into `folder`: `WEIGHTS`, and `RECORD`, which is returned.

    The first twelfth of the digits is kept apart, for the pages that its figures are of.
    """
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    apart = len(data.train) // 12
    train_on = Characters(data.train.images[apart:], data.train.labels[apart:])
    val_on = Characters(data.train.images[:apart], data.train.labels[:apart])
    weights = train(plan, train_on, folder / "training.pt", say)
    rng = np.random.default_rng((plan.seed, plan.steps))
    figures = measured(weights, [draw_pages(rng, val_on) for _ in range(_VAL_GROUNDS)])
    packed = save(arrays(weights))
    record = {
        "command": f"downstroke train pages --seed {plan.seed}",
        **asdict(plan),
        "data": data.name,
        "torch": torch.__version__,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "val": figures,
        "bytes": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
    }
    (folder / WEIGHTS).write_bytes(packed)
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def measured(weights: dict[str, Tensor], grounds: list[list[tuple[Page, int, int]]]) -> dict[str, Any]:
    """How well a locator finds the digits of drawn pages: its loss, and the share found and of what it finds true."""
    locator = Locator()
    locator.load_state_dict(weights)
    locator.eval()
    losses, found, wanted, said = [], 0, 0, 0
    with torch.inference_mode():
        for ground in grounds:
            x, targets = batch([ground])
            heat, boxes, ink = locator(x)
            losses.append(float(loss((heat, boxes, ink), targets)))
            score = heat[:, :10].sigmoid().amax(1)
            peaks = (score == F.max_pool2d(score, 3, 1, 1)) & (score > 0.3)
            middles = targets.heat[:, :10].amax(1) == 1
            near = F.max_pool2d(peaks.float(), 3, 1, 1) > 0
            found, wanted = found + int((middles & near).sum()), wanted + int(middles.sum())
            said += int(peaks.sum())
    return {
        "grounds": len(grounds),
        "loss": float(np.mean(losses)),
        "digits": wanted,
        "found": found / max(1, wanted),
        "peaks_by_digits": said / max(1, wanted),
    }
