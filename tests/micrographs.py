"""The images of the tutorial: a few of the real ones where they are, else pictures like micrographs, laid out alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = {
    "basophil": "cluster",
    "eosinophil": "double",
    "erythroblast": "round",
    "ig": "spindle",
    "lymphocyte": "mitosis",
    "monocyte": "ring",
    "neutrophil": "debris",
    "platelet": "empty",
}
"""The class folders of the tutorial, and the shape that is drawn for each."""


def draw(kind: str, rng: np.random.Generator, size: int = 48) -> Image.Image:
    """One picture: the class is the shape, the stain and the light are not."""
    stain = tuple(int(v) for v in rng.integers(40, 160, 3))
    image = Image.new("RGB", (size, size), tuple(int(v) for v in rng.integers(190, 250, 3)))
    pen = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(size // 3, 2 * size // 3, 2))
    r = int(rng.integers(size // 8, size // 5))

    def cell(dx: float, dy: float, rx: float, ry: float, fill: bool = True) -> None:
        box = (x + dx - rx, y + dy - ry, x + dx + rx, y + dy + ry)
        pen.ellipse(box, fill=stain if fill else None, outline=stain, width=3)

    if kind in ("round", "mitosis", "ring"):
        cell(0, 0, r, r, fill=kind != "ring")
    if kind == "mitosis":
        pen.line((x - r, y, x + r, y), fill=(255, 255, 255), width=2)
    if kind == "spindle":
        cell(0, 0, 2 * r, r / 3)
    if kind in ("cluster", "debris"):
        for _ in range(7):
            dx, dy = rng.normal(0, r, 2)
            cell(dx, dy, r / 2, r / 2) if kind == "cluster" else cell(dx, dy, r / 6, r / 6)
    if kind == "double":
        cell(-r, 0, r * 0.8, r * 0.8)
        cell(r, 0, r * 0.8, r * 0.8)
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


def put(folder: Path, per_class: int) -> None:
    """Put ``CLASS/*`` below ``folder``: links into ``$ABLATE_IMAGES/blood-cells`` where that is, else drawn images."""
    real = Path(os.environ.get("ABLATE_IMAGES", "")) / "blood-cells"
    rng = np.random.default_rng(0)
    for name, shape in CLASSES.items():
        (folder / name).mkdir(parents=True)
        if real.is_dir():
            for path in sorted((real / name).iterdir())[:per_class]:
                (folder / name / path.name).symlink_to(path)
        else:
            for number in range(per_class):
                draw(shape, rng).save(folder / name / f"{number:04}.png")
