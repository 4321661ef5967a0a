"""Commands of a sweep with ``--metric``: whatever decides in one, and whatever it says, goes by the metric."""

from __future__ import annotations

import re

import pytest

from ablate.config.sweep import Trial
from ablate.files import write_atomically
from ablate.launch.pool import WorkerPool
from ablate.report.data.results import read_sweep
from ablate.report.stats.calibration import calibration_of
from ablate.report.stats.order import order
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import read_records
from ablate.sweep.record import to_json as as_json
from tests.support.cli import ablate, one_sentence
from tests.support.grids import SETTINGS
from tests.support.measures import ONE_MEASURE
from tests.support.sweeps import record, write_record

RANKED = "compositions are ranked by AUROC, as requested"


def metrics(trial: Trial) -> dict[str, float]:
    """AUROC, and kNN's balanced accuracy, prefer the shortest label; top-1 and balanced accuracy the longest."""
    short, long = (0.55, 0.3) if trial.reference else (0.95 - 0.01 * len(trial.label), 0.5 + 0.01 * len(trial.label))
    noise = 0.001 * (trial.seed % 3) + 0.0001 * (len(trial.label) * trial.seed % 7)
    named = {f"linear{split}_{name}": long for split in ("", "_val") for name in ("top1", "balanced_accuracy")}
    named |= {f"linear{split}_auroc": short for split in ("", "_val")} | {"knn_top1": long}
    named |= {"knn_balanced_accuracy": short - 0.2}
    return {name: value + noise for name, value in named.items()}


@pytest.fixture(autouse=True)
def made_up(monkeypatch, undrawn, unmeasured):
    """In place of workers: every trial gets made-up results at once, as far as a rung or to its end."""

    def run(pool, trials, on_change, *, until=None):
        for trial in trials:
            known, epochs = metrics(trial), range(1, (until or trial.config.epochs) + 1)
            knn = {"knn_val_top1": known["knn_top1"], "knn_val_balanced_accuracy": known["knn_balanced_accuracy"]}
            history = tuple({"epoch": float(epoch), "loss": 1.0, **knn} for epoch in epochs)
            timings = {"cpu": 4.0 * trial.config.epochs, "total": 1.0}
            if until is None or trial.reference:
                write_record(pool.directory, record(trial, metrics=known, history=history, timings=timings))
            else:
                parked = record(trial, status="pruned", metrics={}, history=history)
                write_atomically(SweepDir(pool.directory).parked(trial.id), as_json(parked))

    monkeypatch.setattr(WorkerPool, "run", run)


