"""What a terminal shows of a sweep that runs."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from ablate.config.sweep import NamedComposition
from ablate.errors import UsageError
from ablate.launch.cells import draw, view
from ablate.launch.monitor import Monitor, watch_status
from ablate.launch.screen import print_status
from ablate.launch.status import sweep_status
from ablate.launch.timing import seconds_left, trials_per_hour
from ablate.report.data.grid import Grid, grid_of, sweep_rows
from ablate.report.data.results import read_sweep
from ablate.report.figures.palette import colour
from ablate.report.figures.scale import scale
from ablate.report.stats.words import numbers
from ablate.sweep.layout import SweepDir
from ablate.sweep.lock import Work
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.running import begin
from tests.support.sweeps import by_position, failure, make_experiment, record, sweep, write_record


def seen(directory):
    status = sweep_status(directory)
    return view(status, grid_of(sweep_rows(status.trials, status.records)))


def drawn(shown, width=80, height=None, *, ascii_only=False):
    return [line.plain for line in draw(shown, width, ascii_only=ascii_only, height=height)]


def lines(directory, width=80, height=None, *, ascii_only=False):
    return drawn(seen(directory), width, height, ascii_only=ascii_only)


@pytest.fixture
def underway(tmp_path):
    """a: done; a+b: one of two seeds done; b+a: running; b: failed."""
    directory = sweep(tmp_path, ["a", "b"], seeds=2, value=by_position, skip=("a+b", "b+a"), fail=("b",))
    trials = {(trial.label, trial.seed): trial for trial in plan(load_plan(directory))}
    write_record(directory, record(trials["a+b", 0], 0.2))
    begin(directory, trials["b+a", 0])
    return directory


def test_every_cell_says_where_it_is(underway):
    text = "\n".join(lines(underway))
    assert text.splitlines()[0].split() == ["first", "\\", "second", "a", "b"]
    for said in ("10.5", "±0.7", "20.0", "1/2", "►2/3", "1.250", "✗", "failed", "► running: epoch, loss"):
        assert said in text


def test_it_says_what_the_numbers_are_and_how_many_seeds_they_have(underway):
    text = lines(underway)[-1]
    assert "numbers: test top-1 in %" in text
    assert "1/2 = 1 of 2 seeds done" in text
    assert numbers(Grid((), {}, {}, "linear_balanced_accuracy")) == "numbers: test balanced accuracy in %"


def test_compositions_in_a_list_say_by_what_they_are_sorted(tmp_path):
    experiment = make_experiment([])
    named = (NamedComposition(label="a", ops=()),)
    save_plan(tmp_path, experiment.model_copy(update={"ops": (), "compositions": named}))
    for trial in plan(load_plan(tmp_path)):
        write_record(tmp_path, record(trial, 0.3))
    assert "numbers: test top-1 in %; the best by validation accuracy first" in status_text(tmp_path)


def test_without_unicode_marks_are_plain(underway):
    text = "\n".join(lines(underway, ascii_only=True))
    assert text.isascii() or text.replace("±", "").isascii()
    assert ">2/3" in text
    assert "x failed" in text


@pytest.mark.parametrize("ops", [1, 12, 32])
def test_no_line_is_wider_than_the_terminal(tmp_path, ops):
    shown = seen(sweep(tmp_path, [f"kornia.RandomMotionBlur(kernel_size={3 + 2 * i})" for i in range(ops)]))
    for width in (50, 60, 80, 200):
        found = drawn(shown, width, height=20)
        assert all(cell_len(line.rstrip()) <= width for line in found), width
        assert len(found) <= 20, width


def test_a_terminal_that_is_too_narrow_is_told_so(tmp_path):
    found = lines(sweep(tmp_path, [f"op{i}" for i in range(24)]), 20)
    assert found == ["a grid of 24 x 24 cells needs a wider terminal"]


def test_of_a_grid_that_is_too_tall_the_first_rows_are_shown(tmp_path):
    found = lines(sweep(tmp_path, [f"op{i}" for i in range(12)]), 80, height=8)
    assert len(found) <= 8
    assert "more rows" in found[-2]
    assert found[-1] == "numbers: test top-1 in %"


def status_text(directory, **kwargs):
    console = Console(record=True, width=120, file=io.StringIO(), **kwargs)
    print_status(sweep_status(directory), console)
    return console.export_text(styles="force_terminal" in kwargs)


def test_the_colours_are_the_heatmaps(underway):
    grid = read_sweep(underway).grid
    red, green, blue = (round(255 * part) for part in colour(round(scale(grid).share(grid.cells["a", "a"].mean()), 2)))
    assert f"48;2;{red};{green};{blue}m" in status_text(underway, force_terminal=True, color_system="truecolor")
    assert "\x1b" not in status_text(underway)


def test_the_table_has_speed_and_silence(underway):
    text = status_text(underway)
    assert "b+a" in text
    assert "2/3" in text
    assert "1.250" in text
    assert "loss became nan <b>" in text


def test_throughput_counts_the_last_hour(tmp_path):
    experiment = make_experiment(["a", "b"])
    save_plan(tmp_path, experiment)
    now = 1_800_000_000.0
    ended = [now - 600, now - 1800, now - 2 * 3600]
    for trial, when in zip([t for t in plan(experiment) if not t.reference], ended, strict=False):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
        write_record(tmp_path, record(trial, 0.5, when=stamp, timings={"total": 300.0}))
    assert trials_per_hour(sweep_status(tmp_path), now) == pytest.approx(2 / 2100 * 3600)
    assert trials_per_hour(sweep_status(tmp_path), now + 1e6) is None


def test_speed_and_time_left_are_those_of_the_command_at_work(tmp_path):
    """A sweep that is resumed is measured from its new start, not over the pause before."""
    experiment = make_experiment(["a", "b"], references=())
    save_plan(tmp_path, experiment)
    now = 1_800_000_000.0
    first, second, *_ = plan(experiment)
    for trial, when, took in ((first, now - 3000, 900.0), (second, now - 60, 200.0)):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
        write_record(tmp_path, record(trial, 0.5, when=stamp, timings={"total": took}))
    resumed = replace(sweep_status(tmp_path), work=Work(workers=1, since=now - 300))
    assert trials_per_hour(resumed, now) == pytest.approx(1 / 260 * 3600)
    assert seconds_left(resumed) == pytest.approx(2 * 200.0)
    just_now = replace(resumed, work=Work(workers=1, since=now))
    assert trials_per_hour(just_now, now) is None
    assert seconds_left(just_now) == pytest.approx(2 * 550.0)


def test_watching_ends_with_the_sweep_and_leaves_its_last_state(tmp_path):
    experiment = make_experiment(["a"])
    save_plan(tmp_path, experiment)
    first, second = plan(experiment)
    begin(tmp_path, second)
    steps = [lambda: write_record(tmp_path, record(first)), lambda: write_record(tmp_path, failure(second))]

    def play():
        for step in steps:
            time.sleep(0.4)
            step()

    player = threading.Thread(target=play)
    player.start()
    console = Console(record=True, width=100, file=io.StringIO())
    watch_status(tmp_path, console, 0.05)
    player.join()
    text = console.export_text()
    assert "0 done, 1 running" in text
    assert "1 done, 1 running" in text
    assert text.count("1 done, 1 running") == 1  # a line per change
    assert text.rpartition("2 trials: ")[2].startswith("1 done, 1 failed\n")


def test_on_a_terminal_too(underway):
    for trial in plan(load_plan(underway)):
        if not SweepDir(underway).record(trial.id).exists():
            write_record(underway, record(trial))
    console = Console(force_terminal=True, width=100, height=20, file=io.StringIO())
    watch_status(underway, console, 0.05)
    assert "8 done" in console.file.getvalue()


def test_a_directory_that_goes_is_said(underway):
    def go():
        time.sleep(0.3)
        underway.rename(underway.with_name("moved"))

    mover = threading.Thread(target=go)
    mover.start()
    with pytest.raises(UsageError, match="was removed or moved while it was watched"):
        watch_status(underway, Console(file=io.StringIO()), 0.05)
    mover.join()


def test_a_record_is_read_once_until_it_changes(tmp_path, monkeypatch):
    from ablate.launch import reader

    directory = sweep(tmp_path, ["a", "b"])
    read, original = [], reader.read_record
    monkeypatch.setattr(reader, "read_record", lambda path, **kw: read.append(path) or original(path, **kw))
    keeper = reader.Reader(directory)
    for _ in range(3):
        sweep_status(directory, reader=keeper)
    assert len(read) == 5
    trial = plan(load_plan(directory))[0]
    write_record(directory, record(trial, 0.9))
    assert sweep_status(directory, reader=keeper).records[trial.id].metrics["linear_top1"] == 0.9
    assert len(read) == 6


def test_the_command_at_work_draws_what_the_one_that_watches_draws(underway, monkeypatch):
    def once(directory, every):
        yield sweep_status(directory)
        raise KeyboardInterrupt

    def text(show):
        console = Console(force_terminal=True, width=80, height=30, file=io.StringIO())
        show(console)
        drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "")
        screen, _, hint = drawn.partition("\nas of ")
        return screen.splitlines(), hint

    def at_work(console):
        with contextlib.suppress(KeyboardInterrupt), Monitor(console, underway):
            raise KeyboardInterrupt

    monkeypatch.setattr("ablate.launch.monitor.looks", once)
    monkeypatch.setattr("ablate.launch.screen.clock", lambda seconds: "1 s")  # one of them looks later
    (mine, stops), (theirs, leaves) = text(at_work), text(lambda console: watch_status(underway, console, 2.0))
    assert mine == theirs
    assert any("1 running" in line for line in mine)
    assert "Ctrl-C stops the sweep; run the same command again to resume" in stops
    assert "Ctrl-C ends this display, not the sweep" in leaves
