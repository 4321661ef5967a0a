"""Decoding into shards: in parallel, interrupted, resumed, checked; each file read once."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import ablate.data.decoding.shards
import ablate.data.decoding.workers
from ablate.data import prepare, read_entry
from ablate.data.decoding.shards import Task, finish
from ablate.data.decoding.workers import finish_all
from ablate.errors import UsageError
from tests.data.images import bmp, fill
from tests.support.dicoms import dicom

FILES = 600  # train: 480 in 8 shards; test: 120 in 2


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    root = tmp_path_factory.mktemp("many")
    for number, name in enumerate("abc"):
        fill(root / name, FILES // 3, first=FILES * number)
    return root


def get(root, cache, **kwargs):
    return prepare(f"folder:{root}", cache=cache, image_size=16, **kwargs)


def contents(entry):
    return {path.name: path.read_bytes() for path in sorted(entry.iterdir())}


@pytest.fixture
def decoded(monkeypatch):
    """Decode in this process, and count."""
    calls, real = [], ablate.data.decoding.shards.decode
    monkeypatch.setattr(ablate.data.decoding.workers, "SMALL", 10**6)
    monkeypatch.setattr(ablate.data.decoding.shards, "decode", lambda *args: (calls.append(1), real(*args))[1])
    return calls


@pytest.fixture(scope="module")
def whole(many, tmp_path_factory):
    """The entry of ``many``, uninterrupted, by one process."""
    cache = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate.data.decoding.workers, "SMALL", 10**6)
        return contents(cache / "sets" / get(many, cache).fingerprint)


def test_the_fingerprint_of_a_folder_is_what_it_has_always_been(tmp_path, cache):
    """Also where names sort otherwise as text than folder by folder; the pixels and splits are as ever, too."""
    seed = 0
    for cls in ("a", "a-b", "a.b"):
        for i, name in enumerate(("0", "1", "2", "3", "s/0", "s/1", "s-1/0", "s.1/0", "10", "B")):
            path = tmp_path / "set" / cls / f"{name}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bmp(20 + i, 16, seed))
            seed += 1
    data = get(tmp_path / "set", cache)
    assert data.fingerprint == "19a039185ff873c43d7565d1"
    assert prepare(f"folder:{tmp_path / 'set'}", cache=cache, image_size=96).fingerprint == "97bdbbc54a89e149d75e67a4"
    pixels = b"".join(shard.numpy().tobytes() for shard in data.train.images.pixels)
    assert hashlib.sha256(pixels).hexdigest().startswith("1c09f4a77c976c84")
    assert data.val_mask.nonzero()[:, 0].tolist() == [4, 15, 17]
    assert data.train.groups.bincount().tolist() == [2 if group in {5, 11, 18} else 1 for group in range(21)]
    assert data.train.groups.tolist() == sorted(data.train.groups.tolist())
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_processes_give_the_same_bytes_as_one(many, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(ablate.data.decoding.workers, "cores", lambda: 3)
    seen = []
    data = get(many, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert contents(tmp_path / "sets" / data.fingerprint) == whole
    assert [name for name in whole if name.endswith(".pixels")] == [
        *(f"test.{i:05}.pixels" for i in range(2)),
        *(f"train.{i:05}.pixels" for i in range(8)),
    ]
    assert seen == sorted(seen)
    assert seen[-1] == (FILES, FILES)
    assert len(seen) == 10


def test_decoding_processes_import_no_torch():
    code = "import ablate.data.decoding.shards, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


KILLED = """
import os, signal, sys
from pathlib import Path
import ablate.data.decoding.workers
from ablate.data import prepare

ablate.data.decoding.workers.cores = lambda: 2

