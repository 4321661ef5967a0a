"""Experiment files: axes that multiply, zip and exclude; every mistake one sentence; what a grid leaves; what ships."""

from __future__ import annotations

import dataclasses
import json
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import tomli_w
import torch

from ablate.config.experiment_file import json_schema, read, to_toml, validated
from ablate.config.points import points
from ablate.config.reading import Reading
from ablate.data import DataSet
from ablate.errors import UsageError
from ablate.launch import worker
from ablate.planning import settings
from ablate.planning.settings import shared_config, trial_config
from ablate.planning.understand import plan_sweep
from ablate.sweep.layout import EXPERIMENT
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.grids import SETTINGS, results
from tests.support.in_process import run_here, without_workers

SHIPPED = sorted(Path("experiments").glob("*.toml"))
GRID = {"ops": ["crop", "color", "blur"]}
AXES = {"temperature": [0.1, 0.5], "head": {"linear": {"head.kind": "linear"}, "mlp": {"head.kind": "mlp"}}}


@pytest.fixture(scope="module")
def images(tiny_folder, cache):
    from ablate.data import prepare

    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


def resolved(images: DataSet, **content):
    """The experiment on the tiny images, without training anything."""
    content.setdefault("set", {})
    small = {} if "batch_size" in content.get("axes", {}) else {"batch_size": 16}
    content["set"] = {**small, "image_size": 16, **content["set"]}
    file = validated({"data": "glyphs", "device": "cpu", **content}, "test")
    planned, _ = plan_sweep(file, Path("nowhere"), lambda wish: images, "ablate run test")
    return planned


def test_what_exported_pipelines_need_of_the_images_is_kept(images, tmp_path):
    assert resolved(images, **GRID).ranges is None
    ranges, background = ((96.0, 3871.5), (0.0, 1.0)), (0, 10, 20)
    planned = resolved(dataclasses.replace(images, ranges=ranges, background=background), **GRID, channels=2)
    save_plan(tmp_path, planned)
    loaded = load_plan(tmp_path)
    assert (loaded.ranges, loaded.background, loaded.reading) == (ranges, background, Reading(channels=2))


def test_an_earlier_sweep_has_the_range_that_its_levels_say(images, tmp_path):
    planned = resolved(images, **GRID)
    save_plan(tmp_path, planned)
    file = tmp_path / "sweep.toml"
    content = tomllib.loads(file.read_text())
    for later in ("reading", "background"):
        del content[later]
    file.write_text(tomli_w.dumps({**content, "levels": [96, 3871]}))
    assert load_plan(tmp_path).ranges == ((96, 3871),)
    assert load_plan(tmp_path).shared.key == planned.shared.key


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"channels": 0}, "channels"),
        ({"channels": 33}, "channels"),
        ({"pages": "stack"}, "pages"),
        ({"range": "0"}, "range must be LOW,HIGH, as in 0,4095, or window, not '0'"),
        ({"range": "a,b"}, "range must be LOW,HIGH, as in 0,4095, or window, not 'a,b'"),
        ({"range": "windows"}, "range must be LOW,HIGH, as in 0,4095, or window, not 'windows'"),
        ({"range": [5, 5]}, "range must be LOW,HIGH with LOW below HIGH, both finite, not [5, 5]"),
        ({"range": "0,inf"}, "range must be LOW,HIGH with LOW below HIGH, both finite, not '0,inf'"),
        ({"range": "-inf,1"}, "range must be LOW,HIGH with LOW below HIGH, both finite, not '-inf,1'"),
        ({"range": [0, 1, 2]}, "range must be LOW,HIGH"),
        ({"range": ["0", "nan"]}, "range must be LOW,HIGH"),
        ({"range": "0,inf"}, "range"),
        ({"background": "grey"}, "background"),
    ],
)
def test_how_files_are_read_is_checked(content, said):
    with pytest.raises(UsageError) as caught:
        validated({**GRID, **content}, "file")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_is_written_in_either_way():
    for value in ("0,4095", [0, 4095], (0.0, 4095.0)):
        assert validated({**GRID, "range": value}, "file").reading == Reading(range=(0, 4095))
    assert validated({**GRID, "range": "window"}, "file").reading == Reading(range="window")
    assert validated(GRID, "file").reading == Reading()


