"""The command that trains some cells of a finished sweep more cheaply: its plans, its runs, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ablate.config.sweep import Budgeted, NamedComposition, Search, Variant
from ablate.launch.pool import WorkerPool
from ablate.planning import images
from ablate.planning.calibrate import Asked, calibration
from ablate.planning.images import prepare_images
from ablate.planning.request import wish_of
from ablate.planning.understand import plan_sweep
from ablate.sweep.again import completing
from ablate.sweep.fidelity import fidelities
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS
from tests.support.calibrations import full
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command
from tests.support.in_process import without_workers
from tests.support.sweeps import make_experiment, record, write_record
from tests.support.sweeps import sweep as made_up

NAMES = ["combined", "epochs-1", "images-36", "width-2"]


class Trials:
    """In place of workers: every trial gets a made-up record at once, until one of them is interrupted."""

    def __init__(self, monkeypatch):
        self.run, self.until = [], None
        monkeypatch.setattr(WorkerPool, "run", lambda pool, trials, on_change, *, until=None: self._run(pool, trials))

    def _run(self, pool, trials):
        for trial in trials:
            if len(self.run) == self.until:
                raise KeyboardInterrupt
            self.run.append(trial.id)
            worth = 0.1 * len(trial.label) + 0.01 * trial.seed
            write_record(pool.directory, record(trial, worth, timings={"cpu": 4.0 * trial.config.epochs, "total": 1.0}))


@pytest.fixture
def trials(monkeypatch):
    return Trials(monkeypatch)


@pytest.fixture
def finished(tiny_folder, cache, tmp_path, trials, undrawn):
    """A grid of four cells with two seeds, beside whose directory nothing else lies."""
    out = tmp_path / "results" / "done"
    done = ablate(*command(tiny_folder, cache, out, "--workers", "1", "--seeds", "2")[3:])
    assert done.returncode == 0, done.stdout + done.stderr
    trials.run.clear()
    return out


def calibrate(directory, cache, *args):
    return ablate("calibrate", directory, "--cache", cache, "--workers", "1", *args)


def test_a_dry_run_shows_every_training_with_its_cost_and_writes_nothing(finished, cache, monkeypatch):
    monkeypatch.setattr(images, "about_size", lambda wish: "a note")
    done = calibrate(finished, cache, "--dry-run")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:2] == ["Compositions are ranked by top-1 accuracy.", "calibration: 4 of 4 cells x 2 seeds"]
    for training in ("1 epoch ", "36 images ", "width 2 ", "1 epoch, 36 images, width 2 "):
        assert f"\n{training}" in done.stdout
    assert "32 trials to run; estimated: 1 min 44 s of CPU time" in done.stdout  # 64 s x (1/2 + 1/2 + 1/2 + 1/8)
    assert not SweepDir(finished).calibration.exists()
    assert "a note" not in done.stderr  # the sweep has printed it; no training prints it again


def test_a_calibration_that_was_interrupted_resumes_and_ends_with_a_table(finished, cache, trials):
    trials.until = 11
    stopped = calibrate(finished, cache)
    assert stopped.returncode == 130
    assert f"{SweepDir(finished).calibration / 'images-36'}: run the same command again" in stopped.stderr
    assert not SweepDir(finished).calibration_result.exists()
    trials.until = None
    done = calibrate(finished, cache)
    assert done.returncode == 0, done.stderr
    assert len(trials.run) == len(set(trials.run)) == 32
    assert "4 cells x 2 seeds = 8 trials" in done.stdout  # no "+ 0 references"
    assert sorted(path.name for path in SweepDir(finished).calibration.iterdir() if path.is_dir()) == NAMES
    assert "For a decision within 1 point: 1 epoch" in done.stdout.splitlines()[-1]
    assert "50 % of the price" in done.stdout
    assert "How cheap a training may be" in SweepDir(finished).page.read_text()
    again = calibrate(finished, cache, "--within", "3")
    assert again.stdout.count(": complete\n") == len(NAMES)
    assert len(trials.run) == 32
    assert "within 3 points" in again.stdout
    assert json.loads(SweepDir(finished).calibration_result.read_text())["within"] == 0.03


@pytest.mark.usefixtures("unmeasured")
def test_the_dry_run_of_the_next_sweep_quotes_it(finished, cache, tiny_folder):
    calibrate(finished, cache)
    beside = command(tiny_folder, cache, finished.parent / "next", "--limit", "40", "--dry-run", ops="blur")
    sentence = f"calibration of {finished} (one-branch resnet8, 2 epochs, 72 images, 16 px, width 4): For a decision"
    assert sentence in ablate(*beside[3:]).stdout
    searching = ["search", *beside[4:], "--budget", "4"]
    assert sentence in ablate(*searching).stdout


def test_more_cells_are_added_to_those_that_are_there(finished, cache, tiny_folder, trials):
    ablate(*command(tiny_folder, cache, finished, "--workers", "1", "--seeds", "2", ops="crop,color,blur")[3:])
    calibrate(finished, cache, "--cells", "4")
    first = {item.label for item in load_plan(SweepDir(finished).calibration / "epochs-1").compositions}
    calibrate(finished, cache, "--cells", "6")
    then = {item.label for item in load_plan(SweepDir(finished).calibration / "epochs-1").compositions}
    assert (len(first), len(then)) == (4, 6)
    assert first < then


def test_trials_are_those_that_the_grid_trains_with_these_settings(tiny_folder, cache, tmp_path):
    settings = {"batch_size": 8, "image_size": 32, "epochs": 40, "encoder.width": 8}
    flags = {"data": f"folder:{tiny_folder}", "ops": "crop,color", "preset": "laptop@2", "device": "cpu"}

    def planned(limit=None, **changes):
        wish = wish_of({**flags, "limit": limit, "set": settings | changes})
        return plan_sweep(wish, tmp_path, lambda wish: prepare_images(wish, cache), "")[0]

    full = planned()
    cells = {trial.label: trial for trial in plan(full) if trial.reference is None}
    compositions = [NamedComposition(label=label, ops=trial.config.composition) for label, trial in cells.items()]
    asked = Asked(compositions, (0,), "", None)
    _, cheaper = calibration(full, asked, cache, pytest.fail)
    keys = {each.fidelity.name: {trial.config.key for trial in plan(each.plan)} for each in cheaper}
    assert len(cells) == 4
    for name, same in {
        "epochs-20": planned(epochs=20),
        "images-36": planned(limit=36),
        "size-24": planned(image_size=24),
        "width-4": planned(**{"encoder.width": 4}),
        "combined": planned(limit=36, epochs=20, image_size=24, **{"encoder.width": 4}),
    }.items():
        assert keys[name] == {trial.config.key for trial in plan(same) if trial.reference is None}, name


@pytest.mark.parametrize(
    ("changes", "images", "names"),
    [
        ({"epochs": 12, "batch_size": 64}, 1000, ["epochs-6", "epochs-3", "images-500", "images-250"]),
        ({"epochs": 3, "batch_size": 256}, 1000, ["epochs-1"]),
        ({"epochs": 1, "image_size": 96}, 100, ["size-72"]),  # 48 px would have another stem
        ({"epochs": 1, "image_size": 28}, 100, ["size-21"]),
        ({"epochs": 1, "image_size": 16}, 100, []),
    ],
)
def test_what_can_be_lowered(experiment, changes, images, names):
    found = fidelities(experiment.shared.replace(**{"image_size": 16, "warmup_epochs": 0, **changes}), images)
    assert [each.name for each in found if each.name != "combined"] == names
    assert ("combined" in [each.name for each in found]) == (len({name.partition("-")[0] for name in names}) > 1)


@pytest.mark.usefixtures("unmeasured")
def test_on_slurm_every_training_is_submitted_and_left(finished, cache, fake_slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    shown = calibrate(finished, cache, "--launcher", "slurm", "--dry-run")
    assert "the jobs of the first sweep that lacks trials, 1 epoch:" in shown.stdout
    assert "#SBATCH" in shown.stdout
    assert fake_slurm.jobs() == []
    done = calibrate(finished, cache, "--launcher", "slurm", "--time", "30")
    assert done.returncode == 0, done.stderr
    assert len(fake_slurm.jobs()) == len(NAMES)
    assert done.stdout.count("for 8 trials") == len(NAMES)
    assert load_plan(SweepDir(finished).calibration / "epochs-1").slurm.time == 30
    assert calibrate(finished, cache, "--launcher", "slurm").stdout.count("nothing to submit") == len(NAMES)  # queued


def test_the_command_that_completes_a_cheaper_sweep_is_that_of_the_calibration(tmp_path):
    out = tmp_path / "new" / "calibration" / "epochs-1"
    save_plan(out, make_experiment(["a"]).replace(command="ablate calibrate old --cells 6"))
    assert completing(out, load_plan(out)) == f"ablate calibrate {tmp_path / 'new'} --cells 6"


def test_a_directory_that_cannot_be_calibrated(tmp_path):
    assert "there is no directory" in one_sentence(ablate("calibrate", tmp_path / "nowhere"))
    few, others = (
        made_up(tmp_path / "few", ["a", "b"], skip=("a", "b")),
        "train the others first, by `ablate grid --ops a,b",
    )
    assert "at least 4 cells; " in one_sentence(ablate("calibrate", few))
    assert "has 2 with results; to run it: `ablate grid" in one_sentence(ablate("calibrate", few))
    whole = load_plan(few)
    save_plan(few, whole.replace(search=Search(ops=whole.ops)))
    assert "is a search" in one_sentence(ablate("calibrate", few))
    save_plan(few, whole.replace(variants=(Variant(values={"epochs": "3"}, shared=whole.shared),)))
    assert "has axes (epochs)" in one_sentence(ablate("calibrate", few))
    save_plan(few, whole.replace(prune=RUNGS, command="ablate grid --ops a,b --prune --workers 2 --seeds 3"))
    said = one_sentence(ablate("calibrate", few))
    assert f"was pruned, so only the best cells have full results: {others} --workers 2 --seeds 3 --out {few}`" in said
    within = whole.replace(budgeted=Budgeted(budget="2", within=1.0, cells=("a", "b")))
    save_plan(few, within.replace(command="ablate grid --ops a,b --budget 2 --within=1"))
    said = one_sentence(ablate("calibrate", few))
    assert "was trained within a budget, for which a model chose its cells" in said
    assert f"{others} --out {few}`" in said
    save_plan(few, within.replace(command="ablate run mine.toml"))
    assert "take budget out of mine.toml and train the others first" in one_sentence(ablate("calibrate", few))
    below = made_up(SweepDir(few).calibration / "epochs-1", ["a", "b"])
    assert f"is a training of the calibration of {few}" in one_sentence(ablate("calibrate", below))


def test_options_out_of_place(finished, cache):
    assert "--partition needs --launcher slurm" in one_sentence(calibrate(finished, cache, "--partition", "main"))
    assert "--cells" in one_sentence(calibrate(finished, cache, "--cells", "3"))


def test_images_that_have_changed_are_refused(finished, cache, tiny_folder):
    extra = next(tiny_folder.glob("train/*/*"))
    copy = shutil.copy(extra, extra.with_name(f"another-{extra.name}"))
    try:
        done = calibrate(finished, cache)
    finally:
        Path(copy).unlink()
    assert done.returncode == 2
    assert "have changed since the sweep" in done.stderr
    assert not SweepDir(finished).calibration.exists()


def test_a_sweep_of_gpus_is_not_calibrated_without_any(tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.planning.settings.resolve_device", lambda device: "cpu")
    out = full(tmp_path)
    planned = load_plan(out)
    save_plan(out, planned.replace(shared=planned.shared.replace(device="cuda")))
    for trial in plan(load_plan(out)):
        write_record(out, record(trial))
    assert "was trained on GPUs, of which this machine has none" in one_sentence(ablate("calibrate", out))


def test_where_nothing_can_be_lowered(tiny_folder, cache, tmp_path, trials, undrawn):
    out = tmp_path / "out"
    least = ("--epochs", "1", "--batch-size", "48", "--set", "encoder.width=1")
    assert ablate(*command(tiny_folder, cache, out, "--workers", "1", *least)[3:]).returncode == 0
    assert "no cheaper training is possible" in one_sentence(calibrate(out, cache))


@pytest.mark.slow
def test_a_trained_calibration(tiny_folder, cache, tmp_path, undrawn):
    out = tmp_path / "out"
    with without_workers():
        assert ablate(*command(tiny_folder, cache, out, "--workers", "1")[3:]).returncode == 0
        done = calibrate(out, cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(SweepDir(out).calibration_result.read_text())["trainings"]) == len(NAMES) + 1
    assert "regret" in done.stdout
