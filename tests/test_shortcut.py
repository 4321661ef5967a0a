from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from ablate.data import Images
from ablate.evaluation.shortcut import histograms, interval, matched, shortcut
from ablate.ops.pair import TransformPair
from tests.support.cli import ablate, one_sentence


@pytest.mark.parametrize("channels", [1, 4])
def test_histograms_are_numpys_per_channel(channels):
    views = torch.rand(3, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    views[0, 0, 0, 0], views[0, 0, 0, 1] = 0.0, 1.0  # the ends belong to the first and the last bin
    ours = histograms(views, bins=8).view(3, channels, 8)
    for image in range(3):
        for channel in range(channels):
            counts, _ = np.histogram(views[image, channel].numpy(), bins=8, range=(0, 1))
            assert ours[image, channel].tolist() == counts.tolist()


def test_a_match_is_the_nearest_row_and_equal_rows_share_it():
    rows = torch.tensor([[0.0, 9.0], [9.0, 0.0], [5.0, 4.0], [5.0, 4.0]])
    assert matched(rows, rows) == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert matched(rows[:2], rows[:2].flip(0)) == 0


def test_only_what_changes_values_lowers_the_shortcut():
    levels = torch.linspace(0, 250, 40).byte()[:, None, None, None]  # each image has one grey of its own
    images = Images(levels.expand(40, 2, 16, 16).contiguous())
    pairs = [TransformPair.two_branch(text, 16) for text in ("crop", "crop+flip", "crop+intensity")]
    plain, flipped, changed = shortcut(images, pairs, draws=2, seed=0)
    # 32 bins hold 40 greys: pairs of neighbours share a bin, whose success they share
    assert plain.tolist() == flipped.tolist() == pytest.approx([32 / 40] * 2)
    assert (changed < 0.3).all()
    assert np.array_equal(shortcut(images, pairs[2:], draws=2, seed=0)[0], changed)
    assert not np.array_equal(shortcut(images, pairs[2:], draws=2, seed=1)[0], changed)


def test_the_interval_is_students():
    mean, low, high = interval(np.array([0.1, 0.2, 0.3]))
    assert (mean, high - mean) == pytest.approx((0.2, 4.302653 * 0.1 / 3**0.5))
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(interval(np.array([0.5]))[1])


def test_preview_prints_the_shortcut_and_what_lowers_it(cache, tmp_path):
    line = ["preview", "--shortcut", "--draws", "2", "--cache", cache]
    done = ablate(*line, "crop+color+gray", "--ops", "crop(flip_p=0),flip,color", "--out", tmp_path / "table.csv")
    assert done.returncode == 0, done.stderr
    assert "glyphs: histograms alone find the other view of an image among 256 in" in done.stdout
    with (tmp_path / "table.csv").open() as file:
        rows = {row["composition"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"crop", "crop+flip", "crop+color", "crop+color+gray"}
    assert next(iter(rows)) == "crop"
    assert float(rows["crop"]["matched"]) > 0.9
    assert float(rows["crop+color"]["matched"]) < 0.3
    ends = [float(row[end]) for row in rows.values() for end in ("low", "high")]
    assert 0 <= min(ends) <= max(ends) <= 1  # two draws alone leave intervals wider than that
    assert abs(float(rows["crop+flip"]["lowered"])) < 0.02
    for option, value, sentence in (
        ("--show", "1,2,3", "--show is for pictures"),
        ("--images", "3", "--images is for pictures"),
        ("--out", tmp_path / "table.png", "unknown table format '.png'; allowed: .csv"),
        ("--ops", "colr", "did you mean 'color'"),
    ):
        assert sentence in one_sentence(ablate(*line, option, value))
