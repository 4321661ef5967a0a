"""Op by op: equal parameters, equal pixels, against torchvision or kornia, to 1e-5 unless the test says otherwise."""

from __future__ import annotations

import math

import kornia
import pytest
import torch
import torchvision.transforms.v2.functional as V
from torchvision.transforms import InterpolationMode
from torchvision.transforms import RandomResizedCrop as TorchvisionCrop

from ablate.ops import Crop, center_crop, get, resized_crop
from ablate.ops.color_math import grayscale, shift_hue
from ablate.ops.counter import normal
from tests.support.pictures import generator, pictures, sampled

BILINEAR = InterpolationMode.BILINEAR


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a, b, atol=atol, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("out", [(32, 32), (24, 40)])
def test_crop_against_torchvision(dtype, out):
    noise = torch.rand(12, 3, 40, 56, generator=generator())
    images = (noise * 255).to(torch.uint8) if dtype == torch.uint8 else noise
    params = Crop(area=(0.02, 1.0)).sample_boxes(12, (40, 56), generator())
    result = resized_crop(images, params, out)
    for i in range(12):
        box = [int(params[key][i]) for key in ("top", "left", "height", "width")]
        reference = noise[i] if dtype == torch.float32 else images[i].float() / 255
        reference = V.resized_crop(reference, *box, size=list(out), interpolation=BILINEAR, antialias=True)
        close(result[i], V.horizontal_flip(reference) if params["flip"][i] else reference)
    assert 0 < params["flip"].sum() < 12


def test_crop_boxes_are_distributed_as_torchvisions():
    n, op = 20000, Crop(area=(0.08, 1.0))
    params = op.sample_boxes(n, (64, 64), generator())
    torch.manual_seed(0)
    blank = torch.empty(3, 64, 64)
    reference = torch.tensor([TorchvisionCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)]).float()
    for i, key in enumerate(("top", "left", "height", "width")):
        ours, theirs = params[key].sort().values, reference[:, i].sort().values
        assert (ours - theirs).abs().mean() < 0.35, key  # pixels; 0.2 between two torchvision runs of this size
    assert (params["top"] + params["height"] <= 64).all()
    assert (params["left"] + params["width"] <= 64).all()


def test_crop_falls_back_to_the_centre_as_torchvision_does():
    """A ratio that never fits: ten attempts, then the largest centred box of the nearest allowed ratio."""
    params = Crop(area=(0.9, 1.0), ratio=(3.0, 3.0)).sample_boxes(8, (30, 30), generator())
    expected = TorchvisionCrop.get_params(torch.empty(3, 30, 30), [0.9, 1.0], [3.0, 3.0])
    for key, value in zip(("top", "left", "height", "width"), expected, strict=True):
        assert (params[key] == value).all(), key


def test_boxes_of_padded_images_lie_in_the_real_image():
    sizes = torch.tensor([[20, 50], [50, 20], [33, 33]]).repeat(50, 1)
    params = Crop().sample_boxes(150, sizes, generator())
    assert (params["top"] + params["height"] <= sizes[:, 0]).all()
    assert (params["left"] + params["width"] <= sizes[:, 1]).all()


@pytest.mark.parametrize("size", [(40, 56), (56, 40), (32, 32)])
def test_center_crop_against_torchvision(size):
    images = torch.rand(3, 3, *size, generator=generator())
    side = round(min(size) * 0.875)
    cut = V.center_crop(images, [side, side])
    close(center_crop(images, (32, 32), 0.875), V.resize(cut, [32, 32], interpolation=BILINEAR, antialias=True))
    padded = torch.nn.functional.pad(images, (0, 9, 0, 5), value=1.0)
    close(center_crop(padded, (32, 32), 0.875, torch.tensor([size] * 3)), center_crop(images, (32, 32), 0.875))


def test_center_crop_of_an_image_of_that_size_is_exact():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=generator())
    assert torch.equal(center_crop(images, (32, 32)), images / 255)


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.13, 0.5])
def test_hue_against_torchvision_and_kornia(shift):
    images = torch.rand(4, 3, 32, 32, generator=generator())
    images[0, :, :8] = 0.4  # greys have no hue
    ours = shift_hue(images, torch.full((4,), shift))
    close(ours, V.adjust_hue(images, shift))
    close(ours, kornia.enhance.adjust_hue(images, shift * 2 * math.pi))


