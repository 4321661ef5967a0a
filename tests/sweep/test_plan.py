from __future__ import annotations

import re

import pytest

from ablate.config.base import OpSpec
from ablate.config.slurm import Slurm
from ablate.config.sweep import NamedComposition, NamedOp, Search, Variant
from ablate.console import clock
from ablate.errors import UsageError
from ablate.launch.timing import remaining_seconds
from ablate.sweep.extend import extend
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.conftest import op_spec


def test_a_grid_of_k_ops_has_k_squared_cells_and_its_references(experiment):
    trials = plan(experiment)
    cells = [t for t in trials if t.reference is None and t.seed == 0]
    assert [t.label for t in cells] == ["crop", "crop+color", "color+crop", "color"]
    assert [len(t.config.composition) for t in cells] == [1, 2, 2, 1]  # the diagonal applies its op once
    assert [t.reference for t in trials if t.reference] == ["untrained"] * 2
    assert len({t.id for t in trials}) == len(trials) == 2 * 5


def test_order_matters(experiment):
    by_label = {t.label: t for t in plan(experiment) if t.seed == 0}
    assert by_label["crop+color"].config.key != by_label["color+crop"].config.key


def test_references(experiment):
    full = experiment.model_copy(update={"references": ("untrained", "no-op", "supervised")})
    by_name = {t.reference: t.config for t in plan(full) if t.seed == 0 and t.reference}
    assert by_name["untrained"].epochs == 0
    assert by_name["no-op"].composition == ()
    assert by_name["no-op"].epochs == by_name["supervised"].epochs == experiment.shared.epochs
    assert by_name["supervised"].objective == "supervised"
    assert [op.name for op in by_name["supervised"].composition] == ["crop"]


def test_the_supervised_reference_has_no_loss_scale(experiment):
    """It is NT-Xent's; so its key is not that of the records of versions that applied it to cross-entropy as well."""
    shared = experiment.shared.model_copy(update={"loss_scale": 2.0})
    twice = experiment.model_copy(update={"shared": shared, "references": ("untrained", "supervised")})
    scales = {t.reference: t.config.loss_scale for t in plan(twice)}
    assert scales == {None: 2.0, "untrained": 2.0, "supervised": 1.0}
    (supervised, _) = (t.config for t in plan(twice) if t.reference == "supervised")
    assert type(supervised).model_validate(supervised.model_dump()) == supervised


def test_a_sweep_that_is_refused_today_can_still_be_read(experiment, tmp_path):
    """A supervised variant with a loss_scale: its keys are what they were, and asking for it anew is another sweep."""
    scaled = experiment.shared.model_copy(update={"objective": "supervised", "loss_scale": 2.0})
    variant = Variant(values={"objective": "supervised"}, shared=scaled)
    save_plan(tmp_path, experiment.model_copy(update={"variants": (variant,)}))
    old = load_plan(tmp_path)
    cells = [t.config for t in plan(old) if not t.reference]
    assert cells
    assert all(cell.key == scaled.model_copy(update={"composition": cell.composition}).key for cell in cells)
    unscaled = variant.model_copy(update={"shared": scaled.model_copy(update={"loss_scale": 1.0})})
    with pytest.raises(UsageError, match=r"loss_scale at objective=supervised was 2\.0, is 1\.0"):
        extend(old, experiment.model_copy(update={"variants": (unscaled,)}), tmp_path)


@pytest.mark.parametrize("branches", ["one", "two"])
def test_sweep_file_round_trip_keeps_every_key(experiment, tmp_path, branches):
    if branches == "two":
        shared = experiment.shared.model_copy(update={"branches": "two", "base": None})
        experiment = experiment.model_copy(update={"shared": shared})
    save_plan(tmp_path, experiment)
    loaded = load_plan(tmp_path)
    assert loaded == experiment
    assert [t.id for t in plan(loaded)] == [t.id for t in plan(experiment)]


def test_a_difference_is_told_by_its_cause(experiment, tmp_path):
    """Not by what follows from it: the base crop of two branches, the ops of a search or of a first view."""
    two = experiment.shared.model_copy(update={"branches": "two", "base": None})
    search = experiment.model_copy(update={"search": Search(ops=experiment.ops)})
    first = experiment.model_copy(update={"first": NamedComposition(label="crop", ops=(op_spec("crop"),))})
    for changed, expected in (
        (experiment.model_copy(update={"shared": two}), "(branches was 'one', is 'two');"),
        (search, "(kind was 'sweep', is 'search');"),
        (first, "(first.label was not given, is 'crop');"),
    ):
        with pytest.raises(UsageError) as caught:
            extend(experiment, changed, tmp_path)
        assert expected in str(caught.value)


