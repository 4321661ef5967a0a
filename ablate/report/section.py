"""One section of a report: a title, sentences and a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of a report; ``rows`` are those of a table, below ``headings``, and ``figure`` is SVG."""

    title: str
    text: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figure: str = ""
