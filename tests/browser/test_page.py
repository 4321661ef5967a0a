"""The report's page in headless Chromium: what hovering, the keyboard, the switches and sorting show."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ablate.report.data.results import read_sweep
from ablate.report.write import write_page, write_report
from tests.support.sweeps import by_position, sweep

COMMITTED = Path(__file__).parents[2] / "results" / "fig5-glyphs-5-seeds"
TASKS = COMMITTED.parent / "real-spoken-digits-tasks"
SHOTS = os.environ.get("ABLATE_SCREENSHOTS")  # a folder, for whoever wants to look

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweep") / "glyphs"
    shutil.copytree(COMMITTED, directory)
    write_page(read_sweep(directory))
    return directory


@pytest.fixture
def opened(page, glyphs, tmp_path):
    """The page at an address of its own, where the browser remembers nothing of it."""
    shutil.copytree(glyphs / "report", tmp_path / "report")
    page.goto(address(tmp_path))
    return page


@pytest.fixture
def shots(tmp_path):
    """Where pictures of the page go."""
    return Path(SHOTS or tmp_path)


def address(directory):
    return (directory / "report" / "index.html").as_uri()


def shown(page):
    return page.inner_text("#panel article")


def colours(page):
    cells = page.locator("#heat a.cell")
    return cells.evaluate_all("cells => cells.map(cell => getComputedStyle(cell).backgroundColor)")


def link(page, label):
    return page.locator("#list").get_by_role("link", name=label, exact=True).get_attribute("href")


def test_it_opens(opened):
    assert opened.title().startswith("glyphs, one-branch simclr")


def test_the_panel_starts_with_the_best(opened):
    assert shown(opened).startswith("crop+color")


def test_hovering_shows_the_numbers_of_the_records(opened, glyphs):
    found = read_sweep(glyphs)
    for row, column in itertools.product(found.grid.ops, repeat=2):
        cell = found.grid.cells[row, column]
        opened.hover(f"#heat a[href='{link(opened, cell.label)}']")
        text = shown(opened)
        assert text.startswith(f"{cell.label}\n")
        assert f"{100 * cell.mean():.1f} %" in text
        for seed, value in cell.seeds().items():
            validation, knn = cell.seeds("linear_val_top1")[seed], cell.seeds("knn_top1")[seed]
            assert f"{seed}\t{100 * value:.1f}\t{100 * validation:.1f}\t{100 * knn:.1f}" in text
    assert opened.locator("#panel img").evaluate("picture => picture.naturalWidth") == 202
    assert opened.locator("#panel polyline").count() == 10


def test_a_click_keeps_a_cell_and_another_click_lets_it_go(opened):
    opened.click("#heat a[href='#cell-crop+sobel']")
    before = shown(opened)
    opened.hover("#heat a[href='#cell-crop']")
    assert shown(opened) == before
    opened.click("#heat a[href='#cell-crop+sobel']")
    opened.hover("#heat a[href='#cell-crop']")
    assert shown(opened) != before


def test_a_cell_has_an_address(opened, tmp_path):
    """A click changes it, the back button goes to the cell before, and a link opens the cell."""
    opened.click("#heat a[href='#cell-crop+sobel']")
    assert opened.evaluate("location.hash") == "#cell-crop+sobel"
    opened.click("#list a[href='#cell-blur']")
    assert opened.evaluate("location.hash") == "#cell-blur"
    assert shown(opened).startswith("blur\n")
    opened.go_back()
    assert opened.evaluate("location.hash") == "#cell-crop+sobel"
    assert shown(opened).startswith("crop+sobel\n")
    opened.click("#heat a[href='#cell-crop+sobel']")  # a second click lets it go
    assert opened.evaluate("location.hash") == ""
    opened.goto("about:blank")  # else a new fragment would not load the page again
    opened.goto(f"{address(tmp_path)}#cell-sobel+blur")
    assert shown(opened).startswith("sobel+blur\n")
    assert opened.get_attribute("#heat .shown", "href") == "#cell-sobel+blur"


def test_the_keyboard_reaches_every_cell(opened):
    opened.focus("#heat a")
    assert shown(opened).startswith("crop\n")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowDown")
    assert shown(opened).startswith("color\n")
    opened.keyboard.press("Enter")
    opened.keyboard.press("ArrowRight")
    assert shown(opened).startswith("color\n")
    assert opened.locator("#heat a[tabindex='0']").count() == 1
    for _ in range(5):
        opened.keyboard.press("ArrowRight")  # it ends at the edge
    assert opened.get_attribute(":focus", "href") == link(opened, "color+sobel")


def test_the_switches_change_colours_numbers_and_legend(opened):
    seen = [colours(opened)]
    number = opened.locator("input[name=layer]").count()
    assert number == 4  # accuracy, standard error, synergy, order effect
    for i in range(1, number):
        opened.click(f"input[value='{i}'] + span")
        seen.append(colours(opened))
        assert opened.inner_text("#about")
    assert len({tuple(found) for found in seen}) == number
    opened.click("input[value='2'] + span")
    assert opened.inner_text("#heat a[href='#cell-crop+color']").startswith("+19.9")  # 76.8 - 56.9
    assert opened.inner_text("#low").startswith("-")
    opened.click("input[value='0'] + span")
    assert colours(opened) == seen[0]


def first(page):
    return page.locator("#list tbody tr").first.inner_text()


def values(page, key):
    rows = page.locator("#list tbody:first-of-type tr")
    return rows.evaluate_all("(rows, key) => rows.map(row => Number(row.dataset[key]))", key)


def arrow(page):
    return page.locator("#list [aria-sort]").evaluate_all("all => all.map(h => [h.innerText.trim(), h.ariaSort])")


def test_sorting(opened):
    assert first(opened).startswith("crop+color")
    assert arrow(opened) == [["validation %", "descending"]]
    assert values(opened, "validation") == sorted(values(opened, "validation"), reverse=True)
    for key, heading in (("mean", "test %"), ("knn", "kNN %"), ("validation", "validation %")):
        for direction in ("descending", "ascending"):
            opened.click(f"#list button[data-key='{key}']")
            assert arrow(opened) == [[heading, direction]]
            assert values(opened, key) == sorted(values(opened, key), reverse=direction == "descending")
    opened.click("#list button[data-key='name']")
    assert first(opened).startswith("blur")
    assert arrow(opened) == [["composition", "ascending"]]
    last = opened.inner_text("#list tbody:last-of-type")
    assert "supervised" in last and "crop" not in last


def test_print_has_the_colours_and_few_pages(opened, shots):
    opened.emulate_media(media="print")
    adjust = "cell => getComputedStyle(cell).printColorAdjust"
    assert opened.locator("#heat .cell").first.evaluate(adjust) == "exact"
    for hidden in ("#details", "#panel", ".switch"):
        assert opened.locator(hidden).is_hidden()
    pdf = opened.pdf(path=shots / "page.pdf")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


def test_no_text_of_a_phone_is_tiny_and_no_sign_lies_on_digits(page, glyphs):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address(glyphs))
    small = """[...document.querySelectorAll('body *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => e.getClientRects().length && !e.closest('.sr, script, style, .mark'))
        .map(e => [parseFloat(getComputedStyle(e).fontSize), e.outerHTML]).filter(([size]) => size > 0 && size < 11)"""
    assert page.evaluate(small) == []
    over = """[...document.querySelectorAll('#heat a.cell .mark')].filter(mark => {
        const cell = mark.closest('a');
        const range = document.createRange(); range.selectNodeContents(cell.querySelector('.value'));
        const a = mark.getBoundingClientRect(), b = range.getBoundingClientRect();
        return a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
    }).map(mark => mark.closest('a').hash)"""
    assert page.evaluate(over) == []
    row = page.locator("#heat tbody th").first
    before = row.bounding_box()["x"]
    page.evaluate("document.querySelector('.map .scroll').scrollLeft = 60")
    assert row.bounding_box()["x"] == before  # the names of rows stay
    hints = page.locator(".scroll.wide + .more")
    assert all(hint.is_visible() for hint in hints.all())


@pytest.mark.parametrize("width", [1280, 1000, 390])
def test_no_table_of_the_panel_is_cut(page, glyphs, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address(glyphs))
    assert "wide" not in page.get_attribute("#panel .scroll", "class").split()


@pytest.mark.parametrize("width", [420, 390])
def test_the_list_of_compositions_fits_a_phone(page, glyphs, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address(glyphs))
    box = page.locator(".scroll", has=page.locator("#list"))
    assert "wide" not in box.get_attribute("class").split()
    lines = "names => names.map(name => new Set([...name.getClientRects()].map(box => Math.round(box.top))).size)"
    assert set(page.locator("#list tbody a").evaluate_all(lines)) <= {1, 2}


def test_a_task_brings_its_own_marks_and_legend(page, tmp_path):
    shutil.copytree(TASKS, tmp_path / "spoken")
    write_report(tmp_path / "spoken")
    page.goto(address(tmp_path / "spoken"))
    best = "#heat a.cell:has([data-mark='★']:not([hidden]))"
    assert page.get_attribute(best, "href") == "#cell-crop-flip_p=0.0-+cutout"
    page.get_by_text("Task speaker", exact=True).click()
    assert page.get_attribute(best, "href") == "#cell-crop-flip_p=0.0-+color"
    page.get_by_text("Synergy", exact=True).click()
    assert page.get_attribute(best, "href") == "#cell-crop-flip_p=0.0-+cutout"
    assert page.locator("[data-legend]:visible").count() == 1


def test_what_was_chosen_outlives_a_reload(opened):
    opened.click("input[value='2'] + span")
    opened.click("#heat a[href='#cell-crop+blur']")
    before = colours(opened), shown(opened)
    opened.reload()
    assert (colours(opened), shown(opened)) == before


@pytest.mark.parametrize("element", ["h1", "h2", "h3", "main p"])
def test_a_long_composition_is_broken_wherever_it_stands(page, glyphs, element):
    """A screening names its whole recipe in a heading."""
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(address(glyphs))
    page.locator(element).evaluate_all("all => all.forEach(node => (node.textContent = 'crop+flip'.repeat(40)))")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window_in_light_and_dark(page, glyphs, shots, width, height, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(address(glyphs))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    path = shots / f"page-{width}-{scheme}.png"
    page.screenshot(path=path, full_page=True)
    with Image.open(path) as picture:
        assert (sum(picture.convert("RGB").getpixel((2, 2))) < 150) == (scheme == "dark")


def test_failures_and_names_that_look_like_markup(page, tmp_path):
    directory = sweep(tmp_path, ["<b>a</b>", "</script>"], seeds=2, value=lambda t: 0.5, fail=("<b>a</b>",))
    write_page(read_sweep(directory))
    page.goto(address(directory))
    page.focus("#heat a")
    assert shown(page).startswith("<b>a</b>\n\nfailed\n\nDiverged: the loss became nan <b>")
    page.click("input[value='1'] + span")
    assert page.locator("#heat a").first.inner_text().strip() == "failed"


def test_a_sweep_of_compositions_alone(page, tmp_path):
    from ablate.config.sweep import NamedComposition
    from ablate.sweep.plan import load_plan, plan, save_plan
    from tests.support.sweeps import record, write_record

    experiment = load_plan(sweep(tmp_path, ["a"], value=by_position))
    alone = {"ops": (), "compositions": (NamedComposition(label="a+b+c", ops=(experiment.ops[0].op,)),)}
    experiment = experiment.model_copy(update=alone)
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, 0.5))
    write_page(read_sweep(tmp_path))
    page.goto(address(tmp_path))
    assert "a+b+c" in shown(page)


def test_the_arrow_keys_pass_over_cells_that_are_left_out(page, tmp_path):
    from ablate.sweep.plan import load_plan, plan, save_plan
    from tests.support.sweeps import record, write_record

    experiment = load_plan(sweep(tmp_path, ["a", "b", "c"]))
    experiment = experiment.model_copy(update={"pairs_with": ("c",)})  # a+b and b+a are not there
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, 0.5))
    write_page(read_sweep(tmp_path))
    page.goto(address(tmp_path))
    page.focus("#heat a")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(":focus", "data-at") == "2"
    page.click("input[value='1'] + span")


def test_names_with_everything_in_them_fit(page, tmp_path):
    names = ["a<&%_#{}$x^2$\"'\n" + "z" * 200, "b\\frac{1}{2}$`c`"]
    directory = sweep(tmp_path, names, seeds=2, value=lambda t: 0.3 + 0.01 * t.seed)
    write_page(read_sweep(directory))
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address(directory))
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#list tbody a").first.click()
    assert page.evaluate("/^#cell-[A-Za-z0-9+=._-]+$/.test(location.hash)")
    assert shown(page)
