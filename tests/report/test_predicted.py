"""Cells that a budget did not run: predicted, shown apart, and never taken for results."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from rich.console import Console

from ablate.report import write_report
from ablate.report.data.export import rows
from ablate.report.data.load import load_results
from ablate.report.data.results import read_sweep
from ablate.report.recommendation.files import as_json
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.order import order
from ablate.report.stats.predicted import outlook, predicted
from ablate.sweep.batches import not_asked_for
from tests.support.batches import OPS, Training, experiment, train, trained
from tests.support.sweeps import make_experiment


def table_of(directory, name):
    return list(csv.DictReader(io.StringIO((directory / "report" / name).read_text())))


def test_no_prediction_is_written_or_read_as_a_result(tmp_path, undrawn):
    train(tmp_path, experiment("12", seeds=2, within=0.001))
    write_report(tmp_path)
    sweep, cells = read_sweep(tmp_path), set(trained(tmp_path))
    free = set(not_asked_for(sweep.experiment))
    assert len(free) == 10
    assert set(outlook(sweep).cells) == free
    assert {cell.label for cell in sweep.grid.compositions} == cells
    assert not any(cell.values for cell in sweep.grid.cells.values() if cell.label in free)
    assert {row["label"] for row in rows(sweep)} == {*cells, "untrained"}
    assert set(load_results(tmp_path)["label"]) == {*cells, "untrained"}
    table = table_of(tmp_path, "table.csv")
    assert {row["label"] for row in table if row["kind"] == "cell"} == cells
    for row in (row for row in table if row["kind"] == "average"):
        whole = all(sweep.grid.cells[row["first"], op].n for op in OPS)
        assert bool(row["linear_top1_mean"]) == whole
    guessed = table_of(tmp_path, "predicted.csv")
    assert {row["label"] for row in guessed} == free
    assert all(name.startswith("predicted_") for name in list(guessed[0])[4:])
    content = as_json(recommend(tmp_path))["sweep"]
    assert {item["composition"] for item in content["candidates"]} <= cells
    assert content["best"] in cells
    assert any("The probability that a composition that was not run is better" in line for line in content["evidence"])


def test_it_is_said_where_the_model_takes_another_cell_for_the_best(tmp_path, monkeypatch):
    train(tmp_path, experiment("12", within=0.001))
    sweep = read_sweep(tmp_path)
    best, *others = [cell.label for cell in order(sweep.grid).cells]
    for label, said in ((best, best), (others[0], f"{others[0]}, which the model takes for the best trained one,")):
        ahead = replace(outlook(sweep), best=label)
        with monkeypatch.context() as patch:
            patch.setattr("ablate.report.stats.predicted.outlook", lambda _, ahead=ahead: ahead)
            assert f"was not run is better than {said} by more than" in predicted(sweep)[1]


def test_when_the_rest_is_trained_no_prediction_is_left(tmp_path, undrawn):
    train(tmp_path, experiment("8"))
    write_report(tmp_path)
    assert (tmp_path / "report" / "predicted.csv").exists()
    Training(tmp_path)(make_experiment(list(OPS)))
    write_report(tmp_path)
    assert not (tmp_path / "report" / "predicted.csv").exists()
    assert "≈" not in (tmp_path / "report" / "index.html").read_text()
    assert predicted(read_sweep(tmp_path)) == []


def test_the_report_hatches_cells_that_were_not_run_and_says_what_the_numbers_are(tmp_path):
    train(tmp_path, experiment("8", within=0.001))
    report, said = write_report(tmp_path), io.StringIO()
    report.show(Console(file=said, width=200))
    page, picture = ((tmp_path / "report" / name).read_text() for name in ("index.html", "heatmap.svg"))
    assert page.count('class="cell predicted"') == 8
    assert "Predicted, not run" in page
    assert "Best composition of the 8 trained by validation accuracy" in page
    assert "predicted from the trained cells" in picture
    assert said.getvalue().count("≈") == 9  # eight cells and the line that explains the sign
    assert "Hatched: not run" in (tmp_path / "report" / "caption.txt").read_text()
