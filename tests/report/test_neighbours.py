"""Nearest neighbours: as NumPy finds them, and as the page shows them."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ablate.data.entry import Writer
from ablate.data.place import entry_of
from ablate.evaluation.neighbours import NEAREST, QUERIES, neighbours
from ablate.report.data.results import read_sweep
from ablate.report.page.neighbours import neighbourhoods
from ablate.report.page.page import page
from ablate.report.stats.order import order
from ablate.sweep.images import ImageResults, SplitResults, read_image_results, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import by_position, make_experiment, record, sweep, write_record

NEAR = ((1, 0, 2), (4, 3, 1))  # test images 1 and 4, and two training images nearest to each
ONE = SplitResults(*(np.zeros(1, kind) for kind in ("u1", "u1", "f2")))  # a single image, since no split is empty


def test_neighbours_are_numpys():
    draw = torch.Generator().manual_seed(0)
    train_h, test_h = torch.randn(40, 6, generator=draw), torch.randn(30, 6, generator=draw)
    train_h[7] = train_h[3]  # equally near to everything: the first comes first
    labels, labelled = torch.arange(30) % 4 - 1, torch.arange(40) * 2
    frozen = SimpleNamespace(
        train=lambda at: (train_h, None, None),
        test=lambda at: (test_h, labels),
        labelled=labelled,
        data=SimpleNamespace(test=SimpleNamespace(labels=labels)),
    )
    found = neighbours(frozen)
    assert len(found) == QUERIES == len({query for query, *_ in found})
    a, b = (h.numpy() / np.linalg.norm(h.numpy(), axis=1, keepdims=True) for h in (train_h, test_h))
    for query, *nearest in found:
        assert labels[query] >= 0
        assert nearest == (2 * np.argsort(-(a @ b[query]), kind="stable")[:NEAREST]).tolist()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A sweep whose best and worst cell have neighbours, and the images in the cache."""
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    directory = sweep(tmp_path / "sweep", ["a", "b"], 2, by_position)
    for trial in plan(load_plan(directory)):
        path = SweepDir(directory).image_results(trial.id)
        path.parent.mkdir(exist_ok=True)
        results = ImageResults(trial.id, "f00d", ONE, ONE, () if trial.seed == 0 else NEAR)
        path.write_bytes(to_bytes(results))
        assert read_image_results(path) == results
    entry = entry_of(tmp_path / "cache", "f00d")
    entry.mkdir(parents=True)
    writer = Writer(entry)
    for split in ("train", "test"):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)
        writer.uniform(split, pixels, torch.tensor([0, 1, 2, 0, 1]))
    writer.describe("made-up", ["cat", "<dog>", "owl"], torch.zeros(5, dtype=torch.bool))
    writer.close()
    return directory


def test_the_page_shows_the_best_and_the_worst_cell(made):
    results = read_sweep(made)
    shown = neighbourhoods(results, order(results.grid))
    assert [(cell.title, cell.about.partition(":")[0]) for cell in shown.cells] == [
        ("b", "the best by validation accuracy, seed 1"),
        ("a", "the worst by validation accuracy, seed 1"),
    ]
    first, second = shown.cells[0].rows
    assert (first.query, first.nearest) == ("<dog>", (("cat", True), ("owl", True)))
    assert (second.query, second.nearest) == ("<dog>", (("cat", True), ("<dog>", False)))
    assert "1 of 4 neighbours" in shown.cells[0].about
    text = page(results)
    assert text.count('<table class="near"') == 2
    assert "<dog>" not in text and "&lt;dog&gt;" in text
    assert len(re.findall(r'<td class="wrong"><i></i><b aria-hidden="true">≠&nbsp;</b>', text)) == 6


def test_without_the_images_one_sentence_says_so_and_without_neighbours_nothing(made, monkeypatch, tmp_path):
    results = read_sweep(made)
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "elsewhere"))
    (sentence,) = neighbourhoods(results, order(results.grid)).text
    assert "this machine's cache does not hold the images of made-up" in sentence
    assert "Nearest neighbours" in page(results)
    for path in SweepDir(made).images.iterdir():
        path.write_bytes(to_bytes(dataclasses.replace(read_image_results(path), neighbours=())))
    assert neighbourhoods(results, order(results.grid)) is None
    assert "Nearest neighbours" not in page(results)


def test_without_linear_evaluation_the_page_says_what_keeps_neighbours(tmp_path):
    planned = make_experiment(["a", "b"])
    save_plan(tmp_path, planned)
    for trial in plan(planned):
        write_record(tmp_path, record(trial, metrics={"knn_top1": 0.5}))
    results = read_sweep(tmp_path)
    (sentence,) = neighbourhoods(results, order(results.grid)).text
    assert sentence == (
        f"Linear evaluation keeps them, which this sweep lacks; `ablate evaluate {tmp_path} --protocol linear` adds it "
        "where encoders were kept."
    )