def labels(experiment):
    return [trial.label for trial in plan(experiment) if trial.seed == experiment.seeds[0] and not trial.reference]


def test_axes_multiply_and_every_cell_stands_at_every_point(images):
    experiment = resolved(images, compositions=["crop", "crop+color"], axes=AXES, references=[], seeds=2)
    assert labels(experiment) == [
        f"{name}, temperature={t}, head={head}"
        for t in ("0.1", "0.5")
        for head in ("linear", "mlp")
        for name in ("crop", "crop+color")
    ]
    trials = plan(experiment)
    assert len(trials) == len({trial.id for trial in trials}) == 2 * 2 * 2 * 2
    last = trials[-1]
    assert (last.config.temperature, last.config.head.kind) == (0.5, "mlp")
    assert last.point == {"temperature": "0.5", "head": "mlp"}


def test_a_point_has_the_key_that_a_grid_with_these_settings_has(images):
    at_point = plan(resolved(images, compositions=["crop"], axes={"temperature": [0.7]}))[-1]
    alone = plan(resolved(images, compositions=["crop"], set={"temperature": 0.7}))[-1]
    assert at_point.id == alone.id


def test_the_learning_rate_follows_the_batch_size_along_an_axis(images):
    trials = plan(resolved(images, compositions=["crop"], axes={"batch_size": [16, 32]}, references=[]))
    assert trials[1].config.optimiser.lr == 2 * trials[0].config.optimiser.lr


def test_zipped_axes_go_hand_in_hand(images):
    axes = {"batch_size": [16, 32], "epochs": [10, 20], "temperature": [0.1, 0.2, 0.3]}
    found = labels(resolved(images, compositions=["crop"], axes=axes, zip=[["batch_size", "epochs"]]))
    assert len(found) == 2 * 3
    assert found[0] == "crop, batch_size=16, epochs=10, temperature=0.1"
    assert not any("batch_size=16, epochs=20" in label for label in found)


def test_exclusions_of_points_and_of_cells_at_points(images):
    content = {"ops": ["crop", "color"], "axes": AXES}
    without = [{"temperature": 0.1, "head": "mlp"}, {"composition": "color+crop", "head": "linear"}]
    found = labels(resolved(images, **content, exclude=without))
    assert len(found) == 4 * 4 - 4 - 2
    assert not any("temperature=0.1, head=mlp" in label for label in found)
    assert [label for label in found if label.startswith("color+crop")] == ["color+crop, temperature=0.5, head=mlp"]


def test_only_batch_sizes_that_are_trained_must_fit_the_images(images):
    default = resolved(images, compositions=["crop"], set={"batch_size": 16}).shared
    too_large = len(images.pretrain.labels) + 1
    with pytest.raises(UsageError, match="is larger than"):
        resolved(images, compositions=["crop"], set={"batch_size": too_large})
    planned = resolved(images, compositions=["crop"], axes={"batch_size": [8, 16]}, set={})
    assert {trial.config.batch_size for trial in plan(planned)} <= {8, 16, planned.shared.batch_size}
    assert default.batch_size == 16
    with pytest.raises(UsageError, match=r"at batch_size=.*is larger than"):
        resolved(images, compositions=["crop"], axes={"batch_size": [8, too_large]}, set={})


def test_branches_and_the_objective_can_be_axes(images):
    experiment = resolved(images, compositions=["crop"], axes={"branches": ["one", "two"], "objective": ["supervised"]})
    assert [t.config.base is None for t in plan(experiment) if not t.reference] == [False, True]


