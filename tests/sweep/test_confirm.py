"""A one-branch sweep's choice, run again on both branches."""

from __future__ import annotations

import shutil

import pytest

from ablate.config.sweep import NamedComposition, NamedOp, Search
from ablate.ops import parse_op, spec
from ablate.ops.composition import Composition
from ablate.ops.pair import TransformPair
from ablate.sweep.confirm import confirmation, shares_no_crop
from ablate.sweep.layout import CONFIRMATION
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.prune import RUNGS
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, results
from tests.support.in_process import run_here, without_workers
from tests.support.sweeps import make_experiment


def recommend(directory, *args):
    with without_workers():
        return ablate("recommend", directory, *args)


@pytest.fixture(scope="module")
def sweep(tiny_folder, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("confirm") / "out"
    done = run_here(command(tiny_folder, cache, out, "--workers", "1", ops="color"))
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_what_a_pruned_sweep_or_a_search_chose_is_trained_to_the_end():
    ops = (NamedOp(label="color", op=spec(parse_op("color"))),)
    found = (NamedComposition(label="color", ops=(ops[0].op,)),)
    chosen = make_experiment(["a", "b"], 2).model_copy(update={"prune": RUNGS, "search": Search(ops=ops)})
    planned = confirmation(chosen, found, 3, "ablate recommend")
    assert (planned.prune, planned.search) == ((), None)
    assert [(t.label, t.seed) for t in plan(planned) if not t.reference] == [("color", seed) for seed in (2, 3, 4)]
    assert planned.shared.branches == "two"


def test_candidates_are_named_that_lose_the_crop_of_the_sweep():
    """Which of them do is what the pair of two branches does: a leading crop is taken from the stored image."""
    texts = ("crop+color", "crop", "sobel+color", "color+crop", "crop(p=0.5)+color")
    named = {text: NamedComposition(label=text, ops=Composition.parse(text).specs()) for text in texts}
    for text, composition in named.items():
        crops = TransformPair.two_branch(text, 16)._stored_crop(1) is not None
        assert (shares_no_crop([composition]) == "") == crops
    assert shares_no_crop([named["crop+color"], named["crop"]]) == ""
    told = shares_no_crop(list(named.values()))
    assert "share no crop: there, sobel+color, color+crop and crop(p=0.5)+color start from the centre" in told
    assert "no crop: there, sobel+color starts from the centre of each image" in shares_no_crop([named["sobel+color"]])


def test_a_dry_run_writes_nothing(sweep, cache, unmeasured):
    done = ablate("recommend", sweep, "--confirm", "--dry-run", "--cache", cache)
    assert done.returncode == 0, done.stderr
    assert "1 cell x 3 seeds + 3 references = 6 trials; 6 to run" in done.stdout
    assert not (sweep / CONFIRMATION).exists()


def test_a_confirmation_runs_and_the_same_command_runs_what_is_missing(sweep, cache, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(sweep, out)
    line = ("--confirm", "--seeds", "1", "--workers", "1", "--cache", str(cache))
    done = recommend(out, *line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Confirmation on both branches with fresh seeds" in done.stdout
    fresh = load_plan(out / CONFIRMATION)
    assert fresh.shared.branches == "two"
    assert {trial.seed for trial in plan(fresh)} == {1}
    first = results(out / CONFIRMATION)
    assert len(first) == 2
    next(path for path in (out / CONFIRMATION / "trials").iterdir()).unlink()
    assert "The confirmation has 1 of 2 trials" in recommend(out).stdout
    again = recommend(out, *line)
    assert "1 done; 1 to run" in again.stdout, again.stderr
    assert results(out / CONFIRMATION) == first


def test_images_that_are_gone_are_said(sweep, tiny_folder, tmp_path):
    moved = tiny_folder.with_name("tiny-moved")
    tiny_folder.rename(moved)
    try:
        done = recommend(sweep, "--confirm", "--cache", str(tmp_path / "empty"))
    finally:
        moved.rename(tiny_folder)
    assert done.returncode == 2
    assert str(tiny_folder) in done.stderr
    assert "Traceback" not in done.stderr


def test_images_that_are_others_by_now_are_said(sweep, tiny_folder, tmp_path):
    extra = next(tiny_folder.glob("train/*/*"))
    copy = extra.with_name(f"another-{extra.name}")
    shutil.copy(extra, copy)
    try:
        done = recommend(sweep, "--confirm", "--cache", str(tmp_path / "empty"))
    finally:
        copy.unlink()
    assert done.returncode == 2
    assert "have changed since the sweep" in done.stderr


@pytest.mark.parametrize("flag", [("--seeds", "2"), ("--workers", "1"), ("--retry-failed",), ("--dry-run",)])
def test_what_belongs_to_a_confirmation(sweep, flag):
    assert "add --confirm" in one_sentence(ablate("recommend", sweep, *flag))


def test_a_directory_without_a_sweep(tmp_path):
    assert "is not a sweep directory" in one_sentence(ablate("recommend", tmp_path))
