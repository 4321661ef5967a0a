"""recommend --protect: the best composition among those that keep a class."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.recommendation.conclusion import doubt
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.order import order
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, save_plan
from tests.support.classes import LABEL, made, wrong
from tests.support.cli import ablate, one_sentence
from tests.support.recommendations import shown

pytestmark = pytest.mark.usefixtures("undrawn")
CELLS = {
    "crop": {"six": 8},  # the best of all, at the cost of six
    "color": {"six": 1, "nine": 9},
    "crop+color": {"nine": 12},
    "color+crop": {"six": 2, "nine": 9, "two": 9},
}


def predicted(label, seed):
    """Recalls that are 5 points apart per image; a seed moves all cells alike, and one image of the third class."""
    cell = CELLS.get(label, {"six": 18, "nine": 18, "two": 18})
    return wrong(**{**cell, "two": cell.get("two", 0) + (seed + len(label)) % 2})


def test_the_best_that_keeps_the_class_is_chosen_and_the_price_is_told(tmp_path):
    made(tmp_path, predicted)
    assert recommend(tmp_path).choice.best.cell.label == "crop"
    found = recommend(tmp_path, protect=["six:5"])
    assert found.choice.best.cell.label == "color"
    assert {cell.label for cell in order(found.choice.sweep.grid).eligible} == {"color", "crop+color"}
    text = " ".join(shown(found).split())
    for said in (
        "Protected by validation recall: six (at most 5 points below its highest, 100.0 %). 2 of 4 compositions keep "
        "that; color has 95.0 % of six. ",
        "Without --protect the choice would be crop, with 60.0 % of six; color against it: -3.3 points",
        "Best composition that keeps the protected classes by validation accuracy: color,",
        "--protect six:5 --confirm`",
    ):
        assert said in text
    exact = recommend(tmp_path, protect=["six:0"])
    assert exact.choice.best.cell.label == "crop+color"
    assert doubt(exact.choice) == "No other composition keeps the protected classes."
    assert "P(best)" not in shown(exact)  # compared with none, it would be certain
    assert "P(best)" in shown(found)
    (only,) = json.loads(ablate("recommend", tmp_path, "--protect", "six:0", "--json").stdout)["sweep"]["candidates"]
    assert only["p_best"] is None


def test_a_class_whose_name_has_a_colon_and_a_constraint_that_changes_nothing(tmp_path):
    made(tmp_path, predicted)
    found = recommend(tmp_path, protect=["two:half"])
    assert found.choice.best.cell.label == "crop"
    assert "The choice is the same without --protect: crop." in shown(found)
    assert "two:half has 20 validation images, each worth 5.0 points" in shown(found)
    assert recommend(tmp_path, protect=["two:half:7.5"]).choice.sweep.protect == ("two:half:7.5",)


def test_the_command_takes_several_classes_and_says_what_would_be_allowed(tmp_path):
    made(tmp_path, predicted)
    told = one_sentence(ablate("recommend", tmp_path, "--protect", "six", "--protect", "nine:3"))
    assert told.endswith(
        "no composition keeps six and nine within the points that each may lose; the nearest is crop, which `--protect "
        "six:40 --protect nine:3` allows"
    )
    done = ablate("recommend", tmp_path, "--protect", "six:40", "--protect", "nine:3", "--json")
    found = json.loads(done.stdout)["sweep"]
    assert (found["best"], found["protect"]) == ("crop", ["six:40", "nine:3"])


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("sicks", "unknown class 'sicks'; allowed: six, nine, two:half; did you mean 'six'?"),
        ("six:many", "--protect six:many: the points that a class may lose must be a number from 0 to 100, not 'many'"),
        ("six:101", "must be a number from 0 to 100, not '101'"),
    ],
)
def test_what_cannot_be_protected_is_one_sentence(tmp_path, wish, said):
    assert one_sentence(ablate("recommend", made(tmp_path, predicted), "--protect", wish)).endswith(said)


def test_without_image_results_the_sentence_says_how_to_get_them(tmp_path):
    made(tmp_path, predicted, skip=("crop",))
    with pytest.raises(
        UsageError, match=r"and 2 of 8 trials of .* have none; `ablate evaluate .* --again` writes them"
    ):
        recommend(tmp_path, protect=["six"])


def test_a_damaged_file_is_called_damaged(tmp_path):
    made(tmp_path, predicted, skip=("color",))
    path = next(SweepDir(tmp_path).images.iterdir())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UsageError, match=rf"2 of 8 trials of {tmp_path} have none and {path} is damaged; `ablate eval"):
        recommend(tmp_path, protect=["six"])


def test_a_sweep_without_names_of_classes_says_how_it_gets_them(tmp_path):
    made(tmp_path, predicted)
    save_plan(tmp_path, load_plan(tmp_path).replace(classes=()))
    told = one_sentence(ablate("recommend", tmp_path, "--protect", "six"))
    assert "unknown class 'six'; allowed: 0, 1, 2; the sweep was planned before names were stored: `ablate grid" in told
    assert told.endswith(f"--out {tmp_path}` adds them")


def test_images_without_labels_have_no_class_to_protect(tmp_path):
    planned = load_plan(made(tmp_path, predicted))
    shared = planned.shared.replace(data=planned.shared.data.model_copy(update={"classes": 0}))
    save_plan(tmp_path, planned.replace(classes=(), shared=shared))
    told = one_sentence(ablate("recommend", tmp_path, "--protect", "six"))
    assert told.endswith("--protect is for classes, and made-up has none")


def test_the_page_says_what_chose_and_a_report_that_does_not_protect_says_so(tmp_path):
    made(tmp_path, predicted)
    write_report(tmp_path, interval="seeds")
    assert ablate("recommend", tmp_path, "--protect", "six:5").returncode == 0  # also another interval: all is written
    text = SweepDir(tmp_path).page.read_text()
    assert "Chosen with <code>--protect six:5</code>." in text
    assert json.loads(SweepDir(tmp_path).recommendation.read_text())["sweep"]["protect"] == ["six:5"]
    plain = " ".join(ablate("report", tmp_path).stdout.split())
    assert (
        f"This replaces the earlier choice in {SweepDir(tmp_path).report}, made with --protect six:5. "
        f"`ablate recommend {tmp_path} --protect six:5` makes it again."
    ) in plain
    assert "--protect" not in SweepDir(tmp_path).page.read_text()
    assert "This replaces" not in ablate("report", tmp_path).stdout


def test_a_composition_that_always_predicts_the_class_is_no_measure_of_it(tmp_path):
    def always(label, seed):
        return np.zeros_like(LABEL) if label == "color" else wrong(six=2 + seed, two=len(label) % 2)

    found = recommend(made(tmp_path, always), protect=["six"])
    assert "six (at most 2 points below its highest, 87.5 %)" in shown(found)
