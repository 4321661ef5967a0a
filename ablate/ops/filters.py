"""Ops on neighbourhoods: blur, sobel, sharpen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.ops.color_math import grayscale
from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("blur")
class Blur(Op):
    """Blur with a Gaussian kernel as wide as a tenth of the image (paper, app. A, on half of the images).

    The kernel has an odd number of taps, at least 5; edges are reflected, as in torchvision. On a CPU this is one
    compiled pass (:mod:`ablate.ops.cpu.blur`), elsewhere two batched products with banded matrices. kornia's
    ``gaussian_blur2d`` waits for the device and, with one sigma per image, is a grouped convolution of n * c groups.
    """

    capturable = True
    version = 2
    p: float = param(0.5, "probability that an image is blurred", low=0.0, high=1.0)
    kernel: float = param(0.1, "side of the kernel", low=0.01, high=1.0, unit="of the image's side")
    sigma: tuple[float, float] = param(
        (0.1, 2.0), "draws the standard deviation uniformly", low=0.01, high=20.0, unit="px"
    )
    strength: float = param(1.0, "scales sigma", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``sigma`` in pixels, float ``[n]``."""
        uniform = torch.rand(n, generator=generator, device=device)
        return {"sigma": (self.sigma[0] + (self.sigma[1] - self.sigma[0]) * uniform) * self.strength}

    def taps(self, size: int) -> int:
        """Return the kernel size for a side of ``size`` pixels: odd, at least 5, at most what reflection allows."""
        odd = int(size * self.kernel) // 2 * 2 + 1
        return min(max(odd, 5), 2 * size - 1)

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Blur rows, then columns, of one image after the other."""
        from ablate.ops.cpu.blur import blur

        height, width = images.shape[-2:]
        blur(images, mask, params["sigma"], (self.taps(height), self.taps(width)))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Blur each image with its own sigma."""
        height, width = images.shape[-2:]
        sigma = params["sigma"].to(images.dtype)
        rows = blur_matrix(sigma, height, self.taps(height))
        columns = rows if height == width else blur_matrix(sigma, width, self.taps(width))
        return separable(images, rows, columns).clamp_(0, 1)


def blur_matrix(sigma: Tensor, size: int, taps: int) -> Tensor:
    """Return ``[n, size, size]``: row i holds the Gaussian weights around pixel i, reflected at the edges."""
    reach = taps // 2
    offset = torch.arange(-reach, reach + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offset.to(sigma.dtype) / sigma[:, None]).square())
    weights = weights / weights.sum(1, keepdim=True)
    source = (torch.arange(size, device=sigma.device)[:, None] + offset).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    shape = (len(sigma), size, taps)
    matrix = torch.zeros(len(sigma), size, size, dtype=sigma.dtype, device=sigma.device)
    return matrix.scatter_add_(2, source.expand(shape), weights[:, None].expand(shape))


def separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return ``rows @ image @ columns^T`` for every channel of ``[n, c, h, w]``."""
    n, c, h, w = images.shape
    across = torch.bmm(images.reshape(n, c * h, w), columns.transpose(1, 2)).view(n, c, h, w)
    return torch.matmul(rows[:, None], across)


@register("sobel")
class Sobel(Op):
    """Show edges, found with the 3 x 3 Sobel kernels (paper, figure 4j, which gives no formula: this one is ours).

    By default the result is the magnitude of each channel's gradient, without normalisation and with replicated edges.
    That is kornia's ``sobel(normalized=False)`` without its epsilon, which gives a flat image 1e-3 instead of 0, and
    without the constant that it copies to the device. The figure shows another picture, a relief on mid-grey lit from
    one corner: ``signed=True``. On a copy of the figure, gx + gy of the original's luma correlates with it at 0.83, the
    magnitude at 0.07.
    """

    capturable = True

    signed: bool = param(
        False,
        "True: a relief on mid-grey, as in figure 4j, of the luma (3 channels) or of each channel (other numbers); "
        "False: the gradient magnitude of each channel",
        later=True,
    )

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Compute both gradients of a pixel at once."""
        from ablate.ops.cpu.sobel import sobel

        sobel(images, mask, self.signed)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``sqrt(gx^2 + gy^2)`` per channel; if signed, ``0.5 + (gx + gy) / 8``, of RGB's luma; clipped."""
        channels = images.shape[1]
        if self.signed and channels == 3:
            images = grayscale(images).expand(-1, channels, -1, -1)
        x = F.pad(images, (1, 1, 1, 1), mode="replicate")
        smooth_rows = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
        smooth_columns = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
        gx = smooth_rows[..., 2:] - smooth_rows[..., :-2]
        gy = smooth_columns[:, :, 2:] - smooth_columns[:, :, :-2]
        if self.signed:
            return (0.5 + (gx + gy) / 8).clamp_(0, 1)
        return (gx.square() + gy.square()).sqrt_().clamp_(max=1)


@register("sharpen")
class Sharpen(Op):
    """Sharpen or smooth, as ``adjust_sharpness`` of PIL and torchvision does (AutoAugment's range, 0.1 to 1.9).

    The image is blended with a 3 x 3 smoothing of itself: a factor below 1 smooths, one above 1 sharpens. kornia's
    ``sharpness`` computes the same formula as a grouped convolution, which takes three to eleven times as long on a CPU
    (``benchmarks/ops.py``).
    """

    capturable = True

    amount: float = param(0.9, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    strength: float = param(1.0, "scales the range", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``factor``, float ``[n]``, at least 0."""
        spread = (torch.rand(n, generator=generator, device=device) * 2 - 1) * self.amount * self.strength
        return {"factor": (1 + spread).clamp_min(0)}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``factor * x + (1 - factor) * smooth(x)``; the outermost pixels stay."""
        if min(images.shape[-2:]) < 3:
            return images
        rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
        total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        smooth = images.clone()
        smooth[:, :, 1:-1, 1:-1] = (total + 4 * images[:, :, 1:-1, 1:-1]) / 13
        factor = params["factor"].to(images.dtype)[:, None, None, None]
        return torch.lerp(smooth, images, factor).clamp_(0, 1)
