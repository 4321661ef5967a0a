"""The committed runs: their records are whole, their report is what the records give, and the docs' claims hold."""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from ablate.report.data.results import read_sweep
from ablate.report.figures.paper import beside_the_paper
from ablate.report.recommendation import terminal
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.baseline import effects_of
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.stats.untrained import paired_difference
from ablate.report.stats.words import in_points
from ablate.report.text.tables import write_csv
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import read_records

RESULTS = Path(__file__).parents[1] / "results"
SEVEN, FIVE_SEEDS = RESULTS / "fig5-glyphs", RESULTS / "fig5-glyphs-5-seeds"
ABLATIONS = [
    RESULTS / f"{name}-glyphs" for name in ("color-strength", "projection-head", "temperature", "batch-size", "aa")
]
EACH = pytest.mark.parametrize("directory", [SEVEN, FIVE_SEEDS, *ABLATIONS], ids=lambda path: path.name)


def grid(directory):
    sweep = read_sweep(directory)
    assert not sweep.damaged
    return sweep.grid


@EACH
def test_every_trial_has_its_record_under_the_key_of_its_configuration(directory):
    trials = plan(load_plan(directory))
    records, bad = read_records(directory)
    assert not bad
    assert records.keys() == {trial.id for trial in trials}
    for record in records.values():
        assert record.status == "done"
        assert record.config.key == record.key  # records written then are found by the keys of now
        assert record.timings["cpu"] <= 150
        assert {"torch", "kornia", "ablate"} <= record.versions.keys()
        assert record.host["processor"]


@EACH
def test_the_report_is_what_the_records_give(directory, tmp_path):
    write_csv(grid(directory), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == (directory / "report" / "table.csv").read_text()


def test_the_two_sweeps_agree_bit_for_bit_where_they_share_trials():
    one, other = (read_records(directory)[0] for directory in (SEVEN, FIVE_SEEDS))
    shared = {name for name in one.keys() & other.keys() if one[name].seed == 0}  # the rest are the same records
    assert len(shared) == 16 + 3
    assert all(one[name].metrics == other[name].metrics for name in shared)


def test_composing_crop_and_color_beats_every_single_op():
    g = grid(FIVE_SEEDS)
    a, b = g.cells["crop", "color"].seeds(), g.cells["color", "crop"].seeds()
    both = {seed: (a[seed] + b[seed]) / 2 for seed in a}
    best = max(g.singles, key=lambda cell: cell.mean())
    difference = paired_difference(both, best.seeds())
    assert difference.n == 5
    assert difference.mean >= 0.08
    assert difference.low > 0


@pytest.mark.parametrize("directory", [SEVEN, FIVE_SEEDS], ids=lambda path: path.name)
def test_references(directory):
    references = grid(directory).references
    assert references["untrained"].mean() <= 0.35
    assert references["supervised"].mean() >= 0.95
    assert references["no-op"].n == references["untrained"].n


def test_the_numbers_in_the_docs():
    """Every figure of results/README.md's table, and the correlation with the paper."""
    text = (RESULTS / "README.md").read_text()
    g = grid(FIVE_SEEDS)
    for a, b in itertools.product(g.ops, repeat=2):
        cell = g.cells[a, b]
        assert f"{100 * cell.mean():.1f} ± {100 * cell.std():.1f}" in text, cell.label
    paper = beside_the_paper(grid(SEVEN))
    assert re.search(r"\*\*(.+)\*\* \(95 %, resampling ops\) over 49 cells", text)[1] in str(paper)
    assert f"at up to {paper.ceiling:.2f} with" in text


def test_the_pair_against_the_best_single_op_is_told_with_the_numbers_of_the_report():
    told = {}
    for directory in (SEVEN, FIVE_SEEDS):
        (line,) = (line for line in summary(read_sweep(directory)) if "mean of both orders" in line)
        assert line.startswith("crop with color, mean of both orders, against sobel alone: ")
        told[directory] = re.search(r"\+\d+\.\d points \[[^]]+\]", line)[0]
    page = (RESULTS / "README.md").read_text()
    assert all(number in page for number in told.values())


def test_sentences_of_the_front_page_are_what_recommend_says():
    said = io.StringIO()
    terminal.show(recommend(FIVE_SEEDS), Console(file=said, width=1000))
    (quoted,) = re.findall(r"```text\n(.*?)```", (RESULTS.parent / "README.md").read_text(), re.DOTALL)
    parts = [
        part.strip() for line in quoted.splitlines() for part in line.removesuffix(").").split("...") if part.strip()
    ]
    assert len(parts) >= 3
    assert not [part for part in parts if part not in said.getvalue()]


def test_records_say_on_which_processor_they_were_made():
    records = read_records(SEVEN)[0].values()
    assert Counter(record.host["cpu_capability"] for record in records) == {"AVX2": 90, "AVX512": 66}


def test_the_page_on_recipes_has_the_effects_of_the_ablated_recipe():
    sweep = read_sweep(RESULTS / "real-blood-cells-drop", interval="both")
    assert not sweep.damaged and sweep.ended == len(sweep.trials) == 24
    page = (RESULTS.parent / "docs" / "drop.md").read_text()
    effects = effects_of(sweep)
    assert len(effects) == 5
    assert all(f"| {in_points(effect.difference)} |" in page for effect in effects)
    gap = order(sweep.grid).model.contrast({"without jitter": 1, "without gray": -1})
    assert f"| {in_points(gap)} between the two |" in page
