"""Search: what is proposed follows from results alone, budgets, interruptions, the study that Optuna sees."""

from __future__ import annotations

import collections
import contextlib
import inspect
import io
import itertools
import random
from importlib import metadata

import optuna
import pytest
from rich.console import Console
from scipy.stats import chisquare

from ablate.config.space import check, compositions, coordinates
from ablate.config.sweep import NamedOp, Search
from ablate.errors import Interruption, UsageError
from ablate.files import write_atomically
from ablate.launch import start as launch
from ablate.launch.timing import TrialTime
from ablate.ops import parse_op, spec
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.data.study import add_to_storage, check_storage
from ablate.report.figures import search as searched
from ablate.report.recommendation.recommend import recommend
from ablate.search import dry_run
from ablate.search.by_optuna import TPE
from ablate.search.measured import Measured
from ablate.search.points import at_random
from ablate.search.propose import propose
from ablate.sweep.budget import Budget
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.searches import OPS, Machine, begun, labels, search_there, space, value_of, walk
from tests.support.sweeps import failure, make_experiment, record, write_record


def test_the_same_results_propose_the_same_and_nothing_twice():
    first, again = (walk(space(seed=3), 5) for _ in range(2))
    assert [item.label for item in first] == [item.label for item in again]
    assert len({item.label for item in first}) == 20
    assert [item.label for item in walk(space(seed=4), 5)] != [item.label for item in first]
    for item in first:
        names = [op.name for op in item.ops]
        assert 1 <= len(names) <= 3
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("max_length", [1, 2, 3])
def test_every_composition_is_equally_likely_to_be_drawn(max_length):
    """Chi-square on a seeded sample; a length drawn first gives single ops half, or a third, of the draws."""
    search = space(max_length=max_length)
    everything = [ops for length in range(1, max_length + 1) for ops in itertools.permutations(OPS, length)]
    assert sum(compositions(search)) == len(everything)
    generator, drawn = random.Random(1), collections.Counter()
    for _ in range(100 * len(everything)):
        params = at_random(search, generator)
        drawn[tuple(params[f"op{position}"] for position in range(1, params["length"] + 1))] += 1
    assert set(drawn) == set(everything)
    assert max_length == 1 or chisquare(list(drawn.values())).pvalue > 0.01


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_a_searchs_first_compositions_are_drawn_uniformly(sampler):
    """Until there is something to learn from: of 16 compositions of one or two ops, 4 are single ops."""
    first = [
        item for seed in range(60) for item in propose(space(seed=seed, sampler=sampler, max_length=2), [], {}).batch
    ]
    assert sum(len(item.ops) == 1 for item in first) / len(first) == pytest.approx(0.25, abs=0.06)


def test_the_model_and_tpe_look_where_it_is_good_and_random_does_not():
    late = {
        sampler: sum(value_of(item) for item in walk(space(sampler=sampler, max_length=4), 10)[20:])
        for sampler in ("gp", "tpe", "random")
    }
    assert late["gp"] > late["tpe"] > late["random"]


def test_strengths_and_p_are_searched_where_an_op_has_them():
    search = space(strength=(0.25, 1.0), p=(0.5, 0.5), max_length=1)
    found = walk(search, 6)
    for item in found:
        (op,) = item.ops
        assert op.params["p"] == 0.5
        if "strength" in op.params:
            assert 0.25 <= op.params["strength"] <= 1.0
            assert op.params["strength"] == round(op.params["strength"], 2)
        params, drawn = coordinates(search, item)
        assert params.keys() == drawn.keys()
        assert ("color.strength" in params) == (op.name == "color")
    assert len({item.ops[0].params.get("strength") for item in found}) > 3


def test_an_exhausted_space_ends():
    search = space(max_length=1, batch=3)
    assert len(walk(search, 1)) == 3
    assert sorted(item.label for item in walk(search, 2)) == sorted(OPS)
    assert propose(search, [Measured(item) for item in walk(search, 2)], {}).batch == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"max_length": 5}, "at most 4"), ({"strength": (0.22, 1.0)}, "must be a multiple of 0.05")],
)
def test_a_space_that_there_is_not(changes, expected):
    with pytest.raises(UsageError, match=expected):
        check(space(**changes))


