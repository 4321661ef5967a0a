"""The projection head g(h): z = h, W h, or W2 relu(W1 h) (paper, section 4.2)."""

from __future__ import annotations

import itertools

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
