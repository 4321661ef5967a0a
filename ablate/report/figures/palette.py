"""The colours of the heatmap, the terminal and the web page: perceptually uniform, readable without colour vision."""

from __future__ import annotations

import matplotlib as mpl

UNSIGNED, SIGNED = "viridis", "RdBu"

RGB = tuple[float, float, float]


def colour(share: float, name: str = UNSIGNED) -> RGB:
    """Return the colour at ``share`` of the scale, 0 to 1, as fractions of red, green and blue."""
    red, green, blue, _ = mpl.colormaps[name](max(0.0, min(1.0, share)))
    return float(red), float(green), float(blue)


def ink_on(background: RGB) -> str:
    """Return ``black`` or ``white``, whichever is legible on the background, by relative luminance."""
    red, green, blue = background
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else "white"


def as_hex(rgb: RGB) -> str:
    """Return the colour as ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)
