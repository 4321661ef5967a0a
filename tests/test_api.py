from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

import ablate
from ablate.errors import UsageError
from ablate.report.data.results import read_sweep
from tests.support.cli import ablate as command
from tests.support.in_process import without_workers

COMMITTED = Path(__file__).parents[1] / "results" / "fig5-glyphs-5-seeds"
IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_every_public_name_completes_and_resolves():
    assert set(dir(ablate)) == set(ablate.__all__)
    assert all(getattr(ablate, name) is not None for name in ablate.__all__)


def test_completion_imports_no_torch():
    code = "import sys, ablate; dir(ablate); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_op_is_callable():
    op = ablate.op("color")
    floats = IMAGES.float() / 255
    expected = op.apply(floats, op.sample(4, (16, 16), generator()))
    assert torch.equal(op(floats, generator()), expected)
    assert torch.equal(op(IMAGES, generator()), expected)
    torch.manual_seed(1)
    assert torch.equal(op(floats), expected)


def test_a_composition_is_callable():
    made = ablate.Composition([ablate.op("crop"), ablate.op("color")])
    assert made == ablate.Composition.parse("crop+color")
    assert {made: 1}[ablate.Composition.parse("crop+color")] == 1
    one = generator()
    expected = ablate.op("color")(ablate.op("crop")(IMAGES, one), one)
    assert torch.equal(made(IMAGES, generator()), expected)
    assert torch.equal(ablate.Composition([])(IMAGES), IMAGES.float() / 255)


@pytest.mark.parametrize("call", [ablate.op("color"), ablate.Composition.parse("color")])
@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES.permute(0, 2, 3, 1), r"images.permute\(0, 3, 1, 2\)"),
        (IMAGES.long(), "uint8, uint16, or float"),
        (IMAGES.numpy(), "tensor .* ndarray"),
        (IMAGES[0], r"\[n, c, h, w\]"),
    ],
)
def test_images_of_another_shape_or_type_are_refused_in_a_sentence(call, images, said):
    with pytest.raises(UsageError, match=said):
        call(images)


def test_a_pair_names_the_shape_that_it_was_given():
    pair = ablate.TransformPair.one_branch("color", size=8)
    with pytest.raises(ValueError, match=r"\[4, 16, 16, 3\]; for images \[n, h, w, c\]"):
        pair(IMAGES.permute(0, 2, 3, 1), generator())


def test_an_op_without_a_transform_is_refused_when_it_is_registered():
    with pytest.raises(UsageError, match="needs a method transform"):

        @ablate.register("without_transform")
        class Idle(ablate.Op):
            """Do nothing."""

    with pytest.raises(UsageError, match="unknown op"):
        ablate.op("without_transform")


def test_what_a_notebook_prints_is_short(cache):
    data = ablate.prepare("glyphs", cache=cache)
    shown = [data, data.train, data.train.images]
    sweep, found = read_sweep(COMMITTED), ablate.recommend(COMMITTED)
    shown += [found.choice, sweep, sweep.grid, next(iter(sweep.records.values()))]
    assert all(len(repr(value)) < 250 for value in shown)
    assert "4096 training images" in repr(data)
    assert found.choice.best.cell.label in repr(found)


def test_a_heatmap_is_drawn_from_a_directory_and_shows_in_a_notebook():
    figure = ablate.heatmap(COMMITTED)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []
    with pytest.raises(UsageError, match="there is no directory"):
        ablate.heatmap("results/there-is-none")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epoch": 1}, "allowed: out, workers, cache, retry_failed, data"),
        ({"seed": 3}, "unknown argument of ablate.grid 'seed'.*did you mean 'seeds'"),
        ({"branches": "three"}, "branches must be 'one' or 'two'"),
        ({"epochs": -1}, "epochs"),
        ({"set": 3}, "set of ablate.grid must be a table of settings"),
        ({"workers": 0}, "workers of ablate.grid must be at least 1, not 0"),
        ({"axes": {"temperature": [0.1, 0.2]}}, "ablate run FILE"),
    ],
)
def test_a_grid_from_python_refuses_in_a_sentence(tmp_path, settings, said):
    with pytest.raises(UsageError, match=said):
        ablate.grid("crop", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_grid_from_python_is_the_command_lines(tmp_path, tiny_folder, cache):
    small = {"preset": "glyphs", "image_size": 16, "batch_size": 8, "epochs": 1, "set": {"encoder.width": 4}}
    with without_workers():
        frame = ablate.grid(["color"], tmp_path, data=f"folder:{tiny_folder}", cache=cache, workers=1, **small)
    assert sorted(frame["label"]) == ["color", "untrained"]
    assert (tmp_path / "report" / "index.html").exists()
    told = command("run", "experiment.toml", "--out", ".", "--cache", cache, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "2 done" in told.stdout or "0 to run" in told.stdout
