"""Images in Parquet and tar files: the same images as files of their own, and the sentence for each mistake."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ablate.data import Resident, native_size, prepare
from ablate.data.decoding.contents import UNREADABLE, contents
from ablate.errors import UsageError
from tests.data.images import bmp

COUNT = 40
NAMES = ["ash", "elm"]
IMAGES = [bmp(16 + i % 9, 16, i) for i in range(COUNT)]
LABELS = [i % 2 for i in range(COUNT)]


def parquet(path, first=0, last=COUNT, names=None, rows=7, **columns):
    """A file as ``datasets`` writes it, in row groups of seven; ``columns`` replace columns, or drop them if None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": content, "path": None} for content in IMAGES]
    content = {"image": images, "label": LABELS} | columns
    table = pa.table({name: values for name, values in content.items() if values is not None})
    table = table.slice(first, last - first)
    if names:
        features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path, row_group_size=rows)
    return path


def tar(path, first=0, last=COUNT, ending="w", texts=lambda i: {"cls": str(LABELS[i])}):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, ending) as file:
        for i in range(first, last):
            for extension, content in {"bmp": IMAGES[i], **texts(i)}.items():
                member = tarfile.TarInfo(f"in/{i:05}.{extension}")
                data = content.encode() if isinstance(content, str) else content
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    return path


def get(kind, path, cache, **kwargs):
    return prepare(f"{kind}:{path}", cache=cache, image_size=16, **kwargs)


def every(data):
    """The images of both splits with their labels, in an order that does not depend on the split."""
    found = []
    for split in (data.train, data.test):
        pixels, sizes = Resident(split.images, torch.device("cpu")).batch(torch.arange(len(split.labels)))
        for image, (height, width), label in zip(pixels, sizes.tolist(), split.labels.tolist(), strict=True):
            found.append((image[:, :height, :width].contiguous().numpy().tobytes(), label))
    return sorted(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("containers") / "leaves"
    for i, content in enumerate(IMAGES):
        (root / NAMES[LABELS[i]]).mkdir(parents=True, exist_ok=True)
        (root / NAMES[LABELS[i]] / f"{i:05}.bmp").write_bytes(content)
    return root


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_the_images_are_those_of_a_folder(folder, tmp_path, cache, kind):
    if kind == "parquet":
        path = parquet(tmp_path / "leaves.parquet", names=NAMES)
    else:
        path = tar(tmp_path / "leaves.tar", texts=lambda i: {"cls": f"{NAMES[LABELS[i]]}\n"})
    data = get(kind, path, cache)
    assert every(data) == every(get("folder", folder, cache))
    assert (data.name, data.classes) == ("leaves", ("ash", "elm"))
    assert data.carved
    assert native_size(f"{kind}:{path}") == 16


@pytest.mark.parametrize(("kind", "make"), [("parquet", parquet), ("webdataset", tar)])
def test_names_of_files_tell_splits(tmp_path, cache, kind, make):
    ending = "parquet" if kind == "parquet" else "tar"
    make(tmp_path / f"train-00000-of-00002.{ending}", last=13)
    make(tmp_path / f"train-00001-of-00002.{ending}", first=13, last=24)
    make(tmp_path / "in" / "validation" / f"0.{ending}", first=24, last=32)
    make(tmp_path / f"leaves-test.{ending}", first=32)
    data = get(kind, tmp_path, cache)
    assert not data.carved
    assert (len(data.train.labels), int(data.val_mask.sum()), len(data.test.labels)) == (32, 8, 8)
    assert sorted(data.train.labels.tolist()) == sorted(LABELS[:32])
    assert data.classes == ("0", "1")
    make(tmp_path / f"more.{ending}")
    with pytest.raises(UsageError, match=f"that of more.{ending} does not"):
        get(kind, tmp_path, cache)


def test_one_named_split_alone_is_no_split(tmp_path, cache):
    assert get("parquet", parquet(tmp_path / "train-0.parquet"), cache).carved


def test_groups_and_splits_in_columns_and_in_json(tmp_path, cache):
    splits = ["train" if i < 32 else "test" for i in range(COUNT)]
    groups = [f"slide {i // 4}" for i in range(COUNT)]
    a = get("parquet", parquet(tmp_path / "a.parquet", split=splits, group=groups), cache)
    texts = [json.dumps({"label": LABELS[i], "split": splits[i], "group": groups[i], "box": [1]}) for i in range(COUNT)]
    b = get("webdataset", tar(tmp_path / "b.tar", texts=lambda i: {"json": texts[i]}), cache)
    for data in (a, b):
        assert (len(data.train.labels), len(data.test.labels)) == (32, 8)
        assert data.train.groups.bincount().tolist() == [4] * 8
    assert every(a) == every(b)


@pytest.mark.parametrize(("kind", "make"), [("parquet", parquet), ("webdataset", tar)])
def test_more_images_than_one_process_decodes(folder, tmp_path, cache, kind, make, monkeypatch):
    monkeypatch.setattr("ablate.data.decoding.workers.SMALL", 8)
    monkeypatch.setattr("ablate.data.sources.encoded.SHARD_FILES", (5, 5))
    data = get(kind, make(tmp_path / "many"), cache)
    assert isinstance(data.train.images.pixels, tuple)
    assert len(data.train.images.pixels) > 5
    assert every(data) == every(get("folder", folder, cache))


PEAK = """
import re, sys
from pathlib import Path
from ablate.data.decoding.contents import contents
count = sum(content is not None for _, content in contents(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
print(count, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the kernel's account of memory")
@pytest.mark.parametrize(("held", "make", "options"), [("parquet", parquet, {"rows": 100}), ("tar", tar, {})])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, held, make, options, monkeypatch):
    """Peaks of processes that read 20 MB and 200 MB, by the kernel's account, in MiB."""
    monkeypatch.setattr("tests.data.test_containers.IMAGES", [bytes([i % 256]) * 100_000 for i in range(2000)])
    monkeypatch.setattr("tests.data.test_containers.LABELS", [0] * 2000)
    peaks = []
    for count in (200, 2000):
        name = make(tmp_path / f"{count}", last=count, **options).name
        inside = [f"{name}::{i}" if held == "parquet" else f"{name}::in/{i:05}.bmp" for i in range(count)]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, held, str(tmp_path), *inside], capture_output=True, text=True, check=True
        )
        read, peak = map(int, done.stdout.split())
        assert read == count
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 50, peaks


