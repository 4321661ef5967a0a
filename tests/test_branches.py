"""Different branches, `A|B`, from the command line to the page, the pipelines and the kept encoders."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from ablate.data import prepare
from ablate.planning.compositions import acting, acting_on, parse_one
from ablate.report.data.results import read_sweep
from ablate.sweep.layout import KORNIA_CODE, TORCHVISION_CODE, SweepDir
from ablate.sweep.plan import load_plan, plan
from tests.support.cli import ablate, one_sentence
from tests.support.wishes import wish

BYOL = "crop+color+blur(p=1.0)|crop+color+blur(p=0.1)+solarize(p=0.2)"
SMALL = ("--size", "16", "--epochs", "2", "--batch-size", "16", "--set", "encoder.name=resnet8")
SMALL += ("--set", "encoder.width=4", "--device", "cpu", "--preset", "one-gpu")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["grid", "--ops", "crop,color", "--include", "crop|color"], ["crop|color", "use --branches two"]),
        (["train", "crop|color", "--branches", "one"], ["crop|color", "only the first", "use --branches two"]),
        (["preview", "crop|color", "--branches", "one"], ["use --branches two"]),
        (["train", "crop|color", "--objective", "supervised"], ["supervised training sees only the first"]),
        (["grid", "--ops", "crop|color"], ["'crop|color' is a composition"]),
        (["grid", "--ops", "blur,color", "--first", "color"], ["color|blur", "use --branches two"]),
        (["grid", "--ops", "crop", "--branches", "two", "--first", "crop|color"], ["'crop|color' has two branches"]),
        (["grid", "--ops", "crop", "--branches", "two", "--first", "colr"], ["did you mean 'color'"]),
        (["search", "--ops", "crop|color,blur", "--budget", "1h"], ["'crop|color' is a composition"]),
        (["train", "crop", "--branches", "one", "--share-crop"], ["crop: --share-crop is for --branches two"]),
        (["train", "crop", "--set", "base.area=(0.2,1.0)"], ["--branches one or --share-crop"]),
    ],
)
def test_views_that_are_not_augmented_have_no_ops(line, expected, tmp_path):
    message = one_sentence(ablate(*line, cwd=tmp_path))
    for part in expected:
        assert part in message
    assert list(tmp_path.iterdir()) == []


def test_a_point_with_one_branch_names_itself_or_leaves_the_cell_out(tiny_folder, cache, tmp_path, unmeasured):
    file = tmp_path / "both.toml"
    content = f'data = "folder:{tiny_folder}"\ndevice = "cpu"\ncompositions = ["crop", "crop|color"]\n'
    axes = '[axes]\nbranches = ["one", "two"]\n[set]\nbatch_size = 16\n'
    file.write_text(content + axes)
    line = ["run", file, "--dry-run", "--cache", cache, "--out", tmp_path / "out"]
    assert "at branches=one: crop|color gives the second view ops of its own" in one_sentence(ablate(*line))
    file.write_text(content + 'exclude = [{ composition = "crop|color", branches = "one" }]\n' + axes)
    done = ablate(*line)
    assert done.returncode == 0, done.stderr
    assert "4 trials" in done.stdout  # three cells and the untrained encoder


@pytest.mark.slow
def test_a_grid_of_the_second_view_keeps_the_first(tiny_folder, cache, tmp_path, undrawn):
    line = ["grid", "--ops", "crop,blur", "--first", "crop", "--branches", "two", "--order", "2"]
    line += ["--data", f"folder:{tiny_folder}", "--cache", cache, *SMALL, "--include", "crop|crop+blur+noise"]
    done = ablate(*line, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    whole = load_plan(tmp_path / "out")
    cells = {trial.label: trial.config for trial in plan(whole) if trial.reference is None}
    assert list(cells) == ["crop|crop", "crop|crop+blur", "crop|blur+crop", "crop|blur", "crop|crop+blur+noise"]
    assert [config.op_names for config in cells.values()] == [
        *("crop", "crop|crop+blur", "crop|blur+crop", "crop|blur", "crop|crop+blur+noise")
    ]
    grid = read_sweep(tmp_path / "out").grid
    assert [cell.label for cell in grid.compositions] == list(cells)
    assert all(cell.n == 1 for cell in grid.compositions)
    assert "the first goes through crop." in (tmp_path / "out" / "report" / "caption.txt").read_text()
    other = ablate(*line[:4], "blur", *line[5:], "--out", "out", cwd=tmp_path)
    assert "first.label was 'crop', is 'blur'" in one_sentence(other)
    assert ablate("recommend", tmp_path / "out").returncode == 0


def test_every_op_of_both_branches_acts_on_the_share_asked_for():
    assert acting(wish(branches="two"), "crop+blur|color", 1.0) == "crop+blur(p=1.0)|color(jitter_p=1.0)"
    assert acting(wish(branches="two"), "blur|none", 1.0) == "blur(p=1.0)|none"
    assert acting_on(wish(branches="two", ops=["crop"], first="blur"), 1.0).first == "blur(p=1.0)"


def test_a_contact_sheet_shows_both_branches(cache):
    from ablate.cli.contact_sheet import draw_sheet

    asked = wish(branches="two")
    figure = draw_sheet(asked, [parse_one(asked, "color|solarize")], prepare("glyphs", cache=cache), 2, 8, 0)
    assert [len(axes.patches) for axes in figure.axes] == [
        9,
        9,
        2,
        2,
    ]  # the original and its draws; solarize draws none
    words = [text.get_text() for row in (0, 2) for text in figure.axes[row].texts if text.get_text()]
    assert {"view 1: draws", "view 2: every draw", "applied"} <= set(words)
    title = figure.axes[0].get_title(loc="left").splitlines()
    assert title[0] == "color|solarize"
    assert [line.split("(")[0] for line in title if "(" in line and "view" in line] == [
        "  view 1: color",
        "  view 2: solarize",
    ]


@pytest.mark.slow
def test_a_sweep_of_different_branches_ends_in_a_page_and_pipelines(tiny_folder, cache, tmp_path, undrawn):
    """Trained, resumed, reported, exported and recommended; the untrained encoder is no better, so all is shown."""
    line = ["grid", "--ops", "crop", "--include", f"{BYOL},none|crop", "--branches", "two", "--seeds", "2"]
    line += ["--data", f"folder:{tiny_folder}", "--cache", cache, "--keep-encoders", "all", *SMALL, "--out", "out"]
    done = ablate(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    out = tmp_path / "out"
    labels = {trial.label: trial for trial in plan(load_plan(out)) if trial.reference is None}
    assert list(labels) == ["crop", BYOL, "none|crop"]
    again = ablate(*line, cwd=tmp_path)
    assert again.returncode == 0 and "8 done; 0 to run" in again.stdout, again.stdout

    table = pd.read_csv(out / "report" / "table.csv")
    assert {BYOL, "none|crop"} <= set(table["label"])
    page = (out / "report" / "index.html").read_text()
    assert "second view:" in page and "solarize(" in page

    to = tmp_path / "trials.csv"
    assert ablate("export", out, "--to", "csv", "--out", to).returncode == 0
    rows = pd.read_csv(to).set_index("label")
    assert set(rows.loc[BYOL, "second.op4"]) == {"solarize"}
    assert json.loads(rows.loc["none|crop", "second"].iloc[0])[0]["name"] == "crop"
    assert rows.loc["crop", "second"].isna().all()

    trial = labels[BYOL]
    sidecar = json.loads((out / "encoders" / f"{trial.id}.json").read_text())
    assert "solarize" in json.dumps(sidecar)
    assert SweepDir(out).preview(trial.config.key).exists()
    assert ablate("evaluate", out, "--protocol", "rankme", "--cache", cache).returncode == 0


def test_a_recommended_pair_of_branches_is_written_with_both(tmp_path):
    from ablate.ops.composition import Composition
    from ablate.report.recommendation import files
    from ablate.report.recommendation.recommend import recommend
    from tests.support.recommendations import make

    made = Composition.parse("crop+color|crop+solarize")
    label = str(made)
    directory = make(tmp_path / "sweep", branches="two")
    old = load_plan(directory)
    from ablate.config.sweep import NamedComposition
    from ablate.sweep.plan import save_plan
    from tests.support.sweeps import record, write_record

    named = NamedComposition(label=label, ops=made.specs(), second=made.second_specs())
    save_plan(directory, old.replace(compositions=(named,)))
    reread = load_plan(directory)
    assert reread.compositions == (named,)
    for trial in plan(reread):
        if trial.label == label:
            write_record(directory, record(trial, 0.95 + 0.001 * trial.seed, timings={"cpu": 1.0, "total": 1.0}))
    found = recommend(directory)
    assert found.final is not None and found.final.cell.label == label
    files.write(found)
    content = json.loads((directory / "report" / "recommendation.json").read_text())["recommended"]
    assert [op["name"] for op in content["second"]] == ["crop", "solarize"]
    for name in (KORNIA_CODE, TORCHVISION_CODE):
        code = (directory / "report" / name).read_text()
        assert "augment_first(start_first(" in code and "augment_second(start_second(" in code
