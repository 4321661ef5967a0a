"""The heatmap: nothing is clipped or covered, and its bytes follow from the records."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

import ablate
from ablate.report import write_report
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.palette import SIGNED, UNSIGNED, colour, ink_on
from ablate.report.figures.style import save
from ablate.sweep.plan import load_plan, save_plan
from tests.support.sweeps import HUGE, big, by_position, extents, sweep

MANY = [f"color(strength={i / 50})" for i in range(31)]

LONG = [f"kornia.RandomPlanckianJitter(p={p / 10})" for p in range(4)]


@pytest.mark.parametrize(
    ("labels", "seeds"),
    [
        *itertools.product((["crop"], ["crop", "color"], LONG[:2], list("abcdefg"), [*LONG, *"abcdefgh"]), (1, 3)),
        pytest.param(MANY, 3, marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else str(len(value)),
)
def test_no_label_is_clipped_and_no_number_leaves_its_cell(labels, seeds):
    title = "a-data-set-with-a-long-name, one-branch simclr, resnet18, 100 epochs, 3 seeds"
    figure = heatmap(big(labels, seeds), title=title)
    boxes = extents(figure)
    width, height = figure.canvas.get_width_height()
    main = figure.axes[0]
    cell = main.transData.transform([(0, 1), (1, 0)])
    room = abs(cell[1] - cell[0])
    for text, box in boxes.items():
        assert box.x0 >= -0.5, text.get_text()
        assert box.y0 >= -0.5, text.get_text()
        assert box.x1 <= width + 0.5, text.get_text()
        assert box.y1 <= height + 0.5, text.get_text()
        if text.axes is main and text in main.texts:
            assert box.width <= room[0], text.get_text()
            assert box.height <= room[1], text.get_text()


def test_column_labels_do_not_overlap():
    figure = heatmap(big([*LONG, *"abcdefgh"], 1))
    boxes = extents(figure)
    for labels in (figure.axes[0].get_yticklabels(), heatmap(big(list("abcdefg"), 1)).axes[0].get_xticklabels()):
        known = [boxes[label] for label in labels if label in boxes]
        for a, b in itertools.pairwise(known):
            assert not a.overlaps(b)


def test_ink_is_readable_on_every_cell():
    """Contrast of at least 4.5:1 between text and colour (WCAG's bound for text of any size)."""

    def luminance(colour):
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for value in np.linspace(0, 1, 101):
        for name in (UNSIGNED, SIGNED):
            paper = colour(value, name)
            ink = 0.0 if ink_on(paper) == "black" else 1.0
            assert (max(ink, luminance(paper)) + 0.05) / (min(ink, luminance(paper)) + 0.05) >= 4.5, value


def test_same_records_same_bytes(tmp_path):
    grid = big(list("abc"), 2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(heatmap(grid), [tmp_path / name / f"h.{kind}" for kind in ("png", "svg", "pdf")])
    for kind in ("png", "svg", "pdf"):
        assert (tmp_path / "one" / f"h.{kind}").read_bytes() == (tmp_path / "two" / f"h.{kind}").read_bytes()
    pdf = (tmp_path / "one" / "h.pdf").read_bytes()
    assert b"/FontFile2" in pdf or b"/Type0" in pdf  # fonts are embedded, as TrueType


def test_public_heatmap_takes_the_table_of_results(tmp_path):
    sweep(tmp_path, ["a", "b"], value=by_position)
    frame = ablate.load_results(tmp_path)
    texts = {text.get_text() for text in ablate.heatmap(frame, metric="knn_top1").findobj(Text)}
    assert {"0.0", "10.0", "20.0", "30.0"} <= texts
    with pytest.raises(ValueError, match="no grid"):
        ablate.heatmap(frame[frame["reference"].notna()])
    with pytest.raises(ValueError, match="a table without the column 'row'"):
        ablate.heatmap(frame.drop(columns=["row"]))
    with pytest.raises(ValueError, match=r"draws a sweep's directory or the table of .*, not \['g1'\]"):
        ablate.heatmap(["g1"])


@pytest.mark.parametrize("labels", [HUGE, [HUGE[2]]], ids=len)
def test_long_labels_are_numbered_and_spelled_out_below(labels):
    figure = heatmap(big(labels, 2), title="shapes, one-branch simclr, resnet8, 3 epochs, 2 seeds")
    boxes = extents(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes.items():
        assert box.x0 >= -0.5, text.get_text()
        assert box.y0 >= -0.5, text.get_text()
        assert box.x1 <= width + 0.5, text.get_text()
        assert box.y1 <= height + 0.5, text.get_text()
    below = " ".join(text.get_text() for text in boxes).replace("\n", " ")
    assert all(label in below for label in labels)
    title, heading = (
        next(t for t in boxes if t.get_text().endswith(end)) for end in ("top-1 on test (%)", "second op")
    )
    assert not boxes[title].overlaps(boxes[heading])


def test_an_unknown_metric(tmp_path):
    frame = ablate.load_results(sweep(tmp_path, ["a"]))
    with pytest.raises(ValueError, match="allowed: linear_top1"):
        heatmap(frame, metric="top5")


def test_dollars_in_names_are_not_mathematics(tmp_path):
    sweep(tmp_path, ["mine(name='$a_{$b')", "b"])
    experiment = load_plan(tmp_path)
    data = experiment.shared.data.model_copy(update={"name": "a$b_{$c"})
    save_plan(tmp_path, experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"data": data})}))
    write_report(tmp_path)
