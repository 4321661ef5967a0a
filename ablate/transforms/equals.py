"""The parameters of ops that are equal to classes of other libraries, by the classes' arguments.

An equal draws from the same distribution. Where it does not quite, it says how it differs; where an argument has no
equal, it refuses the step. Defaults are those of the installed torchvision and kornia. Files of ``albumentations.save``
hold every argument; their names are those of versions 1.3 and 2.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ablate.transforms.given import CV2, PILLOW, Given, tidy

Parameters = dict[str, Any]
Equal = Callable[[Given], Parameters]
LEAST_TAPS = 5
"""The narrowest kernel of the op ``blur``, in pixels."""
INTERPOLATION = {
    "torchvision": ("interpolation", PILLOW),
    "kornia": ("resample", CV2),
    "albumentations": ("interpolation", CV2),
}
"""The argument of that meaning, and its numbers."""


def chance(given: Given) -> Parameters:
    """Return ``p`` alone."""
    if given.step.library == "kornia":
        given.only(max_val=1.0, rgb_weights=None)
    return {"p": given.share()}


def crop(given: Given) -> Parameters:
    """Return the box without a flip, which ``RandomResizedCrop`` does not have."""
    given.set_side("size", "height", "width")
    given.interpolates(*INTERPOLATION[given.step.library])
    if given.step.library == "kornia":
        given.only(p=1.0)  # of the batch
    if given.step.library == "albumentations" and given.get("area_for_downscale", None):
        given.say("averages areas where it shrinks an image; here pixels are weighed by a triangle")
    elif not given.get("antialias", False):
        kind = "tensors" if given.step.library == "torchvision" else "images"
        given.say(f"does not smooth {kind} before it shrinks them; here they are smoothed")
    narrowest, widest = given.pair("ratio")
    widest = 4 / 3 if round(widest, 3) == 1.333 else widest  # print shows four digits
    return {"area": given.pair("scale"), "ratio": (narrowest, widest), "flip_p": 0.0, "p": given.share()}


def jitter(given: Given) -> Parameters:
    """Return the reaches of the four ranges, which must lie around 1 and around 0."""
    if given.step.library == "kornia":
        given.only(order=None)
        given.say("draws one order of its four steps for a batch; here every image has its own")
    ranges = {name: given.reach(name, 1.0, least=0.0) for name in ("brightness", "contrast", "saturation")}
    return {"p": given.share(), **ranges, "hue": given.reach("hue")}


def gray(given: Given) -> Parameters:
    """Return ``p``; three channels must stay three."""
    given.only(num_output_channels=3, method="weighted_average")
    return {"p": given.share()}


def blur(given: Given) -> Parameters:
    """Return sigma, and the share of the side that the kernel has."""
    given.only(border_type="reflect")
    kernel = _kernel(given, given.one("kernel_size"))
    return {"p": given.share(), "kernel": kernel, "sigma": given.pair("sigma")}


def blur_by_limits(given: Given) -> Parameters:
    """Return the same for albumentations, which draws the kernel too, unless its limits are equal."""
    sigma, (low, high) = given.pair("sigma_limit"), given.pair("blur_limit")
    if 0 in sigma:
        raise given.no_equal("sigma_limit", "allowed: a range of standard deviations above 0")
    if low != high:
        raise given.no_equal("blur_limit", "allowed: one size of the kernel, as in [23, 23], or 0")
    if high == 0:
        given.say("has a kernel as wide as its sigma needs; here it is a tenth of the side")
    return {"p": given.share(), "kernel": _kernel(given, high) if high else 0.1, "sigma": sigma}


def _kernel(given: Given, taps: int) -> float:
    """Return the kernel's share of the side: a tenth, if that is as many pixels."""
    side = given.around.side
    if side is None:
        given.say(f"has a kernel of {taps} px, and no step names the size of images; here it is a tenth of the side")
        return 0.1
    for share in (0.1, tidy(taps / side)):
        if taps == min(max(int(side * share) // 2 * 2 + 1, LEAST_TAPS), 2 * side - 1):
            return share
    given.say(f"has a kernel of {taps} px; here it has {LEAST_TAPS} px or more, and at most the side")
    return min(max(tidy(taps / side), 0.01), 1.0)


def solarize(given: Given) -> Parameters:
    """Return the threshold, which must not be drawn. Of 8 bits, values from k on are those from k / 256 on."""
    name = next((name for name in ("thresholds", "threshold_range") if name in given.values), "threshold")
    if given.step.library == "kornia":
        if not isinstance(given[name], tuple):
            raise given.no_equal(name, "allowed: two equal numbers, as in (0.5, 0.5); one number is a range")
        if given.pair("additions") != (0, 0):
            raise given.no_equal("additions", "allowed: (0.0, 0.0)")
    threshold = given.one(name)
    return {"threshold": threshold / 256 if threshold > 1 else threshold, "p": given.share()}


def posterize(given: Given) -> Parameters:
    """Return the range of bits; one number is a range without width."""
    low, high = given.pair("bits" if "bits" in given.values else "num_bits")
    return {"bits": (int(low), int(high)), "p": given.share()}


def equalize(given: Given) -> Parameters:
    """Return ``p``; every channel must have a histogram of its own, over the whole image."""
    given.only(by_channels=True, mask=None)
    if given.get("mode", "cv") != "pil":
        given.say("equalises by the formula of OpenCV; here by that of Pillow")
    return {"p": given.share()}


def sharpen(given: Given) -> Parameters:
    """Return the reach of the factor's range, which must lie around 1."""
    if not isinstance(given["sharpness"], tuple):
        raise given.no_equal("sharpness", "allowed: a range around 1, as in (0.1, 1.9)")
    return {"amount": given.reach("sharpness", 1.0, least=0.0), "p": given.share()}


def channel_drop(given: Given) -> Parameters:
    """Return the number of channels, and the value that they get."""
    if given.step.library == "albumentations":
        fill = given.fill("fill" if "fill" in given.values else "fill_value")
        return {"count": given.pair("channel_drop_range"), "fill": fill, "p": given.share()}
    if given.step.is_printed:
        given.say("shows no fill_value; here it is 0")
    return {"count": given.pair("num_drop_channels"), "fill": given.fill("fill_value"), "p": given.share()}


def erase(given: Given) -> Parameters:
    """Return area, ratio and value of a box. The ratio is height / width there, and width / height here."""
    given.must_show("value")  # print leaves out value="random"
    tallest, widest = given.pair("ratio")
    if given.step.library == "torchvision":
        given.say("draws a box that does not fit again; here its ratio is moved to the nearest that fits")
    else:
        given.say("draws the ratio of a box in another way; here it is uniform on a logarithmic scale")
    if given.around.is_normalised:
        given.say("fills normalised images, where 0 is the mean colour; here 0 is black")
    return {
        "p": given.share(),
        "area": given.pair("scale"),
        "ratio": (tidy(1 / widest), tidy(1 / tallest)),
        "fill": given.fill("fill" if "fill" in given.values else "value"),
    }


def rotation(given: Given) -> Parameters:
    """Return the reach of the rotation, about the centre and over black, and nothing else of ``affine``."""
    given.only(expand=False, crop_border=False, center=None, border_mode=0)
    given.over_black()
    given.interpolates(*INTERPOLATION[given.step.library])
    reach = given.reach("limit" if "limit" in given.values else "degrees")
    return {"degrees": reach, "translate": 0.0, "scale": 0.0, "shear": 0.0, "p": given.share()}


def affine(given: Given) -> Parameters:
    """Return the reaches of the ranges; shifts must be the same along both sides, and shear along one."""
    given.only(center=None, padding_mode="zeros")
    given.over_black()
    given.interpolates(*INTERPOLATION[given.step.library])
    if given.step.library == "torchvision":
        given.say("moves images by whole pixels; here by parts of pixels too")
    across, down = (0.0, 0.0) if given["translate"] is None else given.pair("translate")
    if across != down:
        raise given.no_equal("translate", "allowed: two equal numbers")
    return {
        "degrees": given.reach("degrees"),
        "translate": across,
        "scale": 0.0 if given["scale"] is None else given.reach("scale", 1.0),
        "shear": given.reach("shear"),
        "p": given.share(),
    }


def perspective(given: Given) -> Parameters:
    """Return the distortion, over black."""
    given.must_show("distortion_scale")
    given.over_black()
    given.interpolates(*INTERPOLATION[given.step.library])
    given.say("moves corners by whole pixels; here by parts of pixels too")
    return {"distortion": given["distortion_scale"], "p": given.share()}


def noise(given: Given) -> Parameters:
    """Return the standard deviation, which is not drawn."""
    given.only(clip=True, mean=0.0)
    if given.step.library == "kornia":
        given.say("does not clip to [0, 1]; here values are clipped")
    sigma = given.one("std" if "std" in given.values else "sigma")
    return {"sigma": (sigma, sigma), "p": given.share()}


def noise_by_range(given: Given) -> Parameters:
    """Return the range of albumentations' standard deviation; a variance of version 1 must not be drawn."""
    given.only(per_channel=True, noise_scale_factor=1, mean=0, mean_range=(0, 0))
    if "std_range" in given.values:
        return {"sigma": given.pair("std_range"), "p": given.share()}
    sigma = tidy(given.one("var_limit") ** 0.5 / 255)
    return {"sigma": (sigma, sigma), "p": given.share()}


def jpeg(given: Given) -> Parameters:
    """Return the range of the quality."""
    if given.get("compression_type", 0) != 0:  # version 1 writes the number of JPEG
        given.only(compression_type="jpeg")
    if given.step.library == "albumentations":
        given.say("takes red for blue when it thins out colours; here as libjpeg does")
    else:
        given.say("rounds as libjpeg does; here values differ by two of 255 levels in mean, or less")
    if "quality_lower" in given.values:
        quality = given["quality_lower"], given["quality_upper"]
    else:
        quality = given.pair("quality_range" if "quality_range" in given.values else "quality")
    return {"quality": quality, "p": given.share()}


def clahe(given: Given) -> Parameters:
    """Return the limits, and the tiles along either side."""
    rows, columns = given.pair("grid_size")
    if rows != columns:
        raise given.no_equal("grid_size", "allowed: two equal numbers")
    given.say("draws one limit for a batch; here every image has its own, and small images have fewer tiles")
    return {"limit": given.pair("clip_limit"), "tiles": rows, "p": given.share()}


def cutout(given: Given) -> Parameters:
    """Return the side of one square hole as a share of the images' side, which a step before must have named."""
    holes, (high, highest), (wide, widest) = (
        given.pair(f"{name}_range") for name in ("num_holes", "hole_height", "hole_width")
    )
    if holes != (1, 1) or not high == highest == wide == widest:
        raise given.step.error(f"{given.step.name} has no equal among the ops; allowed: one square hole of one size")
    size = float(high)
    if isinstance(high, int):
        if given.around.side is None:
            raise given.step.error(f"{given.step.name} has a hole of {high} px, and no step names the size of images")
        size = 0.5 if round(0.5 * given.around.side) == high else tidy(high / given.around.side)
    return {"size": size, "fill": given.fill("fill"), "p": given.share()}


def quarter_turns(given: Given) -> Parameters:
    """Return the share that is turned: one of the four turns is none."""
    return {"p": tidy(given["p"] * 3 / 4)}


def square_symmetries(given: Given) -> Parameters:
    """Return the share that is moved: one of the eight symmetries is none."""
    return {"p": tidy(given["p"] * 7 / 8)}
