"""ResNets made of torchvision's blocks: torchvision's own at the paper's widths, and a small one for a CPU core."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from ablate.config.trial import WIDTHS, Encoder

BLOCKS: dict[str, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}
LAST_NORM = {BasicBlock: "bn2", Bottleneck: "bn3"}
NARROW = 8  # channels; below, a strided 1x1 convolution is unsafe on some CPUs, see _NarrowPointwise


def zero_init_residual(net: nn.Module) -> None:
    """Set the scale of the last batch norm of every residual block to 0, so each block starts as its shortcut.

    This follows the official code (``init_zero`` in its resnet.py) and Goyal et al. 2017. No random numbers are drawn.
    """
    for block in net.modules():
        if name := LAST_NORM.get(type(block)):
            nn.init.zeros_(getattr(block, name).weight)


class TorchvisionResNet(nn.Module):
    """A resnet18, 34, 50 or 101 without the classifier.

    For small images it has a 3x3 stem of stride 1 and no pooling (app. B.9).
    """

    def __init__(self, config: Encoder, *, channels: int, small_image: bool) -> None:
        super().__init__()
        self.net: ResNet
        if config.width == WIDTHS[1]:
            self.net = getattr(torchvision.models, config.name)(weights=None)
        else:
            self.net = WideResNet(*BLOCKS[config.name], config.width)
        self.dim: int = self.net.fc.in_features
        self.net.fc = nn.Identity()
        if small_image or channels != 3:
            kernel, stride, padding = (3, 1, 1) if small_image else (7, 2, 3)
            self.net.conv1 = nn.Conv2d(channels, config.width, kernel, stride, padding, bias=False)
            nn.init.kaiming_normal_(self.net.conv1.weight, mode="fan_out", nonlinearity="relu")
        if small_image:
            self.net.maxpool = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h = f(x)``."""
        h: Tensor = self.net(x)
        return h


class WideResNet(ResNet):  # type: ignore[misc]
    """torchvision's ResNet with every layer's channels multiplied (paper, section 5.1: 2x and 4x).

    It differs from torchvision's ``wide_resnet50_2``, which widens the inner 3x3 convolutions only.
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: list[int], width: int) -> None:
        with torch.device("meta"):  # its own layers are replaced below
            super().__init__(block, layers)
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(block, width, layers[0])
        self.layer2 = self._make_layer(block, 2 * width, layers[1], stride=2)
        self.layer3 = self._make_layer(block, 4 * width, layers[2], stride=2)
        self.layer4 = self._make_layer(block, 8 * width, layers[3], stride=2)
        self.fc = nn.Linear(8 * width * block.expansion, 1, device="meta")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class ResNet8(nn.Module):
    """Our ResNet for one CPU core: a 3x3 stem of stride 2 and three basic blocks of w, 2w and 4w channels; dim = 4w.

    Convolutions keep torch's default initialisation: with He's, crop+color reached 68 % instead of 80 % on glyphs after
    15 epochs (rendering seed 1, trial seed 100).
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.dim = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            _block(width, width, stride=1), _block(width, 2 * width, stride=2), _block(2 * width, 4 * width, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h = f(x)``."""
        h: Tensor = self.blocks(self.stem(x)).mean((2, 3))
        return h


def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(_pointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    block: nn.Module = BasicBlock(inputs, outputs, stride, shortcut)
    return block


def _pointwise(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    return (_NarrowPointwise if inputs < NARROW else nn.Conv2d)(inputs, outputs, 1, stride, bias=False)


class _NarrowPointwise(nn.Conv2d):
    """A strided 1x1 convolution, computed as a plain one of every ``stride``-th pixel, which is the same function.

    On CPUs with AVX2 but without AVX-512, oneDNN's strided convolution (torch 2.14.1, channels_last, its backward pass)
    writes outside its memory below 8 input channels, and the process dies of a corrupted heap.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, ceil(H / stride), ceil(W / stride)]``."""
        step_y, step_x = self.stride
        return nn.functional.conv2d(x[:, :, ::step_y, ::step_x], self.weight)
