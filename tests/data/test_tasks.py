"""Further tasks of a table: which columns, their labels in every split, and the sentence for each mistake."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from ablate.config.tasks import LabelColumn
from ablate.data import prepare, read_entry
from ablate.data.sources.rows import Row
from ablate.data.sources.task_columns import values_of
from ablate.data.tasks import TaskLabels
from ablate.errors import UsageError
from tests.data.images import fill
from tests.support.cli import ablate, one_sentence

PLACES = ["north", "south", "", "east"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty images with a table of several columns of labels; the scanner of every fourth image is not known."""
    root = tmp_path_factory.mktemp("tasks") / "leaves"
    fill(root / "images", 40)
    columns = {
        "path": [f"images/{i:05}.bmp" for i in range(40)],
        "kind": [["oak", "elm"][i % 2] for i in range(40)],
        "place": [PLACES[i // 2 % 4] for i in range(40)],
        "width": [16 + i % 9 for i in range(40)],
        "age": [f"{30 + i / 4:.2f}" if i % 8 else "" for i in range(40)],
        "marks": ["|".join(["red"] * (i % 2) + ["round"] * (i % 3 == 0)) or "none" for i in range(40)],
        "one": ["same"] * 40,
        "group": [f"tree {i // 4}" for i in range(40)],
    }
    pd.DataFrame(columns).to_csv(root / "labels.csv", index=False)
    pd.DataFrame(columns).to_parquet(root / "labels.parquet", index=False)
    return root


def get(root, label, cache, name="labels.csv", **kwargs):
    return prepare(f"table:{root / name}", cache=cache, image_size=16, label=label, **kwargs)


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_a_further_column_labels_the_same_images_in_the_same_splits(pictures, cache, name):
    alone, data = get(pictures, "kind", cache, name), get(pictures, "kind, place", cache, name)
    assert data.fingerprint != alone.fingerprint
    assert torch.equal(data.train.labels, alone.train.labels)
    assert torch.equal(data.val_mask, alone.val_mask)
    assert torch.equal(data.train.groups, alone.train.groups)
    (task,) = data.tasks
    assert (task.name, task.classes) == ("place", ("east", "north", "south"))
    labels = torch.cat([task.train, task.test])[:, 0]
    assert len(labels) == 40
    assert {int(n): int((labels == n).sum()) for n in range(3)} == {0: 10, 1: 10, 2: 10}
    again = read_entry(cache, data.fingerprint).tasks[0].train
    assert torch.equal(again.nan_to_num(-1), task.train.nan_to_num(-1))
    assert "task place: 3 classes, " in task.in_words(data.val_mask)
    assert "; 10 images without a value are left out of this task" in task.in_words(data.val_mask)


def test_the_label_of_each_image_is_its_own(pictures, cache):
    data = get(pictures, "kind,width", cache)
    (task,) = data.tasks
    assert task.classes == tuple(str(width) for width in range(16, 25))
    for split, values in ((data.train, task.train), (data.test, task.test)):
        assert torch.equal(split.images.sizes[:, 1] - 16, values[:, 0].long())


def test_numbers_and_several_labels_per_image(pictures, cache):
    data = get(pictures, "kind,age:regression,marks:multilabel", cache)
    age, marks = data.tasks
    values = torch.cat([age.train, age.test])[:, 0]
    assert sorted(values[~values.isnan()].tolist()) == [30 + i / 4 for i in range(40) if i % 8]
    assert marks.classes == ("red", "round")
    both = torch.cat([marks.train, marks.test])
    assert both.sum(0).tolist() == [20, 14]
    assert int((both.sum(1) == 0).sum()) == 13  # those that have none, not missing
    assert not both.isnan().any()
    assert "task age: regression of values from 30.25 to 39.75, " in age.in_words(data.val_mask)
    assert "task marks: 2 labels, several per image, " in marks.in_words(data.val_mask)
    described = age.described(data.val_mask), marks.described(data.val_mask)
    assert [(task.kind, task.measure, task.class_counts) for task in described] == [
        ("regression", "r2", None),
        ("multilabel", "ap", None),
    ]


def test_fewer_images_and_fewer_labels_keep_the_task_in_step(pictures, cache):
    whole, few = get(pictures, "kind,place", cache), get(pictures, "kind,place", cache, limit=20)
    assert len(few.tasks[0].train) == len(few.train.labels) < len(whole.train.labels)
    half = get(pictures, "kind,place", cache, labels=0.5)
    unlabelled = half.train.labels < 0
    assert bool(unlabelled.any())
    assert bool(half.tasks[0].train[unlabelled].isnan().all())
    kept = ~unlabelled
    assert torch.allclose(half.tasks[0].train[kept], whole.tasks[0].train[kept], equal_nan=True)


def test_the_plan_names_every_task_the_main_one_first(pictures, cache):
    main, further = get(pictures, "kind,place", cache).every_task("kind")
    assert (main.name, further.name, further.kind) == ("kind", "place", "classes")
    assert further.images[0] == sum(further.class_counts.train)
    assert get(pictures, "kind", cache).every_task("kind") == ()


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("kind,plce", "has no label column 'plce'; allowed: kind, place, width, age, marks, one; did you mean 'place'"),
        ("kind,place:classs", "unknown kind of task 'classs'; allowed: .*did you mean 'classes'"),
        ("kind,place,place", "--label kind,place,place names 'place' twice"),
        ("kind,", "--label kind,: a column is missing beside a comma; allowed: kind, place, width, age, marks, one"),
        ("kind,kind", "--label kind,kind names 'kind' twice"),
        ("kind,none", "only the first column can be 'none'"),
        ("kind:regression,place", "the first column is the main task, which needs classes, not regression"),
        ("kind,place:regression", r"line 2 \(images/00000.bmp\) has the place 'north', which is no number: write it"),
        ("kind,one", "the column 'one' has only the value 'same', so nothing can be learned from it"),
    ],
)
def test_each_mistake_has_a_sentence(pictures, cache, label, says):
    with pytest.raises(UsageError, match=says):
        get(pictures, label, cache)