@pytest.fixture
def go(tiny_folder, cache, tmp_path):
    """Run a command that plans a sweep, with ``--metric auroc``, in the directory of that name."""

    def run(command, name, *options, metric="auroc"):
        data = ["--data", f"folder:{tiny_folder}", "--cache", cache, "--out", tmp_path / name, "--workers", "1"]
        done = ablate(*command.split(), *data, *SETTINGS, "--metric", metric, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def check(directory, said="", best="crop"):
    """Check that the winner, page and caption of a sweep go by AUROC, and that no sentence speaks of accuracy."""
    planned, sweep = load_plan(directory), read_sweep(directory)
    assert planned.measure == planned.shared.measure == "auroc"  # the second is what chooses l2 in its trials
    assert sweep.grid.metric == "linear_auroc"
    ranking = order(sweep.grid)
    assert ranking.best.label == best == min(ranking.scores, key=len)
    done = ablate("report", directory)
    assert done.returncode == 0, done.stderr
    report = SweepDir(directory).report
    files = [path.read_text() for path in (report / "index.html", report / "caption.txt") if path.exists()]
    for text in (said or done.stdout, done.stdout, *files):
        plain = " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())
        assert "AUROC" in plain
        assert not re.search(ONE_MEASURE, plain), re.search(f".{{60}}(?:{ONE_MEASURE}).{{40}}", plain)
    return done.stdout


def test_shards_of_one_metric_are_merged_and_others_are_not(go, tmp_path):
    assert RANKED in go("grid --ops crop,color", "a")
    go("grid --ops crop,color", "b", "--first-seed", "1")
    go("grid --ops crop,color", "c", "--first-seed", "2", metric="top1")
    done = ablate("merge", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    assert "Best composition by validation AUROC: crop," in " ".join(check(tmp_path / "whole").split())
    told = one_sentence(ablate("merge", tmp_path / "a", tmp_path / "c", "--out", tmp_path / "none"))
    assert "are not shards of one sweep (metric was 'auroc', is 'top1', in the second)" in told
    assert not (tmp_path / "none").exists()


def test_a_recommendation_and_its_confirmation(go, cache, tmp_path):
    go("grid --ops crop,color", "grid", "--seeds", "2")
    done = ablate("recommend", tmp_path / "grid", "--confirm", "--cache", cache, "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    check(tmp_path / "grid", done.stdout)
    check(SweepDir(tmp_path / "grid").confirmation)
    assert "by validation AUROC: crop," in " ".join(done.stdout.split())


def test_a_calibration(go, cache, tmp_path):
    go("grid --ops crop,color", "grid", "--seeds", "2")
    planned = ablate("calibrate", tmp_path / "grid", "--cache", cache, "--dry-run").stdout
    assert planned.startswith(f"{RANKED[0].upper()}{RANKED[1:]}.")
    done = ablate("calibrate", tmp_path / "grid", "--cache", cache, "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(check(tmp_path / "grid", done.stdout).split())
    found = calibration_of(read_sweep(tmp_path / "grid"))
    for row in found.cheaper:
        cheap = load_plan(SweepDir(tmp_path / "grid").calibration / row.name)
        assert cheap.measure == cheap.shared.measure == "auroc"
        assert row.spearman > 0.9 and row.regret == 0
    assert "Regret: the full AUROC of the best cell" in " ".join(done.stdout.split()), said


def test_pruning(go, tmp_path):
    told = go("grid --ops crop,color,blur", "grid", "--prune", "--epochs", "8")
    assert RANKED in told
    check(tmp_path / "grid", told, best="crop")
    statuses = {r.label: r.status for r in read_records(tmp_path / "grid")[0].values() if r.reference is None}
    assert statuses["crop"] == "done" and statuses["crop+color"] == "pruned"
    told = go("grid --ops crop,color,blur", "other", "--prune", "--epochs", "8", "--dry-run")
    assert "kNN has no AUROC, so its balanced accuracy decides there" in " ".join(told.split())


def test_rounds_of_seeds(go, tmp_path):
    told = go("grid --ops crop,color", "grid", "--seeds", "auto")
    check(tmp_path / "grid", told)
    assert load_plan(tmp_path / "grid").rounds.compared


def test_a_budget(go, tmp_path):
    told = go("grid --ops crop,color,blur", "grid", "--budget", "6", "--seeds", "2")
    known = {r.label for r in read_records(tmp_path / "grid")[0].values() if r.reference is None}
    assert len(known) < 9
    check(tmp_path / "grid", told, best=min(known, key=len))


def test_a_search(go, tmp_path):
    told = go("search --ops crop,color --max-length 2 --sampler tpe --budget 4", "search", "--epochs", "8")
    check(
        tmp_path / "search",
        told,
        best=min({t.label for t in plan(load_plan(tmp_path / "search")) if not t.reference}, key=len),
    )


def test_a_recipe_and_its_parts(go, tmp_path):
    told = go("drop crop+color+blur", "drop", "--seeds", "3")
    sweep = read_sweep(tmp_path / "drop")
    check(tmp_path / "drop", told, best=min((cell.label for cell in sweep.grid.with_results), key=len))
    assert "without" in told


def test_the_jobs_of_a_cluster(go, tmp_path):
    told = go("grid --ops crop,color", "far", "--launcher", "slurm", "--dry-run", "--cpus", "1")
    assert RANKED in told and "#SBATCH" in told
    assert not (tmp_path / "far").exists()
