"""Several labelled sets to evaluate on: the first for the main task, the others for further tasks of their names."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

from ablate.config.experiment import Experiment
from ablate.config.tasks import metrics_of
from ablate.data import Images, prepare, read_entry
from ablate.errors import UsageError
from ablate.planning.images import about_shapes, described
from tests.data.images import fill
from tests.support.cli import ablate, one_sentence


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Folders: 20 photos without classes; animals and plants, two classes each; in other, different animals."""
    root = tmp_path_factory.mktemp("several")
    fill(root / "photos", 20, first=9000)
    for number, name in enumerate(("animals/cat", "animals/dog", "plants/fern", "plants/moss", "other/animals/a")):
        fill(root / name, 20 + number, first=1000 * number)
    fill(root / "other" / "animals" / "b", 20, first=7000)
    shutil.copytree(root / "plants" / "fern", root / "fern")
    columns = {"path": [f"{i:05}.bmp" for i in range(20)], "label": ["x", "y"] * 10, "side": [*"lr"] * 10}
    names = sorted(path.name for path in (root / "fern").iterdir())
    pd.DataFrame(columns | {"path": names[:20]}).to_csv(root / "fern" / "ferns.csv", index=False)
    return root


@pytest.fixture
def get(root, cache):
    def prepared(data, *evaluated, **kwargs):
        every = [f"folder:{root / name}" for name in evaluated]
        return prepare(f"folder:{root / data}", eval_data=every, cache=cache, image_size=16, **kwargs)

    return prepared


def test_every_other_set_is_a_further_task(get, cache):
    one, data = get("photos", "animals"), get("photos", "animals", "plants")
    assert data.fingerprint != one.fingerprint
    assert data.name == "photos, evaluated on animals and plants"
    assert torch.equal(data.train.labels, one.train.labels) and torch.equal(data.pretrain.labels, one.pretrain.labels)
    again = read_entry(cache, data.fingerprint)
    for (plants,) in (data.further, again.further):
        assert (plants.name, plants.classes, len(plants.test.labels)) == ("plants", ("fern", "moss"), 8)
    main, further = data.every_task("label")
    assert (main.name, main.class_counts) == ("animals", one.all_class_counts)
    assert (further.name, further.kind, further.images) == ("plants", "classes", (37, 2, 8))
    assert again.every_task("label") == (main, further)
    assert len({get("photos", "plants", "animals").fingerprint, data.fingerprint}) == 2
    assert "further" not in json.loads((cache / "sets" / one.fingerprint / "meta.json").read_text())["recipe"]


def test_another_number_of_images_than_the_limit_is_explained(get):
    some = get("plants", "plants", limit=16)
    number = len(some.train.labels)
    assert f"; limit {number + 1} is approximate: classes" in described(some, 16, [], limit=number + 1)
    assert "approximate" not in described(some, 16, [], limit=number)


def test_a_set_whose_images_are_not_square_is_named(get):
    data = get("photos", "animals", "plants")
    animals, plants = about_shapes(data, named=True)
    assert animals.startswith("the images of animals are not square: ")
    assert plants.startswith("the images of plants are not square: ")
    square = replace(data, train=replace(data.train, images=Images(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))))
    assert about_shapes(square, named=True) == [plants]
    assert about_shapes(get("photos", "animals"), named=True) == [animals]


def test_small_classes_of_every_set_are_named(get):
    text = described(get("photos", "animals", "plants"), 16, [], "top1")
    assert text.splitlines()[0].endswith("; compositions are ranked by top-1 accuracy")
    assert text.count("ranked by") == 1
    assert text.count(" of 2 classes have fewer than 10 ") == 2
    assert "task plants: 2 of 2 classes have fewer than 10 validation or test images (fern: " in text


def test_a_fraction_of_images_and_labels_is_kept_of_every_set(get):
    (plants,) = get("photos", "animals", "plants", limit=16, labels=0.5).further
    assert plants.name == "plants"
    assert len(plants.train.labels) < 20
    assert 0 < len(plants.labelled) < len(plants.train.labels)


def test_the_images_to_pretrain_on_hold_no_test_image_of_a_further_task(get):
    alone = get("plants")
    data = get("plants", "animals", "plants")
    assert len(data.pretrain.labels) == len(alone.train.labels)
    assert len(get("plants", "animals").pretrain.labels) == len(alone.train.labels) + len(alone.test.labels)
    (own,) = data.further
    assert torch.equal(own.test.labels, alone.test.labels)
    own_first = get("plants", "plants", "animals")
    assert own_first.pretrain is own_first.train
    assert own_first.name == "plants, evaluated on plants and animals"


@pytest.mark.parametrize(
    ("evaluated", "message"),
    [
        (("animals", "other/animals"), "--eval-data names two data sets called animals, and a task has the name of"),
        (("animals", "photos"), "evaluation needs labelled images, and folder:.*photos has no classes"),
    ],
)
def test_sets_that_make_no_task_are_refused(get, evaluated, message):
    with pytest.raises(UsageError, match=message):
        get("photos", *evaluated)


def test_several_columns_and_several_sets_are_refused(root, cache):
    sets = [f"table:{root / 'fern' / 'ferns.csv'}", f"folder:{root / 'animals'}"]
    with pytest.raises(UsageError, match="several columns of --label, as ferns has, are tasks on the same images, and"):
        prepare(f"folder:{root / 'photos'}", eval_data=sets, label="label,side", cache=cache, image_size=16)


def test_one_set_is_a_word_and_several_are_a_list(root, tmp_path):
    one = Experiment(ops=["crop"], eval_data=["glyphs"])
    assert one.eval_data == "glyphs" == Experiment(ops=["crop"], eval_data="glyphs").eval_data
    assert Experiment(ops=["crop"], eval_data=["glyphs", "glyphs:7"]).eval_data == ["glyphs", "glyphs:7"]
    done = ablate("grid", "--ops", "crop", "--eval-data", "glyphs", "--eval-data", "glyphs", "--out", tmp_path / "out")
    assert "--eval-data must name every data set once, not ['glyphs', 'glyphs']" in one_sentence(done)


def test_metrics_of_a_set_whose_name_begins_with_another_ones_are_its_own():
    metrics = {"glyphs:linear_top1": 0.5, "glyphs:7:linear_top1": 0.7}
    assert metrics_of("glyphs", metrics) == {"linear_top1": 0.5}
    assert metrics_of("glyphs:7", metrics) == {"linear_top1": 0.7}
