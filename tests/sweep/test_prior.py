"""What other sweeps say beforehand: how it is read, kept and told."""

from __future__ import annotations

import shutil

import pytest

from ablate.config.base import OpSpec
from ablate.config.experiment import Experiment
from ablate.config.sweep import NamedComposition, NamedOp, Prior, Search
from ablate.errors import UsageError
from ablate.planning.prior import priors
from ablate.report.data.results import read_sweep
from ablate.report.stats.summary import summary
from ablate.sweep.batches import every_cell
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.batches import OPS, experiment, train, trained, value_of
from tests.support.searches import search_there
from tests.support.sweeps import make_experiment, record, write_record


def elsewhere(directory, sign=1):
    """A whole grid of the same ops; with ``sign`` -1 its best cells are the worst here."""
    planned = make_experiment(list(OPS))
    save_plan(directory, planned)
    for trial in plan(planned):
        write_record(directory, record(trial, 0.5 + sign * 0.5 * (value_of(trial.label, 9) - 0.5)))
    return directory


def knowing(directory, budget="8", **changes):
    budgeted = experiment(budget, **changes).budgeted
    means = {cell.label: cell.validation for cell in read_sweep(directory).grid.compositions}
    prior = Prior(name=str(directory), means=means)
    return make_experiment(list(OPS)).replace(budgeted=budgeted.replace(prior=(prior,)))


def test_a_prior_is_learnt_from_kept_and_said(tmp_path):
    there = elsewhere(tmp_path / "there")
    train(tmp_path / "here", knowing(there, within=0.001))
    assert trained(tmp_path / "here")[0] == max(every_cell(experiment()), key=lambda label: value_of(label, 9))
    said = " ".join(summary(read_sweep(tmp_path / "here")))
    assert f"knew the means of other sweeps beforehand: {there} (16 compositions)" in said
    train(tmp_path / "here", experiment("12", within=0.001))  # without naming it again
    assert load_plan(tmp_path / "here").budgeted.prior
    train(tmp_path / "once", knowing(there, "12", within=0.001))
    assert load_plan(tmp_path / "here").budgeted == load_plan(tmp_path / "once").budgeted


def test_a_misleading_prior_loses_its_weight(tmp_path):
    train(tmp_path / "misled", knowing(elsewhere(tmp_path / "there", sign=-1), "12", within=0.001))
    found = max(value_of(label, 0) for label in trained(tmp_path / "misled"))
    assert found > max(value_of(label, 0) for label in every_cell(experiment())) - 0.01


def test_a_prior_is_read_by_the_names_of_ops_and_kept_when_its_directory_is_gone(tmp_path):
    there = elsewhere(tmp_path / "there")
    wish = Experiment(ops=list(OPS), budget="8", prior=[str(there)])
    cells = [NamedComposition(label=label, ops=ops) for label, ops in every_cell(experiment()).items()]
    (prior,) = priors(wish, tmp_path / "here", cells)
    assert prior.means == pytest.approx({cell.label: cell.validation for cell in read_sweep(there).grid.compositions})
    train(tmp_path / "here", experiment().replace(budgeted=experiment().budgeted.replace(prior=(prior,))))
    shutil.rmtree(there)
    assert priors(wish, tmp_path / "here", cells) == (prior,)
    with pytest.raises(UsageError, match="there is no directory"):
        priors(wish, tmp_path / "other", cells)
    other = [NamedComposition(label="x", ops=[op.replace(name="x") for op in cells[0].ops])]
    with pytest.raises(UsageError, match="has results for only 0 compositions of this sweep"):
        priors(wish, tmp_path / "here", other)


@pytest.mark.parametrize(("ops", "max_length", "common"), [("xyz", 3, 0), ("axy", 2, 1), ("ab", 1, 2)])
def test_a_search_refuses_a_prior_of_too_few_compositions_that_it_may_propose(tmp_path, ops, max_length, common):
    wish = Experiment(ops=list(ops), budget="8", prior=[str(elsewhere(tmp_path / "there"))])
    named = [NamedOp(label=name, op=OpSpec(name=name, version=1, params={})) for name in ops]
    with pytest.raises(UsageError, match=f"has results for only {common} composition"):
        priors(wish, tmp_path / "here", Search(ops=named, max_length=max_length))
    whole = [NamedOp(label=name, op=OpSpec(name=name, version=1, params={})) for name in (*OPS, "x")]
    (prior,) = priors(wish, tmp_path / "here", Search(ops=whole, max_length=2))
    assert len(prior.means) == 16


def test_a_sweep_does_not_learn_twice_from_the_same_results(tmp_path):
    there = elsewhere(tmp_path / "there")
    (tmp_path / "link").symlink_to(there)
    for prior in (there, tmp_path / "link", tmp_path / "here" / ".." / "there"):
        wish = Experiment(ops=list(OPS), budget="8", prior=[str(prior)])
        with pytest.raises(UsageError, match="is this sweep itself, whose results the model has anyway"):
            priors(wish, there, [])
    with pytest.raises(UsageError, match="a prior is named twice"):
        priors(Experiment(ops=list(OPS), budget="8", prior=[str(there), f"{there}/"]), tmp_path / "here", [])


def test_the_report_of_a_search_names_the_other_sweep(tmp_path):
    means = {"crop": 0.2, "color": 0.7, "color+blur": 0.6}
    search_there(tmp_path, 8, prior=({"name": "there", "means": means},))
    said = " ".join(summary(read_sweep(tmp_path)))
    assert "knew the means of other sweeps beforehand: there (3 compositions)" in said
