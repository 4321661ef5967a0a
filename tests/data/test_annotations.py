"""Labels, splits and groups of every source that has them: none is lost silently."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ablate.data.sources.parquet_set import scan_parquet
from ablate.data.sources.table import scan_table
from ablate.data.sources.webdataset import scan_webdataset
from ablate.errors import UsageError

COUNT = 24


def annotated(**columns):
    """Rows with a label, a split and a group of two images; ``columns`` replace columns, or drop them if None."""
    every = {
        "label": ["ab"[i % 2] for i in range(COUNT)],
        "split": ["test" if i >= 16 else "train" for i in range(COUNT)],
        "group": [f"p{i // 2}" for i in range(COUNT)],
    } | columns
    return {name: values for name, values in every.items() if values is not None}


def without(values, *places):
    return [None if i in places else value for i, value in enumerate(values)]


def table(root, ending, columns):
    paths = [f"{i}.png" for i in range(COUNT)]
    for path in paths:
        (root / path).touch()
    file = root / f"set{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table({"path": paths} | columns), file)
    else:
        with file.open("w", newline="") as opened:
            rows = csv.writer(opened)
            rows.writerow(["path", *columns])
            rows.writerows(zip(paths, *columns.values(), strict=True))
    return scan_table(file, None)


def parquet(root, *parts, label=None):
    """Files a.parquet, b.parquet, ... with the columns of a part each, and the names of its classes, if any."""
    for name, (columns, names) in zip("abc", parts, strict=False):
        content = pa.table({"image": [b"x"] * len(next(iter(columns.values())))} | columns)
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        content = content.replace_schema_metadata({"huggingface": json.dumps(features)} if names else None)
        pq.write_table(content, root / f"{name}.parquet")
    return scan_parquet(root, label)


def webdataset(root, *parts, label=None):
    """Files a.tar, b.tar, ... with the columns of a part each as JSON; an ellipsis is a key that is left out."""
    for name, columns in zip("abc", parts, strict=False):
        with tarfile.open(root / f"{name}.tar", "w") as file:
            for i, values in enumerate(zip(*columns.values(), strict=True)):
                known = {key: value for key, value in zip(columns, values, strict=True) if value is not ...}
                for ending, content in (("png", b"x"), ("json", json.dumps(known).encode())):
                    member = tarfile.TarInfo(f"{i:02}.{ending}")
                    member.size = len(content)
                    file.addfile(member, io.BytesIO(content))
    return scan_webdataset(root, label)


SOURCES = {
    "csv": lambda root, columns: table(root, ".csv", columns),
    "table in Parquet": lambda root, columns: table(root, ".parquet", columns),
    "parquet": lambda root, columns: parquet(root, (columns, None)),
    "webdataset": webdataset,
}
every_source = pytest.mark.parametrize("scan", SOURCES.values(), ids=SOURCES)


@every_source
def test_all_sources_say_the_same(tmp_path, scan):
    listing = scan(tmp_path, annotated())
    assert listing.classes == ["a", "b"]
    assert not listing.carved
    assert (len(listing.train), len(listing.test)) == (16, 8)
    assert {file.group for file in listing.train} == {f"p{i}" for i in range(8)}


@every_source
@pytest.mark.parametrize("column", ["label", "split", "group"])
@pytest.mark.parametrize(
    "places", [[0], [COUNT // 2], [COUNT - 1], range(1, COUNT)], ids=["first", "one", "last", "all but one"]
)
def test_a_value_that_others_have_is_required(tmp_path, scan, column, places):
    columns = annotated()
    columns[column] = without(columns[column], *places)
    with pytest.raises(UsageError, match=rf"has no {column}: give"):
        scan(tmp_path, columns)


@pytest.mark.parametrize("column", ["label", "split", "group"])
def test_a_key_that_other_samples_have_is_required(tmp_path, column):
    columns = annotated()
    columns[column] = [..., *columns[column][1:]]
    with pytest.raises(UsageError, match=rf"00 in a.tar \(a.tar::00.png\) has no {column}: give"):
        webdataset(tmp_path, columns)
    with pytest.raises(UsageError, match=rf"00 in b.tar \(b.tar::00.png\) has no {column}: give"):
        webdataset(tmp_path, annotated(), annotated(**{column: None}))


@pytest.mark.parametrize("column", ["label", "split", "group"])
def test_a_list_is_no_label_split_or_group(tmp_path, column):
    with pytest.raises(UsageError, match=rf"a.tar::00.json has a {column} that is a list or an object"):
        webdataset(tmp_path, annotated(**{column: [["x"]] * COUNT}))


@pytest.mark.parametrize("source", ["parquet", "webdataset"])
def test_a_number_that_is_missing_is_no_group(tmp_path, source):
    groups = [math.nan if i == 3 else float(i // 2) for i in range(COUNT)]
    with pytest.raises(UsageError, match=r"a\.\w+::0?3(\.png)?\) has no group: give"):
        SOURCES[source](tmp_path, annotated(group=groups))


@pytest.mark.parametrize("column", ["label", "split", "group"])
@pytest.mark.parametrize("first", [True, False])
def test_parquet_files_have_the_same_columns(tmp_path, column, first):
    parts = [(annotated(), None), (annotated(**{column: None}), None)]
    telling, lacking = ("a", "b") if first else ("b", "a")
    expected = f"{telling}.parquet has a column '{column}', and {lacking}.parquet has none: add it to every file"
    with pytest.raises(UsageError, match=re.escape(expected)):
        parquet(tmp_path, *(parts if first else parts[::-1]))


@pytest.mark.parametrize("names", [["y", "x"], ["x", "y", "z"], None])
def test_parquet_files_name_their_classes_alike(tmp_path, names):
    numbers = annotated(label=[i % 2 for i in range(COUNT)])
    assert parquet(tmp_path, (numbers, ["x", "y"]), (numbers, ["x", "y"])).classes == ["x", "y"]
    with pytest.raises(UsageError, match=r"a.parquet and b.parquet name the classes of 'label' differently"):
        parquet(tmp_path, (numbers, ["x", "y"]), (numbers, names))


@every_source
@pytest.mark.parametrize("write", [str.upper, str.title])
def test_capitals_in_names_of_columns_do_not_count(tmp_path, scan, write):
    listing = scan(tmp_path, {write(name): values for name, values in annotated().items()})
    (tmp_path / "plain").mkdir()
    plain = scan(tmp_path / "plain", annotated())
    assert (listing.train, listing.test, listing.classes) == (plain.train, plain.test, plain.classes)


def test_a_path_in_capitals(tmp_path):
    (tmp_path / "set.csv").write_text("Path,Label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(20)))
    for i in range(20):
        (tmp_path / f"{i}.png").touch()
    listing = scan_table(tmp_path / "set.csv", "Label")
    assert len(listing.train) + len(listing.test) == 20


@every_source
def test_two_columns_of_one_name_are_refused(tmp_path, scan):
    with pytest.raises(UsageError, match="has two columns 'group'; rename one of them"):
        scan(tmp_path, annotated(Group=[f"q{i}" for i in range(COUNT)]))


@every_source
@pytest.mark.parametrize("tested", ["test", "val"])
def test_a_class_needs_training_images(tmp_path, scan, tested):
    labels = ["c" if i in {14, 15} else "ab"[i % 2] for i in range(COUNT)]
    splits = ["val" if i >= 20 or i in {14, 15} else tested if i >= 16 else "train" for i in range(COUNT)]
    with pytest.raises(UsageError, match="the class 'c' has val images, but no training images"):
        scan(tmp_path, annotated(label=labels, split=splits))


@every_source
@pytest.mark.parametrize("kind", [int, float])
def test_whole_numbers_are_in_their_order(tmp_path, scan, kind):
    numbers = [kind(10 * (i % 2) + i % 2 - 1) if i % 4 < 2 else kind(2) for i in range(COUNT)]
    listing = scan(tmp_path, annotated(label=numbers))
    assert listing.classes == [str(kind(number)) for number in (-1, 2, 10)]
