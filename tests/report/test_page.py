from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from ablate.console import GLUE, tight
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.page.curves import curves
from ablate.report.page.entries import MOST_PICTURED, address
from ablate.report.page.layers import layers
from ablate.report.page.page import commands
from ablate.report.stats.comparison import compare
from ablate.report.write import write_page
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from tests.support.noisy import noisy
from tests.support.recommendations import confirm, make
from tests.support.sweeps import by_position, make_experiment, record, sweep, write_record

NASTY = '<img src=x onerror="boom()">&'


class Parsed(HTMLParser):
    """Tags with their attributes, the text, and every address that a browser would ask for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.addresses = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        self.addresses += [found[name] for name in ("src", "href") if found.get(name)]

    def handle_data(self, data):
        self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def of(self, tag, **wanted):
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]


def page_in(directory, *others, **kwargs):
    """The page; where it is compared with nothing, without the figures and tables that a report writes beside it."""
    if others or kwargs:
        write_report(directory, others, **kwargs)
    else:
        write_page(read_sweep(directory))
    return (directory / "report" / "index.html").read_text()


def test_every_number_stands_in_a_real_table(tmp_path):
    parsed = Parsed(page_in(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position)))
    assert len(parsed.of("th", scope="col", title="a")) == len(parsed.of("th", scope="row", title="a")) == 1
    for number in ("11.0", "21.0", "31.0", "41.0", "± 1.0", "16.0"):  # cells, deviations, the average of a's row
        assert number in parsed.text
    assert parsed.of("html", lang="en")
    assert len(parsed.of("article")) == 5  # every cell and the reference


def test_every_uncertainty_says_what_it_is_and_a_confirmations_numbers_that_they_are_its(tmp_path):
    make(tmp_path)
    before = Parsed(page_in(tmp_path)).text
    assert "test; standard deviation over seeds: 3.1; n = 3" in before
    assert "95 % interval of this mean: ± 2.8 points. With many more seeds, the mean would settle within it" in before
    assert "The number after ± is the standard deviation over seeds; “test ± 95 %” is half the 95 % interval" in before
    assert "CPU time of a trial" in before
    assert "two-branch confirmation" not in before
    confirm(tmp_path)
    assert "These numbers are from the two-branch confirmation" in Parsed(page_in(tmp_path)).text


def test_it_asks_for_nothing_and_is_small(tmp_path):
    labels = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
    history = tuple({"epoch": e, "loss": 1 / e, "knn_val_top1": 0.5} for e in range(1, 101))
    directory = sweep(tmp_path, labels, seeds=3)
    for trial in plan(load_plan(directory)):
        write_record(directory, record(trial, 0.5, history=history))
        path = SweepDir(directory).preview(trial.config.key)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 8000)
    html = page_in(directory)
    assert len(html) < 3e6
    assert {address[:5] for address in Parsed(html).addresses} <= {"data:", "#cell"}
    assert "http" not in html.replace("http-equiv", "")


def test_what_a_user_typed_is_escaped(tmp_path):
    directory = sweep(tmp_path, [NASTY, "</script><b>"], fail=(NASTY,))
    html = page_in(directory)
    assert NASTY not in html
    assert "</script><b>" not in html
    parsed = Parsed(html)
    assert not parsed.of("img")
    assert html.count("</script>") == 2
    assert "Diverged: the loss became nan <b>" in parsed.text


def test_failed_and_missing_cells_say_so(tmp_path):
    html = page_in(sweep(tmp_path, ["a", "b"], fail=("a",), skip=("a+b",)))
    parsed = Parsed(html)
    assert parsed.of("a", href="#cell-a")[0]["class"] == "cell failed"
    assert parsed.of("a", href="#cell-a+b")[0]["class"] == "cell missing"
    assert "no result yet" in parsed.text
    assert "failed: Diverged: the loss became nan" in parsed.text


def test_trials_link_to_their_logs(tmp_path):
    directory = sweep(tmp_path, ["a"])
    trial = next(trial for trial in plan(load_plan(directory)) if not trial.reference)
    assert "../logs/" not in page_in(directory)
    SweepDir(directory).log(trial.id).parent.mkdir()
    SweepDir(directory).log(trial.id).write_text("a line\n")
    assert f"../logs/{trial.id}.log" in Parsed(page_in(directory)).addresses


def test_one_seed_is_said_to_say_nothing_of_the_noise(tmp_path):
    text = Parsed(page_in(sweep(tmp_path, ["a", "b"], value=by_position))).text
    assert "n = 1: the noise is unknown" in text
    assert "Run --seeds 3 (" in text


def test_nothing_yet_one_cell_and_many_seeds(tmp_path):
    assert (
        "No composition has a result yet."
        in Parsed(page_in(sweep(tmp_path / "a", ["a"], skip=("a", "untrained")))).text
    )
    assert "50.0" in Parsed(page_in(sweep(tmp_path / "b", ["a"]))).text
    many = Parsed(page_in(sweep(tmp_path / "c", ["a"], seeds=200, value=lambda t: 0.5 + t.seed / 1000)))
    assert "n = 200" in many.text


def test_one_epoch_is_no_curve(tmp_path):
    (trial,) = [trial for trial in plan(make_experiment(["a"])) if trial.label == "a"]
    assert curves([record(trial, history=[{"epoch": 1, "loss": 4.0}])]) == []
    assert curves([record(trial, history=[{"epoch": e, "loss": 4.0} for e in (1, 2)])])


def test_curves_stand_for_the_record(tmp_path):
    directory = sweep(tmp_path, ["a"])
    for trial in plan(load_plan(directory)):
        history = tuple({"epoch": float(e), "loss": 4.0 / e} for e in (1, 2, 4))
        write_record(directory, record(trial, 0.5, history=history))
    parsed = Parsed(page_in(directory))
    (line, _) = parsed.of("polyline")
    assert "loss: 4.00 → 1.00, 4 epochs" in parsed.text
    assert line["points"] == "0.0,0.0 80.0,48.0 240.0,72.0"


def test_layers_are_what_they_say(tmp_path):
    grid = read_sweep(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position)).grid  # 0.11 0.21 / 0.31 0.41
    found = {layer.key: layer for layer in layers(grid, [compare(grid, grid, "itself")])}
    assert found["error"].values["a", "a"] == pytest.approx(0.01 / 3**0.5)
    assert found["synergy"].values["a", "b"] == pytest.approx(0.21 - 0.41)
    assert found["synergy"].values["a", "a"] is None
    assert found["order"].values["b", "a"] == pytest.approx(0.1)
    assert found["order"].averages["b"] == pytest.approx(0.1)
    assert set(found["difference-1"].values.values()) == {0.0}
    assert found["synergy"].limits == pytest.approx((-0.2, 0.2))
    assert found["order"].colours(0.0) == ("#f6f7f7", "black")
    assert found["accuracy"].text(0.2149) == "21.5"
    assert found["order"].text(0.0149) == "+1.5"


@pytest.mark.usefixtures("undrawn")
def test_the_switch_has_a_colour_for_every_cell(tmp_path):
    other = sweep(tmp_path / "other", ["a", "b"])
    html = page_in(sweep(tmp_path / "this", ["a", "b"], seeds=2, value=by_position, skip=("a+b",)), other)
    data = json.loads(html.partition('id="layers">')[2].partition("</script>")[0])
    assert [layer["key"] for layer in data] == ["accuracy", "error", "synergy", "difference-1"]
    assert len(data[0]["cells"]) == 4
    assert data[0]["cells"][1] == ["", "", "", "", ""]
    assert data[0]["averages"][0] == ["", "", "", ""]


def evenly_noisy(trial):
    """As by_position, with residuals that are as large in every cell, and sum to 0 over cells and over seeds."""
    sign = 0 if trial.reference else (-1) ** (trial.row == trial.column)
    return by_position(trial) + 0.002 * sign * (trial.seed - 1)


def test_effects_stand_on_the_page_of_a_whole_grid(tmp_path):
    parsed = Parsed(page_in(sweep(tmp_path, ["a", "b"], seeds=3, value=evenly_noisy)))
    assert "Main effects" in parsed.text
    assert "-10.0 [" in parsed.text  # of a, as the first op
    assert "Main effects" not in Parsed(page_in(sweep(tmp_path / "part", ["a", "b"], skip=("a",)))).text


@pytest.mark.usefixtures("undrawn")
def test_a_page_that_refreshes_says_so(tmp_path):
    html = page_in(sweep(tmp_path, ["a"]), refresh=5.0)
    assert Parsed(html).of("meta", **{"http-equiv": "refresh"})[0]["content"] == "5.0"  # without JavaScript
    assert Parsed(html).of("input", id="refresh")[0]["data-seconds"] == "5.0"
    assert "page reloads every 5 seconds" in html
    assert "http-equiv" not in page_in(tmp_path)


def test_damaged_records_and_previews_do_no_harm(tmp_path):
    directory = sweep(tmp_path, ["a"])
    trial = plan(load_plan(directory))[-1]
    SweepDir(directory).record(trial.id).write_text("{")
    SweepDir(directory).preview(trial.config.key).mkdir(parents=True)
    assert "no result yet" in Parsed(page_in(directory)).text


def test_a_large_grid_goes_without_pictures_and_says_so(tmp_path, monkeypatch):
    for module in ("page", "entries"):
        monkeypatch.setattr(f"ablate.report.page.{module}.MOST_PICTURED", 3)
    assert MOST_PICTURED > 3
    assert "too many cells for one page" in Parsed(page_in(sweep(tmp_path, ["a", "b"]))).text


def rows(parsed_html, body=0):
    """The names in the table's bodies, from top to bottom."""
    table = parsed_html.partition('id="list"')[2].partition("</table>")[0]
    part = table.split("<tbody")[1 + body]
    return re.findall(r'<th scope="row"><a href="#([^"]+)">', part)


