"""Every kind of image file, written to disk."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image, ImageCms

from tests.support.dicoms import dicom, dicom_values, inverted_dicom

HEIGHT, WIDTH = 16, 24

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]

RGB = np.stack([255 * X // WIDTH, 255 * Y // HEIGHT, 128 + 0 * X], 2).astype(np.uint8)  # smooth: JPEG changes little

GREY = (8 * X + 2 * Y).astype(np.uint8)

BITS = (X < 9).astype(np.uint8)

DEEP = (16 * X + 37 * Y).astype(np.uint16)

PICTURE = Image.fromarray(RGB)


def pil(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(array, photometric="minisblack", **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric=photometric, **options)
    return file.getvalue()


def png(rows, bits, colours, width=WIDTH, chunks=(), interlaced=0):
    """A PNG file of packed rows; of every row the filter is none."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height = HEIGHT
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced)
    body = b"".join(b"\0" + row for row in rows)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def rows(array):
    """8 or 16 bits per value, the high byte first."""
    return [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in array]


def packed(array, bits):
    """Values below 2 ** bits."""
    shifts = np.arange(8 - bits, -1, -bits)
    return [(row.reshape(-1, 8 // bits).astype(int) << shifts).sum(1).astype(np.uint8).tobytes() for row in array]


def adam7():
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = [row.tobytes() for y, x, dy, dx in passes for row in RGB[y::dy, x::dx]]
    return png(lines, 8, 2, interlaced=1)


def alpha(soft=False):
    return (10 * X).astype(np.uint8) if soft else np.where(X < 8, 0, 255).astype(np.uint8)


def over_white(colours, transparency):
    """What is seen, in exact arithmetic."""
    part = transparency[..., None] / 255
    return colours * part + 255 * (1 - part)


def rgba(soft=False):
    return np.dstack([RGB, alpha(soft)])


def premultiplied(soft=False):
    return np.dstack([np.rint(RGB * (alpha(soft)[..., None] / 255)).astype(np.uint8), alpha(soft)])


def cmyk():
    """The simple formula's inverse with some black, and what the formula makes of it."""
    ink = np.dstack([255 - RGB, np.full(GREY.shape, 40, np.uint8)])
    return ink, (255 - ink[..., :3].astype(float)) * (255 - 40) / 255


def ycck():
    """A JPEG file of the kind that Photoshop writes: Pillow's, with the marker and the planes that stand for YCCK."""
    ink, _ = cmyk()
    luma = np.asarray(Image.fromarray(ink[..., :3]).convert("YCbCr"))
    planes = np.dstack([255 - luma, ink[..., 3:]])
    content = bytearray(pil(Image.fromarray(planes, "CMYK"), "JPEG", quality=100))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def oriented(number, kind):
    exif = Image.Exif()
    exif[0x0112] = number
    turned = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB),  # as stored; a quarter clockwise turns it upright
        7: np.rot90(RGB, 2).transpose(1, 0, 2),
        8: np.rot90(RGB, -1),
    }[number]
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    return pil(Image.fromarray(np.ascontiguousarray(turned)), kind, exif=exif, **options)


def exif(orientation):
    """A chunk of a PNG file."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return b"eXIf", tags.tobytes().removeprefix(b"Exif\0\0")


def frames(kind):
    pictures = [Image.fromarray(np.roll(RGB, 5 * i, 1)) for i in range(3)]
    return pil(pictures[0], kind, save_all=True, append_images=pictures[1:])


def pyramid():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        out.write(RGB, photometric="rgb")
        out.write(np.ascontiguousarray(RGB[::2, ::2]), photometric="rgb", subfiletype=1)
    return file.getvalue()


def thumbnail_first():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        out.write(np.ascontiguousarray(RGB[::2, ::2]), photometric="rgb", subfiletype=1)
    return file.getvalue()


def imagej(truncated=False):
    content = tiff(np.stack([DEEP] * 5), imagej=True, metadata={"axes": "ZYX"})
    if not truncated:
        return content
    first = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[first : first + 2])[0]
    end = first + 2 + 12 * count  # the address of the next page: ImageJ's own large files have none
    return content[:end] + b"\0\0\0\0" + content[end + 4 :]


def pages_of_two_sizes():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as out:
        out.write(DEEP, photometric="minisblack")
        out.write(np.ascontiguousarray(DEEP[::2]), photometric="minisblack")
    return file.getvalue()


def unknown_compression():
    """The entry of the tag 259, of the type 3, is changed."""
    content = tiff(DEEP, compression="zlib")
    entry = struct.pack("<HHIH", 259, 3, 1, 8)
    assert entry in content
    return content.replace(entry, struct.pack("<HHIH", 259, 3, 1, 9999))


def lab():
    spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return pil(ImageCms.profileToProfile(PICTURE, *spaces, outputMode="LAB"), "TIFF")


def foreign_profile():
    """An ICC profile that does not call itself sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace("sRGB".encode("utf-16-be"), "P3  ".encode("utf-16-be")).replace(b"sRGB", b"P3  ")


def with_profile(kind="PNG"):
    return pil(PICTURE, kind, icc_profile=foreign_profile())


def deep_with_profile(kind):
    """16-bit RGB with the same profile."""
    if kind == "TIFF":
        return tiff(np.ascontiguousarray(BANDS[:3].transpose(1, 2, 0)), "rgb", iccprofile=foreign_profile())
    return png(rows(three(DEEP)), 16, 2, chunks=[(b"iCCP", b"P3\0\0" + zlib.compress(foreign_profile()))])


def over(picture, transparent):
    return np.where(transparent[..., None], 255, picture)


def three(grey):
    return np.dstack([grey] * 3)


PALETTE = PICTURE.quantize(64)

RIGHT = {
    "8-bit RGB": [(pil(PICTURE, kind), RGB, 0) for kind in ("PNG", "BMP", "TIFF")],
    "8-bit grey": [(pil(Image.fromarray(GREY), kind), three(GREY), 0) for kind in ("PNG", "BMP", "TIFF")],
    "JPEG, WebP, AVIF": [
        (pil(PICTURE, "JPEG", quality=95), RGB, 12),
        (pil(Image.fromarray(GREY), "JPEG", quality=95), three(GREY), 12),
        (pil(PICTURE, "WEBP", quality=95), RGB, 12),
        (pil(PICTURE, "AVIF", quality=95), RGB, 12),
    ],
    "palette": [(pil(PALETTE, kind), np.asarray(PALETTE.convert("RGB")), 0) for kind in ("PNG", "GIF", "BMP", "TIFF")],
    "1-bit": [
        (pil(Image.fromarray(255 * BITS).convert("1"), kind), three(255 * BITS), 0) for kind in ("PNG", "BMP", "TIFF")
    ],
    "1-bit or 8-bit grey whose 0 is white (TIFF)": [
        (pil(Image.fromarray(255 * BITS).convert("1"), "TIFF", tiffinfo={262: 0}), three(255 * BITS), 0),
        (tiff(GREY, "miniswhite"), three(255 - GREY), 0),
    ],
    "2-bit or 4-bit grey": [
        (png(packed(X % 4, 2), 2, 0), three(85 * (X % 4)), 0),
        (png(packed(X % 16, 4), 4, 0), three(17 * (X % 16)), 0),
    ],
    "interlaced PNG": [(adam7(), RGB, 0)],
    "PNG with gamma": [(png(rows(RGB), 8, 2, chunks=[(b"gAMA", struct.pack(">I", 100000))]), RGB, 0)],
    "EXIF orientation 1 to 8": [
        (oriented(number, kind), RGB, 6 if kind == "JPEG" else 0)
        for number in range(1, 9)
        for kind in ("JPEG", "PNG", "TIFF", "WEBP")
    ],
    "colour profile other than sRGB": [(with_profile(kind), RGB, tol) for kind, tol in (("PNG", 0), ("JPEG", 12))],
    "CMYK and YCCK": [
        (pil(Image.fromarray(cmyk()[0], "CMYK"), "JPEG", quality=100), cmyk()[1], 6),
        (pil(Image.fromarray(cmyk()[0], "CMYK"), "TIFF"), cmyk()[1], 1.5),
        (ycck(), cmyk()[1], 8),
    ],
    "several pictures in a JPEG file (MPO)": [(frames("MPO"), RGB, 16)],
    "transparency": [
        (pil(Image.fromarray(rgba(soft)), kind, **options), over_white(RGB, alpha(soft)), 1)
        for soft in (False, True)
        for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}))
    ]
    + [
        (pil(Image.fromarray(np.dstack([GREY, alpha(soft)]), "LA")), over_white(three(GREY), alpha(soft)), 1)
        for soft in (False, True)
    ]
    + [
        (png(rows(np.rot90(rgba(True), 2)), 8, 6, chunks=[exif(3)]), over_white(RGB, alpha(True)), 1),
    ],
    "one transparent colour, or a transparent palette": [
        (png(rows(GREY), 8, 0, chunks=[(b"tRNS", struct.pack(">H", 40))]), over(three(GREY), GREY == 40), 0),
        (
            png(rows(RGB), 8, 2, chunks=[(b"tRNS", struct.pack(">HHH", *map(int, RGB[3, 5])))]),
            over(RGB, (RGB[3, 5] == RGB).all(2)),
            0,
        ),
        (png(packed(BITS, 1), 1, 0, chunks=[(b"tRNS", b"\0\0")]), three(np.full(GREY.shape, 255)), 0),
        (
            png(rows(BITS), 8, 3, chunks=[(b"PLTE", bytes([0, 0, 0, 200, 100, 0])), (b"tRNS", bytes([0, 128]))]),
            over_white(np.array([[0, 0, 0], [200, 100, 0]])[BITS], np.array([0, 128])[BITS]),
            1,
        ),
    ],
    "TIFF with transparency that is 0 or 1": [
        (tiff(rgba(), "rgb", extrasamples=["unassalpha"]), over_white(RGB, alpha()), 0),
        (tiff(premultiplied(), "rgb", extrasamples=["assocalpha"]), over_white(RGB, alpha()), 0),
        *(
            (tiff(np.dstack(planes), extrasamples=[name], planarconfig="contig"), over_white(three(GREY), alpha()), 0)
            for planes, name in (
                ([GREY, alpha()], "unassalpha"),
                ([np.where(X < 8, 0, GREY).astype(np.uint8), alpha()], "assocalpha"),
            )
        ),
    ],
    "TIFF with separate planes, tiles, compression, more than 4 GB": [
        (tiff(np.ascontiguousarray(RGB.transpose(2, 0, 1)), "rgb", planarconfig="separate"), RGB, 0),
        (tiff(RGB, "rgb", tile=(16, 16)), RGB, 0),
        (tiff(RGB, "rgb", bigtiff=True), RGB, 0),
        *((pil(PICTURE, "TIFF", compression=name), RGB, 0) for name in ("tiff_lzw", "tiff_deflate", "packbits")),
        *((tiff(RGB, "rgb", compression=name), RGB, 0) for name in ("zstd", "lzma")),
    ],
    "TIFF of YCbCr in JPEG": [(pil(PICTURE, "TIFF", compression="jpeg"), RGB, 16)],
    "TIFF with smaller versions of the image": [(pyramid(), RGB, 0)],
    "animation": [(frames(kind), RGB, 16) for kind in ("WEBP", "PNG", "AVIF")]
    + [(frames("GIF"), Image.open(io.BytesIO(frames("GIF"))).convert("RGB"), 0)],
    "a wrong extension": [(pil(PALETTE, "GIF"), PALETTE.convert("RGB"), 0)],  # a decoder is told no names
}

