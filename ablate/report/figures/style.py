"""The style of all figures, and their files: the same records give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ablate.files import write_atomically
from ablate.report.figures.fonts import make_legible

DPI = 200
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "ablate",
    "hatch.linewidth": 0.4,
}
TIMELESS = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # same records, same bytes


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write ``figure`` to every path, atomically, in the format of its suffix.

    This fixes the layout of the figure.
    """
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=TIMELESS[kind])
            write_atomically(path, buffer.getvalue())


def as_png(figure: Figure) -> bytes:
    """Return ``figure`` as a PNG file."""
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata=TIMELESS["png"])
    return buffer.getvalue()


def as_svg(figure: Figure) -> str:
    """Return ``figure`` as the text of an SVG."""
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata=TIMELESS["svg"])
    return buffer.getvalue().decode()


def fix_layout(figure: Figure) -> None:
    """Solve the layout once, since every format would solve it anew.

    The second pass corrects for the moves of the first.
    """
    make_legible(figure)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        figure.set_dpi(DPI)  # text is not equally wide at every resolution
        engine.set(w_pad=0.08)  # inches; text is not equally wide in every format either
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine(None)
