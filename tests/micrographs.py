"""Pictures like micrographs, in eight classes, in the layout of the tutorial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("mitosis", "debris", "round", "spindle", "cluster", "ring", "empty", "double")


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


def write(folder: Path, per_class: int) -> None:
    """``CLASS/0000.png``; of one class in folders, one per plate."""
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        for number in range(per_class):
            place = folder / kind / (f"plate-{number % 4}" if kind == "debris" else "")
            place.mkdir(parents=True, exist_ok=True)
            draw(kind, rng).save(place / f"{number:04}.png")
