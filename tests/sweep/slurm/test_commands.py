"""What a user types: grid --launcher slurm, its dry run, cancel, logs."""

from __future__ import annotations

import json

import pytest

from ablate.config.slurm import Slurm
from ablate.errors import ClusterError, UsageError
from ablate.launch.logs import print_log
from ablate.launch.slurm import cluster
from ablate.launch.slurm.cancel import cancel_sweep
from ablate.launch.slurm.dry_run import show_submission
from ablate.launch.slurm.submission import was_cancelled
from ablate.launch.timing import TrialTime
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.grids import SETTINGS


@pytest.fixture
def grid(tiny_folder, cache, tmp_path, fake_slurm, monkeypatch):
    """``ablate grid`` on tiny images with one op; the device is left to the launcher."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    at = SETTINGS.index("--device")
    settings = SETTINGS[:at] + SETTINGS[at + 2 :]
    where = ["--data", f"folder:{tiny_folder}", "--cache", str(cache), "--out", str(tmp_path / "out")]
    return lambda *flags: ablate("grid", "--ops", "crop", *where, *settings, *flags)


def test_a_sweep_is_submitted_and_left(grid, fake_slurm, tmp_path):
    done = grid("--launcher", "slurm", "--partition", "main", "--time", "1:00:00", "--setup", "module load x")
    assert done.returncode == 0, done.stderr
    assert "2 trials; 2 to run" in done.stdout
    assert "submitted 2 jobs for 2 trials: 4001 (partition main, CPUs only, 1 core, up to 1 h 00 min)" in done.stdout
    experiment = load_plan(tmp_path / "out")
    assert (experiment.shared.device, experiment.slurm.setup) == ("cpu", ("module load x",))
    assert not (tmp_path / "out" / "report").exists()
    assert "nothing to submit" in grid("--launcher", "slurm").stdout


def test_the_login_node_needs_no_gpu(grid, fake_slurm, tmp_path):
    done = grid("--launcher", "slurm", "--gpus", "2", "--per-gpu", "2")
    assert done.returncode == 0, done.stderr
    assert "(the default partition, 2 GPUs, 4 cores" in done.stdout
    experiment = load_plan(tmp_path / "out")
    assert (experiment.shared.device, experiment.shared.precision) == ("cuda", "bfloat16")
    assert "#SBATCH --gpus-per-node=2\n" in fake_slurm.jobs()[0]["script"]
    assert "nothing to submit" in grid("--launcher", "slurm").stdout, "it trains on what it trained on before"


@pytest.mark.parametrize(
    ("flags", "device", "gpus"),
    [
        (["--device", "cuda"], "cuda", 1),
        (["--gpus-per-trial", "2"], "cuda", 2),
        (["--world-size", "2", "--gpus", "0"], "cpu", 0),
        (["--set", "threads=500"], "cpu", 0),
    ],
)
def test_what_trials_train_on(grid, tmp_path, flags, device, gpus):
    done = grid("--launcher", "slurm", *flags)
    assert done.returncode == 0, done.stderr
    experiment = load_plan(tmp_path / "out")
    assert (experiment.shared.device, experiment.slurm.gpus) == (device, gpus)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--partition", "gpu"], ["--partition needs --launcher slurm"]),
        (["--mem", "4G"], ["--mem needs --launcher slurm"]),
        (["--sbatch", "nice=3"], ["--sbatch needs --launcher slurm"]),
        (["--launcher", "slurm", "--time", "2:30"], ["--time", "2:30:00"]),
        (["--launcher", "slurm", "--gpus", "3", "--gpus-per-trial", "2"], ["--gpus 3", "multiple"]),
        (["--launcher", "slurm", "--device", "gpu"], ["unknown device", "did you mean 'cuda'"]),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(grid, fake_slurm, tmp_path, flags, words):
    sentence = one_sentence(grid(*flags))
    for word in words:
        assert word in sentence
    assert not (tmp_path / "out").exists()
    assert not fake_slurm.calls("sbatch")


def test_without_slurm_it_says_where_it_can_be_used(grid, no_slurm, tmp_path):
    no_slurm()
    assert "needs a Slurm login node" in one_sentence(grid("--launcher", "slurm"))
    assert not (tmp_path / "out").exists()


def dry_run(sweep, **slurm):
    experiment = sweep.experiment.model_copy(update={"slurm": Slurm().model_copy(update=slurm)})
    with sweep.listening() as console:
        show_submission(sweep.directory, experiment, sweep.directory.parent / "cache", False, console)
    return sweep.said


@pytest.fixture
def quick_measurement(monkeypatch):
    monkeypatch.setattr("ablate.launch.slurm.dry_run.measured", lambda *_: TrialTime(1800.0, "measured"))


def test_a_dry_run_shows_the_very_script_and_the_cost(sweep, fake_slurm, quick_measurement):
    said = dry_run(sweep, cpus=2, time=60, partition="main")
    assert "10 to run" in said
    assert "10 jobs in 1 array, each of up to 1 trial, on partition main, CPUs only, 2 cores, up to 1 h 00 min" in said
    assert "estimated: 5 core hours, 30 min 00 s per trial (measured)" in said
    assert "requested: at most 20 core hours" in said
    assert not sweep.directory.exists()
    assert not fake_slurm.calls("sbatch")
    sweep.submit(cpus=2, time=60, partition="main")
    (submission,) = sweep.submissions()
    script = fake_slurm.jobs()[0]["script"]
    shown = said[said.index("#!/bin/bash") : said.index("estimated:")]
    token = shown.partition("/jobs/")[2][:8]
    assert shown.replace(token, submission.token).strip() == script.strip()


def test_a_dry_run_on_gpus_estimates_from_what_is_on_record(sweep, fake_slurm):
    shared = sweep.experiment.shared.model_copy(update={"device": "cuda"})
    sweep.experiment = sweep.experiment.model_copy(update={"shared": shared})
    assert "no estimate yet" in dry_run(sweep, gpus=1)
    sweep.submit(gpus=1)
    fake_slurm.set_state("4001", "CANCELLED")
    sweep.record(sweep.trials[1])
    said = dry_run(sweep, gpus=1, per_gpu=2, max_parallel=3)
    assert "5 jobs in 1 array, each of up to 2 trials" in said
    assert "estimated: 4.5 GPU hours, 1 h 00 min per trial (from 1 trial on record)" in said
    assert "requested: at most 20 GPU hours: 5 jobs x 1 GPU x 4 h 00 min" in said
    assert "#SBATCH --array=0-4%3\n" in said


def test_a_dry_run_leaves_out_what_is_queued(sweep, fake_slurm, quick_measurement):
    sweep.submit()
    assert "nothing to submit" in dry_run(sweep)


def test_a_dry_run_works_without_slurm_and_without_an_answer(sweep, fake_slurm, no_slurm, quick_measurement):
    fake_slurm.fail("squeue", times=9)
    assert "does not answer" in dry_run(sweep)
    no_slurm()
    said = dry_run(sweep)
    assert "this machine has no Slurm" in said
    assert "srun --unbuffered" in said


def cancel(sweep, confirm=None):
    with sweep.listening() as console:
        return cancel_sweep(sweep.directory, confirm, console)


def test_cancel_counts_asks_and_cancels_with_one_call(sweep, fake_slurm):
    sweep.submit()
    fake_slurm.set_state("4001", "RUNNING", 3)
    fake_slurm.set_state("4001", "COMPLETED", 4)
    sweep.record(sweep.trials[4])
    asked = []
    assert cancel(sweep, lambda question: asked.append(question) or False) == 0
    assert asked == [f"9 jobs of {sweep.directory} (8 pending, 1 running)"]
    assert "nothing was cancelled" in sweep.said
    with pytest.raises(UsageError, match="add --yes"):
        cancel(sweep)
    assert not fake_slurm.calls("scancel")
    assert not was_cancelled(sweep.directory)
    assert cancel(sweep, lambda _: True) == 0
    assert was_cancelled(sweep.directory)  # for a command that waits for them
    assert fake_slurm.arguments("scancel") == [["4001"]]
    assert "cancelled 9 jobs; 1 trial done, 9 missing" in sweep.said
    assert cancel(sweep) == 0
    assert "nothing to cancel" in sweep.said


def test_cancel_takes_the_jobs_of_a_calibration_too(sweep, fake_slurm):
    above = sweep.directory
    save_plan(above, sweep.experiment)
    sweep.directory = below = SweepDir(above).calibration / "epochs-1"
    sweep.experiment = sweep.experiment.replace(command="ablate calibrate x")
    sweep.submit()
    sweep.directory = above
    asked = []
    assert cancel(sweep, lambda question: asked.append(question) or True) == 0
    assert asked == [f"10 jobs of {above} and its calibration (10 pending)"]
    assert fake_slurm.arguments("scancel") == [["4001"]]
    assert f"cancelled 10 jobs; 0 trials done, 10 missing; to continue: `ablate calibrate '{above}'`" in sweep.said
    assert was_cancelled(below)
    assert not was_cancelled(above)


def test_what_slurm_did_not_cancel_is_not_told_as_cancelled(sweep, fake_slurm, monkeypatch):
    def refuse(*_):
        raise ClusterError("the controller does not answer")

    sweep.submit()
    monkeypatch.setattr(cluster, "cancel", refuse)
    with pytest.raises(ClusterError):
        cancel(sweep, lambda _: True)
    assert not was_cancelled(sweep.directory)


def test_cancel_where_nothing_was_ever_submitted_asks_nobody(sweep, fake_slurm):
    sweep.submit()
    for path in sweep.directory.glob("jobs/*.json"):
        path.unlink()
    before = fake_slurm.calls("squeue")
    assert cancel(sweep) == 0
    assert fake_slurm.calls("squeue") == before


def test_cancel_without_a_terminal_needs_yes(sweep, fake_slurm):
    sweep.submit()
    assert "add --yes" in one_sentence(ablate("cancel", sweep.directory))
    assert ablate("cancel", sweep.directory, "--yes").returncode == 0
    assert fake_slurm.calls("scancel") == 1


def logs(sweep, cell, seed=None, lines=None):
    with sweep.listening() as console:
        code = print_log(sweep.directory, cell, seed, lines, console)
    return code, sweep.said


def test_logs_of_a_cell(sweep, fake_slurm):
    sweep.submit()
    trials = {(trial.label, trial.seed): trial.id for trial in plan(sweep.experiment)}
    for seed in (0, 1):
        path = SweepDir(sweep.directory).log(trials["crop+color", seed])
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"line {n} of [seed] {seed}\n" for n in range(5)))
        sweep.record(trials["crop+color", seed])
    code, said = logs(sweep, "crop+color")
    assert code == 0
    assert "line 0 of [seed] 0\n" in said
    assert "its job" not in said
    assert logs(sweep, trials["crop+color", 1], lines=2)[1].endswith("line 3 of [seed] 1\nline 4 of [seed] 1\n")
    assert "line 4 of [seed] 1" in logs(sweep, "crop+color", 1)[1]
    assert logs(sweep, "untrained") == (1, "untrained seed 0 has no log yet\n")


def test_logs_of_a_trial_without_result_show_its_jobs(sweep, fake_slurm):
    sweep.submit(trials_per_job=3)
    (submission,) = sweep.submissions()
    (sweep.directory / "jobs" / submission.token / "4001_1_0_log.err").write_text("no such module\n")
    code, said = logs(sweep, submission.packs[1][0])
    assert code == 0
    assert "4001_1_0_log.err" in said
    assert "no such module" in said


def test_logs_of_a_cell_that_there_is_not(sweep, fake_slurm):
    sweep.submit()
    sentence = one_sentence(ablate("logs", sweep.directory, "crop+colour"))
    assert "unknown cell 'crop+colour'" in sentence
    assert "did you mean 'crop+color'" in sentence
    assert "there are 0, 1" in one_sentence(ablate("logs", sweep.directory, "crop", "--seed", "7"))


def test_the_settings_are_in_the_sweeps_file(sweep, fake_slurm):
    sweep.submit(partition="main", extra={"nice": 5})
    content = (sweep.directory / "sweep.toml").read_text()
    assert "[slurm]" in content
    assert load_plan(sweep.directory).slurm.extra == {"nice": 5}
    assert json.loads(next(sweep.directory.glob("jobs/*.json")).read_text())["slurm"]["partition"] == "main"
