"""f(W, x): the networks. Images go in, logits come out; `probabilities` gives the notes' y.

To add one: a function of (classes, dropout) that returns an `nn.Module` from float32 [B,1,28,28] to logits
[B,classes], and a line in `MODELS`. A module of one's own needs no line: `--model package.module:callable`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from downstroke.errors import DownstrokeError, RecipeError
from downstroke.learning.lookup import look_up
from downstroke.recipe import Recipe


def linear(classes: int, dropout: float) -> nn.Module:
    """One layer: each logit is a weighted sum of the 784 pixels. 7,850 weights for ten classes."""
    return nn.Sequential(nn.Flatten(), *_dropout(dropout), nn.Linear(784, classes))


def mlp(classes: int, dropout: float) -> nn.Module:
    """Two hidden layers of 256 and 128 neurons."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        *_dropout(dropout),
        nn.Linear(128, classes),
    )


def cnn(classes: int, dropout: float) -> nn.Module:
    """Three convolutions, then one linear layer: 0.34 million multiplications an image.

    Two strides of 2 take the place of pooling, and spare most of the work. The first layer, the largest to normalise,
    sees normalised pixels and does without; in short trainings that is as good.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2),  # 28 -> 12
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 32, 3, stride=2, bias=False),  # 12 -> 5
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, bias=False),  # 5 -> 3
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        Rows(),
        *_dropout(dropout),
        nn.Linear(64 * 3 * 3, classes),
    )


def coarse(classes: int, dropout: float) -> nn.Module:
    """For the shortest trainings: a fifth less time a step than `cnn`, a tenth of a point behind it after six epochs.

    The first layer looks at the image through 8x8 large windows, so that all behind it is small.
    """
    return nn.Sequential(
        nn.Conv2d(1, 24, 7, stride=3),  # 28 -> 8
        nn.ReLU(inplace=True),
        nn.Conv2d(24, 32, 3, bias=False),  # 8 -> 6
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, stride=2, bias=False),  # 6 -> 2
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        Rows(),
        *_dropout(dropout),
        nn.Linear(64 * 2 * 2, classes),
    )


def wide(classes: int, dropout: float) -> nn.Module:
    """For few labels: `cnn` with twice its channels, and pooling in place of the second stride. 2.6 million."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, stride=2),  # 28 -> 12
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, bias=False),  # 12 -> 10
        nn.MaxPool2d(2),  # 10 -> 5; before what follows, which then has a quarter of the work
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, 128, 3, bias=False),  # 5 -> 3
        nn.BatchNorm2d(128),
        nn.ReLU(inplace=True),
        Rows(),
        *_dropout(dropout),
        nn.Linear(128 * 3 * 3, classes),
    )


def fine(classes: int, dropout: float) -> nn.Module:
    """For the best W: every pixel looked at in 3x3 before any is left out, five such layers. 7.3 million.

    As in `cnn` nothing is normalised behind the first layer; pooling comes before what it makes smaller.
    """
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),  # 28 -> 26
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 32, 3, bias=False),  # 26 -> 24
        nn.MaxPool2d(2),  # 24 -> 12
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        *_layer(32, 64, padding=0),  # 12 -> 10
        nn.Conv2d(64, 64, 3, bias=False),  # 10 -> 8
        nn.MaxPool2d(2),  # 8 -> 4
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        *_layer(64, 128, padding=0),  # 4 -> 2
        Rows(),
        *_dropout(dropout),
        nn.Linear(128 * 2 * 2, classes),
    )


def tiny(classes: int, dropout: float) -> nn.Module:
    """For small machines: fewer than 10,000 weights in four 3x3 layers and one that weighs places. 0.6 million."""
    return nn.Sequential(
        *_layer(1, 8, padding=0),  # 28 -> 26
        nn.MaxPool2d(2),  # 26 -> 13
        *_layer(8, 16, padding=0),  # 13 -> 11
        *_layer(16, 20, padding=0),  # 11 -> 9
        nn.MaxPool2d(2),  # 9 -> 4
        *_layer(20, 24, padding=1),
        nn.Conv2d(24, 24, 4, groups=24),  # 4 -> 1
        nn.Flatten(),
        *_dropout(dropout),
        nn.Linear(24, classes),
    )


def deep(classes: int, dropout: float) -> nn.Module:
    """For reading all hands: every pixel looked at before the first is left out, four 3x3 layers. 3.3 million."""
    return nn.Sequential(
        *_layer(1, 16, padding=1),  # 28
        nn.MaxPool2d(2),  # 28 -> 14
        *_layer(16, 32, padding=1),
        nn.MaxPool2d(2),  # 14 -> 7
        *_layer(32, 64, padding=1),
        *_layer(64, 96, padding=0),  # 7 -> 5
        Rows(),
        *_dropout(dropout),
        nn.Linear(96 * 5 * 5, classes),
    )


def deeper(classes: int, dropout: float) -> nn.Module:
    """For reading all hands, also in windows: five 3x3 layers on the four pixels of each 2x2. 6.1 million."""
    return nn.Sequential(
        nn.PixelUnshuffle(2),  # 28 -> 14
        *_layer(4, 32, padding=1),
        *_layer(32, 32, padding=1),
        nn.MaxPool2d(2),  # 14 -> 7
        *_layer(32, 64, padding=1),
        *_layer(64, 64, padding=1),
        *_layer(64, 96, padding=0),  # 7 -> 5
        Rows(),
        *_dropout(dropout),
        nn.Linear(96 * 5 * 5, classes),
    )