def test_a_task_without_labels_in_a_split_is_refused(pictures, tmp_path, cache):
    table = pd.read_csv(pictures / "labels.csv").assign(path=lambda t: [str(pictures / path) for path in t.path])
    table["split"] = ["train"] * 24 + ["val"] * 8 + ["test"] * 8
    table["place"] = table.place.where(table.split != "val")
    table.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(UsageError, match="the task 'place' has no validation images: give more images a value, or"):
        get(tmp_path, "kind,place", cache)


@pytest.mark.parametrize("cell", ["none|red", "red| none", "|", " | "])
def test_a_cell_that_names_none_beside_labels_or_no_label_is_refused(cell):
    rows = [
        Row("a.png", label=None, at="line 2", further=("red",)),
        Row("b.png", label=None, at="line 3", further=(cell,)),
    ]
    with pytest.raises(UsageError, match=r"table: t.csv: line 3 \(b.png\) has the marks '.*': write labels with a bar"):
        values_of(LabelColumn("marks", "multilabel"), 0, rows, "table: t.csv")


@pytest.mark.parametrize("unit", [1e300, 1e-200])
def test_values_whose_squares_leave_float64_are_refused(unit):
    ages = unit * torch.arange(6, dtype=torch.float64)[:, None]
    task = TaskLabels("age", "regression", (), ages, ages)
    with pytest.raises(UsageError, match="'age' has training images whose values are too large or too close"):
        task.check(torch.arange(6) > 3)
    TaskLabels("age", "regression", (), ages / unit, ages / unit).check(torch.arange(6) > 3)


def test_an_empty_name_of_a_task_does_not_choose_the_main_one(tmp_path):
    said = one_sentence(ablate("recommend", tmp_path, "--task", ""))
    assert said.startswith("error: --task: the name of a task is needed")
