"""The tables of a report: CSV, LaTeX and the terminal."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from rich.console import Console

import ablate
from ablate.report import write_report
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.text import tables
from ablate.report.text.terminal import render
from ablate.sweep.plan import plan
from tests.support.sweeps import by_position, failure, make_experiment, record, sweep


@pytest.mark.usefixtures("undrawn")
def test_table_csv(tmp_path):
    sweep(tmp_path, ["a", "b"], seeds=2, value=by_position)
    write_report(tmp_path)
    table = pd.read_csv(tmp_path / "report" / "table.csv")
    cells = table[table["kind"] == "cell"].set_index(["first", "second"])
    assert cells.loc[("b", "a"), "linear_top1_mean"] == pytest.approx(0.305)
    assert cells.loc[("b", "a"), "seeds"] == "0=0.3 1=0.31"
    assert cells.loc[("b", "a"), "n"] == 2
    averages = table[table["kind"] == "average"].set_index("first")
    assert averages.loc["a", "linear_top1_mean"] == pytest.approx((0.105 + 0.205) / 2)
    assert table[table["kind"] == "reference"]["label"].tolist() == ["untrained"]


@pytest.mark.usefixtures("undrawn")
def test_table_tex_is_escaped_booktabs(tmp_path):
    label = "mine_op(name='50 % & more')"
    sweep(tmp_path, [label, "b"], seeds=2)
    write_report(tmp_path)
    tex = (tmp_path / "report" / "table.tex").read_text()
    assert r"\toprule" in tex
    assert r"mine\_op(name='50 \% \& more')" in tex
    assert r"50.0 $\pm$ 0.0" in tex
    assert len(re.findall(r"\\\\", tex)) == 4  # a heading, two rows, n


def test_table_tex_says_what_its_marks_and_empty_cells_mean():
    trials = plan(make_experiment(["a", "b"], 2).replace(unordered=True))  # without b+a
    known = [trial for trial in trials if (trial.label, trial.seed) != ("a", 1)]
    records = {trial.id: failure(trial) if trial.label == "a+b" else record(trial) for trial in known}
    text = tables.tex(grid_of(sweep_rows(trials, records)))
    assert "a & 50.0$^{*}$ & failed & -- \\\\\n" + r"b &  & 50.0 $\pm$ 0.0 & -- \\" in text
    assert re.findall("footnotesize (.+)}", text) == [
        "$n = 0$ to $2$",
        "$^{*}$ some seeds have no result",
        "empty: not run",
        "--: no average, since a cell of the row has no result",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_op_has_its_own_name_in_the_terminal_if_no_other_op_shares_it(width, tmp_path):
    labels = ["crop(flip_p=0.0)", "color(strength=0.5)", "color(strength=0.25)"]
    console = Console(record=True, width=width, force_terminal=False)
    render(write_report(sweep(tmp_path, labels)).grid, console)
    head, *rows = console.export_text().splitlines()
    assert head.startswith("first \\ second ")
    names = head.removeprefix("first \\ second ").split()
    assert names[0] == "crop"
    assert [line.split()[0] for line in rows[:3]] == names[:3]
    assert rows[3] == "numbers: test top-1 in %"  # not those by which the best is chosen
    assert len(set(names)) == 4
    assert names[1].startswith("color(") and names[1].endswith("0.5)")


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_never_cuts_a_number(width):
    labels = ["crop", "cutout", "color(strength=0.5)", "sobel", "noise", "blur", "rotate"]
    experiment = make_experiment(labels, 3)
    trials = plan(experiment)
    records = {t.id: record(t, 0.2 + 0.6 * i / len(trials)) for i, t in enumerate(trials)}
    grid = grid_of(sweep_rows(trials, records))
    console = Console(record=True, width=width, force_terminal=False)
    render(grid, console)
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for row, line in zip(labels, lines[1:], strict=False):
        expected = [f"{100 * grid.cells[row, column].mean():.1f}" for column in labels]
        assert re.findall(r"(?<![±\d])\d+\.\d", line)[-8:-1] == expected


@pytest.mark.usefixtures("undrawn")
def test_a_row_is_called_in_the_terminal_what_its_column_is(tmp_path):
    labels = ["crop", "color(strength=0.25)", "color(strength=0.5)"]
    console = Console(width=70, record=True, file=io.StringIO())
    render(write_report(sweep(tmp_path, labels)).grid, console)
    head, *rows = console.export_text().splitlines()[:4]
    names = [line.split()[0] for line in rows]
    assert names[1] != names[2]
    assert head.split() == ["first", "\\", "second", *names, "average"]


def test_the_table_of_results_comes_in_the_order_of_the_plan(tmp_path):
    sweep(tmp_path, list("dacb"))
    assert grid_of(ablate.load_results(tmp_path)).ops == tuple("dacb")
