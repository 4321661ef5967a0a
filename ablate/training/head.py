"""Projection heads: SimCLR's g(h) = h, W h, or W2 relu(W1 h) (paper, section 4.2), and those of other papers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from ablate.config.trial import Head


class ProjectionHead(nn.Module):
    """The head, from ``h [N, dim]`` to ``z [N, output]`` (``[N, dim]`` for kind ``none``).

    Linear layers have biases and no batch norm, as in the paper's text. With ``batch_norm``, each of them is followed
    by a batch norm instead of a bias, and the last batch norm has no shift, as in the official code.
    """

    def __init__(self, dim: int, config: Head) -> None:
        super().__init__()
        inner = {"none": [], "linear": [dim], "mlp": [dim] + [config.hidden] * (config.layers - 1)}[config.kind]
        sizes = [*inner, config.output] if inner else []
        modules: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(sizes), start=1):
            is_last = number == len(inner)
            modules.append(nn.Linear(before, after, bias=not config.batch_norm))
            if config.batch_norm:
                norm = nn.BatchNorm1d(after)
                norm.bias.requires_grad_(not is_last)
                modules.append(norm)
            if not is_last:
                modules.append(nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*modules)
        self.dim: int = sizes[-1] if sizes else dim

    def forward(self, h: Tensor) -> Tensor:
        """Return ``z = g(h)``."""
        z: Tensor = self.layers(h)
        return z


def mlp(sizes: Sequence[int], *, inner_bias: bool, last_bias: bool = False, last_norm: bool = False) -> nn.Sequential:
    """Build linear layers from ``sizes[0]`` to ``sizes[-1]`` dimensions, with batch norm and ReLU between them.

    Args:
        sizes: the dimensions before, between and after the layers.
        inner_bias: the layers before a batch norm have biases.
        last_bias: the last layer has a bias.
        last_norm: a batch norm without scale and shift follows the last layer.
    """
    modules: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes[:-1]):
        modules += [nn.Linear(before, after, bias=inner_bias), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
    modules.append(nn.Linear(sizes[-2], sizes[-1], bias=last_bias))
    if last_norm:
        modules.append(nn.BatchNorm1d(sizes[-1], affine=False))
    return nn.Sequential(*modules)
