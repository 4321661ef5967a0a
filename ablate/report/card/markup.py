"""Sentences of a card as Markdown and as LaTeX: special characters are escaped, citations become commands."""

from __future__ import annotations

import re
from collections.abc import Callable

from ablate.report.card.references import CITED
from ablate.report.text.tables import escaped

IN_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#$])")
IN_TEX = {"±": r"$\pm$", "²": r"$^2$"}


def in_markdown(text: str) -> str:
    """Return a sentence in Markdown: special characters are escaped, citations stay."""
    return _but_citations(text, lambda part: IN_MARKDOWN.sub(r"\\\1", part), lambda key: f"[@{key}]")


def in_tex(text: str) -> str:
    """Return a sentence in LaTeX: special characters are escaped, citations become the command ``cite``."""

    def plain(part: str) -> str:
        return "".join(IN_TEX.get(character, escaped(character)) for character in part)

    return _but_citations(text, plain, lambda key: f"\\cite{{{key}}}")


def _but_citations(text: str, plain: Callable[[str], str], citation: Callable[[str], str]) -> str:
    parts = CITED.split(text)  # text, key, text, key, ..., text
    return "".join(citation(part) if number % 2 else plain(part) for number, part in enumerate(parts))
