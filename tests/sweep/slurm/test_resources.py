"""What jobs ask for: where it may be said, what follows from what, and every mistake in one sentence."""

from __future__ import annotations

import pytest

from ablate.config.slurm import Slurm
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.errors import UsageError
from ablate.launch.slurm.resources import gather, refuse_without_slurm, resources, side_by_side
from ablate.sweep.plan import load_plan, save_plan


@pytest.fixture(autouse=True)
def user_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "config" / "ablate" / "slurm.toml"
    path.parent.mkdir(parents=True)
    return path


def config(**values):
    return TrialConfig(composition=(), data=DataIdentity(name="", fingerprint="", classes=2), **values)


def cuda(**values):
    return config(device="cuda", **values)


@pytest.fixture
def resolved(tmp_path):
    return lambda trial, **flags: resources(gather(flags, tmp_path / "sweep"), trial)


@pytest.fixture
def complaint(resolved):
    def complaint(trial, **flags):
        with pytest.raises(UsageError) as error:
            resolved(trial, **flags)
        sentence = str(error.value)
        assert "\n" not in sentence
        return sentence

    return complaint


@pytest.mark.parametrize(
    ("text", "minutes"), [("90", 90), ("2:30:00", 150), ("1-12:00:00", 2160), ("0:10:30", 11), ("100:00:00", 6000)]
)
def test_times(resolved, text, minutes):
    assert resolved(config(), time=text).time == minutes


@pytest.mark.parametrize("text", ["2:30", "2h", "1-12", "", "0", "-5"])
def test_times_that_are_none(complaint, text):
    sentence = complaint(config(), time=text)
    assert sentence.startswith(("--time: ", "--time must be "))
    assert repr(text) in sentence or "not 0" in sentence


def test_flags_come_before_the_sweep_before_the_users_file(resolved, experiment, tmp_path, user_file):
    user_file.write_text('partition = "mine"\nqos = "low"\n[slurm]\naccount = "lab"\ntime = "2:00:00"\n')
    assert resolved(config()).partition == "mine"
    (tmp_path / "sweep").mkdir()
    save_plan(tmp_path / "sweep", experiment.model_copy(update={"slurm": Slurm(partition="theirs", qos="high")}))
    slurm = resolved(config(), partition="now", memory="4GB")
    assert (slurm.partition, slurm.qos, slurm.account, slurm.memory) == ("now", "high", "lab", "4G")
    assert slurm.time == 120, "not the default that the sweep was submitted with"


def test_what_follows_from_other_numbers_goes_on_following(resolved, experiment, tmp_path):
    (tmp_path / "sweep").mkdir()
    for workers, cpus in ((2, 2), (4, 4)):
        slurm = resolved(config(), workers=workers)
        assert slurm.cpus == cpus
        save_plan(tmp_path / "sweep", experiment.model_copy(update={"slurm": slurm}))
    assert load_plan(tmp_path / "sweep").slurm == slurm
    slurm = resolved(config(), cpus=7)
    save_plan(tmp_path / "sweep", experiment.model_copy(update={"slurm": slurm}))
    assert resolved(config(), workers=2).cpus == 7


@pytest.mark.parametrize(
    ("trial", "flags", "gpus", "cpus", "together"),
    [
        (config(threads=2), {}, 0, 2, 1),
        (config(threads=2), {"workers": 3}, 0, 6, 3),
        (config(world_size=2), {}, 0, 2, 1),
        (cuda(), {}, 1, 1, 1),
        (cuda(), {"gpus": 4, "per_gpu": 3}, 4, 12, 12),
        (cuda(world_size=2), {"gpus": 8}, 8, 8, 4),
        (cuda(world_size=8), {"nodes": 2}, 4, 4, 1),
        (config(world_size=4), {"nodes": 2}, 0, 2, 1),
    ],
)
def test_defaults_follow_from_the_trial(resolved, trial, flags, gpus, cpus, together):
    slurm = resolved(trial, **flags)
    assert (slurm.gpus, slurm.cpus, side_by_side(slurm, trial)) == (gpus, cpus, together)


@pytest.mark.parametrize(
    ("trial", "flags", "words"),
    [
        (cuda(world_size=4), {"nodes": 3}, ["--nodes 3", "divide", "4 processes"]),
        (cuda(world_size=4), {"gpus": 2}, ["--gpus 2", "uses 4"]),
        (cuda(world_size=4), {"gpus": 4, "nodes": 2}, ["--gpus 4", "2 nodes", "2 on each"]),
        (cuda(), {"gpus": 0}, ["--gpus 0", "--device cpu"]),
        (config(), {"gpus": 1}, ["--gpus 1", "--device cuda"]),
        (cuda(world_size=2), {"per_gpu": 2}, ["--per-gpu", "one process"]),
        (config(), {"per_gpu": 2}, ["--per-gpu", "GPU"]),
        (cuda(), {"workers": 2}, ["--workers", "--per-gpu"]),
        (config(world_size=2), {"workers": 2}, ["--workers", "one process"]),
        (config(), {"memory": "lots"}, ["--mem", "32G", "lots"]),
        (config(), {"partition": "a\nb"}, ["--partition", "one line"]),
        (config(), {"extra": ["partition=x"]}, ["--sbatch partition", "--partition"]),
        (config(), {"extra": ["gres=gpu:1"]}, ["--sbatch gres", "--gpus"]),
        (config(), {"extra": ["array=0-5"]}, ["--sbatch array", "itself"]),
        (config(), {"extra": ["=5"]}, ["NAME=VALUE"]),
        (config(), {"extra": ["reservation="]}, ["--sbatch", "reservation", "one line"]),
    ],
)
def test_contradictions_are_one_sentence(complaint, trial, flags, words):
    sentence = complaint(trial, **flags)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('partion = "x"', ["unknown key", "partion", "did you mean 'partition'"]),
        ("[slurm]\ngpu = 1", ["unknown key", "'gpu'", "did you mean 'gpus'"]),
        ("gpus = -1", ["gpus in", "at least 0", "-1"]),
        ('cpus = "four"', ["cpus in", "whole number", "four"]),
        ('time = "2:30"', ["time in", "2:30:00"]),
        ("partition = ", ["cannot be read"]),
        ("[slurm.extra]\nexclusive = false", ["extra in", "exclusive"]),
        ('slurm = "x"', ["unknown key", "'slurm'"]),
    ],
)
def test_mistakes_in_the_users_file_name_it(complaint, user_file, content, words):
    user_file.write_text(content)
    sentence = complaint(config())
    for word in [str(user_file), *words]:
        assert word in sentence


def test_options_of_sbatch_add_up(resolved, user_file):
    user_file.write_text('[slurm.extra]\nreservation = "lab"\nnice = 100\n')
    slurm = resolved(config(), extra=["exclusive", "reservation=other"])
    assert slurm.extra == {"reservation": "other", "nice": 100, "exclusive": True}


def test_flags_that_only_slurm_knows():
    refuse_without_slurm({"gpus": None, "setup": [], "workers": 3})
    with pytest.raises(UsageError, match="--mem needs --launcher slurm"):
        refuse_without_slurm({"memory": "3G"})
