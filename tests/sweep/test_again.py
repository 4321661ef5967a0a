"""What is told to complete a directory completes that one, not the one that its plan came from."""

from __future__ import annotations

import shutil

import pytest
from rich.console import Console

from ablate.errors import UsageError
from ablate.launch.screen import print_status
from ablate.launch.status import sweep_status
from ablate.report import write_report
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import recommend
from ablate.sweep.again import completing
from ablate.sweep.layout import EXPERIMENT
from ablate.sweep.merge import merge
from ablate.sweep.plan import load_plan, save_plan
from tests.support.sweeps import make_experiment, sweep

GRID = "ablate grid --ops a,b"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (GRID, f"{GRID} --out new"),
        (f"{GRID} --out old", f"{GRID} --out new"),
        (f"{GRID} --out=old --seeds 2", f"{GRID} --seeds 2 --out new"),
        (f"{GRID} --out ./new --seeds 2", f"{GRID} --out ./new --seeds 2"),
        (f"{GRID} --out old --retry-failed", f"{GRID} --out new"),
        ("ablate search --ops a --trials 9 --out old", "ablate search --ops a --trials 9 --out new"),
        ("ablate run mine.toml --set epochs=1", "ablate run new/experiment.toml --set epochs=1 --out new"),
        ("ablate run old/experiment.toml --out old", "ablate run new/experiment.toml --out new"),
        ("ablate run mine.toml --out new", "ablate run mine.toml --out new"),
        ("", "ablate run new/experiment.toml --out new"),
        ("ablate grid 'not closed", "ablate run new/experiment.toml --out new"),
    ],
)
def test_the_command_names_the_directory_at_hand(given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = make_experiment(["a"]).model_copy(update={"command": given, "source": "# as asked\n"})
    save_plan(tmp_path / "new", experiment)
    relative = (tmp_path / "new").relative_to(tmp_path)
    assert completing(relative, experiment) == told
    assert completing(relative, experiment, retry_failed=True) == f"{told} --retry-failed"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ablate recommend old --confirm --seeds 2", "ablate recommend new --confirm --seeds 2"),
        ("ablate recommend --seeds 2 new/ --confirm", "ablate recommend --seeds 2 new/ --confirm"),
        ("ablate recommend --confirm old", "ablate recommend new --confirm"),
    ],
)
def test_a_confirmation_goes_on_from_the_sweep_above_it(given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "new" / "confirmation"
    experiment = make_experiment(["a"]).model_copy(update={"command": given})
    save_plan(place, experiment)
    assert completing(place.relative_to(tmp_path), experiment) == told


def test_a_merged_directory_is_completed_where_it_lies(tmp_path):
    shards = [sweep(tmp_path / name, ["a", "b"], skip=("b",)) for name in "AB"]
    save_plan(shards[0], load_plan(shards[0]).model_copy(update={"command": f"{GRID} --out A"}))
    (shards[0] / EXPERIMENT).write_text("# as asked of A\n")
    out = tmp_path / "C"
    merge(shards, out)
    assert (out / EXPERIMENT).read_text() == "# as asked of A\n"
    told = f"To complete it: `{GRID} --out {out}`"
    assert told in conclusion(recommend(out))
    shutil.move(out, tmp_path / "D")
    assert told.replace("/C", "/D") in conclusion(recommend(tmp_path / "D"))


def test_a_sweep_whose_trials_all_failed_is_run_with_retry_failed(tmp_path):
    sweep(tmp_path, ["a"], fail=("a", "untrained"))
    retry = completing(tmp_path, load_plan(tmp_path), retry_failed=True)
    told = f"2 trials failed (the first: the loss became nan <b>); to run them again: `{retry}`"
    with pytest.raises(UsageError) as error:
        recommend(tmp_path)
    assert told in str(error.value)
    console = Console(record=True, width=300)
    write_report(tmp_path).show(console)
    print_status(sweep_status(tmp_path), console)
    assert console.export_text().count("--retry-failed`") == 2
    page = (tmp_path / "report" / "index.html").read_text()
    assert "2 trials failed" in page and "--retry-failed" in page


def test_where_some_failed_and_some_are_missing_the_missing_ones_come_first(tmp_path):
    sweep(tmp_path, ["a"], seeds=2, skip=("a",), fail=("untrained",))
    with pytest.raises(UsageError) as error:
        recommend(tmp_path)
    assert "2 trials failed (the first: the loss became nan <b>); to run the others: `ablate grid" in str(error.value)
    assert "--retry-failed" not in str(error.value)