def test_grayscale_against_torchvision():
    images = torch.rand(4, 3, 32, 32, generator=generator())
    close(grayscale(images), V.rgb_to_grayscale(images))


STEPS = (V.adjust_brightness, V.adjust_contrast, V.adjust_saturation, V.adjust_hue)


@pytest.mark.parametrize("name", ["jitter", "color"])
def test_colour_ops_against_torchvision_in_each_images_own_order(name):
    images = pictures(24, 3, (32, 32))
    result, params = sampled(name, images)
    for i in range(24):
        expected = images[i]
        if name == "jitter" or params["jitter"][i]:
            for step in params["order"][i].tolist():
                expected = STEPS[step](expected, float(params["factors"][i, step]))
        if name == "color" and params["gray"][i]:
            expected = V.rgb_to_grayscale(expected, 3)
        close(result[i], expected)
    assert len({tuple(order) for order in params["order"].tolist()}) > 5


def test_colour_ranges_follow_the_paper():
    n = 4000
    params = get("color")().sample(n, (8, 8), generator())
    factors = params["factors"]
    for i in range(3):
        assert 0.2 <= factors[:, i].min() < 0.21
        assert 1.79 < factors[:, i].max() <= 1.8
    assert -0.2 <= factors[:, 3].min() < -0.199
    assert 0.199 < factors[:, 3].max() <= 0.2
    assert abs(params["jitter"].float().mean() - 0.8) < 0.03
    assert abs(params["gray"].float().mean() - 0.2) < 0.03
    half = get("color")(strength=0.5).sample(n, (8, 8), generator())
    assert 0.6 <= half["factors"][:, 0].min() < 0.61
    assert abs(half["gray"].float().mean() - 0.2) < 0.03  # grayscale keeps its p, as in Table 1


