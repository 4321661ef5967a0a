"""The report's page in headless Chromium: what hovering, the keyboard, the switches and sorting show."""

from __future__ import annotations

import base64
import itertools
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from ablate.report import write_report
from ablate.report.data.results import read_sweep
from tests.browser.chromium import Page, executable
from tests.support.sweeps import by_position, sweep

COMMITTED = Path(__file__).parents[2] / "results" / "fig5-glyphs-5-seeds"
SHOTS = os.environ.get("ABLATE_SCREENSHOTS")  # a folder, for whoever wants to look

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(executable() is None, reason="needs Chromium: make test-browser installs it"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sweep") / "glyphs"
    shutil.copytree(COMMITTED, directory)
    write_report(directory)
    return directory


@pytest.fixture
def opened(page, glyphs):
    page.js("try { sessionStorage.clear() } catch {}")
    page.open(glyphs / "report" / "index.html")
    page.js("sessionStorage.clear()")
    page.open(glyphs / "report" / "index.html")
    return page


def shown(page):
    return page.js("document.querySelector('#panel article').innerText")


def colours(page):
    return page.js("[...document.querySelectorAll('#heat a.cell')].map(cell => getComputedStyle(cell).backgroundColor)")


def link(page, label):
    return page.js(f"[...document.querySelectorAll('#list tbody a')].find(a => a.innerText === '{label}').hash")


def test_it_opens_without_complaints_or_requests(opened):
    assert opened.js("document.title").startswith("glyphs, one-branch simclr")
    assert opened.complaints() == []


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
    assert opened.js("document.querySelector('#panel img').naturalWidth") == 202
    assert opened.js("document.querySelectorAll('#panel polyline').length") == 10


def test_a_click_keeps_a_cell_and_another_click_lets_it_go(opened):
    opened.click("#heat a[href='#cell-crop+sobel']")
    before = shown(opened)
    opened.hover("#heat a[href='#cell-crop']")
    assert shown(opened) == before
    opened.click("#heat a[href='#cell-crop+sobel']")
    opened.hover("#heat a[href='#cell-crop']")
    assert shown(opened) != before


def test_a_cell_has_an_address(opened, glyphs):
    """A click changes it, the back button goes to the cell before, and a link opens the cell."""
    opened.click("#heat a[href='#cell-crop+sobel']")
    assert opened.js("location.hash") == "#cell-crop+sobel"
    opened.click("#list a[href='#cell-blur']")
    assert opened.js("location.hash") == "#cell-blur"
    assert shown(opened).startswith("blur\n")
    back = "addEventListener('popstate', () => setTimeout(done, 0), {once: true}); history.back()"
    opened.js(f"new Promise(done => {{ {back} }})")
    assert opened.js("location.hash") == "#cell-crop+sobel"
    assert shown(opened).startswith("crop+sobel\n")
    opened.click("#heat a[href='#cell-crop+sobel']")  # a second click lets it go
    assert opened.js("location.hash") == ""
    opened.js("sessionStorage.clear()")
    opened.open(glyphs / "report" / "index.html", fragment="#cell-sobel+blur")
    assert shown(opened).startswith("sobel+blur\n")
    assert opened.js("document.querySelector('#heat .shown').hash") == "#cell-sobel+blur"
    assert opened.complaints() == []


def test_the_keyboard_reaches_every_cell(opened):
    opened.js("document.querySelector('#heat a').focus()")
    assert shown(opened).startswith("crop\n")
    opened.key("ArrowRight", 39)
    opened.key("ArrowDown", 40)
    assert shown(opened).startswith("color\n")
    opened.key("Enter", 13)
    opened.key("ArrowRight", 39)
    assert shown(opened).startswith("color\n")
    assert opened.js("document.querySelectorAll('#heat a[tabindex=\"0\"]').length") == 1
    for _ in range(5):
        opened.key("ArrowRight", 39)  # it ends at the edge
    assert opened.js("document.activeElement.hash") == link(opened, "color+sobel")


def test_the_switches_change_colours_numbers_and_legend(opened):
    seen = [colours(opened)]
    number = opened.js("document.querySelectorAll('input[name=layer]').length")
    assert number == 4  # accuracy, standard error, synergy, order effect
    for i in range(1, number):
        opened.click(f"input[value='{i}'] + span")
        seen.append(colours(opened))
        assert opened.js("document.getElementById('about').innerText")
    assert len({tuple(found) for found in seen}) == number
    opened.click("input[value='2'] + span")
    assert opened.js("document.querySelector('#heat a[href=\"#cell-crop+color\"]').innerText").startswith(
        "+19.9"
    )  # 76.8 - 56.9
    assert opened.js("document.getElementById('low').innerText").startswith("-")
    opened.click("input[value='0'] + span")
    assert colours(opened) == seen[0]


FIRST = "document.querySelector('#list tbody tr').innerText"


def values(page, key):
    rows = "[...document.querySelectorAll('#list tbody:first-of-type tr')]"
    return page.js(f"{rows}.map(row => Number(row.dataset.{key}))")


def arrow(page):
    return page.js("[...document.querySelectorAll('#list [aria-sort]')].map(h => [h.innerText.trim(), h.ariaSort])")


def test_sorting(opened):
    assert opened.js(FIRST).startswith("crop+color")
    assert arrow(opened) == [["validation %", "descending"]]
    assert values(opened, "validation") == sorted(values(opened, "validation"), reverse=True)
    for key, heading in (("mean", "test %"), ("knn", "kNN %"), ("validation", "validation %")):
        for direction in ("descending", "ascending"):
            opened.click(f"#list button[data-key='{key}']")
            assert arrow(opened) == [[heading, direction]]
            assert values(opened, key) == sorted(values(opened, key), reverse=direction == "descending")
    opened.click("#list button[data-key='name']")
    assert opened.js(FIRST).startswith("blur")
    assert arrow(opened) == [["composition", "ascending"]]
    last = "document.querySelector('#list tbody:last-of-type').innerText"
    assert "supervised" in opened.js(last) and "crop" not in opened.js(last)


def test_print_has_the_colours_and_few_pages(opened, tmp_path):
    opened("Emulation.setEmulatedMedia", media="print")
    assert opened.js("getComputedStyle(document.querySelector('#heat .cell')).printColorAdjust") == "exact"
    for hidden in ("#details", "#panel", ".switch"):
        assert opened.js(f"getComputedStyle(document.querySelector('{hidden}')).display") == "none"
    opened("Emulation.setEmulatedMedia", media="")
    pdf = base64.b64decode(opened("Page.printToPDF")["data"])
    path = Path(SHOTS or tmp_path) / "page.pdf"
    path.write_bytes(pdf)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


def test_no_text_of_a_phone_is_tiny_and_no_sign_lies_on_digits(page, glyphs):
    page.open(glyphs / "report" / "index.html", 390, 844)
    small = """[...document.querySelectorAll('body *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(e => e.getClientRects().length && !e.closest('.sr, script, style, .mark'))
        .map(e => [parseFloat(getComputedStyle(e).fontSize), e.outerHTML]).filter(([size]) => size > 0 && size < 11)"""
    assert page.js(small) == []
    over = """[...document.querySelectorAll('#heat a.cell .mark')].filter(mark => {
        const cell = mark.closest('a');
        const range = document.createRange(); range.selectNodeContents(cell.querySelector('.value'));
        const a = mark.getBoundingClientRect(), b = range.getBoundingClientRect();
        return a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
    }).map(mark => mark.closest('a').hash)"""
    assert page.js(over) == []
    first = "document.querySelector('#heat tbody th').getBoundingClientRect().left"
    before = page.js(first)
    page.js("document.querySelector('.map .scroll').scrollLeft = 60")
    assert page.js(first) == before  # the names of rows stay
    hints = "[...document.querySelectorAll('.scroll.wide + .more')].every(e => getComputedStyle(e).display === 'block')"
    assert page.js(hints)


@pytest.mark.parametrize("width", [1280, 1000, 390])
def test_no_table_of_the_panel_is_cut(page, glyphs, width):
    page.open(glyphs / "report" / "index.html", width, 900)
    assert page.js("document.querySelector('#panel .scroll').classList.contains('wide')") is False


def test_what_was_chosen_outlives_a_reload(opened, glyphs):
    opened.click("input[value='2'] + span")
    opened.click("#heat a[href='#cell-crop+blur']")
    before = colours(opened), shown(opened)
    opened("Page.reload")
    opened.js("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))")
    assert (colours(opened), shown(opened)) == before


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window_in_light_and_dark(page, glyphs, tmp_path, width, height, dark):
    page.open(glyphs / "report" / "index.html", width, height, dark=dark)
    assert page.js("document.documentElement.scrollWidth") == width
    path = Path(SHOTS or tmp_path) / f"page-{width}{'-dark' * dark}.png"
    page.screenshot(path)
    with Image.open(path) as picture:
        assert (sum(picture.convert("RGB").getpixel((2, 2))) < 150) == dark


def test_failures_and_names_that_look_like_markup(page, tmp_path):
    directory = sweep(tmp_path, ["<b>a</b>", "</script>"], seeds=2, value=lambda t: 0.5, fail=("<b>a</b>",))
    write_report(directory)
    page.open(directory / "report" / "index.html")
    page.js("document.querySelector('#heat a').focus()")
    assert shown(page).startswith("<b>a</b>\n\nfailed\n\nDiverged: the loss became nan <b>")
    page.click("input[value='1'] + span")
    assert page.js("document.querySelector('#heat a').innerText.trim()") == "failed"
    assert page.complaints() == []


def test_a_sweep_of_compositions_alone(page, tmp_path):
    from ablate.config.sweep import NamedComposition
    from ablate.sweep.plan import load_plan, plan, save_plan
    from ablate.sweep.record import write_record
    from tests.support.sweeps import record

    experiment = load_plan(sweep(tmp_path, ["a"], value=by_position))
    alone = {"ops": (), "compositions": (NamedComposition(label="a+b+c", ops=(experiment.ops[0].op,)),)}
    experiment = experiment.model_copy(update=alone)
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, 0.5))
    write_report(tmp_path)
    page.open(tmp_path / "report" / "index.html")
    assert page.complaints() == []
    assert "a+b+c" in shown(page)