def test_two_ops_of_one_name_cannot_be_told_apart():
    twice = Search(ops=tuple(NamedOp(label=x, op=spec(parse_op(x))) for x in ("color", "color(strength=0.5)")))
    with pytest.raises(UsageError, match="two ops are called 'color'"):
        check(twice)


@pytest.mark.parametrize("text", ["", "0", "4.5", "3 days", "-1", "3gpuh"])
def test_budgets_that_there_are_not(text):
    with pytest.raises(UsageError, match="budget"):
        Budget.parse(text, "cpu")


@pytest.mark.parametrize("text", ["1000000", "99999999999999999999", "1234567.25h", "0.00000001gpuh", "40"])
def test_a_budget_is_written_as_it_was_given(text):
    budget = Budget.parse(text, "cuda")
    assert Budget.parse(budget.text, "cuda") == budget
    assert "e+" not in str(budget) and str(Budget.parse("1h", "cpu")) == "1 hour"


def test_what_a_budget_counts():
    trials = [t for t in plan(make_experiment(["a"], 3)) if not t.reference]
    ends = ("2026-01-01T01:00:00Z", "2026-01-01T01:30:00Z", "2026-01-02T00:00:00Z")
    records = [record(t, when=when, timings={"total": 3600.0}) for t, when in zip(trials, ends, strict=True)]
    assert Budget.parse("3", "cpu").spent(records) == 3
    assert Budget.parse("3h", "cpu").spent(records) == pytest.approx(2.5)  # two of them side by side for half an hour
    assert Budget.parse("3gpuh", "cuda").spent(records) == pytest.approx(3)


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_however_often_it_is_interrupted_a_search_is_the_same(tmp_path, sampler):
    assert search_there(tmp_path / "whole", 20, sampler=sampler) == 0
    for attempt in itertools.count():
        with contextlib.suppress(Interruption):
            machine = Machine(tmp_path / "often", stop_after=attempt + 1)
            assert search_there(tmp_path / "often", 20, machine, sampler=sampler) == 0
            break
    assert attempt > 3
    assert labels(tmp_path / "often") == labels(tmp_path / "whole")
    assert len(labels(tmp_path / "whole")) == 10  # of two seeds each


def test_a_larger_budget_goes_on_as_if_it_had_been_that_large(tmp_path):
    search_there(tmp_path / "small", 10)  # five compositions: the second batch is cut short
    assert len(labels(tmp_path / "small")) == 5
    search_there(tmp_path / "small", 24)
    search_there(tmp_path / "large", 24)
    assert labels(tmp_path / "small") == labels(tmp_path / "large")


def test_a_batch_that_another_version_has_begun_is_completed_without_repeating_it(tmp_path):
    """What is on disk of it are other compositions than this version would propose."""
    search_there(tmp_path / "now", 20)
    found = load_plan(tmp_path / "now").compositions
    foreign = [found[1], found[-1]]  # the second that this version proposes, and one that it does not
    started = begun().model_copy(update={"compositions": tuple(foreign)})
    search_there(tmp_path / "begun", 8, experiment=started)
    found = labels(tmp_path / "begun")
    assert found[:2] == [item.label for item in foreign]
    assert len(set(found)) == len(found) == 4


def test_the_sweep_file_says_which_optuna_has_proposed_and_another_goes_on(tmp_path, monkeypatch):
    version = optuna.__version__
    search_there(tmp_path, 8, sampler="tpe")
    assert load_plan(tmp_path).search.optuna == (version,)
    search_there(tmp_path, 8, sampler="tpe")  # nothing is left to propose
    monkeypatch.setattr(metadata, "version", lambda name: "99.0")
    search_there(tmp_path, 8, sampler="tpe")
    assert load_plan(tmp_path).search.optuna == (version,)
    search_there(tmp_path, 24, sampler="tpe")
    assert load_plan(tmp_path).search.optuna == (version, "99.0")


