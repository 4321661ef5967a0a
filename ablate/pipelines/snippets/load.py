"""A file as ablate reads it; see the package."""

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin


class Load:
    """Reads an image file as upright 8-bit RGB, transparency over white, without the ends beyond 3 : 1.

    16-bit grey is mapped from ``levels`` to 0..255. Files of which Pillow would drop a part raise ValueError.
    """

    def __init__(self, levels: tuple[int, int] | None = None) -> None:
        self.levels = levels

    def __call__(self, path: str) -> Image.Image:
        """The image in the file ``path``."""
        with Image.open(path) as file:
            if problem := self.dropped(file):
                raise ValueError(f"{path}: {problem}")
            image = ImageOps.exif_transpose(file)
        if image.mode[0] == "I" and self.levels:
            low, high = self.levels
            grey = (np.asarray(image).astype(np.float64) - low) * (255 / max(1, high - low))
            image = Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))
        elif image.mode[0] in "IF" or self.levels:
            raise ValueError(f"{path}: its depth is not that of the images that were judged")
        elif image.has_transparency_data:
            layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        width, height = image.size
        wide, high = min(width, 3 * height), min(height, 3 * width)
        left, top = (width - wide) // 2, (height - high) // 2
        return image.convert("RGB").crop((left, top, left + wide, top + high))

    def dropped(self, file: ImageFile.ImageFile) -> str:
        """What Pillow would drop of an opened file, if anything."""
        frames = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)  # MPO: the first is the photograph
        if isinstance(file, TiffImagePlugin.TiffImageFile):
            if frames > 1:  # the further pages may be smaller versions of the first
                file.seek(1)
                frames = 1 if file.tag_v2.get(254, 0) & 1 else frames
                file.seek(0)
            if file.tag_v2.get(277, 1) != len(file.getbands()):
                return f"{file.tag_v2[277]} channels"
        if frames > 1:
            return f"{frames} pages or frames"
        deep = file.format in {"PNG", "TIFF"} and ";16" in str(file.tile)
        return "16 bits per channel" if deep and file.mode[0] != "I" else ""
