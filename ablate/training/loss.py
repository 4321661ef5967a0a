"""NT-Xent (paper, equation 1) over all 2N views of all processes, computed a block of rows at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ablate.distributed import World, current, gather

BLOCK = 1024  # rows of the similarity matrix that exist at once


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy loss.

    Memory is O(N d + BLOCK N): the [2N, 2N] matrix never exists as a whole, since its blocks are computed again for the
    gradient.

    Args:
        z: ``[2N, d]`` projections, any float dtype, not normalised; rows i and i + N are a positive pair.
        temperature: tau > 0.

    Returns:
        A scalar, float32 (float64 for float64 input), the mean over all 2N views of
        ``-log(exp(s_ij / tau) / sum over k != i of exp(s_ik / tau))``, where s is the cosine similarity. The official
        code sums the means of the two directions, which is twice this value.

        With a ``torch.distributed`` process group, ``z`` is this rank's part (equally many rows on each rank), every
        view is compared with the views of all ranks, and the scalar is this rank's share: the loss is the sum over the
        ranks, and its gradient is the sum of their gradients.

    Raises:
        ValueError: the number of rows is odd, or below 4 over all ranks.
    """
    return nt_xent_with_top1(z, temperature, current())[0]


def nt_xent_with_top1(z: Tensor, temperature: float, world: World) -> tuple[Tensor, Tensor]:
    """Return :func:`nt_xent` and its top-1, the share of views whose most similar other view is their partner.

    The top-1 has no gradient.

    Args:
        z: ``[2N, d]`` projections, as in :func:`nt_xent`.
        temperature: tau > 0.
        world: the processes over which the loss is computed.

    Raises:
        ValueError: the number of rows is odd, or below 4 over all ranks.
    """
    views = len(z) * world.size
    # One pair has no negatives: its loss would be 0 for any z.
    if len(z) % 2 or views < 4:
        raise ValueError(f"z needs an even number of rows, at least 4, not {len(z)}")
    # In bfloat16 a similarity has about three digits, and dividing it by a small temperature enlarges its error.
    z = F.normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
    n = len(z) // 2
    # Each rank gives its first views, then its second ones. Here all first views come before all second ones, so that a
    # view and its partner are equally many rows apart on every rank.
    everyone = gather(z, world).unflatten(1, (2, n)).transpose(0, 1).flatten(0, 2)
    own = torch.arange(n, device=z.device) + world.rank * n
    own = torch.cat([own, own + views // 2])
    if len(z) <= BLOCK:
        loss, hits = _rows(z, everyone, own, temperature)
    else:
        # The matrix of 8192 views alone takes 256 MiB, and autograd would keep several of its size. A checkpoint keeps
        # only the inputs of a block. The blocks draw nothing, so no random state has to be saved.
        parts = [
            checkpoint(_rows, *block, temperature, use_reentrant=False, preserve_rng_state=False)
            for block in ((rows, everyone, place) for rows, place in zip(z.split(BLOCK), own.split(BLOCK), strict=True))
        ]
        loss, hits = torch.stack([part[0] for part in parts]).sum(), torch.stack([part[1] for part in parts]).sum()
    # Divided by the views of all ranks, not only by those here, so that the shares of the ranks add up to the mean.
    return loss / views, hits / views


def _rows(rows: Tensor, everyone: Tensor, own: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the summed losses and the hits of the similarity matrix's rows that belong to the views ``own``."""
    logits = rows @ everyone.T / temperature
    # Equation 1 sums over k != i: a view is always most similar to itself, so it must not compete with its partner.
    logits.scatter_(1, own[:, None], float("-inf"))
    partner = (own + len(everyone) // 2) % len(everyone)
    hits = (logits.detach().argmax(1) == partner).sum()
    # A sum, not a mean: the last block may have fewer rows than the others.
    return F.cross_entropy(logits, partner, reduction="sum"), hits
