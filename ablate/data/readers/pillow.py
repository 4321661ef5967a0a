"""PNG, JPEG, WebP, AVIF, BMP and GIF files, and ordinary TIFF files, through Pillow. Needs no torch.

Pillow drops bits of 16-bit colour without a word; imagecodecs reads those PNG files.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from ablate.data.decoding.stored import reduced
from ablate.data.readers.native import CONVERT, EIGHT, Native, is_foreign, package, upright
from ablate.errors import UnsupportedImage

FORMATS = {"JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF"}  # by content, not by the file's name
HEIC = {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}
ORIENTATION = 0x0112
GREY = {"1", "L"}


def read(content: bytes, short: int, *, doubtful: bool = False) -> Native:
    """Return the image of a file, upright: 8-bit grey or RGB, with transparency if it has any, or 16 bits.

    Args:
        content: the bytes of the file.
        short: the short side that is needed, in pixels, to which opaque pictures of 8 bits are reduced.
        doubtful: transparency may mean near infrared.

    Raises:
        UnsupportedImage: the file's kind would be damaged.
    """
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        raise UnsupportedImage("the format is HEIC, which ablate does not read: convert it to JPEG or PNG")
    with Image.open(io.BytesIO(content)) as opened:
        if opened.format not in FORMATS:
            raise UnsupportedImage(f"the format is {opened.format}, which ablate does not read: {CONVERT}")
        traits = _traits(opened)
        if opened.format == "PNG" and _is_deep_colour(opened, content[24], content[25]):
            return _deep_png(content, opened.getexif().get(ORIENTATION, 1))._replace(traits=traits)
        # JPEG: decode at a fraction of the size, never below twice ours
        opened.draft("RGB", (2 * short, 2 * short))
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format == "PNG"):
        return Native(np.asarray(image).astype(np.uint16)[None, None], "uint16", traits=traits)
    if image.mode[0] in "IF":
        raise UnsupportedImage(f"pixels of the kind {image.mode}: {EIGHT}")
    if image.has_transparency_data:
        layer = image.convert("LA") if image.mode in {"LA", "La"} else image.convert("RGBA")
        return Native(_planes(layer), "uint8", transparent=True, doubtful=doubtful, traits=traits)
    picture = image.convert("L" if image.mode in GREY else "RGB")
    return Native(_planes(reduced(picture, short)), "uint8", traits=traits)


def _planes(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.asarray(image)
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]


def _traits(image: Image.Image) -> tuple[str, ...]:
    holds_by_name = {
        "profile": is_foreign(image.info.get("icc_profile") or b""),
        "cmyk": image.mode == "CMYK",
        "several": image.format == "MPO",
        "animation": image.format not in {"MPO", "TIFF"} and getattr(image, "n_frames", 1) > 1,
    }
    return tuple(name for name, holds in holds_by_name.items() if holds)


def _is_deep_colour(image: Image.Image, bits: int, colours: int) -> bool:
    """Return True for PNG files of 16 bits that are not plain grey, by the header's bit depth and colour type.

    Raises:
        UnsupportedImage: a grey value or colour is declared transparent, which Pillow compares after it has lost bits.
    """
    if "transparency" in image.info and colours in {0, 2} and (bits == 16 or bits in {2, 4}):
        kind = "grey with a transparent value" if colours == 0 else "RGB with a transparent colour"
        raise UnsupportedImage(f"{bits}-bit {kind}: {CONVERT if bits < 16 else EIGHT}")
    return bits == 16 and colours != 0


def _deep_png(content: bytes, orientation: int) -> Native:
    codecs = package("imagecodecs", "PNG files with 16 bits per channel in colour or with transparency")
    pixels = codecs.png_decode(content).transpose(2, 0, 1)
    return Native(upright(pixels, orientation)[None], "uint16", transparent=len(pixels) in {2, 4})
