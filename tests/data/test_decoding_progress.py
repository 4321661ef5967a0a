"""What the user sees of the decoding of images."""

from __future__ import annotations

import pytest
from PIL import Image

import ablate.planning.images as planned
from tests.support.wishes import wish


@pytest.mark.parametrize(("seconds", "said"), [(0.0, True), (3600.0, False)])
def test_decoding_says_how_far_it_is_where_no_terminal_shows_a_bar(tmp_path, monkeypatch, capsys, seconds, said):
    for number in range(20):
        place = tmp_path / "leaves" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (number, 0, 0)).save(place / f"{number}.png")
    monkeypatch.setattr(planned, "LINE_EVERY", seconds)
    data = planned.prepare_images(wish(data=f"folder:{tmp_path / 'leaves'}"), tmp_path / "cache")
    total = len(data.train.labels) + len(data.test.labels)
    assert (f"decoding images: {total} of {total}" in capsys.readouterr().err) == said
