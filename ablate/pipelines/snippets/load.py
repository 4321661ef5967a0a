"""A file as ablate reads it; see the package."""

from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from ablate.pipelines.snippets.array_file import array_file


class Load:
    """Reads an image file or an array as upright 8-bit RGB, or grey, without the ends beyond 3 : 1.

    Transparency is laid over ``background``. Files of which Pillow would drop a part raise ValueError.
    """

    def __init__(self, background: tuple[int, int, int] = (255, 255, 255), mode: str = "RGB") -> None:
        self.background, self.mode = background, mode

    def __call__(self, path: str) -> Image.Image:
        """The image in the file ``path``."""
        image = self.opened(path)
        width, height = image.size
        wide, high = min(width, 3 * height), min(height, 3 * width)
        left, top = (width - wide) // 2, (height - high) // 2
        colours = image.convert("RGB")
        red, green, blue = (band.tobytes() for band in colours.split())
        if self.mode == "L" and not red == green == blue:
            raise ValueError(f"{path}: colours, where the images that were judged are grey")
        return colours.convert(self.mode).crop((left, top, left + wide, top + high))

    def opened(self, path: str) -> Image.Image:
        """The image in the file, without transparency."""
        array = array_file(path, 1 if self.mode == "L" else 3)
        if array is not None:
            if array.dtype != np.uint8 or len(array) not in (1, 3):
                raise ValueError(f"{path}: {len(array)} channels of the type {array.dtype}, not 1 or 3 of 8 bits")
            return Image.fromarray(array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))
        with Image.open(path) as file:
            if problem := self.dropped(file):
                raise ValueError(f"{path}: {problem}")
            tiff = file.format == "TIFF"
            image = ImageOps.exif_transpose(file)
        if image.mode[0] in "IF":
            raise ValueError(f"{path}: its depth is not that of the images that were judged")
        if image.has_transparency_data:
            layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            counts = layer.getchannel("A").histogram()
            if not any(counts[1:]):
                raise ValueError(f"{path}: every pixel is transparent")
            if tiff and any(counts[1:-1]):
                raise ValueError(f"{path}: a fourth channel that may be no transparency")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, self.background), layer)
        return image

    def dropped(self, file: ImageFile.ImageFile) -> str:
        """What Pillow would drop or misread of an opened file, if anything."""
        if file.format not in {"JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF"}:
            return f"the format {file.format}"
        if isinstance(file, TiffImagePlugin.TiffImageFile):
            frames = file.n_frames
            if frames > 1:  # the further pages may be smaller versions of the first
                file.seek(1)
                frames = 1 if file.tag_v2.get(254, 0) & 1 else frames
                file.seek(0)
            if problem := self.misread(dict(file.tag_v2), len(file.getbands())):
                return problem
            if frames > 1:
                return f"{frames} pages"
        if "transparency" in file.info and ("L;2" in str(file.tile) or "L;4" in str(file.tile)):
            return "grey of 2 or 4 bits with a transparent value"
        deep = file.format in {"PNG", "TIFF"} and ";16" in str(file.tile)
        return "16 bits per channel" if deep and (file.mode[0] != "I" or "transparency" in file.info) else ""

    def misread(self, tags: dict[int, Any], bands: int) -> str:
        """What of a TIFF file's first page, by its tags, would not be read as RGB or grey, if anything."""
        colours = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}.get(tags.get(262, 0))  # channels of a photometric interpretation
        channels, extra = tags.get(277, 1), tags.get(338, 0)
        if tags.get(254, 0) & 1:
            return "a thumbnail on its first page"
        if (text := str(tags.get(270, ""))).startswith("ImageJ=") and "\nimages=" in text.replace("\nimages=1\n", "\n"):
            return "a stack of images behind its only page"
        if colours is None or (tags.get(262) == 6 and tags.get(259, 1) != 7):
            return "colours that are not grey, RGB or CMYK"
        called = self.several(extra) in ({1}, {2})  # transparency, by what it says
        if channels != bands or channels - colours not in ({0, 1} if called else {0}):
            return f"{channels} channels"
        bits, kinds = (self.several(tags.get(tag, 1)) for tag in (258, 339))
        if bits == {16} and tags.get(262, 0) == 0:
            return "16-bit grey whose 0 is white"
        return "" if bits <= {1, 2, 4, 8, 16} and kinds <= {1, 4} else "signed, fractional or deeper pixels"

    def several(self, value: Any) -> set[int]:
        """A tag's value or values."""
        return set(value) if isinstance(value, tuple) else {value}
