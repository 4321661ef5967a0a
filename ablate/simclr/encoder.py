"""Encoders f(x): torchvision's ResNets with the small-image stem, and a small one for a CPU core."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn

from ablate.config import SMALL_IMAGE, Encoder


def build_encoder(config: Encoder, image_size: int) -> ResNet8 | TorchvisionResNet:
    """The encoder: float ``[N, 3, image_size, image_size]`` -> ``h [N, dim]``, pooled.

    Initial weights come from the global generator; torchvision's ResNets have He's initialisation (fan out).
    """
    if config.name == "resnet8":
        return ResNet8(config.width)
    return TorchvisionResNet(config.name, small_image=image_size <= SMALL_IMAGE)


class TorchvisionResNet(nn.Module):
    """resnet18, 34 or 50 without the classifier; for small images a 3x3 stem of stride 1, no pool (app. B.9)."""

    def __init__(self, name: str, *, small_image: bool) -> None:
        super().__init__()
        self.net = getattr(torchvision.models, name)(weights=None)
        self.dim: int = self.net.fc.in_features
        self.net.fc = nn.Identity()
        if small_image:
            self.net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            nn.init.kaiming_normal_(self.net.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.net.maxpool = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``h = f(x)``."""
        h: Tensor = self.net(x)
        return h


class ResNet8(nn.Module):
    """Ours, for one CPU core: a 3x3 stem of stride 2 and three basic blocks of w, 2w and 4w channels; dim = 4w.

    Convolutions keep torch's default initialisation: with He's, crop+color reached 68 % instead of 80 % on glyphs
    after 15 epochs (rendering seed 1, trial seed 100).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dim = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            _block(width, width, stride=1), _block(width, 2 * width, stride=2), _block(2 * width, 4 * width, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``h = f(x)``."""
        h: Tensor = self.blocks(self.stem(x)).mean((2, 3))
        return h


def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    block: nn.Module = torchvision.models.resnet.BasicBlock(inputs, outputs, stride, shortcut)
    return block