def _layer(channels: int, into: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, into, 3, padding=padding, bias=False), nn.BatchNorm2d(into), nn.ReLU(inplace=True)]


class Rows(nn.Module):
    """[B,C,H,W] -> [B,H*W*C]: the order of channels-last memory, so that nothing moves, forward or backward."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def _dropout(share: float) -> list[nn.Module]:
    """torch draws and multiplies a mask even where nothing is to be dropped."""
    return [nn.Dropout(share)] if share else []


MODELS: dict[str, Callable[[int, float], nn.Module]] = {
    "linear": linear,
    "mlp": mlp,
    "cnn": cnn,
    "coarse": coarse,
    "wide": wide,
    "fine": fine,
    "tiny": tiny,
    "deep": deep,
    "deeper": deeper,
}


class Network(nn.Module):
    """A network with what belongs to W and is not learned by backpropagation.

    That is how pixels are centred and scaled (pixel * scale + shift has mean 0 and spread 1 over the training images),
    and the temperature that logits are divided by when reading (1 where nothing made W unsure: see `temperature.py`).

    `forward(images)` takes uint8 [B,28,28] in 0..255 or float32 [B,28,28] in 0..1 (either also as [B,1,28,28]), ink
    high on zero, and returns logits, float32 [B,classes].
    """

    scale: Tensor
    shift: Tensor
    temperature: Tensor

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.net = net
        self.classes = classes
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        scale, own = self.scale, None
        if images.dtype == torch.uint8:
            images, scale = images.float(), scale / 255
            own = images  # to be written into
        x = _scaled(images, scale, self.shift, own)
        logits: Tensor = self.net(x.unsqueeze(1) if x.dim() == 3 else x).float()
        return logits if self.training else logits / self.temperature

    def probabilities(self, images: Tensor) -> Tensor:
        """The notes' y: float32 [B,classes], each row sums to 1. Dropout and batch statistics as in reading."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                logits: Tensor = self(images)
                return logits.softmax(1)
        finally:
            self.train(training)

    def measure(self, images: Tensor) -> None:
        """Set scale and shift from the mean and the standard deviation of the pixels of uint8 [N,28,28].

        10,000 images, evenly spaced, decide the two numbers to four digits; more would only take time.
        """
        sample = images[:: max(1, len(images) // 10_000)].float() / 255
        spread = sample.std().clamp_min(1e-3)  # where all images are alike there is no spread to divide by
        self.scale.copy_(1 / spread)
        self.shift.copy_(-sample.mean() / spread)


def _scaled(images: Tensor, scale: Tensor, shift: Tensor, out: Tensor | None) -> Tensor:
    """images * scale + shift, the two being one number each; into `out`, where it is given."""
    written_down = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if written_down or images.device.type != "cpu":
        return torch.addcmul(shift, images, scale)
    # The same to the last bit in a seventh of the time: `addcmul` would look the two numbers up for every pixel.
    return torch.add(shift, images, alpha=scale.item(), out=out)


def take(network: Network, tensors: Mapping[str, Tensor], of: str) -> None:
    """Give the network these tensors for its W; `of` says whose they are. RecipeError, which names one that misfits."""
    own = network.state_dict()
    for name in dict.fromkeys([*own, *tensors]):
        if name in own and name in tensors and own[name].shape == tensors[name].shape:
            continue
        here, there = (str(list(held[name].shape)) if name in held else "missing" for held in (own, tensors))
        raise RecipeError(
            f"the weights of {of} do not fit: their tensor {name} is {there}, and in this model {here}; "
            f"start from weights of the same --model and the same number of classes"
        )
    network.load_state_dict(dict(tensors))


def build(recipe: Recipe, classes: int) -> Network:
    """The recipe's network with its first W, a function of `recipe.seed`. Torch's own random state is left alone.

    Raises RecipeError where a model of one's own cannot be made or does not turn [2,1,28,28] into [2,classes].
    """
    make = look_up("model", recipe.model, MODELS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.model in MODELS:
            network = Network(make(classes, recipe.dropout), classes)
            # Channels last: the layout in which the CPU's convolutions need not reorder what they read.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            return network
        return _own(make, recipe, classes)


def _own(make: Callable[..., nn.Module], recipe: Recipe, classes: int) -> Network:
    try:
        wanted = inspect.signature(make).parameters
        net = make(classes) if wanted else make()
        if not isinstance(net, nn.Module):
            raise RecipeError(f"model {recipe.model!r} gave a {type(net).__name__}; expected a torch.nn.Module")
        network = Network(net, classes)
        shape = tuple(network.eval()(torch.zeros(2, 28, 28)).shape)
    except DownstrokeError:
        raise
    except Exception as error:  # the user's code may raise anything; report it in one line
        text = " ".join(str(error).split()) or type(error).__name__
        raise RecipeError(f"model {recipe.model!r} failed on images [2,1,28,28]: {text}") from error
    if shape != (2, classes):
        raise RecipeError(
            f"model {recipe.model!r} gave logits of shape {list(shape)} for 2 images; expected [2, {classes}]"
        )
    if recipe.dropout:
        raise RecipeError(f"dropout is {recipe.dropout:g}, but model {recipe.model!r} is your own: set it inside")
    if not any(p.requires_grad for p in net.parameters()):
        raise RecipeError(f"model {recipe.model!r} has no weights to learn")
    return network.train()