def test_the_table_is_ranked_and_references_stand_apart(tmp_path):
    html = page_in(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position, skip=("a",)))
    assert rows(html) == ["cell-b", "cell-b+a", "cell-a+b", "cell-a"]
    assert rows(html, 1) == ["cell-untrained"]
    (heading,) = re.findall(r'aria-sort="(\w+)"><button type="button" data-key="(\w+)"', html)
    assert heading == ("descending", "validation")


def test_the_best_says_so_of_itself_alone(tmp_path):
    text = Parsed(page_in(sweep(tmp_path, ["a", "b"], seeds=3, value=lambda t: 0.5 + 0.01 * t.seed))).text
    assert text.count("The best by validation accuracy, tied with a+b, b+a, b.") == 1
    assert "●" not in text
    assert len(re.findall(r"Tied with a, .* for the best by validation accuracy\.", text)) == 3
    apart = lambda t: 0.5 - 0.001 * (t.label != "a") + 0.01 * t.seed + 0.01 * (t.label == "b") * (-1) ** t.seed  # noqa: E731
    text = Parsed(page_in(sweep(tmp_path / "apart", ["a", "b"], seeds=4, value=apart))).text
    assert text.count("The best by validation accuracy.") == 1
    assert text.count("Cannot be told from the best by validation accuracy.") == 3
    assert text.count("★") == 4  # in the grid, the table, the panel and the legend
    assert text.count("●") == 3 * 3 + 1


