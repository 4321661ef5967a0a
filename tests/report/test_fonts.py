"""The users' words in figures: a font that has their letters, or code points where none has."""

from __future__ import annotations

import warnings

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.text import Text

from ablate.report.figures import fonts
from ablate.report.figures.style import as_svg


@pytest.fixture
def installed():
    """A letter that the default font lacks, and another font of matplotlib has."""
    usual, other = (fonts._letters(findfont(FontProperties(name))) for name in (None, "STIXGeneral"))
    return next(chr(code) for code in sorted(other - usual) if chr(code).isprintable())


@pytest.fixture
def nowhere(monkeypatch):
    """A letter that can be printed and that no font has."""
    letter = "\N{CJK UNIFIED IDEOGRAPH-65E5}"
    known = fonts._letters
    monkeypatch.setattr(fonts, "_letters", lambda file: known(file) - {ord(letter)})
    fonts._fonts.cache_clear()
    yield letter
    fonts._fonts.cache_clear()


def drawn(*labels):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_xticks(range(len(labels)), labels, parse_math=False)
    axes.set_title(labels[0], parse_math=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as matplotlib says that a letter is missing
        as_svg(figure)
    return figure, axes


def test_another_installed_font_has_the_letters_that_the_default_one_lacks(installed):
    assert fonts.legible(installed) == installed and fonts.told([installed]) == []
    _, axes = drawn(f"class {installed}", "plain")
    (chosen,) = axes.title.get_fontfamily()[1:]
    assert axes.get_xticklabels()[0].get_fontfamily()[-1] == chosen
    figure, _ = drawn("plain", "plain too")
    assert {tuple(text.get_fontfamily()) for text in figure.findobj(Text)} == {("sans-serif",)}


def test_letters_that_no_font_has_are_code_points_and_are_told_once(nowhere):
    _, axes = drawn(f"{nowhere}a", "plain")
    assert axes.title.get_text() == r"\u65e5a"
    assert [label.get_text() for label in axes.get_xticklabels()] == [r"\u65e5a", "plain"]
    (said,) = fonts.told([f"{nowhere}a", f"b{nowhere}"])
    assert said == (
        rf"No installed font has some letters, so figures show their code points ({nowhere} as \u65e5): install a font "
        "with them."
    )
