"""Images and generators for ops, and whether fake CUDA tensors can be made."""

from __future__ import annotations

import torch

from ablate.testing import generator, pictures

__all__ = ["CUDA_BUILD", "generator", "pictures"]

CUDA_BUILD = torch.version.cuda is not None or torch.version.hip is not None
