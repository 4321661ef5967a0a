"""The part of a page that a benchmark writes: the lines between two comments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
END = "<!-- end of results -->\n"


def filled(page: str, begin: str, lines: Iterable[str]) -> str:
    """Return ``page`` with ``lines`` in place of those between ``begin`` and :data:`END`; all else stays."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{chr(10).join(lines)}\n{END}{rest.partition(END)[2]}"


def fill(name: str, begin: str, lines: Iterable[str]) -> None:
    """Put ``lines`` into the page of that name, as :func:`filled` does."""
    path = DOCS / name
    path.write_text(filled(path.read_text(encoding="utf-8"), begin, lines), encoding="utf-8")