def test_no_labels(tmp_path, cache):
    assert get("parquet", parquet(tmp_path / "a.parquet", label=None), cache).classes == ()
    assert get("webdataset", tar(tmp_path / "a.tar", texts=lambda i: {}), cache).classes == ()
    path = parquet(tmp_path / "b.parquet", label=None, width=[1] * COUNT)
    assert get("parquet", path, cache, label="none").classes == ()


def test_plain_bytes_and_a_chosen_column(tmp_path, cache):
    path = parquet(tmp_path / "a.parquet", image=None, photo=IMAGES, label=None, fine=LABELS, coarse=[0] * COUNT)
    assert get("parquet", path, cache, label="fine").classes == ("0", "1")
    path = tar(tmp_path / "a.tar", texts=lambda i: {"json": json.dumps({"fine": LABELS[i]})})
    assert get("webdataset", path, cache, label="fine").classes == ("0", "1")


def test_the_place_does_not_count_but_labels_do(tmp_path, cache):
    a, b = (get("parquet", parquet(tmp_path / name / "x.parquet"), cache) for name in "ab")
    assert a.fingerprint == b.fingerprint
    c = get("parquet", parquet(tmp_path / "a" / "x.parquet", label=[1 - label for label in LABELS]), cache)
    assert c.fingerprint != a.fingerprint


def test_a_damaged_image_is_named(tmp_path, cache):
    images = [{"bytes": None if i == 3 else content, "path": "x"} for i, content in enumerate(IMAGES)]
    path = parquet(tmp_path / "a.parquet", image=images)
    with pytest.raises(UsageError, match=r"1 corrupt image file: a.parquet::3 \(an empty file\)"):
        get("parquet", path, cache)
    assert len(get("parquet", path, cache, skip_corrupt=True).corrupt) == 1