def test_a_name_keeps_its_composition(experiment, tmp_path):
    one, other = (NamedComposition(label="mine", ops=(op_spec(name),)) for name in ("crop", "color"))
    before, after = (experiment.model_copy(update={"compositions": (item,)}) for item in (one, other))
    with pytest.raises(UsageError, match="the composition called 'mine' was another one"):
        extend(before, after, tmp_path)
    assert extend(before, before, tmp_path).compositions == (one,)


def test_more_seeds_and_ops_extend(experiment, tmp_path):
    blur = NamedOp(label="blur", op=op_spec("blur"))
    wider = experiment.model_copy(update={"ops": (experiment.ops[0], blur), "seeds": (0, 1, 2)})
    merged = extend(experiment, wider, tmp_path)
    assert [op.label for op in merged.ops] == ["crop", "color", "blur"]
    assert merged.seeds == (0, 1, 2)
    assert {t.id for t in plan(experiment)} <= {t.id for t in plan(merged)}


def test_a_sweep_planned_before_learns_how_often_its_ops_act(experiment, tmp_path):
    """What is derived from an op is no difference between two sweeps, of a grid or of a search, and changes no key."""
    named = tuple(op.model_copy(update={"acts": 0.5}) for op in experiment.ops)
    new = experiment.model_copy(update={"ops": named})
    whole = extend(experiment, new, tmp_path)
    assert [op.acts for op in whole.ops] == [0.5, 0.5]
    assert [trial.id for trial in plan(whole)] == [trial.id for trial in plan(experiment)]
    save_plan(tmp_path, whole)
    assert load_plan(tmp_path) == whole
    before, after = (
        experiment.model_copy(update={"ops": (), "search": Search(ops=ops)}) for ops in (experiment.ops, named)
    )
    assert extend(before, after, tmp_path).search == after.search


def test_other_images_are_refused_with_what_chose_them(experiment, tmp_path):
    """Content that changed at the same place has no other sign; a place whose images are the same is no difference."""
    identity = experiment.shared.data.model_copy(update={"fingerprint": "f" * 16, "classes": 3})
    shared = experiment.shared.model_copy(update={"data": identity})
    before = experiment.model_copy(update={"eval_data": "folder:leaves"})
    for asked, said in (
        ({"eval_data": ["folder:leaves", "folder:insects"]}, "eval_data was 'folder:leaves', is ['folder:leaves', "),
        ({"limit": 300}, "another sweep (limit was not given, is 300); choose"),
        ({"data": "folder:photos"}, f"another sweep (data was {experiment.data!r}, is 'folder:photos'); choose"),
        ({}, "the images have changed"),
    ):
        after = before.model_copy(update={"shared": shared, **asked})
        with pytest.raises(UsageError, match=re.escape(said)) as refusal:
            extend(before, after, tmp_path)
        assert ("the images have changed" in str(refusal.value)) == (not asked)
    assert extend(before, before.model_copy(update={"data": "folder:moved"}), tmp_path).data == "folder:moved"


def test_a_changed_setting_is_refused_with_the_difference(experiment, tmp_path):
    shared = experiment.shared.model_copy(update={"epochs": 7})
    with pytest.raises(UsageError, match="epochs was 100, is 7"):
        extend(experiment, experiment.model_copy(update={"shared": shared}), tmp_path)
    crop = NamedOp(label="crop", op=OpSpec(name="crop", version=2, params={"p": 1.0}))
    with pytest.raises(UsageError, match="crop was version=1 and is 2"):
        extend(experiment, experiment.model_copy(update={"ops": (crop,)}), tmp_path)


def test_not_a_sweep_directory(tmp_path):
    with pytest.raises(UsageError, match=r"has no sweep\.toml"):
        load_plan(tmp_path)
    (tmp_path / "sweep.toml").write_text("seeds = [")
    with pytest.raises(UsageError, match="is damaged"):
        load_plan(tmp_path)


def test_remaining_seconds_lays_trials_out_over_workers():
    assert remaining_seconds(10, 4, (), 2) == 20
    assert remaining_seconds(10, 3, (), 2) == 20  # the last trial runs alone
    assert remaining_seconds(10, 1, (2, 9), 2) == 12
    assert remaining_seconds(10, 0, (3,), 2) == 3


def test_clock():
    assert [clock(s) for s in (0.0, 0.3, 4.4, 65, 7260)] == ["0 s", "under 1 s", "4 s", "1 min 05 s", "2 h 01 min"]


def test_a_sweep_keeps_its_slurm_settings_when_it_goes_on_here(experiment, tmp_path):
    submitted = experiment.model_copy(update={"slurm": Slurm(partition="gpu")})
    assert extend(submitted, experiment, tmp_path).slurm == Slurm(partition="gpu")
    assert extend(submitted, submitted.model_copy(update={"slurm": Slurm()}), tmp_path).slurm == Slurm()