def test_every_choice_that_optuna_offers_is_made_here():
    """A default may change with its version, as that of ``multivariate`` did; what is deprecated warns when set."""
    offered = inspect.signature(optuna.samplers.TPESampler.__init__).parameters.keys()
    deprecated = {
        *("consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "gamma", "weights"),
        *("warn_independent_sampling", "constraints_func", "categorical_distance_func"),
    }
    assert offered - deprecated == {"self", "seed", *TPE}


def test_a_failed_composition_fails_in_the_study_and_the_search_goes_on(tmp_path):
    search_there(tmp_path / "whole", 8, seeds=1)
    bad = labels(tmp_path / "whole")[1]
    machine = Machine(tmp_path / "out", fails={bad})
    assert search_there(tmp_path / "out", 12, machine, seeds=1) == 1
    assert len(labels(tmp_path / "out")) == 12
    add_to_storage(read_sweep(tmp_path / "out"), f"sqlite:///{tmp_path}/s.db")
    study = optuna.load_study(study_name="out", storage=f"sqlite:///{tmp_path}/s.db")
    assert [t.state.name for t in study.trials].count("FAIL") == 1
    assert {t.state.name for t in study.trials} == {"FAIL", "COMPLETE"}


def test_a_database_is_added_to_and_a_bad_one_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    check_storage(url)
    for budget in (8, 16):
        search_there(tmp_path / "out", budget)
        add_to_storage(read_sweep(tmp_path / "out"), url)
    study = optuna.load_study(study_name="out", storage=url)
    assert len(study.trials) == 16
    best = max(read_sweep(tmp_path / "out").grid.further.values(), key=lambda cell: cell.validation)
    assert study.best_trial.user_attrs["label"] == best.label
    assert {"length", "op1", "seed"} <= study.best_params.keys()
    with pytest.raises(UsageError, match="--storage nonsense"):
        check_storage("nonsense")


def test_one_seed_is_no_parameter_that_could_matter(tmp_path):
    search_there(tmp_path, 10, experiment=begun(seeds=1, sampler="tpe"))
    assert "seed" not in searched.importances(read_sweep(tmp_path))
    assert "the same command trains further compositions, or says why" in ablate("status", tmp_path).stdout


def test_the_report_of_a_search(tmp_path):
    search_there(tmp_path, 40, seeds=2, sampler="tpe")
    write_report(tmp_path)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"search-history.png", "search-slices.pdf"} <= names
    shares = searched.importances(read_sweep(tmp_path))
    assert set(shares) >= {"length", "op1", "seed"}
    assert sum(shares.values()) == pytest.approx(1)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "What matters" in page
    assert page.index("All compositions") < page.index("What matters")
    slices = searched.slices(read_sweep(tmp_path))
    assert [text.get_text() for text in slices.legends[0].texts] == ["proposed first", "as number 10", "last"]
    assert all(point.mean() < 0.75 for point in slices.axes[0].collections[0].get_facecolors()[:, :3])  # can be seen
    history = searched.history(read_sweep(tmp_path)).axes[0]
    assert len(history.collections[0].get_offsets()) == 20
    assert recommend(tmp_path).choice.best.cell.label.startswith("color")


@pytest.mark.parametrize(
    ("text", "worth"),
    [("40", "50 min 00 s in all with 2 workers"), ("3h", "about 360 trials"), ("3gpuh", "about 180 trials with 2")],
)
def test_a_dry_run_says_what_the_budget_is_worth_and_writes_nothing(tmp_path, monkeypatch, text, worth):
    monkeypatch.setattr(dry_run, "measured", lambda *_: TrialTime(60.0, "measured"))

    def said(directory, budget, devices):
        stream = io.StringIO()
        console = Console(file=stream, width=10_000, highlight=False)
        dry_run.show_search(directory, begun(), budget, {}, devices, tmp_path, console)
        return stream.getvalue()

    budget = Budget.parse(text, "cuda")
    first = said(tmp_path / "out", budget, ["cuda:0", "cuda:1"])
    assert not (tmp_path / "out").exists()
    assert "space: 40 compositions of 1 to 3 out of 4 ops" in first
    search_there(tmp_path / "out", 20)
    assert f"next: {', '.join(labels(tmp_path / 'out')[:4])}\n" in first
    again = said(tmp_path / "out", Budget(120, "trials"), [])
    assert "10 proposed so far" in again
    assert "120 trials, 20 of it spent" in again
    assert "the trials will run on other machines than this" in again
    if budget.unit == "trials":
        again = said(tmp_path / "out", Budget(120, "trials"), ["cuda:0", "cuda:1"])
    else:
        again = said(tmp_path / "new", budget, ["cuda:0", "cuda:1"])
    assert worth in again
    assert "the budget of 20 trials is spent" in said(tmp_path / "out", Budget(20, "trials"), [])
    sorted((tmp_path / "out" / "trials").glob("*"))[0].unlink()
    assert "next: 1 trial that the last batch lacks" in said(tmp_path / "out", Budget(20, "trials"), [])