def test_a_container_that_is_gone_is_a_reason_for_each_image(tmp_path):
    for held, name in (("parquet", "a.parquet"), ("tar", "a.tar")):
        lost = list(contents(held, tmp_path, [f"{name}::0", f"{name}::1"]))
        assert len(lost) == 2
        assert all(reason.startswith(UNREADABLE) and content is None for reason, content in lost)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: parquet(p / "a.parquet", image=None), "no column of encoded images (bytes); its columns are label"),
        (
            lambda p: parquet(p / "a.parquet", image=None, a=IMAGES, b=IMAGES),
            "several columns of encoded images, a, b: call the one to read 'image'",
        ),
        (
            lambda p: parquet(p / "a.parquet", label=[None, *LABELS[1:]]),
            "row 1 of a.parquet (a.parquet::0) has no",
        ),
        (lambda p: parquet(p / "a.parquet", label=[-1, *LABELS[1:]], names=NAMES), "row 1 of a.parquet"),
        (
            lambda p: parquet(p / "a.parquet", label=None, x=LABELS),
            "choose one of x with --label NAME, or",
        ),
        (lambda p: parquet(p / "a.parquet", last=0), "has no rows"),
        (lambda p: (p / "a.parquet").write_text("x"), "cannot be read as Parquet"),
        (
            lambda p: [parquet(p / "a.parquet", last=20), parquet(p / "b.parquet", first=20, label=None)],
            "a.parquet has a column 'label', and b.parquet has none",
        ),
        (
            lambda p: [parquet(p / "a.parquet", split=["train"] * COUNT), parquet(p / "b.parquet")],
            "a.parquet has a column 'split', and b.parquet has none",
        ),
        (
            lambda p: [parquet(p / "a.parquet", last=20), parquet(p / "b.parquet", 20, label=list(map(float, LABELS)))],
            "row 1 of b.parquet has the label '0.0', and row 1 of a.parquet has '0', the same number",
        ),
        (lambda p: None, "holds no file whose name ends in .parquet"),
    ],
)
def test_a_mistake_in_parquet_is_one_sentence(tmp_path, cache, make, words):
    make(tmp_path)
    refused("parquet", tmp_path, cache, words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: tar(p / "a.tar", texts=lambda i: {"cls": "x"} if i else {}), "in/00000 in a.tar"),
        (lambda p: tar(p / "a.tar", texts=lambda i: {"cls": "x"} if i < 5 else {}), "in/00005 in a.tar"),
        (lambda p: tar(p / "a.tar", texts=lambda i: {"png": IMAGES[i]}), "have the same key"),
        (lambda p: tar(p / "a.tar", texts=lambda i: {"json": "{"}), "a.tar::in/00000.json is not JSON"),
        (lambda p: tar(p / "a.tar", last=0), "holds no images"),
        (lambda p: tar(p / "a.tar", ending="w:gz"), "cannot be read as an uncompressed tar file"),
        (
            lambda p: (p / "a.tar").write_bytes(tar(p / "b.tar").read_bytes()[:9000]),
            "cannot be read as an uncompressed",
        ),
    ],
)
def test_a_mistake_in_a_tar_file_is_one_sentence(tmp_path, cache, make, words):
    make(tmp_path)
    refused("webdataset", tmp_path, cache, words)


def refused(kind, path, cache, words):
    with pytest.raises(UsageError) as caught:
        get(kind, path, cache)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_keys_of_webdataset_samples_are_tasks_as_columns_of_a_table_are(cache, tmp_path):
    def said(i):
        marks = [["red", "round"], ["red"], []][i % 3]
        return {"json": json.dumps({"kind": NAMES[i % 2], "place": "xyz"[i % 3], "age": i / 2, "marks": marks})}

    path = tar(tmp_path / "set" / "a.tar", texts=said)
    data = get("webdataset", path, cache, label="kind,place,age:regression,marks:multilabel")
    assert data.classes == ("ash", "elm")
    assert [(task.name, task.kind, task.classes) for task in data.tasks] == [
        ("place", "classes", ("x", "y", "z")),
        ("age", "regression", ()),
        ("marks", "multilabel", ("red", "round")),
    ]
    assert sorted(torch.cat([data.tasks[1].train, data.tasks[1].test]).flatten().tolist()) == [
        i / 2 for i in range(COUNT)
    ]
    with pytest.raises(UsageError, match="has a marks that is a list or an object; give text or a number"):
        get("webdataset", path, cache, label="kind,marks")
    with pytest.raises(UsageError, match="has no label column 'plce'; allowed: age, kind, place; did you mean 'place'"):
        get("webdataset", path, cache, label="kind,plce")
