"""Reports from records: heatmaps, tables and the terminal. Imports no torch, and every part only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.report.write import Report, write_report

__all__ = ["Report", "write_report"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``ablate status`` draws its grid without matplotlib's figures and scipy."""
    if name not in __all__:
        raise AttributeError(f"module 'ablate.report' has no attribute {name!r}")
    from ablate.report import write

    return getattr(write, name)
