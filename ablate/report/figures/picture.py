"""A figure that a notebook shows by itself, without ``%matplotlib inline``."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

SCREEN_DPI = 110


class Picture(Figure):
    """A matplotlib figure that Jupyter displays as a PNG when it is the value of a cell."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=SCREEN_DPI)
        return buffer.getvalue()
