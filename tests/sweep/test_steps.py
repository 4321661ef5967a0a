"""Measuring within a fixed time, small steps first, and what is made of them."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.console import Console

from ablate.config.encoder import Encoder
from ablate.config.sweep import Variant
from ablate.launch import dry_run
from ablate.launch.steps import chosen_cells, listen, measure
from ablate.launch.timing import Sample, TrialTime, _at, from_steps, trial_seconds


class Machine:
    """A clock that steps move: each takes ``fixed`` seconds and ``each`` per image, of an image of the cell."""

    def __init__(self, fixed=0.0, each=0.01):
        self.now, self.fixed, self.each, self.said, self.built = 0.0, fixed, each, [], []

    def step(self, cell, images):
        seconds = self.fixed + self.each * images
        self.now += seconds
        return seconds

    def run(self, cells, deadline=5.0):
        measure(cells, self.built.append, self.step, self.said.append, lambda: self.now, deadline)
        return [line for line in self.said if "cell" in line]


@pytest.mark.parametrize("each", [1e-5, 1e-3, 0.02, 0.2, 1.0, 2.4])
def test_no_cost_of_a_step_makes_it_exceed_its_time(experiment, each):
    machine = Machine(each=each)
    machine.run(chosen_cells(experiment))
    assert machine.now < 5.0 + 4 * each  # what has been begun: two steps of two images


def test_it_begins_small_and_grows_to_the_batch_while_time_allows(experiment):
    cells = chosen_cells(experiment)
    fast = Machine(each=0.001).run(cells)
    assert [line["images"] for line in fast[:5]] == [2, 8, 32, 128, 256]
    assert {line["cell"] for line in fast} == set(range(len(cells)))
    slow = Machine(each=0.05).run(cells)
    assert [line["images"] for line in slow if line["cell"] == 0] == [2, 8]


def test_every_configuration_is_measured_once_before_further_cells(experiment):
    points = [
        Variant(
            values={"encoder": name},
            shared=experiment.shared.model_copy(update={"encoder": Encoder(name=name), "epochs": epochs}),
        )
        for name, epochs in (("resnet8", 10), ("resnet18", 20))
    ]
    cells = chosen_cells(experiment.model_copy(update={"variants": tuple(points)}))
    assert {cell.config.encoder.name for cell in cells[:2]} == {"resnet8", "resnet18"}
    machine = Machine()
    assert {line["cell"] for line in machine.run(cells)} >= {0, 1}
    assert machine.built == [0, 1]


def test_a_fixed_cost_of_a_step_is_not_scaled_with_the_batch():
    samples = [Sample(0, 8, 1.08), Sample(0, 32, 1.32)]
    assert _at(samples, 256) == pytest.approx(1.32 + 224 * 1.32 / 32 / 2)  # at least half as steep as through nothing
    assert _at([Sample(0, 8, 0.18), Sample(0, 32, 0.42)], 256) == pytest.approx(0.42 + 224 * 0.01)
    assert _at(samples[:1], 16) == pytest.approx(2.16)
    assert _at([Sample(0, 8, 0.01), Sample(0, 32, 0.42)], 64) == pytest.approx(0.84)


def test_a_trial_is_its_steps_and_its_evaluation(experiment):
    config = experiment.shared.model_copy(update={"epochs": 100, "batch_size": 100, "encoder": Encoder(name="resnet8")})
    training = 100 * 100 * 0.5
    seconds = trial_seconds(config, 0.5, 10_000)
    assert training < seconds < 1.05 * training
    micro = config.model_copy(update={"micro_batch": 50})
    assert trial_seconds(micro, 0.25, 10_000) == pytest.approx(4 / 3 * training, rel=0.05)
    four = config.model_copy(update={"world_size": 4})
    assert trial_seconds(four, 0.5, 10_000) == pytest.approx(training / 4, rel=0.15)


def test_the_answer_says_what_was_measured_and_how_it_was_scaled(experiment):
    cells = chosen_cells(experiment)
    found = from_steps(cells, [{"ready": True}, *Machine(each=0.05).run(cells)], 1024, 20)
    assert "measured here: steps of 8 images, scaled to 256" in found.how
    assert found.seconds == pytest.approx(4 * 100 * 256 * 0.05, rel=0.2)
    whole = from_steps(cells, Machine(each=0.0001).run(cells), 1024, 20)
    assert whole.how == "measured here: steps of 256 images; 4 of 20 cells; without start-up and report"


def test_of_a_cost_that_differs_between_epochs_the_mean_is_exact(experiment):
    points = [
        Variant(values={"epochs": str(n)}, shared=experiment.shared.model_copy(update={"epochs": n})) for n in (10, 30)
    ]
    cells = chosen_cells(experiment.model_copy(update={"variants": tuple(points)}))
    found = from_steps(cells, [{"cell": 0, "images": 256, "seconds": 1.0}], 2560, 20)
    counts = [cell.config.epochs for cell in cells]
    assert found.seconds == pytest.approx(10 * sum(counts) / len(counts), rel=0.2)


def test_where_not_one_step_ended_it_says_what_a_trial_takes_at_least(experiment):
    cells = chosen_cells(experiment)
    found = from_steps(cells, [{"ready": True}, {"begun": 2, "after": 1.0}], 1024, 20)
    assert found.seconds is None
    assert "a step of 2 images did not end within 6 s" in found.how
    assert found.at_least == pytest.approx(4 * 100 * 2.5)
    failed = from_steps(
        cells, [{"ready": True}, {"begun": 2, "after": 1.0}], 1024, 20, "RuntimeError: not enough memory"
    )
    assert failed.at_least == 0
    assert "not enough memory" in failed.how
    assert "did not begin within 20 s" in from_steps(cells, [], 1024, 20).how


def test_a_process_that_does_not_end_is_ended_and_what_it_said_counts(tmp_path):
    code = "import time; print('{\"ready\": true}'); print('{\"begun\": 2, ', end='', flush=True); time.sleep(600)"
    said = listen([sys.executable, "-c", code], dict(os.environ), tmp_path / "log", 60.0, 0.2)
    assert said == [{"ready": True}]


def test_a_process_that_never_speaks_is_ended_too(tmp_path):
    code = "import time; time.sleep(600)"
    assert listen([sys.executable, "-c", code], dict(os.environ), tmp_path / "log", 0.2, 60.0) == []


@pytest.mark.parametrize(
    ("protocols", "seconds", "said"),
    [
        (("linear", "finetune:1%", "sgd@z"), 9.0, "the estimate leaves out protocols that train: finetune:1%, sgd@z"),
        (("linear", "linear:1%"), 9.0, ""),
        (("finetune",), None, ""),
    ],
)
def test_protocols_that_train_are_not_in_the_estimate(experiment, monkeypatch, tmp_path, protocols, seconds, said):
    monkeypatch.setattr(dry_run, "measure_trial", lambda *_: TrialTime(seconds, "measured"))
    console = Console(file=io.StringIO(), width=200)
    dry_run.measured(experiment.replace(protocols=protocols), "cpu", tmp_path, console)
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if "leaves out" in line] == ([said] if said else [])
