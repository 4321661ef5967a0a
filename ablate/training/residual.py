"""The ResNets of torchvision, written out: importing torchvision takes a second of CPU in each process that trains."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.config.encoder import WIDTHS

CLASSES = 1000
"""The outputs of torchvision's classifier."""


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a padded 3x3 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, the identity by default.

    Args:
        inputs: input channels.
        channels: channels of the convolutions, and so of the output.
        stride: the stride of the first convolution.
        downsample: the shortcut, where the identity has not the output's shape.
    """

    expansion = 1
    last_norm = "bn2"

    def __init__(self, inputs: int, channels: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, channels, H / stride, W / stride]``."""
        out = _relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return _relu(out)


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution and a shortcut; the stride is in the 3x3 convolution (ResNet 1.5).

    Args:
        inputs: input channels.
        channels: channels of the 3x3 convolution; the output has four times as many.
        stride: the stride of the 3x3 convolution.
        downsample: the shortcut, where the identity has not the output's shape.
    """

    expansion = 4
    last_norm = "bn3"

    def __init__(self, inputs: int, channels: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv1x1(inputs, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv1x1(channels, channels * self.expansion)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, 4 channels, H / stride, W / stride]``."""
        out = _relu(self.bn1(self.conv1(x)))
        out = _relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return _relu(out)


class ResNet(nn.Module):
    """A ResNet without the classifier, with torchvision's names of parameters and, unless widened, its initial weights.

    Wider ones have every layer's channels multiplied (paper, section 5.1: 2x and 4x). They differ from torchvision's
    ``wide_resnet50_2``, which widens the inner 3x3 convolutions only.

    Args:
        block: the class of all blocks.
        layers: the number of blocks at each of the four resolutions.
        width: channels of the stem; torchvision's is 64.
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: list[int], width: int) -> None:
        super().__init__()
        self.dim = 8 * width * block.expansion
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool: nn.Module = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _layer(block, width, width, layers[0])
        self.layer2 = _layer(block, width * block.expansion, 2 * width, layers[1], stride=2)
        self.layer3 = _layer(block, 2 * width * block.expansion, 4 * width, layers[2], stride=2)
        self.layer4 = _layer(block, 4 * width * block.expansion, 8 * width, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        if width == WIDTHS[1]:
            nn.Linear(self.dim, CLASSES)  # torchvision draws it before He's weights, which would otherwise differ
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, 3, H, W]`` to pooled representations ``[N, dim]``."""
        x = self.maxpool(_relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.flatten(self.avgpool(x), 1)


def _relu(x: Tensor) -> Tensor:
    return F.relu(x, inplace=True)


def _layer(
    block: type[BasicBlock | Bottleneck], inputs: int, channels: int, count: int, stride: int = 1
) -> nn.Sequential:
    outputs, downsample = channels * block.expansion, None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    first = block(inputs, channels, stride, downsample)
    return nn.Sequential(first, *(block(outputs, channels) for _ in range(1, count)))
