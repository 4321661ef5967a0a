"""From records to what people look at: heatmaps, tables, the terminal. Imports no torch."""

from __future__ import annotations

from ablate.report.heatmap import heatmap
from ablate.report.write import Report, write_report

__all__ = ["Report", "heatmap", "write_report"]
