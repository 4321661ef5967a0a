"""Named random streams: every draw of a trial comes from a generator seeded by (seed, purpose, epoch).

No purpose names the composition, so the trials of one seed share their initial weights, image order and base crops in
every cell. Since a stream is rebuilt from its name, an epoch needs no random state from the one before.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit integer from SHA-256 of ``seed/purpose/epoch``; unrelated names give unrelated streams."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: str, epoch: int = 0, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a generator on ``device``, seeded by :func:`derive_seed`.

    Args:
        seed: the trial's seed.
        purpose: the name of the stream.
        epoch: the epoch.
        device: the generator's device.
    """
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose, epoch))
