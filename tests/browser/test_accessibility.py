"""Every kind of page against WCAG 2 A and AA, and what axe-core holds for good practice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ablate.report.data.results import read_sweep
from ablate.report.recommendation.recommend import recommend
from ablate.report.write import write_page
from ablate.sweep.plan import is_sweep, load_plan, plan, save_plan
from tests.support import recommendations
from tests.support.searches import begun, value_of, walk
from tests.support.sweeps import record, sweep, write_record

RESULTS = Path(__file__).parents[2] / "results"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

pytestmark = pytest.mark.browser


def violations(page):
    from axe_playwright_python.sync_playwright import Axe  # it takes a second, also where these tests are not run

    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    return found.generate_report() if found.violations_count else ""


def pruned_search(directory):
    planned = begun()
    planned = planned.model_copy(update={"compositions": tuple(walk(planned.search, 2))})
    save_plan(directory, planned)
    worth = {item.label: value_of(item) for item in planned.compositions}
    for trial in plan(planned):
        value = worth.get(trial.label, 0.1) + 0.01 * trial.seed
        changes = {} if value > 0.6 or trial.reference else {"status": "pruned", "metrics": {}}
        write_record(directory, record(trial, value, **changes))


def confirmed(directory):
    recommendations.make(directory)
    recommendations.confirm(directory)
    assert recommend(directory).pipelines


def unfinished(directory):
    sweep(directory, list("abcdefghi"), skip=("a+b", "b"), fail=("c",))  # nine ops: small cells


def flagged(directory):
    sweep(directory, ["a" * 30, "b"], seeds=2, value=by_first)  # a name that is shortened
    trial = plan(load_plan(directory))[-1]
    write_record(directory, record(trial, 0.3, flags=("collapsed",)))


def by_first(trial):
    return 0.1 if trial.reference else 0.05 + 0.3 * (trial.row == "b") + 0.01 * trial.seed


COMMITTED = sorted(path.name for path in RESULTS.iterdir() if is_sweep(path))
MADE_UP = {"search": pruned_search, "confirmed": confirmed, "unfinished": unfinished, "flagged": flagged}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the page of a sweep, committed or made up, and return its address."""

    def write(name):
        directory = tmp_path_factory.mktemp("sweeps") / name
        if name in MADE_UP:
            MADE_UP[name](directory)
        else:
            shutil.copytree(RESULTS / name, directory)
        write_page(read_sweep(directory), refresh=3600.0 if name == "unfinished" else None)
        return (directory / "report" / "index.html").as_uri()

    return write


@pytest.mark.parametrize("name", [*COMMITTED, *MADE_UP])
def test_a_page_is_accessible(page, written, name):
    """On a light desktop as it opens, and on a dark phone with everything unfolded."""
    page.goto(written(name))
    assert violations(page) == ""
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert violations(page) == ""


def test_every_layer_and_every_cell_is_accessible(page, written):
    page.goto(written("flagged"))
    for layer in page.locator(".switch span").all():
        layer.click()
        assert violations(page) == ""
    page.evaluate("document.documentElement.classList.remove('scripted')")  # as without JavaScript
    assert violations(page) == ""


def test_the_keyboard_stops_at_what_scrolls_and_only_there(page, written):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(written("unfinished"))
    for box in page.locator(".scroll").all():
        assert (box.get_attribute("tabindex") == "0") == ("wide" in box.get_attribute("class").split())
    assert page.locator(".scroll[tabindex='0']").count()


def test_a_running_sweeps_page_reloads_until_that_is_switched_off(page, written):
    page.clock.install()
    page.goto(written("unfinished"))
    with page.expect_navigation():
        page.clock.fast_forward("01:00:00")
    page.uncheck("#refresh")
    page.evaluate("window.same = true")
    page.clock.fast_forward("02:00:00")
    assert page.evaluate("window.same")
    page.reload()
    assert not page.is_checked("#refresh")