def test_with_one_seed_the_panel_says_that_it_does_not_tell_the_best(tmp_path):
    text = Parsed(page_in(sweep(tmp_path, ["a", "b"], value=by_position))).text
    assert "★ The best by validation accuracy; one seed cannot tell it from the others." in text
    assert "●" not in text


def test_an_interval_without_width_is_not_shown(tmp_path):
    html = page_in(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position))
    assert "uncertain by" not in html and 'data-key="interval"' not in html
    assert re.search(r"\[([-+][\d.]+), \1\]", html) is None


def test_one_interval_is_said_once_and_several_in_their_rows(tmp_path):
    html = page_in(sweep(tmp_path / "one", ["a", "b"], seeds=3, value=evenly_noisy))
    text = Parsed(html).text
    assert text.count("Every test mean is uncertain by ±") == 1
    assert text.count("the mean would settle within it") == 1 + 4  # there, and beside the interval of every cell
    assert 'data-key="interval"' not in html
    html = page_in(sweep(tmp_path / "several", ["a", "b"], seeds=3, value=noisy))
    assert "Every test mean is uncertain" not in html
    assert 'data-key="interval"' in html


def test_addresses_are_safe_and_unique():
    taken = set()
    labels = ["crop+color", "color(strength=0.5)", "color[strength=0.5]", "ä/?#&<b>", "crop+color", "&", "<"]
    found = [address(label, taken) for label in labels]
    assert found[:2] == ["cell-crop+color", "cell-color-strength=0.5"]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"cell-[A-Za-z0-9+=._-]*", name) for name in found)


