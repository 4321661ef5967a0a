"""The heatmap's colours, in a terminal."""

from __future__ import annotations

import functools


@functools.cache
def shade(hundredth: int) -> str:
    """The rich style of a place on the colour scale, 0 to 100, with the ink that reads on it."""
    import matplotlib as mpl  # takes longer than all else that a command without colours does

    red, green, blue, _ = (int(255 * v) for v in mpl.colormaps["viridis"](hundredth / 100))
    ink = "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 115 else "white"
    return f"{ink} on rgb({red},{green},{blue})"