def test_precision_can_be_an_axis_and_workers_check_their_gpu_for_all_of_it(images, monkeypatch):
    monkeypatch.setattr(settings, "_check_hardware", lambda config: None)  # this CPU may have none
    experiment = resolved(images, compositions=["crop"], axes={"precision": ["float32", "bfloat16"]}, references=[])
    found = {trial.config.precision for trial in plan(experiment)}
    assert found == {"float32", "bfloat16"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    with pytest.raises(SystemExit, match="this machine's an old GPU lacks"):
        worker._check_hardware(torch.device("cuda"), found)
    worker._check_hardware(torch.device("cuda"), {"float32"})


def test_named_compositions(images):
    experiment = resolved(images, compositions={"weak": "color(strength=0.25)", "strong": "color"}, references=[])
    assert labels(experiment) == ["weak", "strong"]
    assert [t.config.composition[0].params["strength"] for t in plan(experiment)] == [0.25, 1.0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, ["nothing to train", "ops or compositions"]),
        ({**GRID, "opps": 1}, ["unknown key 'opps'", "did you mean 'ops'"]),
        ({**GRID, "branches": "tow"}, ["branches", "'one' or 'two'", "did you mean 'two'"]),
        ({**GRID, "seeds": 0}, ["seeds", "at least 1", "0"]),
        ({**GRID, "seeds": [1, 1]}, ["seeds", "twice"]),
        ({**GRID, "axes": {"temprature": [0.1]}}, ["axis 'temprature'", "did you mean 'temperature'"]),
        ({**GRID, "axes": {"temperature": []}}, ["'temperature' has no values"]),
        ({**GRID, "axes": {"temperature": [0.1, 0.1]}}, ["axes.temperature", "twice"]),
        ({**GRID, "axes": {"temperature": [0.1, -1]}}, ["at temperature=-1", "at least 0.001"]),
        ({**GRID, "axes": {"head": {"a": {"head.kid": "mlp"}}}}, ["axes.head.a", "did you mean 'head.kind'"]),
        ({**GRID, "axes": {"image_size": [16, 32]}}, ["axes.image_size", "share"]),
        ({**GRID, "axes": {"composition": ["crop"]}}, ["axes.composition", "compositions"]),
        ({**GRID, "axes": {"epochs": [1]}, "set": {"epochs": 2}}, ["epochs is set by axes.epochs and by [set]"]),
        ({**GRID, "set": {"epochz": 2}}, ["epochz", "did you mean 'epochs'"]),
        ({**GRID, "zip": [["a", "b"]]}, ["zip", "no axis 'a'"]),
        (
            {**GRID, "axes": {"epochs": [10, 20], "temperature": [1.0]}, "zip": [["epochs", "temperature"]]},
            ["zip", "epochs 2 and temperature 1"],
        ),
        ({**GRID, "axes": AXES, "exclude": [{"heads": "mlp"}]}, ["exclude", "did you mean 'head'"]),
        ({**GRID, "axes": AXES, "exclude": [{"head": "mpl"}]}, ["exclude", "no value 'mpl'", "linear, mlp"]),
        (
            {**GRID, "axes": AXES, "exclude": [{"composition": "crop+sobel", "head": "mlp"}]},
            ["crop+sobel", "not a cell"],
        ),
        ({**GRID, "axes": {"epochs": [10]}, "exclude": [{"epochs": 10}]}, ["no point"]),
        ({**GRID, "compositions": ["none", "none"]}, ["twice"]),
        ({**GRID, "protocol": ["linaer"]}, ["linaer", "did you mean 'linear'"]),
        ({**GRID, "pairs_with": ["sobel"]}, ["sobel", "crop, color, blur"]),
        ({"ops": ["crop", "color"], "order": 3}, ["at least three ops"]),
        (
            {**GRID, "axes": {"a": {"x": {"epochs": 20}, "y": {"epochs": 20}}}},
            ["a=x and a=y are the same configuration"],
        ),
        ({**GRID, "axes": {"batch_size": [16, 4096]}}, ["at batch_size=4096", "larger than the 72 training images"]),
    ],
)
def test_every_mistake_is_one_sentence_before_anything_runs(images, content, expected):
    with pytest.raises(UsageError) as caught:
        resolved(images, **content)
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ["cannot be read", "No such file"]),
        ("ops = [", ["is not TOML"]),
        ('ops = ["crop"]\n[axes]\ntemprature = [1.0]\n', ["x.toml: unknown axis", "temperature"]),
        ('ops = ["crop"]\nsedes = 1\n', ["x.toml: unknown key 'sedes'", "seeds"]),
    ],
)
def test_mistakes_in_a_file_name_the_file(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "x.toml").write_text(text)
    sentence = one_sentence(ablate("run", tmp_path / "x.toml", cwd=tmp_path))
    for part in expected:
        assert part in sentence


