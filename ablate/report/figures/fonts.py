"""Fonts for the users' words in figures: an installed one that has their letters, or else their code points."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

NO_LETTERS = "Last Resort"  # a font that has a box for every letter there is
SHOWN = 5  # letters that a sentence names


def make_legible(figure: Figure) -> None:
    """Give all texts of a figure fonts that have their letters; write letters that no font has as code points.

    The default font comes first. A figure without other letters is not touched: even to ask an axis for its labels
    changes the layout.
    """
    texts = [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]
    fonts, without = _found("".join(text.get_text() for text in texts))
    if not (fonts or without):
        return
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if _found("".join(labels))[1]:  # an axis writes its labels anew whenever it is drawn
                axis.set_ticks(axis.get_ticklocs(), [legible(label) for label in labels])
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            if fonts:
                text.set_fontfamily([*text.get_fontfamily(), *fonts])
            text.set_text(legible(text.get_text()))


def legible(text: str) -> str:
    r"""Return a text in which every letter that no installed font has is its code point, such as ``\u65e5``."""
    _, without = _found(text)
    return "".join(
        letter.encode("ascii", "backslashreplace").decode() if letter in without else letter for letter in text
    )


def told(texts: Iterable[str]) -> list[str]:
    """Return a sentence on the letters of ``texts`` that figures write as code points; none if fonts have all."""
    _, without = _found("".join(texts))
    if not without:
        return []
    letters = sorted(without)
    named = ", ".join(f"{letter} as {legible(letter)}" for letter in letters[:SHOWN]) + ", ..." * (len(letters) > SHOWN)
    return [
        f"No installed font has some letters, so figures show their code points ({named}): install a font with them."
    ]


def _found(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the fonts that have the letters of ``text`` which the default font lacks, and the letters none has."""
    usual = _letters(font_manager.findfont(font_manager.FontProperties()))
    lacking = frozenset(letter for letter in text if ord(letter) not in usual and letter.isprintable())
    return _fonts(lacking) if lacking else ((), lacking)


@cache
def _fonts(lacking: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    chosen: list[str] = []
    for font in sorted(font_manager.fontManager.ttflist, key=lambda font: (font.style != "normal", font.name)):
        if font.name.startswith(NO_LETTERS) or font.name in chosen:
            continue
        has = {letter for letter in lacking if ord(letter) in _letters(font.fname)}
        if has:
            chosen.append(font.name)
            lacking -= has
        if not lacking:
            break
    return tuple(chosen), lacking


@cache
def _letters(file: str) -> frozenset[int]:
    """Return the code points that a font has; none if it cannot be read."""
    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
