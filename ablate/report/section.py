"""One section of a report: a title, sentences and a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A part of a report; ``rows`` are those of a table, below ``headings``, and ``figure`` is SVG.

    ``parts`` follow its own text, figure and table, each with a title of its own. A figure ``beside`` the cells of a
    grid stands next to them where the screen is wide enough, else below.
    """

    title: str
    text: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    figure: str = ""
    parts: tuple[Section, ...] = ()
    beside: bool = False

    @property
    def is_drawn(self) -> bool:
        """True if it or one of its parts has a figure."""
        return bool(self.figure) or any(part.is_drawn for part in self.parts)
