"""The hot ops on a CPU: one pass over an image's pixels, in code that numba compiles; elsewhere torch does the same.

The kernels' modules are imported where they are used: importing numba takes half a second, which CUDA trials avoid.
"""

import torch
from torch import Tensor


def serves(images: Tensor) -> bool:
    """Return True if the kernels take these images; float64, which tests use as the reference, stays with torch.

    So do images that need gradients, subclasses of tensors such as fake ones, and what ``torch.compile`` traces.
    """
    return (
        images.device.type == "cpu"
        and images.dtype in {torch.uint8, torch.uint16, torch.float32}
        and type(images) is Tensor
        and not images.requires_grad
        and not torch.compiler.is_compiling()
    )
