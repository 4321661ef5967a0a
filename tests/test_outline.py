"""The line that says what will be trained."""

from __future__ import annotations

import pytest

from ablate.config.encoder import Encoder
from ablate.config.sweep import Variant
from ablate.config.trial import Optimiser
from ablate.launch.dry_run import cell_names
from ablate.planning.outline import outline, outline_of
from ablate.sweep.plan import plan


def changed(experiment, **values):
    return experiment.model_copy(update={"shared": experiment.shared.model_copy(update=values)})


def test_it_names_everything_that_decides_what_a_trial_costs_and_learns(experiment):
    asked = changed(
        experiment, image_size=64, batch_size=64, epochs=50, optimiser=Optimiser(name="sgd", lr=0.03 * 64 / 256)
    )
    said = "training: resnet18 (width 64), 64 px, batch 64, 50 epochs, SGD 0.0075, temperature 0.5; one branch"
    assert outline(asked) == said
    assert outline_of([asked.shared]) == said


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 1}, "batch 256, 1 epoch, SGD"),
        ({"branches": "two"}, "temperature 0.5; two branches"),
        ({"objective": "supervised"}, "SGD 0.03, with labels; one branch"),
        ({"encoder": Encoder(name="timm:vit_tiny")}, "training: timm:vit_tiny, 32 px"),
        ({"batch_size": 512, "micro_batch": 128}, "batch 512 (parts of 128), "),
        ({"batch_size": 512, "world_size": 4}, "batch 512 over 4 processes, "),
    ],
)
def test_it_says_what_is_special(experiment, values, words):
    assert words in outline(changed(experiment, **values))


def test_it_says_what_of_given_weights_is_not_trained_as_the_rest(experiment):
    kept = {
        "encoder": Encoder(init="sha256 1", frozen_stages=1, frozen_statistics=True),
        "optimiser": Optimiser(name="sgd", lr=0.03, init_lr_scale=0.1),
    }
    asked = changed(experiment, **kept)
    words = "first stage frozen, batch-norm statistics frozen, encoder's learning rate x 0.1; one branch"
    assert f"temperature 0.5, {words}" in outline(asked)
    values = (("0", experiment.shared), ("1", asked.shared))
    points = tuple(Variant(values={"encoder.frozen_stages": text}, shared=shared) for text, shared in values)
    several = outline(asked.model_copy(update={"variants": points}))
    assert several.endswith("one branch; encoder.frozen_stages 0 or 1")


def test_an_axis_shows_its_values_and_one_that_the_line_does_not_cover_is_added(experiment):
    points = [
        Variant(
            values={"temperature": str(tau), "precision": precision},
            shared=experiment.shared.model_copy(update={"temperature": tau, "precision": precision}),
        )
        for tau in (0.1, 0.5, 1.0)
        for precision in ("float32", "bfloat16")
    ]
    asked = experiment.model_copy(update={"variants": tuple(points)})
    assert "temperature 0.1, 0.5 or 1; one branch; precision float32 or bfloat16" in outline(asked)
    assert cell_names(plan(asked)) == ["crop", "crop+color", "color+crop", "color"]
