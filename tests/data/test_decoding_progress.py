"""What the user sees of the decoding of images."""

from __future__ import annotations

import pytest

import ablate.planning.images as planned
from tests.data.test_sides import images
from tests.support.wishes import wish


@pytest.mark.parametrize(("seconds", "said"), [(0.0, True), (3600.0, False)])
def test_decoding_says_how_far_it_is_where_no_terminal_shows_a_bar(tmp_path, monkeypatch, capsys, seconds, said):
    images(tmp_path / "leaves", [40] * 20)
    monkeypatch.setattr(planned, "LINE_EVERY", seconds)
    data = planned.prepare_images(wish(data=f"folder:{tmp_path / 'leaves'}"), tmp_path / "cache")
    total = len(data.train.labels) + len(data.test.labels)
    assert (f"decoding images: {total} of {total}" in capsys.readouterr().err) == said