def test_numbers_keep_their_units_and_names():
    text = tight("n = 5, 95 % of 78.1 ± 2.0 % and 3 points in = 5")
    assert text.replace(GLUE, "~") == "n~=~5, 95~% of 78.1~±~2.0~% and 3~points in = 5"


def test_commands_are_code_and_escaped():
    assert str(commands("run `a <b>` & go")) == "run <code>a &lt;b&gt;</code> &amp; go"


def test_the_answer_comes_first(tmp_path):
    html = page_in(make(tmp_path / "one"))
    assert html.index("Best composition: crop+color") < html.index('id="heat"') < html.index("Statistics")
    text = Parsed(html).text
    assert "1 other composition cannot be told from it: color+crop." in text
    assert "over the untrained encoder" in text
    assert "ablate recommend" in text
    assert "Recommended" not in text


def test_a_recommendation_and_its_code_are_on_the_page(tmp_path):
    html = page_in(make(tmp_path, branches="two"))
    assert html.index("Recommended: crop+color") < html.index('id="heat"')
    assert html.count("AugmentationSequential(") >= 1
    assert "pipeline_torchvision.py" in html


def test_a_confirmation_is_on_the_page(tmp_path):
    confirm(make(tmp_path))
    html = page_in(tmp_path)
    assert "Recommended, provisionally: " in html  # every seed has the same numbers
    assert "<h2>Confirmation</h2>" in html
    about = re.search(r'<p class="about">(.*?)</p>', html)[1]
    assert "one-branch simclr" in about
    assert re.search(r"; confirmed: two-branch simclr, resnet\d+, \d+ epochs?, 3 seeds;", about), about


def test_an_unfinished_sweep_recommends_nothing(tmp_path):
    directory = make(tmp_path, branches="two")
    trial = next(t for t in plan(load_plan(directory)) if t.label == "crop" and t.seed == 2)
    SweepDir(directory).record(trial.id).unlink()
    text = Parsed(page_in(directory)).text
    assert "Best composition so far, after 14 of 15 trials: " in text
    assert "Nothing is recommended yet" in text
    assert "pipeline_kornia.py" not in text


@pytest.mark.usefixtures("undrawn")
def test_nothing_of_the_paper_unless_asked(tmp_path):
    directory = sweep(tmp_path, ["crop", "color"], seeds=2, value=noisy)
    assert "Figure 5" not in page_in(directory)
    assert "Figure 5" in page_in(directory, paper=True)
