"""The part of a page that a benchmark writes: the lines between two comments."""

from __future__ import annotations

from collections.abc import Iterable

END = "<!-- end of results -->\n"


def filled(page: str, begin: str, lines: Iterable[str]) -> str:
    """Return ``page`` with ``lines`` in place of those between ``begin`` and :data:`END`; all else stays."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{chr(10).join(lines)}\n{END}{rest.partition(END)[2]}"
