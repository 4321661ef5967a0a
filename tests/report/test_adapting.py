"""Reports of sweeps that start from given weights: whether adapting helps at all comes first."""

from __future__ import annotations

import pytest
from matplotlib.text import Text

from ablate.config.encoder import IMAGENET, Encoder
from ablate.console import make_console
from ablate.launch.logs import find
from ablate.launch.screen import outcome, print_status
from ablate.launch.status import sweep_status
from ablate.report.data.results import read_sweep
from ablate.report.figures.side_by_side import draw, section
from ablate.report.page.answer import answer
from ablate.report.page.page import _facts
from ablate.report.recommendation.recommend import advise
from ablate.report.stats.summary import summary
from ablate.report.text.caption import caption
from ablate.report.text.terminal import render
from ablate.sweep.failures import failure_line
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import failure, make_experiment, record, write_record

INIT = "sha256 0123456789abcdef"
GIVEN = Encoder(init=INIT, normalize=IMAGENET)


def sweep(directory, value, encoder=GIVEN, seeds=3, file="/somewhere/r18.pth"):
    experiment = make_experiment(["a", "b"], seeds)
    experiment = experiment.replace(shared=experiment.shared.replace(encoder=encoder), init=file)
    save_plan(directory, experiment)
    for trial in plan(experiment):
        write_record(directory, record(trial, value(trial)))
    return read_sweep(directory)


def values(gains):
    """As given 0.5 for every seed, the pair a+b better by the gain of the seed, all others a little worse."""

    def value(trial):
        if trial.reference:
            return 0.5
        return 0.5 + gains[trial.seed] if trial.label == "a+b" else 0.45

    return value


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        (
            (0.10, 0.11, 0.12),
            "Adapting the given encoder helps: a+b, the best composition, against",
        ),
        ((-0.02, -0.021, -0.02), "Adapting the given encoder does not help: a+b, the best composition"),
        ((0.05, -0.03, 0.02), "Whether adapting the given encoder helps is not clear: a+b"),
    ],
)
def test_whether_adapting_helps_is_said_first_with_its_interval(gains, sentence, tmp_path):
    results = sweep(tmp_path, values(gains))
    first = summary(results)[0]
    assert first.startswith(sentence)
    assert "points [" in first
    assert answer(results).lead.startswith(f"{first} ")
    assert advise(results).choice.evidence[0] == first
    assert "against the untrained encoder" not in " ".join(summary(results))


def test_one_seed_cannot_tell(tmp_path):
    for gain, may in ((0.1, "may help"), (-0.01, "may not help")):
        first = summary(sweep(tmp_path / may, values((gain,)), seeds=1))[0]
        assert first.startswith(f"Adapting the given encoder {may} (one seed cannot tell): a+b")


def test_what_does_not_help_has_another_advice_than_a_fault(tmp_path):
    said = " ".join(summary(sweep(tmp_path, values((-0.01, -0.02, -0.01)))))
    assert "No composition is better than the encoder as given (51.0 ± 0.0 %" in said
    assert "use it as it is, or train it with a lower rate (--init-lr-scale)" in said
    assert "look for a fault" not in said


def test_nobody_calls_a_given_encoder_untrained(tmp_path, capsys):
    results = sweep(tmp_path, values((0.1, 0.11, 0.1)))
    text = caption(results)
    render(results.grid, make_console())
    shown = text + " ".join(summary(results)) + capsys.readouterr().out
    assert "untrained" not in shown
    assert "References: as given 50.0 ± 0.0 %." in text
    assert "references: as given 50.0 ± 0.0 %" in shown
    assert "The line on the colour bar is the encoder as given, not trained further." in text
    assert (
        "The encoder starts from given weights (r18.pth, sha256 0123456789abcdef); as given, it is evaluated with the "
        "batch-norm statistics that belong to them." in text
    )
    assert ("input", f"normalised by {IMAGENET}") in _facts(results)


def test_progress_and_status_call_it_as_given_too(tmp_path, capsys):
    results = sweep(tmp_path, values((0.1,)), seeds=1)
    trial = next(trial for trial in plan(results.experiment) if trial.reference)
    status = sweep_status(tmp_path)
    print_status(status, make_console())
    shown = [capsys.readouterr().out, outcome(status, record(trial, 0.5))[0], failure_line(tmp_path, failure(trial))]
    assert not any("untrained" in text for text in shown)
    assert "as given: 50.0" in shown[0]
    assert shown[1].startswith("as given seed 0: ")
    assert shown[2].startswith("failed: as given seed 0: ")
    assert find(plan(results.experiment), "as given", 0) == find(plan(results.experiment), "untrained", 0) == trial


def test_a_picture_of_several_sweeps_names_where_the_scales_begin(tmp_path):
    given = sweep(tmp_path / "given", values((0.1, 0.11)), seeds=2)
    drawn = sweep(tmp_path / "drawn", values((0.1, 0.11)), Encoder(), seeds=2, file=None)
    for sweeps, start in (
        ([given, given], "encoder as given"),
        ([given, drawn], "encoder as given or the untrained encoder"),
        ([drawn, drawn], "untrained encoder"),
    ):
        figure = draw(sweeps)
        assert figure.axes[-1].get_xticklabels()[0].get_text() == start
        said = " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")
        assert f"▼ below the {start}." in said
        assert ("untrained" in said) == (drawn in sweeps)
        assert f"lies between the {start} and the best cell" in section(sweeps)[0].text[0]


def test_weights_of_ones_own_function_are_given_too(tmp_path):
    encoder = Encoder(name="mine:build", code="sha256 1", weights=INIT)
    results = sweep(tmp_path, values((0.1, 0.11, 0.1)), encoder, file=None)
    assert summary(results)[0].startswith("Adapting the given encoder helps")
    assert "(sha256 0123456789abcdef); as given, it is evaluated with batch-norm statistics averaged" in caption(
        results
    )


def test_drawn_weights_are_untrained_as_ever(tmp_path):
    results = sweep(tmp_path, values((0.1, 0.11, 0.1)), Encoder(), file=None)
    assert "a+b against the untrained encoder: " in " ".join(summary(results))
    assert "untrained 50.0" in caption(results)
    assert answer(results).details[0][0] == "How sure"
