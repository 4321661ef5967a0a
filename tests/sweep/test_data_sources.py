"""Whole runs of the command line on what is not a plain labelled folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ablate.report.data.results import read_sweep
from ablate.sweep.record import read_record, read_records
from tests.support.cli import ablate
from tests.support.grids import SETTINGS, command
from tests.support.in_process import without_workers

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PRESET = ("--preset", "cifar10-fast", "--epochs", "1", "--batch-size", "16", "--device", "cpu", "--set", "lr_base=0.1")


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    """CIFAR-10's binary version: 48 training and 20 test images in ten colours."""
    root = tmp_path_factory.mktemp("cifar")
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    (folder / "batches.meta.txt").write_text("\n".join(NAMES))
    parts = {**{f"data_batch_{i}.bin": 10 for i in range(1, 5)}, "data_batch_5.bin": 8, "test_batch.bin": 20}
    for name, count in parts.items():
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = rng.integers(0, 60, (count, 3, 1024)) + 20 * labels[:, None, None]
        (folder / name).write_bytes(np.concatenate([labels[:, None], pixels.reshape(count, -1)], 1).astype(np.uint8))
    return root


@pytest.mark.slow
def test_a_cifar10_preset_end_to_end_alone_and_under_torchrun(cifar10, cache, tmp_path):
    arguments = ["train", "crop+color", *PRESET, "--data", f"cifar10:{cifar10}", "--cache", str(cache)]
    losses = []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for name in ("alone", "two"):
        line = [*arguments, "--out", str(tmp_path / name)]
        if name == "alone":
            done = ablate(*line)
        else:
            start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ablate"]
            line = [*start, *line]
            done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = (tmp_path / name).glob("trials/*")
        record = read_record(path)
        assert record.status == "done"
        assert record.config.encoder.name == "resnet18"
        assert record.config.optimiser.lr == 0.1 * 16 / 256
        assert (tmp_path / name / "encoders" / f"{record.id}.safetensors").exists()
        losses.append(record.history[0]["loss"])
    assert abs(losses[0] - losses[1]) < 0.02  # three steps in float32


def grid(tmp_path, *extra, ops="crop,rotate"):
    out = tmp_path / "out"
    line = command("", extra[0], out, "--workers", "1", *extra[1:], ops=ops)[3:]
    at = line.index("--data")
    line[at : at + 2] = []
    with without_workers():
        return out, ablate(*line)


@pytest.fixture(scope="module")
def unlabelled(tiny_folder, tmp_path_factory):
    """The training images of ``tiny_folder`` in one heap."""
    root = tmp_path_factory.mktemp("heap")
    for number, path in enumerate(sorted((tiny_folder / "train").rglob("*.png"))):
        Image.open(path).save(root / f"{number}.png")
    return root


def test_a_grid_without_labels_is_judged_by_rotation(unlabelled, cache, tmp_path):
    out, done = grid(tmp_path, cache, "--data", f"folder:{unlabelled}", "--keep-encoders", "best")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no classes" in done.stdout
    records = {record.label: record for record in read_records(out)[0].values()}
    assert {"rotation_top1", "rankme", "common_alignment", "common_uniformity"} <= records["crop"].metrics.keys()
    assert "linear_top1" not in records["crop"].metrics
    assert "rotation-not-applicable" in records["crop+rotate"].flags
    assert "rotation prediction" in done.stdout
    assert (out / "report" / "heatmap.png").stat().st_size > 0
    assert len(list(out.glob("encoders/*.json"))) == 1


@pytest.mark.usefixtures("undrawn")
def test_pretraining_on_one_set_and_evaluating_on_two_others(unlabelled, tiny_folder, cache, tmp_path):
    lines = tmp_path / "lines"
    for split in ("train", "test"):
        for name in ("across", "down"):
            shutil.copytree(tiny_folder / split / name, lines / split / name)
    data = ("--data", f"folder:{unlabelled}", "--eval-data", f"folder:{tiny_folder}", "--labels", "0.5")
    data += ("--eval-data", f"folder:{lines}")
    out, done = grid(tmp_path, cache, *data, ops="crop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "72 images to pre-train on" in done.stdout
    assert "task lines: 2 classes of 12 images" in done.stdout
    records = read_records(out)[0].values()
    assert all("linear_top1" in record.metrics for record in records)
    trained = next(record for record in records if record.label == "crop")
    assert "labelled training images" in trained.protocols["knn"]
    assert trained.config.data.classes == 3
    assert all(0 <= record.metrics["lines:linear_val_top1"] <= 1 for record in records)
    lines = read_sweep(out, task="lines").grid.cells["crop", "crop"]
    assert lines.mean() == trained.metrics["lines:linear_top1"]
    assert "Task lines" in (out / "report" / "index.html").read_text()
    dry = grid(tmp_path, cache, "--data", f"folder:{unlabelled}", "--eval-data", f"folder:{tiny_folder}", ops="crop")[1]
    assert dry.returncode == 2
    assert "(eval_data was ['folder:" in dry.stderr
    assert "the images have changed" not in dry.stderr


def test_further_protocols_on_kept_encoders(tiny_folder, cache, tmp_path):
    out = tmp_path / "out"
    done = ablate("train", "crop", "--data", f"folder:{tiny_folder}", "--cache", cache, *SETTINGS, "--out", out)
    assert done.returncode == 0, done.stderr
    more = ablate("evaluate", out, "--protocol", "linear@z,rankme", "--cache", cache)
    assert more.returncode == 0, more.stderr
    (record,) = read_records(out)[0].values()
    assert {"linear_top1", "z_linear_top1", "rankme"} <= record.metrics.keys()