@pytest.mark.parametrize("size", [(32, 32), (96, 96), (40, 56)])
def test_blur_against_torchvision(size):
    images = torch.rand(6, 3, *size, generator=generator())
    result, params = sampled("blur", images)
    taps = [max(5, int(side * 0.1) // 2 * 2 + 1) for side in size]
    for i in range(6):
        close(result[i], V.gaussian_blur(images[i], taps[::-1], [float(params["sigma"][i])] * 2))


def test_blur_kernel_is_a_tenth_of_the_side():
    assert [get("blur")().taps(size) for size in (32, 96, 224)] == [5, 9, 23]


def test_sobel_against_kornia():
    """kornia adds 1e-6 under the root: with it taken out, equal; a flat image is 0 here and 1e-3 there."""
    images = pictures(4, 3, (32, 32))
    result, _ = sampled("sobel", images)
    close(result, kornia.filters.sobel(images, normalized=False, eps=1e-12).clamp(0, 1))
    flat, _ = sampled("sobel", torch.full((1, 3, 8, 8), 0.3))
    assert flat.max() == 0


def test_sharpen_against_torchvision():
    images = torch.rand(8, 3, 32, 32, generator=generator())
    result, params = sampled("sharpen", images)
    for i in range(8):
        close(result[i], V.adjust_sharpness(images[i], float(params["factor"][i])))


def test_flip_invert_gray_solarize_against_torchvision():
    images = torch.rand(4, 3, 32, 32, generator=generator())
    close(sampled("flip", images)[0], V.horizontal_flip(images), atol=0)
    close(sampled("invert", images)[0], V.invert(images))
    close(sampled("gray", images)[0], V.rgb_to_grayscale(images, 3))
    close(sampled("solarize", images, threshold=0.3)[0], V.solarize(images, 0.3))


def test_posterize_against_torchvision():
    images = torch.rand(32, 3, 16, 16, generator=generator())
    result, params = sampled("posterize", images, bits=(1, 8))
    for i in range(32):
        close(result[i], V.posterize(images[i], int(params["bits"][i])))
    assert set(params["bits"].tolist()) <= set(range(1, 9))


def test_equalize_against_torchvision():
    """On the 256 levels that torchvision's uint8 version works on."""
    levels = (pictures(6, 3, (32, 32)) * 255).to(torch.uint8)
    levels[0, 0] = 77  # a channel with one level stays
    levels[1, 1, :30] = 3  # and one with two
    result, _ = sampled("equalize", levels / 255)
    close(result, V.equalize(levels) / 255)


@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_affine_against_torchvision(size):
    images = pictures(8, 3, size)
    result, params = sampled("affine", images)
    height, width = size
    for i in range(8):
        expected = V.affine(
            images[i],
            angle=math.degrees(params["angle"][i]),
            translate=[float(params["dx"][i]) * width, float(params["dy"][i]) * height],
            scale=float(params["scale"][i]),
            shear=[math.degrees(params["shear"][i]), 0.0],
            interpolation=BILINEAR,
        )
        close(result[i], expected, atol=2e-5)  # the sampling grid in float32, summed in another order


@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_perspective_against_kornia(size):
    """kornia's warp with the same corners; its corners are pixel centres, so ours are moved by half a pixel."""
    images = pictures(6, 3, size).double()
    result, params = sampled("perspective", images)
    height, width = size
    signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).double()
    half = torch.tensor([width, height]).double() / 2
    start = (signs * half + half - 0.5).expand(6, 4, 2)
    end = (signs - signs * params["moves"].double()) * half + half - 0.5
    matrix = kornia.geometry.get_perspective_transform(start, end)
    expected = kornia.geometry.warp_perspective(images, matrix, size, align_corners=True)
    inside = kornia.geometry.warp_perspective(torch.ones_like(images), matrix, size, align_corners=True) > 0.999
    close(result[inside], expected[inside])


def test_elastic_against_torchvision():
    images = pictures(4, 3, (32, 32))
    result, params = sampled("elastic", images)
    op = get("elastic")()
    moves = op.displacement(params, 32, 32, torch.float32)
    for i in range(4):
        close(result[i], V.elastic(images[i], moves[i].permute(1, 2, 0)[None], interpolation=BILINEAR))
    rms = (moves.square().mean((1, 2, 3)).sqrt() / 2).tolist()
    assert rms == pytest.approx([0.05] * 4, rel=1e-4)  # alpha, of the side
    assert (moves[:, :, 1:] - moves[:, :, :-1]).abs().mean() < 0.3 * moves.abs().mean()  # smooth


def test_cutout_against_torchvision():
    images = torch.rand(10, 3, 32, 48, generator=generator())
    result, params = sampled("cutout", images)
    for i in range(10):
        top, left, side = (int(params[key][i]) for key in ("top", "left", "side"))
        assert side == 16
        assert torch.equal(result[i], V.erase(images[i], top, left, side, side, torch.zeros(1)))


def test_noise_is_the_seeds_normal_numbers_clipped():
    images = torch.full((3, 3, 16, 16), 0.5)
    result, params = sampled("noise", images, sigma=(0.05, 0.1))
    for i in range(3):
        drawn = normal(params["seed"][i : i + 1], 3 * 16 * 16, torch.float32).view(3, 16, 16)
        close(result[i], (0.5 + params["sigma"][i] * drawn).clamp(0, 1), atol=1e-6)


def test_counter_normals_are_standard_and_uncorrelated():
    seeds = torch.randint(2**62, (40,), generator=generator())
    drawn = normal(seeds, 10001, torch.float64)
    assert drawn.shape == (40, 10001)
    n = drawn.numel()
    assert abs(drawn.mean()) < 4 / math.sqrt(n)
    assert abs(drawn.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs(drawn.pow(3).mean()) < 4 * math.sqrt(15 / n)
    assert abs(drawn.pow(4).mean() - 3) < 4 * math.sqrt(96 / n)
    correlation = torch.corrcoef(drawn) - torch.eye(40, dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(10001)
    shifted = (drawn[:, 1:] * drawn[:, :-1]).mean()
    assert abs(shifted) < 4 / math.sqrt(n)
    neighbours = normal(torch.arange(40), 10001, torch.float64)  # seeds that differ in one bit
    assert (torch.corrcoef(neighbours) - torch.eye(40, dtype=torch.float64)).abs().max() < 5 / math.sqrt(10001)


def test_splitmix64_against_its_published_outputs():
    """The first outputs for seed 1234567, as in the reference implementation's test vector."""
    from ablate.ops.counter import _splitmix64

    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    ours = [value % 2**64 for value in _splitmix64(torch.tensor([1234567]), 4)[0].tolist()]
    assert ours == expected