UNKNOWN_TO_PILLOW = [
    (tiff(RGB, "rgb", compression=name, compressionargs=exact), RGB, 0)
    for name, exact in {"jpeg2000": {}, "webp": {"lossless": True}}.items()
]
"""TIFF files of 8-bit RGB that imagecodecs reads; exported loaders, which read such files by Pillow, refuse them."""

BANDS = np.stack([(number + 1) * DEEP for number in range(13)])
"""13 channels of 16 bits."""

BYTES = np.stack([np.roll(GREY, number, 1) for number in range(5)])


def bands(array, **options):
    """A TIFF file of ``[c, h, w]``, in planes."""
    return tiff(array, planarconfig="separate", **options)


def chunky(array, **options):
    """The same, pixel by pixel."""
    return tiff(np.ascontiguousarray(array.transpose(1, 2, 0)), planarconfig="contig", **options)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def turned(array, orientation):
    return tiff(array, extratags=[(274, "H", 1, orientation, False)])


DEEP_KINDS = {
    "16-bit grey, also of 10, 12 or 14 bits": [
        (pil(Image.fromarray(DEEP)), DEEP),
        (tiff(DEEP), DEEP),
        (tiff(DEEP, byteorder=">"), DEEP),
        (tiff(DEEP, bigtiff=True), DEEP),
        *((tiff(DEEP, compression=name), DEEP) for name in ("zlib", "lzw", "zstd", "lzma", "packbits")),
        (turned(np.rot90(DEEP).copy(), 6), DEEP),
        (png(rows(DEEP[::-1, ::-1]), 16, 0, chunks=[exif(3)]), DEEP),
    ],
    "16-bit grey whose 0 is white": [(tiff(DEEP, "miniswhite"), 65535 - DEEP)],
    "16-bit RGB": [
        (png(rows(three(DEEP)), 16, 2), np.stack([DEEP] * 3)),
        (png(rows(three(DEEP[::-1, ::-1])), 16, 2, chunks=[exif(3)]), np.stack([DEEP] * 3)),
        (tiff(np.ascontiguousarray(BANDS[:3].transpose(1, 2, 0)), "rgb"), BANDS[:3]),
    ],
    "16-bit transparency that hides nothing": [
        (png(rows(np.dstack([three(DEEP), 0 * DEEP + 65535])), 16, 6), np.stack([DEEP] * 3)),
        (png(rows(np.dstack([DEEP, 0 * DEEP + 65535])), 16, 4), DEEP),
        (tiff(np.dstack([three(DEEP), 0 * DEEP + 65535]), "rgb", extrasamples=["unassalpha"]), np.stack([DEEP] * 3)),
    ],
    "signed integers": [(tiff((DEEP - 300).astype(kind)), (DEEP - 300).astype(kind)) for kind in ("i1", "i2", "i4")],
    "32-bit and 64-bit integers": [(tiff(DEEP.astype(kind) << 8), DEEP.astype("u4") << 8) for kind in ("u4", "u8")],
    "floating point": [(tiff(DEEP.astype(kind) / 1000), DEEP.astype(kind) / 1000) for kind in ("f2", "f4", "f8")],
    "2 to 32 channels (TIFF)": [
        *((kind(array), array) for array in (BANDS[:2], BANDS[:4], BANDS[:5], BANDS) for kind in (bands, chunky)),
        *((kind(array), array) for array in (BYTES[:2], BYTES) for kind in (bands, chunky)),
        *((bands(BANDS, compression=name), BANDS) for name in ("zlib", "lzw", "zstd")),
        (bands(BANDS.astype("f4") / 7), BANDS.astype("f4") / 7),
        (tiff(np.dstack([RGB, GREY, GREY]), "rgb"), np.dstack([RGB, GREY, GREY]).transpose(2, 0, 1)),
        (
            tiff(rgba(True), "rgb", extrasamples=["unspecified"]),
            rgba(True).transpose(2, 0, 1),
        ),
    ],
    "pages that the file calls channels (OME, ImageJ)": [
        (tiff(BANDS[:5], ome=True, metadata={"axes": "CYX"}), BANDS[:5]),
        (tiff(BANDS[:5], imagej=True, metadata={"axes": "CYX"}), BANDS[:5]),
    ],
    "NumPy arrays": [
        (npy(DEEP), DEEP),
        (npy(BANDS), BANDS),
        (npy(BANDS.transpose(1, 2, 0)), BANDS),
        (npy(BANDS.astype("f8") / 7), BANDS / 7),
        (npy(BYTES), BYTES),
        (npy(RGB), RGB.transpose(2, 0, 1)),
        (npy(BYTES > 60), (BYTES > 60) * np.uint8(255)),
    ],
    "DICOM": [
        (dicom(), dicom_values()),
        (dicom("MR_small.dcm"), dicom_values("MR_small.dcm")),
        (dicom("MR_small_RLE.dcm"), dicom_values("MR_small.dcm")),
        (inverted_dicom(), -1 - dicom_values("MR_small.dcm")),
    ],
}
"""Files with their values ``[h, w]`` or ``[c, h, w]``."""

