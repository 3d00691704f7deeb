"""A first layer that begins where others arrive: filters that whiten the images' own patches.

Neighbouring pixels say nearly the same. Filters along the principal directions of the patches, each scaled to the same
spread of its output, take that sameness away (LeCun et al. 1998, "Efficient BackProp"; as a first layer: Page 2019,
"How to train your ResNet"). Every filter stands beside its negative, because the ReLU behind it keeps one sign only.
They are a start; the gradient moves them like all of W.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from downstroke.errors import RecipeError
from downstroke.learning.models import Network

SAMPLE = 1000  # images, evenly spaced: some ten thousand patches for a few dozen directions
RIDGE = 0.1  # of the largest variance, added to each: directions of little but noise are not blown up to full size


def whiten(network: Network, images: Tensor) -> None:
    """Draw the filters of the network's first convolution from uint8 [N,28,28], whose pixels `network` can scale.

    Raises RecipeError where the first layer with weights is not a convolution of one channel.
    """
    convolution = next((layer for layer in network.net.modules() if list(layer.parameters(recurse=False))), None)
    if not isinstance(convolution, nn.Conv2d) or convolution.in_channels != 1:
        raise RecipeError("first_layer is 'whitening', and the model has no first convolution; give 'random'")
    filters, _, height, width = convolution.weight.shape
    sample = images[:: max(1, len(images) // SAMPLE)].float() / 255
    sample = sample.unsqueeze(1) * network.scale + network.shift
    patches = F.unfold(sample, (height, width), stride=convolution.stride)
    patches = patches.transpose(1, 2).reshape(-1, height * width)
    variance, directions = torch.linalg.eigh(patches.T @ patches / len(patches))  # smallest first
    scale = (variance + RIDGE * variance[-1].clamp_min(1e-6)).rsqrt()
    whitening = (directions * scale).T.flip(0)[: (filters + 1) // 2]
    # A small patch has fewer directions than there are pairs of filters: the others stay random.
    pairs = torch.cat([whitening, -whitening])[:filters]
    with torch.no_grad():
        convolution.weight[: len(pairs)] = pairs.view(-1, 1, height, width)
        if convolution.bias is not None:
            convolution.bias.zero_()
