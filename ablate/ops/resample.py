"""Resampling by two batched matrix products: per-image boxes, antialiased, with flips, never reading the padding."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.ops import cpu
from ablate.ops.op import Params
from ablate.pixels import full_scale


def resized_crop(images: Tensor, params: Params, out: tuple[int, int], resize: str = "bilinear") -> Tensor:
    """Cut each image's box and resize it to ``out``, as torchvision's ``resized_crop(antialias=True)`` does.

    With ``resize="bicubic"`` it resizes as TensorFlow's ``resize_bicubic`` does, see :func:`_cubic`.

    On a CPU this is one compiled pass (:mod:`ablate.ops.cpu.crop`), elsewhere two batched products with interpolation
    matrices. ``grid_sample`` is not used, since it would read neighbours outside the box at its border. kornia's
    ``crop_and_resize`` is not used either: its ``align_corners`` default and missing antialiasing differ from
    torchvision by up to 0.4 on noise.

    Args:
        images: ``[n, c, h, w]``, uint8 or uint16 (see :data:`ablate.pixels.FULL_SCALE`) or float in [0, 1]; may be
            padded below and to the right: boxes lie inside the real image, so padding is never read.
        params: ``top``, ``left``, ``height``, ``width`` (``[n]``, pixels) and, optionally, ``flip`` (bool ``[n]``):
            the crop is mirrored left to right.
        out: height and width of the result in pixels.
        resize: ``bilinear``, antialiased, or ``bicubic``, which is not.

    Returns:
        float32 (float64 for float64 input) ``[n, c, *out]`` in [0, 1].
    """
    if cpu.serves(images) and resize == "bilinear":
        from ablate.ops.cpu.crop import crop

        return crop(images, params, out)
    floats, weights = _as_float(images), _cubic if resize == "bicubic" else _weights
    rows = weights(params["top"], params["height"], out[0], images.shape[-2], floats.dtype)
    columns = weights(params["left"], params["width"], out[1], images.shape[-1], floats.dtype)
    if "flip" in params:
        columns = torch.where(params["flip"][:, None, None], columns.flip(1), columns)
    return _resample(floats, rows, columns, scale=full_scale(images.dtype))


def center_crop(images: Tensor, out: tuple[int, int], fraction: float = 1.0, sizes: Tensor | None = None) -> Tensor:
    """Cut the centre square of ``fraction`` of the short side and resize it to ``out``.

    Up to rounding this is "resize the short side, then take the centre", in one interpolation. An image that already
    has the size ``out`` is returned exactly, except for the scaling to [0, 1].

    Args:
        images: as in :func:`resized_crop`.
        out: height and width of the result in pixels.
        fraction: the side of the square as a fraction of the short side, in (0, 1].
        sizes: int ``[n, 2]``, the real heights and widths of padded images.

    Returns:
        float32 ``[n, c, *out]`` in [0, 1].
    """
    n, _, height, width = images.shape
    if sizes is None and (height, width) == out and fraction == 1:
        return images if images.is_floating_point() else images.float() / full_scale(images.dtype)
    if sizes is None:
        sizes = torch.full((n, 2), height, device=images.device)
        sizes[:, 1] = width
    side = (sizes.amin(1) * fraction).round()
    corner = ((sizes - side[:, None]) / 2).round()
    return resized_crop(images, {"top": corner[:, 0], "left": corner[:, 1], "height": side, "width": side}, out)


def shrink(images: Tensor, params: Params, fill: float) -> Tensor:
    """Shrink each image into a box of its own frame, with antialiasing, and fill the rest: the inverse of a crop.

    Inside the box this is torchvision's ``resize(antialias=True)`` to the box's size.

    Args:
        images: float ``[n, c, h, w]`` in [0, 1].
        params: ``top``, ``left``, ``height``, ``width`` of the boxes, float ``[n]``, whole pixels inside the image.
        fill: the value outside the box.

    Returns:
        float ``[n, c, h, w]`` in [0, 1].
    """
    matrices, insides = [], []
    sides = (("top", "height", images.shape[2]), ("left", "width", images.shape[3]))
    for start, length, size in ((params[first], params[along], size) for first, along, size in sides):
        scale = size / length  # the frame, seen from the image, is this much larger
        weights = _weights(-start * scale, size * scale, size, size, images.dtype)
        place = torch.arange(size, device=images.device)
        inside = (place >= start[:, None]) & (place < (start + length)[:, None])
        matrices.append(torch.where(inside[:, :, None], weights, 0))  # outside, weights are undefined
        insides.append(inside)
    inside = (insides[0][:, :, None] & insides[1][:, None, :])[:, None]
    return torch.where(inside, _resample(images, matrices[0], matrices[1], scale=1), fill)


def _as_float(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float()


def _weights(start: Tensor, length: Tensor, out: int, size: int, dtype: torch.dtype) -> Tensor:
    """Return interpolation weights ``[n, out, size]``: row i of image n weighs input pixels for output pixel i.

    This is the triangle filter of torch's antialiased bilinear interpolation: centred in the output pixel, as wide as
    an output pixel is on the input (at least one input pixel), cut off at the box and renormalised.
    """
    start, length = start.to(dtype)[:, None], length.to(dtype)[:, None]
    scale = length / out
    grid = torch.arange(max(out, size), device=start.device, dtype=dtype) + 0.5
    centre = start + grid[None, :out] * scale
    pixel = grid[None, None, :size]
    weights = (1 - (pixel - centre[:, :, None]).abs() / scale.clamp_min(1)[:, :, None]).clamp_min_(0)
    inside = (pixel[0] > start) & (pixel[0] < start + length)
    weights = weights * inside[:, None]
    return weights / weights.sum(-1, keepdim=True)


def _cubic(start: Tensor, length: Tensor, out: int, size: int, dtype: torch.dtype) -> Tensor:
    """Return weights like :func:`_weights`, for TensorFlow's ``resize_bicubic``, which the official code calls.

    The function is ``tf.compat.v1.image.resize_bicubic``: Keys's cubic kernel with a = -0.75 at the input position
    ``i * length / out``, without half-pixel centres and without antialiasing; pixels beyond the box are its outermost
    ones. TensorFlow rounds the kernel's argument to 1/1024, which is left out here. Source: tensorflow,
    ``resize_bicubic_op.cc``.
    """
    start, length = start.to(dtype)[:, None], length.to(dtype)[:, None]
    position = torch.arange(out, device=start.device, dtype=dtype) * (length / out)
    tap = torch.arange(-1, 3, device=start.device, dtype=dtype)
    source = position.floor()[:, :, None] + tap
    away = (source - position[:, :, None]).abs()
    near = (1.25 * away - 2.25) * away * away + 1
    far = ((-0.75 * away + 3.75) * away - 6) * away + 3
    pixel = start[:, :, None] + torch.minimum(source.clamp_min(0), length[:, :, None] - 1)
    weights = torch.zeros(len(start), out, size, dtype=dtype, device=start.device)
    return weights.scatter_add_(2, pixel.long(), torch.where(away <= 1, near, far))


def _resample(images: Tensor, rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    """Return ``rows @ image @ columns^T`` per channel; one product each way serves all channels of an image."""
    n, c, height, width = images.shape
    out_h, out_w = rows.shape[1], columns.shape[1]
    stacked = torch.bmm(images.reshape(n, c * height, width), columns.transpose(1, 2) / scale)
    stacked = stacked.view(n, c, height, out_w).transpose(1, 2).reshape(n, height, c * out_w)
    return torch.bmm(rows, stacked).view(n, out_h, c, out_w).transpose(1, 2).clamp_(0, 1).contiguous()
