"""NT-Xent (paper, equation 1), over all 2N views in one computation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy loss.

    Args:
        z: ``[2N, d]`` projections, any float dtype, not normalised; rows i and i + N are a positive pair.
        temperature: tau > 0.

    Returns:
        float32 (float64 for float64 input) scalar: the mean over all 2N views of
        ``-log(exp(s_ij / tau) / sum over k != i of exp(s_ik / tau))``, s the cosine similarity. The official code sums
        the two directions' means, which is twice this.

    Raises:
        ValueError: the number of rows is odd or below 4.
    """
    return nt_xent_with_top1(z, temperature)[0]


def nt_xent_with_top1(z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """:func:`nt_xent`, and the fraction of views whose most similar other view is their partner (no gradient)."""
    views = len(z)
    if views % 2 or views < 4:
        raise ValueError(f"z needs an even number of rows, at least 4, not {views}")
    z = F.normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
    logits = z @ z.T / temperature
    logits.fill_diagonal_(float("-inf"))
    partner = torch.arange(views, device=z.device).roll(views // 2)
    top1 = (logits.detach().argmax(1) == partner).float().mean()
    return F.cross_entropy(logits, partner), top1