def test_changes_on_the_command_line_win(tmp_path):
    (tmp_path / "x.toml").write_text('ops = ["crop"]\n[axes]\ntemperature = [0.1]\n')
    file = read(tmp_path / "x.toml", ["epochs=5", "seeds=[2, 3]", "axes.temperature=[0.3]", "branches=two"])
    assert (file.set, file.seeds, file.branches) == ({"epochs": 5}, [2, 3], "two")
    assert [str(point) for point in points(file)] == ["temperature=0.3"]
    for change, expected in (
        ("temperature=1", "is an axis"),
        ("epohcs=1", "did you mean 'epochs'"),
        ("x", "NAME=VALUE"),
    ):
        with pytest.raises(UsageError, match=expected):
            read(tmp_path / "x.toml", [change])


def test_triples_unordered_pairs_and_pairs_with_an_op(images):
    ops = ["crop", "color", "blur", "sobel"]
    triples = [label for label in labels(resolved(images, ops=ops, order=3)) if label.count("+") == 2]
    assert len(triples) == len(set(triples)) == 4 * 3 * 2
    assert len(labels(resolved(images, ops=ops, order=3, unordered=True))) == 4 + 6 + 4
    found = labels(resolved(images, ops=ops, pairs_with=["crop"]))
    assert sorted(found) == sorted([*ops, *(f"crop+{op}" for op in ops[1:]), *(f"{op}+crop" for op in ops[1:])])
    beside = labels(resolved(images, ops=ops, compositions=["crop+color+blur", "crop+color", "crop+crop"]))
    assert beside[16:] == ["crop+color+blur", "crop+crop"]  # crop+color is in the grid


class Checked(Exception):
    """Everything that needs no images has been found right."""


def checked(wish):
    raise Checked


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_valid_and_says_what_it_is(path):
    file = read(path)
    small = {**file.set} | {"image_size": 32} if file.set.get("image_size", 0) > 32 else file.set
    with pytest.raises(Checked):
        plan_sweep(file.model_copy(update={"set": small}), Path("nowhere"), checked, "", elsewhere="cpu")
    jsonschema.validate(tomllib.loads(path.read_text()), json.loads(json_schema()))
    header = path.read_text().split("\n\n")[0]
    for heading in ("command:", "data:", "hardware:", "wall time:", "result:"):
        assert heading in header, heading


def test_the_schema_that_ships_is_the_one_that_is_printed(tmp_path):
    assert ablate("schema", cwd=tmp_path).stdout == Path("experiments/schema.json").read_text()
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"ops": ["crop"], "sedes": 1}, schema)


def test_a_file_survives_being_written(tmp_path):
    file = validated({**GRID, "axes": AXES, "exclude": [{"head": "mlp"}], "set": {"base.area": [0.3, 1.0]}}, "test")
    (tmp_path / "x.toml").write_text(to_toml(file, "ablate grid"))
    assert read(tmp_path / "x.toml") == file


