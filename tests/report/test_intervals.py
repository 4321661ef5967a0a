"""What intervals hold: seeds and images by default, where every trial that is compared has results for every image."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ablate.errors import UsageError
from ablate.report.data.results import read_sweep
from ablate.report.recommendation import files
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.baseline import findings
from ablate.report.stats.order import order
from ablate.report.write import publish, write_report
from ablate.sweep.asked import asked_for
from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.image_results import with_images
from tests.support.recommendations import shown

pytestmark = pytest.mark.usefixtures("undrawn")


def test_both_by_default_wider_and_never_surer_than_seeds(tmp_path):
    with_images(tmp_path)
    both, seeds, images = (recommend(tmp_path, interval=interval) for interval in ("both", "seeds", "images"))
    bounds = {}
    for name, found in (("both", both), ("seeds", seeds), ("images", images)):
        ranking = found.choice.order
        assert ranking.cells[0].label == "a+b"
        bounds[name] = ranking.difference(ranking.cells[0], ranking.cells[-1]).bounds()
    for narrower in ("seeds", "images"):
        assert bounds["both"][0] < bounds[narrower][0] < bounds[narrower][1] < bounds["both"][1]
    assert set(seeds.choice.order.contenders) <= set(both.choice.order.contenders)
    assert "two-way model, seeds and images, n = 3" in shown(both)
    assert "paired by seed, seeds and images, n = 3" in shown(both)
    assert " and images" not in shown(seeds)
    assert "Only images count as a sample here" in shown(images)
    assert images.decided.provisional


def test_a_comparison_with_a_baseline_says_what_its_intervals_hold(tmp_path):
    with_images(tmp_path, baseline="a")
    for interval, told in (("both", ", seeds and images)"), ("seeds", ")"), ("images", ", images only)")):
        said = findings(read_sweep(tmp_path, interval=interval))[0]
        assert said.endswith(f"hold for all cells at once (Dunnett's comparisons with one control{told}.")


def test_a_cell_that_only_other_images_could_put_first_is_a_contender(tmp_path):
    levels = {"a": 0.3, "b": 0.3, "a+b": 0.6, "b+a": 0.45, "untrained": -1.0}
    with_images(tmp_path, images=120, noise=0.02, levels=levels)
    seeds, both = (recommend(tmp_path, interval=interval).choice for interval in ("seeds", "both"))
    assert len(seeds.candidates) < len(both.candidates)
    assert "More seeds alone would not tell a+b from " in " ".join(both.evidence)


def test_one_trial_without_image_results_leaves_the_intervals_to_the_seeds(tmp_path):
    with_images(tmp_path, skip=("b",))
    found, seeds = recommend(tmp_path, interval="both"), recommend(tmp_path, interval="seeds")
    sentence = "Intervals hold seeds only: 3 of 12 trials have no results for every image, which `ablate evaluate "
    assert shown(found).replace(found.choice.sweep.seeds_only, "").split() == shown(seeds).split()
    assert found.choice.sweep.seeds_only.startswith(sentence)
    assert files.as_json(found)["sweep"]["interval"] == "seeds"


@pytest.mark.parametrize("name", ["recommend", "report"])
def test_intervals_over_images_alone_are_refused_where_some_trials_have_none(name, tmp_path):
    with_images(tmp_path, skip=("b",))
    told = one_sentence(ablate(name, tmp_path, "--interval", "images"))
    assert "--interval images cannot be given: 3 of 12 trials have no results for every image, which `ablate" in told
    assert told.endswith("; leave it out, and intervals hold seeds")


def test_the_report_takes_what_its_intervals_hold(tmp_path):
    with_images(tmp_path)
    assert ablate("report", tmp_path, "--interval", "images").returncode == 0
    assert asked_for(tmp_path).interval == "images"
    page = (tmp_path / "report" / "index.html").read_text()
    for text in ((tmp_path / "report" / "caption.txt").read_text(), page):
        assert "holding images only." in text
        assert "conditional on this data set" not in text


def test_a_damaged_file_stops_no_report(tmp_path):
    with_images(tmp_path)
    path = next(SweepDir(tmp_path).images.iterdir())
    path.write_bytes(path.read_bytes()[:-3])
    sentence = read_sweep(tmp_path, interval="both").seeds_only
    assert sentence.startswith(f"Intervals hold seeds only: {path} is damaged (")


@pytest.mark.parametrize(
    ("measure", "why"), [("auroc", "those over images are for accuracies, not for AUROC"), ("f1", "not for macro F1")]
)
def test_other_measures_have_no_intervals_over_images(measure, why, tmp_path):
    with_images(tmp_path)
    for path in SweepDir(tmp_path).trials.iterdir():
        content = json.loads(path.read_text())
        more = {f"linear_val_{name}": 0.5 + content["seed"] / 100 for name in ("auroc", "macro_f1")}
        content["metrics"] |= {**more, "linear_auroc": 0.5, "linear_macro_f1": 0.5}
        path.write_text(json.dumps(content))
    assert why in read_sweep(tmp_path, measure, interval="both").seeds_only


def test_one_seed_is_compared_over_images_only_where_that_is_asked_for(tmp_path):
    with_images(tmp_path, seeds=1)
    assert recommend(tmp_path).choice.order.model is None
    found = recommend(tmp_path, interval="images")
    assert found.choice.order.contenders
    assert "Recommended, provisionally: a+b" in shown(found)


def test_what_a_running_sweep_decides_goes_by_seeds(tmp_path):
    with_images(tmp_path)
    assert read_sweep(tmp_path).grid.images is None


def test_page_and_recommendation_agree(tmp_path):
    with_images(tmp_path)
    write_report(tmp_path)
    assert "two-way model, seeds and images" in SweepDir(tmp_path).page.read_text()
    publish(recommend(tmp_path, interval="seeds"))
    assert asked_for(tmp_path).interval == "seeds"
    assert "two-way model, seeds and images" not in SweepDir(tmp_path).page.read_text()
    assert order(read_sweep(tmp_path, interval="both").grid).model.images.how == "seeds and images"


def test_an_unknown_interval_is_refused(tmp_path):
    with_images(tmp_path, seeds=1)
    with pytest.raises(
        UsageError, match="unknown interval 'image'; allowed: both, seeds, images; did you mean 'images'"
    ):
        recommend(tmp_path, interval="image")


@pytest.mark.slow
def test_a_hundred_thousand_images_need_less_than_4_gb(tmp_path):
    with_images(tmp_path, images=100_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 10**9,) * 2)"
    command = [sys.executable, "-c", f"{limit}; from ablate.cli import main; main()", "recommend", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "two-way model, seeds and images" in done.stdout
