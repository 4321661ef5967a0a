"""What each op taught: effects against values that were made up, the map, its sentences and its table."""

from __future__ import annotations

import csv

import pytest
from matplotlib.text import Text

from ablate.report.data.results import read_sweep
from ablate.report.figures import invariance
from ablate.report.stats.invariances import KINDS, invariances
from ablate.report.write import write_report
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import make_experiment, record, sweep, write_record


def measured(trial):
    """Color teaches 0.4 of color and 0.3 of gray and costs 0.2 of crop; crop teaches 0.1 of crop; seeds 0.02 apart."""
    own = {op.name for op in trial.config.every_op}
    values = {
        "invariance_crop": 0.5 + 0.1 * ("crop" in own) - 0.2 * ("color" in own),
        "invariance_color": 0.3 + (0.4 + 0.02 * trial.seed) * ("color" in own),
        "invariance_gray": 0.4 + 0.3 * ("color" in own),
        "told_crop": 0.9,
        "told_color": 0.8 - 0.1 * ("color" in own),
        "told_gray": 0.95,
    }
    return {"linear_top1": 0.5, "linear_val_top1": 0.5, "knn_top1": 0.4, **values}


@pytest.fixture
def taught(tmp_path):
    save_plan(tmp_path, make_experiment(["crop", "color"], 2))
    for trial in plan(load_plan(tmp_path)):
        write_record(tmp_path, record(trial, metrics=measured(trial)))
    return tmp_path


def test_effects_are_the_compositions_with_an_op_minus_those_without(taught):
    found = invariances(read_sweep(taught))
    assert found.tested == ("crop", "color", "gray")
    assert found.trained == ("crop", "color")
    assert found.effects["color"]["invariance_color"] == pytest.approx({0: 0.4, 1: 0.42})
    assert found.effects["color"]["told_color"] == pytest.approx({0: -0.1, 1: -0.1})
    # crop alone against color alone, and two compositions of three with crop have color as well
    assert found.effects["crop"]["invariance_crop"][0] == pytest.approx((0.6 + 0.4 + 0.4) / 3 - 0.3)
    assert found.rows["untrained"]["invariance_gray"] == pytest.approx({0: 0.4, 1: 0.4})
    assert not found.has("z_invariance")


def test_sentences_name_what_an_op_taught_and_what_it_cost(taught):
    said = invariance.sentences(invariances(read_sweep(taught)))
    assert said[1].startswith("Training with color changes the invariance to color by +0.41 ± 0.01; it also raises")
    assert "gray (+0.30)" in said[1]
    assert "it lowers that to crop (-0.23)" in said[1]
    assert said[2].endswith("± standard deviation over 2 seeds.")


def test_the_report_has_the_map_the_section_and_the_table(taught, monkeypatch):
    drawn = []
    monkeypatch.setattr("ablate.report.write.save", lambda figure, paths: drawn.extend(path.name for path in paths))
    write_report(taught)
    assert {"invariance.png", "invariance.pdf"} <= set(drawn)
    page = (taught / "report" / "index.html").read_text()
    cells, beside, panel, below = (
        page.index(mark)
        for mark in ('id="heat"', ">Trained with, invariant to<", 'id="panel"', ">What each op taught<")
    )
    assert cells < beside < panel < below
    assert page.count("Trained with, invariant to") == 2  # its heading, and the picture's description
    rows = list(csv.DictReader((taught / "report" / "invariance.csv").read_text().splitlines()))
    (one,) = [row for row in rows if (row["label"], row["op"]) == ("trained with color", "color")]
    assert (one["kind"], one["n"], one["invariance_mean"], one["told_std"]) == ("effect", "2", "0.4100", "0.0000")
    figure = invariance.draw(read_sweep(taught), invariances(read_sweep(taught)))
    shown = {text.get_text() for text in figure.findobj(Text)}
    assert {"untrained  50 %", "color  50 %", "invariance of h", "told from h (%)", "0.71", "± 0.01"} <= shown
    assert "invariance of z" not in shown


def test_records_of_earlier_versions_have_none(tmp_path):
    sweep(tmp_path, ["crop", "color"])
    assert invariances(read_sweep(tmp_path)) is None
    assert invariance.section(read_sweep(tmp_path)) == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_no_frame_is_empty(number):
    sweep = read_sweep("results/invariance-glyphs")
    figure = invariance.draw(sweep, invariances(sweep), KINDS[:number])
    assert len(figure.axes) == number and all(axes.has_data() for axes in figure.axes)
