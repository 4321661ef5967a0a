"""Images that a table lists: columns, labels, splits, groups, and the sentence for each mistake."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
import torch

from ablate.data import Resident, prepare
from ablate.errors import UsageError
from ablate.planning.request import default_out
from tests.data.images import fill


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder ``leaves`` with ``images/00000.bmp`` to ``00039.bmp``."""
    root = tmp_path_factory.mktemp("tables") / "leaves"
    fill(root / "images", 40)
    return root


PATHS = [f"images/{i:05}.bmp" for i in range(40)]
LABELS = [["oak", "elm", "ash", "fir"][i % 4] for i in range(40)]


def write(root, name="labels.csv", **columns):
    frame = pd.DataFrame({"path": PATHS, "label": LABELS} | columns)
    frame = frame.drop(columns=[name for name, value in columns.items() if value is None])
    if name.endswith("parquet"):
        frame.to_parquet(root / name, index=False)
    else:
        frame.to_csv(root / name, index=False, sep="\t" if name.endswith("tsv") else ",")
    return root / name


def get(table, cache, **kwargs):
    return prepare(f"table:{table}", cache=cache, image_size=16, **kwargs)


def pixels(split):
    return Resident(split.images, torch.device("cpu")).batch(torch.arange(len(split.labels)))[0]


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.parquet"])
def test_every_format_gives_the_same_images_as_a_folder(pictures, tmp_path, cache, name):
    for path, label in zip(PATHS, LABELS, strict=True):
        (tmp_path / "leaves" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / path, tmp_path / "leaves" / label)
    folder, data = (
        prepare(f"folder:{tmp_path / 'leaves'}", cache=cache, image_size=16),
        get(write(pictures, name), cache),
    )
    assert data.name == "leaves"
    assert data.classes == folder.classes == ("ash", "elm", "fir", "oak")
    assert data.carved
    assert data.class_counts == folder.class_counts == (8, 8, 8, 8)
    every = torch.cat([pixels(data.train).flatten(1).sum(1), pixels(data.test).flatten(1).sum(1)]).sort()[0]
    other = torch.cat([pixels(folder.train).flatten(1).sum(1), pixels(folder.test).flatten(1).sum(1)]).sort()[0]
    assert torch.equal(every, other)


def test_the_place_of_a_table_does_not_count_but_its_labels_do(pictures, tmp_path, cache):
    data = get(write(pictures), cache)
    shutil.copytree(pictures, tmp_path / "moved")
    assert get(tmp_path / "moved" / "labels.csv", cache).fingerprint == data.fingerprint
    changed = write(tmp_path / "moved", label=[*LABELS[1:], "oak"])
    assert get(changed, cache).fingerprint != data.fingerprint
    assert get(changed, cache).train.labels.tolist() != data.train.labels.tolist()


def test_given_splits_with_validation(pictures, cache):
    splits = ["train"] * 24 + ["val"] * 8 + ["test"] * 8
    data = get(write(pictures, split=splits), cache)
    assert not data.carved
    assert (len(data.train.labels), len(data.test.labels)) == (32, 8)
    assert data.val_mask.tolist() == [False] * 24 + [True] * 8
    without = get(write(pictures, split=["train"] * 32 + ["validation"] * 8), cache)
    assert (len(without.train.labels), len(without.test.labels)) == (32, 8)
    assert without.val_mask.sum() == 4  # drawn by seed: the images for validation became the test images


def test_groups_stay_together_also_across_classes(pictures, cache):
    groups = [f"patient {i // 4}" for i in range(40)]  # each has images of all four classes
    data = get(write(pictures, group=groups), cache)
    counts = data.train.groups.bincount()
    assert counts.tolist() == [4] * len(counts)
    inside = set(data.train.groups[data.val_mask].tolist())
    assert inside
    assert not inside & set(data.train.groups[~data.val_mask].tolist())
    assert data.test.groups.bincount().tolist() == [4, 4]


def test_a_column_is_chosen_and_no_column_means_no_labels(pictures, cache):
    sorted_labels = ["left" if i < 20 else "right" for i in range(40)]
    table = write(pictures, side=sorted_labels)
    assert get(table, cache).classes == ("ash", "elm", "fir", "oak")
    assert get(table, cache, label="side").classes == ("left", "right")
    assert get(write(pictures, label=None), cache).classes == ()


