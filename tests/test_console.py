"""Sentences on a terminal break between words, and nowhere else; in a pipe they do not break."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

import ablate
from ablate.console import say, say_as_it_is, say_each, say_text, wrapped
from ablate.launch.screen import print_status
from ablate.launch.status import sweep_status
from ablate.report.compared import Compared
from ablate.report.data.results import read_sweep
from ablate.report.recommendation.recommend import recommend
from ablate.report.recommendation.terminal import show
from ablate.report.stats.winners import sides_of
from ablate.report.text.agreement import of_sides
from ablate.report.text.terminal import render
from ablate.report.write import Report
from tests.support.sweeps import by_position, sweep

RESULTS = Path(__file__).parents[1] / "results"
COMMAND = "ablate grid crop,color --data 'folder:/a b/c' --set encoder.width=16 --out results/somewhere --epochs 10"
SENTENCE = (
    f"The sweep is not done, and nobody knows (95 %, n = 3): to complete it: `{COMMAND}`; see the record at "
    "/a/very/long/path/that/fits/into/no/line/of/a/narrow/terminal/whatever-one-does-about/it.json, or `ablate logs`."
)


def terminal(width):
    return Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system=None)


def printed(console):
    return console.file.getvalue()


def too_wide(text, width):
    return [line for line in text.splitlines() if len(line) > width and " " in line.removesuffix(" \\").strip()]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 1000])
def test_only_spaces_become_ends_of_lines(width):
    text = wrapped(SENTENCE, width)
    assert text.replace(" \\\n", " ").replace("\n", " ") == SENTENCE
    assert not too_wide(text, max(width, len("  'folder:/a b/c' \\")))


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_command_can_be_copied_however_it_is_broken(width):
    copied = wrapped(SENTENCE, width).split("`")[1]
    assert shlex.split(copied.replace("\\\n", "")) == shlex.split(COMMAND)


def test_short_commands_stay_whole_and_indents_stay():
    assert wrapped("one two `ablate logs x` three", 16) == "one two\n`ablate logs x`\nthree"
    assert wrapped("  one two three\n    a", 10) == "  one two\n  three\n    a"
    assert wrapped("an  aligned   table", 80) == "an  aligned   table"


def test_a_pipe_gets_a_line_per_sentence():
    console = Console(file=io.StringIO(), width=40, highlight=False)
    say(console, SENTENCE)
    say_each(console, [SENTENCE] * 2)
    assert printed(console).splitlines() == [SENTENCE] * 3


def test_what_fits_keeps_its_colours_and_code_is_left_alone():
    console = terminal(30)
    say_text(console, Text("two  words", spans=[]))
    say_as_it_is(console, "x = function(first_argument, second_argument)")
    assert printed(console).splitlines() == ["two  words", "x = function(first_argument, second_argument)"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_command_cuts_a_word(tmp_path, width):
    console = terminal(width)
    for name in ("fig5-glyphs", "pruned-glyphs"):
        Report(read_sweep(RESULTS / name)).show(console)
        print_status(sweep_status(RESULTS / name), console)
    first, *others = (read_sweep(RESULTS / f"real-{name}") for name in ("cifar10", "plankton12", "spoken-digits"))
    Report(first, Compared(agreement=of_sides(sides_of(first, others)))).show(console)
    undone = sweep(
        tmp_path / "a-directory-with-a-name", ["a", "b"], seeds=2, value=by_position, skip=("a",), fail=("b",)
    )
    print_status(sweep_status(undone), console)
    show(recommend(RESULTS / "fig5-glyphs-5-seeds"), console)
    found = printed(console)
    assert "to complete it" in found
    assert too_wide(found, width) == []
    assert all(line == line.rstrip() or len(line) <= width for line in found.splitlines())


def test_everything_is_printed_through_here():
    root = Path(ablate.__file__).parent
    assert [path.name for path in root.rglob("*.py") if "soft_wrap" in path.read_text()] == ["console.py"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_number_of_the_grid_is_cut(width):
    """A narrow terminal gets a shorter label, or the ranking, but never ``26.`` for 26.7."""
    grid = read_sweep(RESULTS / "fig5-glyphs").grid
    console = terminal(width)
    render(grid, console)
    first = printed(console).splitlines()
    if width < 60:
        assert first[0].startswith("The grid of 7 ops needs")
        assert "1. crop+color: 77.0" in printed(console)
        return
    for line, op in zip(first[1:8], grid.ops, strict=True):
        means = [*(grid.cells[op, column].mean() for column in grid.ops), grid.average(op)]
        assert line.split()[-8:] == [f"{100 * mean:.1f}" for mean in means] or "±" in line
