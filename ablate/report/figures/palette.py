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
    """Return ``black`` or ``white``, whichever has the higher contrast to the background, as WCAG defines it.

    That is at least 4.58 to 1 on any background; WCAG AA asks for 4.5 to 1.
    """
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "black" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "white"


def as_hex(rgb: RGB) -> str:
    """Return the colour as ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)
