"""The pace of checkpoints: written where they save more than they cost, and never so rarely that much is lost."""

from __future__ import annotations

import pytest

from ablate.errors import Interrupted
from ablate.training.trainer import Trainer
from ablate.trial import pace
from ablate.trial.context import Context
from ablate.trial.pace import CheckpointPace
from tests.support.interruptions import STEPS, run
from tests.support.trials import comparable

EPOCHS = 4


class Clock:
    """A clock that moves only when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def epochs_with_a_checkpoint(epochs, seconds, cost):
    """Epochs of ``seconds`` each, and the numbers of those after which a checkpoint of ``cost`` seconds is written."""
    clock = Clock()
    checkpoints, written = CheckpointPace(clock), []
    for epoch in range(1, epochs + 1):
        clock.now += seconds
        if checkpoints.is_worth_it():
            written.append(epoch)
            with checkpoints.writing():
                clock.now += cost
    return written


def test_every_epoch_of_at_least_twenty_times_the_cost_is_followed_by_one():
    assert epochs_with_a_checkpoint(4, 60.0, 3.0) == [1, 2, 3, 4]
    assert epochs_with_a_checkpoint(4, 20.0, 1.0) == [1, 2, 3, 4]
    assert epochs_with_a_checkpoint(4, 19.0, 1.0) == [1, 3]


def test_of_short_epochs_the_first_and_then_one_for_each_twenty_times_the_cost():
    assert epochs_with_a_checkpoint(40, 1.5, 0.5) == [1, 8, 15, 22, 29, 36]
    written = epochs_with_a_checkpoint(1000, 1.5, 0.5)
    assert len(written) * 0.5 <= 0.05 * 1000 * 1.5 + 0.5  # beside the first one, at most 5 % of training


def test_however_long_one_takes_five_minutes_are_the_limit():
    assert epochs_with_a_checkpoint(9, 100.0, 40.0) == [1, 4, 7]
    clock = Clock()
    checkpoints = CheckpointPace(clock)
    assert not checkpoints.is_overdue()
    clock.now += pace.CHECKPOINT_EVERY
    assert checkpoints.is_overdue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"), epochs=EPOCHS)


@pytest.fixture
def made(whole, monkeypatch):
    """The steps that trainers make after ``whole``, as (epoch, step); only the first and the last epoch are saved."""
    monkeypatch.setattr(pace, "WORTH", 1e9)
    steps, step = [], Trainer._update

    def noted(self, number, *rest):
        steps.append((self.epoch, number))
        return step(self, number, *rest)

    monkeypatch.setattr(Trainer, "_update", noted)
    return steps


def test_killed_epochs_after_the_last_checkpoint_a_trial_trains_them_again_with_the_same_result(whole, made, tmp_path):
    def die(epoch, _):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part", Context(report=die), epochs=EPOCHS)
    made.clear()
    assert comparable(run(tmp_path / "part", epochs=EPOCHS)) == comparable(whole)
    assert made == [(epoch, step) for epoch in range(1, EPOCHS) for step in range(STEPS)]


def test_asked_to_stop_a_trial_saves_whatever_that_costs(whole, made, tmp_path):
    """At the end of an epoch that is not worth a checkpoint, where no further step is made."""
    with pytest.raises(Interrupted):
        run(tmp_path / "part", Context(stop_requested=lambda: len(made) == 3 * STEPS), epochs=EPOCHS)
    assert comparable(run(tmp_path / "part", epochs=EPOCHS)) == comparable(whole)
    assert made == [(epoch, step) for epoch in range(EPOCHS) for step in range(STEPS)]
