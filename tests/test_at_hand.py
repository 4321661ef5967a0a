"""Advice names options that the command at hand takes, whichever command that is."""

from __future__ import annotations

import re

import pytest
import tomli_w
from PIL import Image

from ablate.config.at_hand import as_option, at_hand, takes
from ablate.config.encoder import Encoder
from ablate.config.experiment import Experiment
from ablate.config.settable import SETTABLE
from ablate.data.decoding.findings import refusal
from ablate.launch.room import Room
from ablate.planning.footprint import peak
from ablate.planning.images import about_size
from tests.support.cli import GROUP, ablate, one_sentence
from tests.support.wishes import wish

COMMANDS = GROUP.commands
NAMES = sorted({*SETTABLE, *Experiment.model_fields} - {"set"})


def options_of(command):
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


def refused(sentence, command):
    """The options in a sentence that the command does not take."""
    return set(re.findall(r"--[a-z][a-z-]*", sentence)) - options_of(command)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_setting_is_named_by_an_option_that_the_command_takes(command):
    with at_hand(command):
        assert not [as_option(name, 1) for name in NAMES if takes(name) and refused(as_option(name, 1), command)]


def test_a_command_with_a_flag_is_given_the_flag_and_any_other_set():
    with at_hand("grid"):
        assert as_option("micro_batch", 16) == "--micro-batch 16"
        assert as_option("skip_corrupt", True) == "--skip-corrupt"
    with at_hand("search"):
        assert as_option("micro_batch", 16) == "--set micro_batch=16"
    with at_hand("run"):
        assert as_option("skip_corrupt", True) == "--set skip_corrupt=true"
    assert as_option("image_size", 32) == "--size 32"  # from Python, where grid is the only command
    with at_hand("recommend"):
        assert not takes("micro_batch")


@pytest.mark.parametrize("command", ["grid", "run", "search", "train", "recommend"])
@pytest.mark.parametrize("share", [0.7, 0.9, 1.3, 30.0])
def test_advice_on_memory(experiment, command, share):
    config = experiment.shared.replace(encoder=Encoder(name="resnet50"), image_size=224)
    workers = 1 if command == "train" else 4
    room = Room(config, peak(config), workers, int(peak(config) * workers / share), 0)
    with at_hand(command):
        assert not refused(f"{room.warning} {room.advice()}", command)


@pytest.mark.parametrize("command", ["grid", "run", "search", "train", "preview", "recommend", "evaluate"])
@pytest.mark.parametrize(("side", "size"), [(28, 64), (300, 64)])
def test_advice_on_sizes(tmp_path, command, side, size):
    for number in range(3):
        Image.new("RGB", (side, side)).save(tmp_path / f"{number}.png")
    with at_hand(command):
        sentence = about_size(wish(data=f"folder:{tmp_path}", set={"image_size": size}))
    assert not refused(sentence, command), sentence


@pytest.mark.parametrize("command", ["grid", "run", "search", "train", "preview"])
def test_advice_on_corrupt_files(command):
    with at_hand(command):
        assert not refused(refusal(["a.png"], []), command)


@pytest.mark.parametrize(
    "values",
    [
        {"branches": "two", "set": {"base.area": [0.1, 1.0]}},
        {"preset": "cifar10-readme"},
        {"ops": ["crop+color"]},
        {"ops": ["crop", "crop"]},
        {"ops": ["crop"], "protocol": ["knn"]},
        {"ops": ["crop"], "prune": True, "axes": {"temperature": [0.1, 0.5]}},
        {"data": "cifar10:"},
    ],
)
def test_refusals_of_an_experiment_file_name_no_flag(tmp_path, values):
    file = tmp_path / "file.toml"
    file.write_text(tomli_w.dumps({"ops": ["crop"], "data": "glyphs", "device": "cpu", **values}))
    sentence = one_sentence(ablate("run", file, "--dry-run", "--cache", tmp_path / "cache"))
    assert not refused(sentence.replace("`root run --help`", ""), "run"), sentence


def test_a_command_is_at_hand_while_it_runs(monkeypatch, tmp_path):
    (tmp_path / "file.toml").write_text('ops = ["crop"]')
    seen = []
    monkeypatch.setattr("ablate.cli.sweep.run_sweep", lambda *_: seen.append(as_option("epochs", 3)))
    ablate("run", tmp_path / "file.toml")
    ablate("grid", "--ops", "crop")
    assert seen == ["--set epochs=3", "--epochs 3"]
