"""How early the ranking shows, on made-up sweeps and on committed ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import spearmanr

from ablate.report.data.results import read_sweep
from ablate.report.stats.early import early_decision, early_rankings, section
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

RESULTS = Path(__file__).parents[2] / "results"
EPOCHS = (2, 4, 8)


def sweep(directory, on_the_way, final, seeds=2):
    """Four cells a, a+b, b+a, b, their kNN by epoch ``on_the_way``, their ``final`` accuracy; seeds differ little."""
    experiment = make_experiment(["a", "b"], seeds)
    shared = experiment.shared.model_copy(update={"epochs": EPOCHS[-1]})
    save_plan(directory, experiment.model_copy(update={"shared": shared}))
    labels = ["a", "a+b", "b+a", "b"]
    for trial in plan(load_plan(directory)):
        cell = None if trial.reference else labels.index(trial.label)
        history = [{"epoch": e, "knn_val_top1": on_the_way[e][cell]} for e in EPOCHS] if cell is not None else []
        accuracy = 0.1 if cell is None else final[cell]
        accuracy += 1e-4 * (-1) ** (trial.seed + (cell or 0))
        metrics = {"linear_top1": accuracy, "linear_val_top1": accuracy}
        write_record(directory, record(trial, metrics=metrics, history=history))
    return read_sweep(directory)


def test_the_cost_of_deciding_early(tmp_path):
    on_the_way = {2: [0.3, 0.2, 0.1, 0.0], 4: [0.3, 0.4, 0.2, 0.1], 8: [0.3, 0.4, 0.5, 0.1]}
    final = [0.4, 0.595, 0.6, 0.3]
    rankings = early_rankings(sweep(tmp_path, on_the_way, final))
    assert [ranking.epoch for ranking in rankings] == list(EPOCHS)
    assert [ranking.loss for ranking in rankings] == pytest.approx([0.2, 0.005, 0.0], abs=1e-9)
    for ranking in rankings:
        rho = spearmanr(on_the_way[ranking.epoch], final).statistic
        assert ranking.agreement.startswith(f"{rho:+.2f} ")


def test_nothing_is_said_of_before_the_last_epoch_if_only_the_last_one_has_knn(tmp_path):
    done = sweep(tmp_path, {2: [None] * 4, 4: [None] * 4, 8: [0.5, 0.4, 0.3, 0.1]}, [0.4, 0.5, 0.6, 0.3])
    assert [ranking.epoch for ranking in early_rankings(done)] == [8]
    assert early_decision(done) == section(done) == []


def test_it_is_decided_once_no_later_leader_is_worse(tmp_path):
    """After epoch 2 the best cell leads, after epoch 4 it does not: only the end decides."""
    on_the_way = {2: [0.1, 0.2, 0.5, 0.0], 4: [0.6, 0.4, 0.2, 0.1], 8: [0.3, 0.4, 0.5, 0.1]}
    (sentence,) = early_decision(sweep(tmp_path, on_the_way, [0.4, 0.5, 0.6, 0.3]))
    assert "needed the whole training" in sentence


def test_the_sentence_and_the_section_name_the_epoch(tmp_path):
    on_the_way = {2: [0.3, 0.2, 0.1, 0.0], 4: [0.3, 0.2, 0.4, 0.1], 8: [0.3, 0.4, 0.5, 0.1]}
    done = sweep(tmp_path, on_the_way, [0.4, 0.5, 0.6, 0.3])
    (sentence,) = early_decision(done)
    assert sentence.startswith("From epoch 4 of 8 on")
    (made,) = section(done)
    assert [(row[0], row[1], row[3]) for row in made.rows] == [
        ("2", "25 %", "20.0"),
        ("4", "50 %", "0.0"),
        ("8", "100 %", "0.0"),
    ]


def test_one_seed_gets_the_table_alone(tmp_path):
    on_the_way = {epoch: [0.3, 0.2, 0.4, 0.1] for epoch in EPOCHS}
    done = sweep(tmp_path, on_the_way, [0.4, 0.5, 0.6, 0.3], seeds=1)
    assert early_decision(done) == []
    assert len(section(done)[0].rows) == len(EPOCHS)


def test_a_sweep_that_is_not_complete_says_nothing(tmp_path):
    on_the_way = {epoch: [0.3, 0.2, 0.4, 0.1] for epoch in EPOCHS}
    done = sweep(tmp_path, on_the_way, [0.4, 0.5, 0.6, 0.3])
    done.records.pop(next(trial.id for trial in done.trials if trial.label == "a"))
    assert early_rankings(done) == []
    assert section(done) == []


def test_selected_cells_are_left_to_the_section_on_pruning():
    assert early_rankings(read_sweep(RESULTS / "pruned-glyphs")) == []
    assert early_rankings(read_sweep(RESULTS / "fig5-glyphs"))