def test_a_dry_run_names_what_the_model_knows_beforehand(tmp_path):
    stream = io.StringIO()
    known = begun(prior=({"name": "there", "means": {"crop": 0.2, "color": 0.7, "blur": 0.5}},))
    dry_run.show_search(tmp_path / "out", known, Budget(8, "trials"), {}, [], tmp_path, Console(file=stream))
    assert "known beforehand: there\n" in stream.getvalue()


def test_another_space_in_the_same_directory_is_refused(tmp_path):
    search_there(tmp_path, 4)
    with pytest.raises(UsageError, match=r"search.max_length was 3, is 2"):
        search_there(tmp_path, 8, max_length=2)


def test_jobs_that_leave_trials_undone_are_submitted_again_while_something_gets_done(tmp_path, monkeypatch):
    experiment = make_experiment(["a", "b"])
    trials = plan(experiment)
    ends = iter([3, 3, 0, 5])  # what jobs do: a node died, then all, then nothing
    write_record(tmp_path, failure(trials[0]))

    def submit(directory, experiment, cache, retry_failed, console, *, until):
        save_plan(directory, experiment)
        write_atomically(directory / "jobs" / f"{len(retried)}.json", "")
        retried.append(retry_failed)
        if retry_failed:
            (directory / "trials" / f"{trials[0].id}.json").unlink()
        return 0

    def looks(directory, every):
        missing = [t for t in trials if not (directory / "trials" / f"{t.id}.json").exists()]
        for trial in missing[: next(ends)]:
            write_record(directory, record(trial))
        return iter(())

    retried: list[bool] = []
    monkeypatch.setattr(launch, "submit_sweep", submit)
    monkeypatch.setattr(launch, "looks", looks)
    with launch.training_there(tmp_path, "batch", tmp_path, True, Console(quiet=True)) as train:
        assert train(experiment) == 0  # 3 of 5, then the others
        assert retried == [True, False]  # what fails again is not retried for ever
        with (
            pytest.raises(UsageError, match="another ablate command"),
            launch.training_there(tmp_path, "batch", tmp_path, True, Console(quiet=True)),
        ):
            pass
    with launch.training_there(tmp_path / "stuck", "batch", tmp_path, False, Console(quiet=True)) as train:
        assert train(experiment) == 1


def test_a_dry_run_creates_no_database(tiny_folder, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "measured", lambda *_: TrialTime(None, "not measured"))
    line = ["search", "--ops", "crop,color", "--budget", "4", "--device", "cpu", "--size", "16", "--batch-size", "16"]
    line += ["--data", f"folder:{tiny_folder}", "--cache", cache, "--storage", "sqlite:///s.db", "--dry-run"]
    done = ablate(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "lots"], ["budget", "40", "3h", "'lots'"]),
        (["--budget", "4", "--max-length", "4"], ["--max-length must be at most 2", "not 4"]),
        (["--budget", "4", "--strength", "much"], ["--strength", "LOW:HIGH", "'much'"]),
        (["--budget", "4", "--strength", "1:0.5"], ["strength", "LOW:HIGH"]),
        (["--budget", "4", "--p", "0.5:1.5"], ["p", "at most 1"]),
        (["--budget", "4", "--storage", "nonsense"], ["--storage nonsense"]),
        (["--budget", "4", "--storage", "nonsense", "--dry-run"], ["--storage nonsense"]),
        (["--budget", "4", "--storage", "sqlight:///s.db", "--dry-run"], ["--storage sqlight", "cannot be opened"]),
        (["--budget", "4", "--sampler", "tpe", "--within", "2"], ["--within", "--sampler gp", "not with tpe"]),
        (["--budget", "4", "--within", "101"], ["--within", "100"]),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, expected):
    line = ["search", "--ops", "crop,color", "--device", "cpu", "--max-length", "2", "--cache", tmp_path / "cache"]
    sentence = one_sentence(ablate(*line, *arguments, cwd=tmp_path))
    for part in expected:
        assert part in sentence