def test_the_arrow_keys_pass_over_cells_that_are_left_out(page, tmp_path):
    from ablate.sweep.plan import load_plan, plan, save_plan
    from ablate.sweep.record import write_record
    from tests.support.sweeps import record

    experiment = load_plan(sweep(tmp_path, ["a", "b", "c"]))
    experiment = experiment.model_copy(update={"pairs_with": ("c",)})  # a+b and b+a are not there
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, 0.5))
    write_report(tmp_path)
    page.open(tmp_path / "report" / "index.html")
    page.js("document.querySelector('#heat a').focus()")
    page.key("ArrowRight", 39)
    assert page.js("document.activeElement.dataset.at") == "2"
    page.click("input[value='1'] + span")
    assert page.complaints() == []


def test_names_with_everything_in_them_fit(page, tmp_path):
    names = ["a<&%_#{}$x^2$\"'\n" + "z" * 200, "b\\frac{1}{2}$`c`"]
    directory = sweep(tmp_path, names, seeds=2, value=lambda t: 0.3 + 0.01 * t.seed)
    write_report(directory)
    for width in (1280, 390):
        page.open(directory / "report" / "index.html", width, 900)
        assert page.js("document.documentElement.scrollWidth") == width
        assert page.complaints() == []
    page.js("document.querySelector('#list tbody a').click()")
    assert page.js("/^#cell-[A-Za-z0-9+=._-]+$/.test(location.hash)")
    assert shown(page)
