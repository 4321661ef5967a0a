"""The projection head g(h) = W2 relu(W1 h) (paper, section 2.1, with biases)."""

from __future__ import annotations

from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """``h [N, d]`` -> ``z [N, output]``: two layers, without batch norm, as the paper's text has it."""

    def __init__(self, dim: int, hidden: int, output: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, output))

    def forward(self, h: Tensor) -> Tensor:
        """``z = g(h)``."""
        z: Tensor = self.layers(h)
        return z