def on_tiny(tiny_folder, cache, out, *arguments):
    line = [sys.executable, "-m", "ablate", *map(str, arguments), "--cache", str(cache), "--out", str(out)]
    return run_here(line)


@pytest.mark.slow
def test_a_grid_is_a_shorthand_for_the_file_that_it_leaves(tiny_folder, cache, tmp_path):
    grid = on_tiny(
        tiny_folder, cache, tmp_path / "grid",
        "grid", "--ops", "crop,color(strength=0.5)", "--data", f"folder:{tiny_folder}", *SETTINGS, "--first-seed", "3",
    )  # fmt: skip
    assert grid.returncode == 0, grid.stdout + grid.stderr
    again = on_tiny(tiny_folder, cache, tmp_path / "again", "run", tmp_path / "grid" / EXPERIMENT)
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(tmp_path / "grid") == results(tmp_path / "again")
    one, other = (load_plan(tmp_path / name) for name in ("grid", "again"))
    assert one.model_copy(update={"command": ""}) == other.model_copy(update={"command": ""})


@pytest.mark.slow
def test_a_file_with_axes_runs_resumes_extends_and_refuses_what_changed(tiny_folder, cache, tmp_path):
    settings = "\n".join(
        f'"{name}" = {value}'
        for name, value in {
            "image_size": 16, "epochs": 1, "warmup_epochs": 0, "batch_size": 16, "encoder.name": '"resnet8"',
            "encoder.width": 4, "head.hidden": 8, "head.output": 4, "optimiser.name": '"adamw"', "optimiser.lr": 0.01,
        }.items()
    )  # fmt: skip
    path, out = tmp_path / "x.toml", tmp_path / "out"
    path.write_text(
        f'data = "folder:{tiny_folder}"\ndevice = "cpu"\ncompositions = ["crop", "none"]\n[set]\n{settings}\n'
        "[axes]\ntemperature = [0.1, 0.5]\n"
    )
    with without_workers():  # unlike below, with figures
        first = ablate("run", path, "--cache", cache, "--out", out)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 cells x 1 seed + 1 reference = 5 trials; 5 to run" in first.stdout
    assert (out / "report" / "axis.png").stat().st_size > 0
    again = on_tiny(tiny_folder, cache, out, "run", path)
    assert "5 trials; 5 done; 0 to run" in again.stdout
    more = on_tiny(tiny_folder, cache, out, "run", path, "--set", "axes.temperature=[0.5, 1.0]")
    assert "6 cells x 1 seed + 1 reference = 7 trials; 5 done; 2 to run" in more.stdout
    line = ["run", path, "--cache", cache, "--out", out]
    assert "head.output was 4, is 8" in one_sentence(ablate(*line, "--set", "head.output=8", cwd=tmp_path))
    axes = one_sentence(ablate(*line, "--set", "axes.loss_scale=[1.0, 2.0]", cwd=tmp_path))
    assert "its axes were temperature, are temperature, loss_scale" in axes
    refused = ablate("recommend", out, cwd=tmp_path)
    assert "also varies temperature" in one_sentence(refused)


def test_every_point_is_resolved_once_without_images_and_once_with_them(images, monkeypatch):
    calls = []
    monkeypatch.setattr(settings, "shared_config", lambda *args: calls.append(args[1].name) or shared_config(*args))
    resolved(images, compositions=["crop"], axes={"epochs": [10, 20]})
    assert calls == [""] * 3 + [images.name] * 3  # the bare setting, of references, and two points


def test_trial_config_is_the_points_own(images):
    experiment = resolved(images, compositions=["crop"], axes={"epochs": [10, 20]})
    for variant in experiment.variants:
        file = validated(
            {"compositions": ["crop"], "device": "cpu", "data": "glyphs"}
            | {"set": {"batch_size": 16, "image_size": 16, "epochs": int(variant.values["epochs"])}},
            "test",
        )
        assert variant.shared == trial_config(file, images)
