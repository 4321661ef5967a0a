"""Two compositions image by image: counts, agreement, images that only one gets right, and their tiles on the page."""

from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import ablate
from ablate.data.entry import Writer
from ablate.errors import UsageError
from ablate.inference.difference import Difference
from ablate.report.data.results import read_sweep
from ablate.report.page import only_one
from ablate.report.stats.image_by_image import compare_images
from ablate.sweep.layout import SweepDir
from tests.support.image_results import with_images


@pytest.fixture
def sweep(tmp_path):
    return with_images(tmp_path / "sweep", seeds=2)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache with the 200 test images of the made-up sweeps: image i is of colour (i, 0, 255)."""
    entry = tmp_path / "cache" / "sets" / "f00d"
    entry.mkdir(parents=True)
    writer, pixels = Writer(entry), np.zeros((200, 3, 8, 8), np.uint8)
    pixels[:, 0], pixels[:, 2] = np.arange(200)[:, None, None], 255
    for split in ("train", "test"):
        writer.uniform(split, pixels, torch.arange(200) % 3)
    writer.describe("made-up", ["cat", "<dog>", "owl"], torch.zeros(200, dtype=torch.bool))
    writer.close()
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))


def test_best_and_runner_up_are_compared_on_the_test_images(sweep):
    found = compare_images(sweep)
    assert (found.first, found.second, found.split) == ("a+b", "b+a", "test")
    trials = ablate.load_image_results(sweep)
    a, b = (
        {t.seed: trials[t.id].test for t in read_sweep(sweep).trials if t.label == label} for label in ("a+b", "b+a")
    )
    for one in found.seeds:
        assert one.counts.first == np.count_nonzero(a[one.seed].correct & ~b[one.seed].correct)
    assert found.within[0] == pytest.approx(np.mean(a[0].predicted == a[1].predicted))
    only = {i for i in range(200) if all(a[s].correct[i] and not b[s].correct[i] for s in (0, 1))}
    assert set(found.only_first.tolist()) == only
    mean = np.mean([a[s].correct.mean() - b[s].correct.mean() for s in (0, 1)])
    assert found.seeds_alone.mean == found.images_alone.mean == found.both.mean == pytest.approx(mean)
    assert found.both.low <= min(found.seeds_alone.low, found.images_alone.low)
    assert "seeds and images" in str(found)


def test_a_composition_against_a_reference_on_the_validation_images(sweep):
    found = compare_images(sweep, "b", "untrained", "validation")
    counts = found.seeds[0].counts
    assert counts.both + counts.first + counts.second + counts.neither == 200
    assert found.both.mean > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "c"), "unknown composition 'c'; allowed: "),
        (("a", "a"), "a is given twice"),
        (("a", "b", "train"), "unknown split 'train'; allowed: validation, test"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message, sweep):
    with pytest.raises(UsageError, match=re.escape(message)):
        compare_images(sweep, *arguments)


def test_without_image_results_the_page_has_no_section_and_python_says_why(tmp_path):
    with_images(tmp_path, skip=("b+a",), seeds=1)
    assert only_one.section(read_sweep(tmp_path)) == []
    with pytest.raises(UsageError, match=r"a\+b and b\+a .* share no seed with results for every image; `"):
        compare_images(tmp_path)


def test_seeds_without_image_results_are_left_out(sweep):
    first = next(trial for trial in read_sweep(sweep).trials if (trial.label, trial.seed) == ("b+a", 0))
    SweepDir(sweep).image_results(first.id).unlink()
    assert [one.seed for one in compare_images(sweep).seeds] == [1]
    (section,) = only_one.section(read_sweep(sweep))
    assert "95 %, images only" in section.parts[0].text[0]


def test_the_section_shows_the_images_of_the_cache_with_their_classes(sweep, cached):
    (section,) = only_one.section(read_sweep(sweep))
    runner_up, worst = section.parts
    assert (runner_up.title, worst.title) == ("a+b against b+a", "a+b against b")
    found = compare_images(sweep)
    shown = [*found.only_first[: only_one.MOST], *found.only_second[: only_one.MOST]]
    assert runner_up.figure.count("<use ") == len(shown) > 2
    assert f">{shown[0]}</text>" in runner_up.figure
    assert ">not &lt;dog&gt;</text>" in worst.figure
    assert "<dog>" not in worst.figure
    assert len(runner_up.rows) == 2
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", runner_up.figure)[1])))
    red = [
        picture.getpixel((8 * (k % only_one.IN_A_ROW) + 4, 8 * (k // only_one.IN_A_ROW) + 4))[0]
        for k in range(len(shown))
    ]
    assert red == pytest.approx(shown, abs=12)


def test_without_the_cache_the_section_has_their_numbers(sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "nowhere"))
    (section,) = only_one.section(read_sweep(sweep))
    first = compare_images(sweep).only_first
    assert not section.is_drawn
    text = section.parts[0].text[-1]
    assert "set ABLATE_CACHE" in text and str(tmp_path) not in text  # pages are passed on
    assert f"; their numbers are: only a+b: {first[0]}, {first[1]}" in text


def test_where_no_image_is_right_under_one_only_nobody_is_sent_to_the_cache(sweep, cached):
    nobody = np.array([], np.int64)
    part = only_one._part(
        read_sweep(sweep), dataclasses.replace(compare_images(sweep), only_first=nobody, only_second=nobody)
    )
    assert part.text[-1] == "No image is right with most seeds of one and wrong with most of the other."
    assert not part.figure


def test_a_difference_that_no_seed_changes_has_the_interval_over_images(sweep):
    pair = compare_images(sweep)
    rounded = dataclasses.replace(pair, both=Difference(0.0, -1.5e-9, 1.5e-9, 2, "seeds and images"))
    text = only_one._part(read_sweep(sweep), rounded).text[0]
    assert "images only" in text
    assert "[+0.0, +0.0]" not in text
    assert str(rounded.both) == "+0.0 points (no interval: the same with all 2 seeds)"


def test_the_page_has_the_section(sweep, cached, undrawn):
    ablate.write_report(sweep)
    page = SweepDir(sweep).page.read_text()
    assert "<h2>Images that only one of the two gets right</h2>" in page
    assert "<h3>a+b against b+a</h3>" in page