def test_whole_numbers_are_in_their_order(pictures, cache):
    table = write(pictures, label=[(i % 4) * 5 for i in range(40)])
    assert get(table, cache).classes == ("0", "5", "10", "15")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"path": None, "pfad": PATHS}, "has no column 'path'"),
        ({"label": ["oak"] * 6 + [None] + ["elm"] * 33}, "line 8 (images/00006.bmp) has no label"),
        ({"path": [*PATHS[:39], "images/x.bmp"]}, "line 41 names images/x.bmp"),
        ({"path": [*PATHS[:39], "./images/00003.bmp"]}, "line 41 repeats images/00003.bmp of line 5"),
        ({"path": [*PATHS[:39], None]}, "line 41 has no path"),
        (
            {"split": ["train"] * 30 + ["tset"] * 10},
            "line 32 has the split 'tset'; allowed: train, val, validation, test",
        ),
        ({"split": ["train"] * 40}, "no row has the split 'test'"),
        ({"split": ["test"] * 40}, "no row has the split 'train'"),
        ({"split": ["train", "test"] * 20, "group": ["a"] * 40}, "the group 'a' has images in train and in test"),
        ({"split": ["train"] * 39 + ["test"], "label": [*LABELS[:39], "yew"]}, "the class 'yew' has test images"),
        ({"label": None, "age": [1] * 40, "sex": ["m"] * 40}, "choose one of age, sex with --label NAME"),
        ({"group": ["a"] * 40}, "the class 'ash' cannot be split"),
        ({"label": ["1", "2", "1.0", "2"] * 10}, "line 4 has the label '1.0', and line 2 has '1', the same number"),
    ],
)
def test_a_mistake_is_one_sentence(pictures, cache, columns, words):
    with pytest.raises(UsageError) as caught:
        get(write(pictures, **columns), cache)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "path;label\nx;y\n", "commas separate columns"),
        ("a.csv", "path,label\nx\n", "line 2 has 1 values, and the header 2 columns"),
        ("a.csv", "path,label,label\n", "two columns 'label'"),
        ("a.csv", "path,label\n", "no rows"),
        ("a.csv", "", "its columns are none"),
        ("a.csv", b"path,label\n\xe4,b\n", "not UTF-8"),
        ("a.csv", 'path,label\n"x,y\n', "line 2 cannot be read"),
        ("a.xlsx", "", "allowed: .csv, .tsv, .parquet"),
        ("a.parquet", "no", "cannot be read as Parquet"),
        ("a", None, "does not exist"),
        ("", None, "is a directory"),
    ],
)
def test_a_file_that_is_no_table_is_one_sentence(tmp_path, cache, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        get(tmp_path / name, cache)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_label_column_has_a_nearest_match(pictures, cache):
    with pytest.raises(UsageError, match="no label column 'specis'; allowed: label, species; did you mean 'species'"):
        get(write(pictures, species=LABELS), cache, label="specis")
    with pytest.raises(UsageError, match="--label is for table:FILE"):
        prepare("glyphs", cache=cache, label="species")


def test_the_results_are_named_after_the_file_or_its_folder():
    assert default_out("table:/home/leaves/labels.csv", ["crop"]).name == "leaves-crop"
    assert default_out("table:/home/cells.csv", ["crop"]).name == "cells-crop"
    assert default_out("parquet:/home/cells.parquet", ["crop"]).name == "cells-crop"
    assert default_out("webdataset:/home/cells", ["crop"]).name == "cells-crop"


def test_a_column_that_may_name_groups_is_pointed_out_and_groups_are_counted(pictures, cache):
    patients = [f"p{i % 10}" for i in range(40)]
    without = get(write(pictures, patient=patients), cache)
    assert any("not used: patient;" in note and "must be called group" in note for note in without.notes)
    assert "groups" not in str(without)
    grouped = get(write(pictures, group=patients, age=patients), cache)
    assert not any("not used" in note for note in grouped.notes)
    assert "32 training images in 8 groups (" in str(grouped)


def test_a_path_of_windows_is_said_to_need_other_slashes(pictures, cache):
    table = write(pictures, path=[path.replace("/", "\\") for path in PATHS])
    with pytest.raises(UsageError, match="write its path with / in place of"):
        get(table, cache)
