from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.ops.composition import Composition
from ablate.sweep.layout import SweepDir
from ablate.trial.run import run_trial
from ablate.trial.thumbnail import GAP, LARGEST, PAIRS, mosaic, pairs, write_preview
from tests.support.trials import comparable

CPU = torch.device("cpu")


@pytest.fixture
def small(config):
    return config.model_copy(update={"epochs": 1, "warmup_epochs": 0})


def test_a_trial_leaves_a_picture_of_its_pairs_and_the_same_record(data, small, tmp_path, monkeypatch):
    result = run_trial(small, tmp_path / "a", data=data)
    with Image.open(SweepDir(tmp_path / "a").preview(small.key)) as picture:
        assert picture.size == (PAIRS * (16 + GAP) - GAP, 2 * (16 + GAP) - GAP)
    monkeypatch.setattr("ablate.trial.run.write_preview", lambda *args: None)
    assert comparable(run_trial(small, tmp_path / "b", data=data)) == comparable(result)
    assert not (tmp_path / "b" / "previews").exists()


def test_all_cells_show_the_same_images_and_base_crops(data, small):
    none, color = (
        small.model_copy(update={"composition": Composition.parse(name).specs()}) for name in ("none", "color")
    )
    (plain, second), (coloured, same) = pairs(none, data, CPU), pairs(color, data, CPU)
    assert torch.equal(plain, second)  # one-branch: the identity on both
    assert torch.equal(second, same)
    assert not torch.allclose(plain, coloured)


def test_it_is_written_once_for_all_seeds(data, small, tmp_path):
    write_preview(tmp_path, small, data, CPU)
    path = SweepDir(tmp_path).preview(small.key)
    path.write_bytes(b"there already")
    write_preview(tmp_path, small, data, CPU)
    assert path.read_bytes() == b"there already"


def test_the_untrained_reference_has_none(data, small, tmp_path):
    write_preview(tmp_path, small.model_copy(update={"objective": "untrained"}), data, CPU)
    assert not (tmp_path / "previews").exists()


def test_a_picture_that_cannot_be_written_costs_no_trial(data, small, tmp_path, caplog):
    (tmp_path / "previews").write_text("in the way")
    with caplog.at_level(logging.WARNING, logger="ablate"):
        logging.getLogger("ablate").propagate = True
        assert run_trial(small, tmp_path, data=data).status == "done"
    assert f"no preview of {small.key} was written" in caplog.text


def test_large_views_are_shown_smaller(data, small):
    large = small.model_copy(update={"image_size": 96})
    first, _ = pairs(large, data, CPU)
    assert first.shape == (PAIRS, 3, LARGEST, LARGEST)


def test_a_mosaic_is_rows_of_images_on_white():
    red, blue = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    red[:, 0], blue[:, 2] = 1, 1
    picture = mosaic(red, blue).numpy()
    assert picture.shape == (4 + GAP + 4, 4 + GAP + 4, 3)
    assert (picture[:4, :4] == [255, 0, 0]).all()
    assert (picture[-4:, -4:] == [0, 0, 255]).all()
    assert (picture[4 : 4 + GAP] == 255).all() and np.all(picture[:, 4 : 4 + GAP] == 255)