def kill(done, total):
    tasks = Path("/proc/self/task").iterdir()
    print(*(pid for task in tasks for pid in (task / "children").read_text().split()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

prepare(f"folder:{sys.argv[1]}", cache=Path(sys.argv[2]), image_size=16, progress=kill)
"""


def kill_in_the_middle(root, cache):
    """Returns the process ids of the processes that decoded."""
    command = [sys.executable, "-c", KILLED, str(root), str(cache)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return [int(pid) for pid in killed.stdout.split()]


def finished(cache):
    return sorted((cache / "staging").glob("*/*.json"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_killed_in_the_middle_it_goes_on_with_what_is_finished(many, whole, tmp_path, decoded):
    workers = kill_in_the_middle(many, tmp_path)
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/stat").exists() for pid in workers):  # they end with their parent
        assert time.monotonic() < deadline
        time.sleep(0.05)
    records = finished(tmp_path)
    assert 1 <= len(records) < 10
    records[0].with_name(".train.00000.json.abcdefgh").write_text("half a record")
    before = {path.name: path.stat().st_mtime_ns for path in records}
    done = sum(len(json.loads(path.read_text())["images"]) for path in records)
    data = get(many, tmp_path)
    assert len(decoded) == FILES - done
    entry = tmp_path / "sets" / data.fingerprint
    assert {name: (entry / name).stat().st_mtime_ns for name in before} == before
    assert contents(entry) == whole
    assert not list((tmp_path / "staging").iterdir())


def interrupt(root, cache, shards=4):
    """Stop after some shards, in this process."""
    seen = []

    def stop(done, total):
        seen.append(done)
        if len(seen) == shards:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(root, cache, progress=stop)
    return seen[-1]


def test_a_damaged_shard_is_decoded_again(many, whole, tmp_path, decoded):
    interrupt(many, tmp_path)
    decoded.clear()
    staging = finished(tmp_path)[0].parent
    changed = bytearray((staging / "train.00001.pixels").read_bytes())
    changed[100] ^= 1
    (staging / "train.00001.pixels").write_bytes(changed)
    (staging / "train.00002.json").write_text('{"key": ')
    assert contents(tmp_path / "sets" / get(many, tmp_path).fingerprint) == whole
    assert len(decoded) == FILES - 2 * 64


@pytest.mark.parametrize("change", ["time", "content", "short side"])
def test_shards_of_other_files_are_not_used(many, tmp_path, decoded, change):
    root = tmp_path / "set"
    shutil.copytree(many, root)
    interrupt(root, tmp_path / "cache", shards=8)
    decoded.clear()
    file = root / "a" / "00000.bmp"
    if change == "short side":
        prepare(f"folder:{root}", cache=tmp_path / "cache", image_size=16, short_side=20)
        assert len(decoded) == FILES
        return
    if change == "content":
        file.write_bytes(bytes([*file.read_bytes()[:-1], 255]))
    os.utime(file, ns=(1, 1))
    data = get(root, tmp_path / "cache")
    assert len(decoded) == 64 + 120  # the changed file's shard and those of the test split
    assert data.fingerprint == get(root, tmp_path / "fresh").fingerprint


def test_a_damaged_entry_is_mended_not_decoded_anew(many, whole, tmp_path, decoded):
    entry = tmp_path / "sets" / get(many, tmp_path).fingerprint
    decoded.clear()
    (entry / "train.00003.pixels").write_bytes(b"x")
    get(many, tmp_path)
    assert len(decoded) == 64
    assert contents(entry) == whole


def test_a_shard_that_others_have_mapped_is_replaced_not_overwritten(many, tmp_path, decoded):
    path = tmp_path / "sets" / get(many, tmp_path).fingerprint / "train.00003.pixels"
    with path.open("ab") as mapped:
        mapped.write(b"x")
        mapped.flush()
        get(many, tmp_path)
        assert not path.samefile(f"/dev/fd/{mapped.fileno()}")


def test_entries_of_another_layout_are_neither_read_nor_kept(many, whole, tmp_path, decoded):
    data = get(many, tmp_path)
    entry = tmp_path / "sets" / data.fingerprint
    meta = json.loads((entry / "meta.json").read_text())
    (entry / "meta.json").write_text(json.dumps({**meta, "layout": 1}))
    (entry / "train.offsets.npy").write_bytes(b"old")
    with pytest.raises(FileNotFoundError, match="holds no images"):
        read_entry(tmp_path, data.fingerprint)
    assert get(many, tmp_path).fingerprint == data.fingerprint
    assert contents(entry) == whole


def test_a_moved_copied_or_touched_folder_is_known_by_its_contents(many, tmp_path, decoded):
    cache = tmp_path / "cache"
    first = get(many, cache)
    decoded.clear()
    shutil.copytree(many, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "a" / "00000.bmp")
    assert get(tmp_path / "copy", cache).fingerprint == first.fingerprint
    (tmp_path / "copy").rename(tmp_path / "moved")
    assert get(tmp_path / "moved", cache).fingerprint == first.fingerprint
    assert not decoded
    file = tmp_path / "moved" / "a" / "00000.bmp"
    file.write_bytes(bytes([*file.read_bytes()[:-1], 255]))  # names and sizes are the same, content is not
    assert get(tmp_path / "moved", cache).fingerprint != first.fingerprint
    assert get(many, cache).fingerprint == first.fingerprint


def test_every_file_is_read_once(many, tmp_path, decoded, monkeypatch):
    reads, real = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (reads.append(path), real(path))[1])
    get(many, tmp_path)
    assert sorted(path.name for path in reads if path.suffix == ".bmp") == sorted(p.name for p in many.rglob("*.bmp"))


def test_corrupt_files_are_remembered_but_unreadable_ones_tried_again(many, tmp_path, decoded):
    root, cache = tmp_path / "set", tmp_path / "cache"
    shutil.copytree(many, root)
    (root / "a" / "00003.bmp").write_bytes(b"BM broken")
    (root / "b" / "00003.bmp").unlink()
    (root / "b" / "00003.bmp").symlink_to("nowhere.bmp")
    with pytest.raises(UsageError, match=r"2 corrupt image files: .*No such file"):
        get(root, cache)
    decoded.clear()
    data = get(root, cache, skip_corrupt=True)
    assert 0 < len(decoded) <= 64
    assert len(data.train.labels) + len(data.test.labels) == FILES - 2
    assert len(data.corrupt) == 2
    assert len(data.train.images.pixels) == 8


@pytest.mark.parametrize("small", [256, 0], ids=["here", "in processes"])
def test_a_missing_package_is_named_once_and_remembered_of_no_file(tmp_path, monkeypatch, small):
    monkeypatch.setattr(ablate.data.decoding.workers, "SMALL", small)
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        path = tmp_path / "set" / f"{name}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom())
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "pydicom.py").write_text("raise ImportError")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pydicom", None)
        without.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "absent"), *sys.path]))
        for skip in (False, True):
            with pytest.raises(
                UsageError, match=r"^\w/\d\.dcm: DICOM files need the package pydicom: pip install '[^;]*'$"
            ):
                get(tmp_path / "set", tmp_path / "cache", skip_corrupt=skip)
    data = get(tmp_path / "set", tmp_path / "cache", skip_corrupt=True)
    assert len(data.train.labels) + len(data.test.labels) == 6


def task(tmp_path, number=0, files=3):
    fill(tmp_path / "in", files)
    (tmp_path / "out").mkdir(exist_ok=True)
    relpaths = [f"{i:05}.bmp" for i in range(files)]
    return Task("key", str(tmp_path / "in"), relpaths, 16, str(tmp_path / "out" / f"{number}"))


def test_a_full_disk_in_a_process_is_that_error_here(tmp_path):
    tasks = [task(tmp_path, i) for i in range(4)]
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(OSError, match="No such file") as caught:
        finish_all(tasks, lambda *_: None, processes=2)
    assert caught.value.errno == errno.ENOENT


def test_a_process_that_dies_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(ablate.data.decoding.workers.sys, "executable", shutil.which("true"))
    with pytest.raises(UsageError, match=r"died .* run the same command again"):
        finish_all([task(tmp_path, i) for i in range(4)], lambda *_: None, processes=2)


def test_when_one_process_dies_the_others_are_ended(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\nmkdir {tmp_path}/first 2>/dev/null && exit 1\nexec sleep 300\n")
    script.chmod(0o755)
    monkeypatch.setattr(ablate.data.decoding.workers.sys, "executable", str(script))
    started = time.monotonic()
    with pytest.raises(UsageError, match="died"):
        finish_all([task(tmp_path, i) for i in range(4)], lambda *_: None, processes=2)
    assert time.monotonic() - started < 200  # not waited for


def test_interrupting_ends_processes_and_threads(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        finish_all([task(tmp_path, i, files=50) for i in range(20)], stop, processes=2)
    assert threading.active_count() == threads
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_names_that_are_not_utf8_reach_the_processes(tmp_path):
    one = task(tmp_path)
    name = os.fsdecode(b"\xff.bmp")
    (tmp_path / "in" / name).write_bytes(bmp(16, 16, 0))
    finish_all([Task(one.key, one.root, [name], 16, one.target)], lambda *_: None, processes=1)
    assert json.loads(one.record.read_text())["images"] == [[[16, 16]]]


def test_a_shard_of_corrupt_files_only_is_empty(tmp_path):
    one = task(tmp_path)
    for relpath in one.relpaths:
        (tmp_path / "in" / relpath).write_bytes(b"x")
    finish(one)
    assert one.pixels.stat().st_size == 0
    assert json.loads(one.record.read_text())["images"] == ["not an image"] * 3
