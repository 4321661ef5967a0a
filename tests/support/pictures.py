"""Images and generators for ops, ops applied with the draws returned, and whether fake CUDA tensors can be made."""

from __future__ import annotations

import torch

from ablate.ops import get
from ablate.testing import generator, pictures

__all__ = ["CUDA_BUILD", "generator", "pictures", "sampled"]

CUDA_BUILD = torch.version.cuda is not None or torch.version.hip is not None


def sampled(name, images, **parameters):
    """An op that acts on all images: its result, and the parameters that it drew."""
    op = get(name)(**{"p": 1.0, **parameters})
    params = op.sample(len(images), tuple(images.shape[-2:]), generator(5))
    return op.apply(images, params), params
