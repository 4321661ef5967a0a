"""ResNets made of the same blocks: torchvision's at the paper's widths, and a small one for a CPU core."""

from __future__ import annotations

from torch import Tensor, nn

from ablate.config.encoder import Encoder
from ablate.training.body import Body
from ablate.training.residual import BasicBlock, Bottleneck, ResNet

BLOCKS: dict[str, tuple[type[BasicBlock | Bottleneck], list[int]]] = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
}
NARROW = 8  # channels; below, a strided 1x1 convolution is unsafe on some CPUs, see _NarrowPointwise


def zero_init_residual(net: nn.Module) -> None:
    """Set the scale of the last batch norm of every residual block to 0, so each block starts as its shortcut.

    This follows the official code (``init_zero`` in its resnet.py) and Goyal et al. 2017. No random numbers are drawn.
    """
    for block in net.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            nn.init.zeros_(getattr(block, block.last_norm).weight)


class TorchvisionResNet(Body):
    """torchvision's resnet18, 34, 50 or 101 without the classifier, or a wider one.

    For small images it has a 3x3 stem of stride 1 and no pooling (app. B.9).
    """

    def __init__(self, config: Encoder, *, channels: int, small_image: bool) -> None:
        super().__init__(config)
        self.net = ResNet(*BLOCKS[config.name], config.width)
        self.dim = self.net.dim
        if small_image or channels != 3:
            kernel, stride, padding = (3, 1, 1) if small_image else (7, 2, 3)
            self.net.conv1 = nn.Conv2d(channels, config.width, kernel, stride, padding, bias=False)
            nn.init.kaiming_normal_(self.net.conv1.weight, mode="fan_out", nonlinearity="relu")
        if small_image:
            self.net.maxpool = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h = f(x)``."""
        h: Tensor = self.net(self.normalise(x))
        return h


class ResNet8(Body):
    """Our ResNet for one CPU core: a 3x3 stem of stride 2 and three basic blocks of w, 2w and 4w channels; dim = 4w.

    Convolutions keep torch's default initialisation: with He's, crop+color reached 68 % instead of 80 % on glyphs after
    15 epochs (rendering seed 1, trial seed 100).
    """

    def __init__(self, config: Encoder, *, channels: int) -> None:
        super().__init__(config)
        width = config.width
        self.dim = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            _block(width, width, stride=1), _block(width, 2 * width, stride=2), _block(2 * width, 4 * width, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h = f(x)``."""
        h: Tensor = self.blocks(self.stem(self.normalise(x))).mean((2, 3))
        return h


def _block(inputs: int, outputs: int, stride: int) -> nn.Module:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(_pointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)


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