REFUSED = {
    "16-bit transparency that hides something": [
        (png(rows(np.dstack([DEEP] * 4)), 16, 6), "more than 8 bits: {channels=4} reads it"),
        (png(rows(np.dstack([DEEP] * 2)), 16, 4), "more than 8 bits: {channels=2} reads it"),
        (png(rows(DEEP), 16, 0, chunks=[(b"tRNS", b"\0\5")]), "grey with a transparent value"),
        (tiff(np.dstack([three(DEEP), DEEP]), "rgb", extrasamples=["unassalpha"]), "{channels=4} reads it"),
    ],
    "2-bit or 4-bit grey with a transparent value": [
        (png(packed(X % 16, 4), 4, 0, chunks=[(b"tRNS", b"\0\5")]), "4-bit grey with a transparent value"),
    ],
    "a fourth channel called transparency that may be near infrared (TIFF)": [
        (
            tiff(rgba(True), "rgb", extrasamples=["unassalpha"]),
            "may be near infrared: {channels=4} reads it as a channel, {channels=3} as transparency",
        ),
        (tiff(premultiplied(True), "rgb", extrasamples=["assocalpha"]), "may be near infrared"),
        (tiff(np.dstack([GREY, alpha(True)]), extrasamples=["unassalpha"], planarconfig="contig"), "near infrared"),
    ],
    "pages, stacks": [
        (tiff(np.stack([GREY] * 5)), "5 pages: {pages=images} reads each .* {pages=channels} all"),
        (tiff(np.stack([DEEP] * 5)), "5 pages"),
        (tiff(np.stack([RGB] * 3), "rgb"), "3 pages"),
        (imagej(), "5 pages"),
        (imagej(truncated=True), "5 pages"),
    ],
    "pages of several sizes": [(pages_of_two_sizes(), "2 images of different sizes")],
    "a thumbnail on the first page": [(thumbnail_first(), "first page is a thumbnail")],
    "NaN and infinite pixels": [
        (tiff(np.where(DEEP > 600, value, DEEP).astype("f4")), r"pixels that are NaN or infinite, \d+ of \d+: replace")
        for value in (np.nan, np.inf)
    ],
    "complex numbers": [(tiff(DEEP.astype("c8")), "complex 64-bit pixels"), (npy(DEEP.astype("c8")), "complex64")],
    "more than 32 channels": [
        (npy(np.zeros((33, 40, 50), "u2")), "at most 32 channels"),
        (bands(np.stack([DEEP] * 33)), "33 channels: keep"),
    ],
    "arrays of another shape, or of Python objects": [
        (npy(np.zeros((2, 3, 16, 16))), "an array of 2x3x16x16: save"),
        (npy(np.zeros((16, 20, 16))), "may be the first or the last axis: save"),
        (npy(np.zeros(5)), "an array of 5: save"),
        (npy(np.array([[None]])), "Python objects, which are never unpickled: save"),
    ],
    "an unknown compression (TIFF)": [(unknown_compression(), "the compression 9999 is unknown: save it with")],
    "CIELAB and YCbCr outside JPEG (TIFF)": [
        (lab(), "CIELAB"),
        (pil(PICTURE.convert("YCbCr"), "TIFF"), "YCbCr colours outside JPEG"),
    ],
    "transparent everywhere": [(pil(Image.fromarray(np.dstack([RGB, 0 * GREY]))), "every pixel is transparent")],
    "HEIC": [(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "the format is HEIC")],
    "other formats with a wrong extension": [
        (pil(PICTURE, "PPM"), "the format is PPM"),
        (pil(PICTURE, "JPEG2000"), "the format is JPEG2000"),
        (pil(PICTURE, "ICO"), "the format is ICO"),
    ],
    "more than 178 million pixels": [(png([], 1, 0, width=1 << 24), "more than 178 million pixels")],
}
