"""What an objective makes of a preset, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ablate.config.experiment import Experiment
from ablate.config.objectives import KINDS
from ablate.errors import UsageError
from ablate.planning.footprint import peak, weights
from ablate.planning.outline import outline_of
from ablate.planning.settings import check_data, parse_assignments, shared_config
from ablate.training.objectives.registry import objective_of
from tests.support.settings import DATA
from tests.support.wishes import wish


def resolved(*assignments, **fields):
    return shared_config(wish(set=parse_assignments(assignments), **{"device": "cpu", **fields}), DATA)


DINO = {
    "target_momentum": 0.996,
    "student_temperature": 0.1,
    "teacher_temperature": 0.04,
    "centre_momentum": 0.9,
    "fixed_epochs": 1,
}
SMALL = {  # glyphs: hidden 128, output 64
    "byol": (128, 64, 2, {"target_momentum": 0.996, "predictor": 128}),
    "simsiam": (128, 128, 3, {"predictor": 32}),
    "barlow": (128, 128, 3, {"redundancy": 0.005}),
    "vicreg": (128, 128, 3, {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}),
    "mocov3": (128, 64, 2, {"target_momentum": 0.99, "predictor": 128}),
    "supcon": (128, 64, 2, {}),
    "dino": (128, 1024, 3, {**DINO, "bottleneck": 64}),
}
LARGE = {  # a ResNet-50: the papers' widths
    "byol": (4096, 256, 2, {"target_momentum": 0.996, "predictor": 4096}),
    "simsiam": (2048, 2048, 3, {"predictor": 512}),
    "barlow": (8192, 8192, 3, SMALL["barlow"][3]),
    "vicreg": (8192, 8192, 3, SMALL["vicreg"][3]),
    "mocov3": (4096, 256, 2, {"target_momentum": 0.99, "predictor": 4096}),
    "supcon": (2048, 128, 2, {}),
    "dino": (2048, 65536, 3, {**DINO, "bottleneck": 256}),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_defaults_of_an_objective(name):
    for expected, fields in ((SMALL, {"data": "glyphs"}), (LARGE, {"preset": "imagenet-paper@2", "data": "folder:/x"})):
        config = resolved(f"objective={name}", **fields)
        hidden, output, layers, method = expected[name]
        assert (config.head.hidden, config.head.output, config.head.layers) == (hidden, output, layers)
        assert {key: value for key, value in config.method.model_dump().items() if value is not None} == method
        assert not config.head.batch_norm
        assert config.loss_scale == 1
    assert {*SMALL} == {kind.name for kind in KINDS.values() if kind.layers}


def test_temperatures():
    given = {name: resolved(f"objective={name}").temperature for name in ("simclr", "mocov3", "supcon", "dino")}
    assert given == {"simclr": 0.2, "mocov3": 1.0, "supcon": 0.1, "dino": 0.5}  # the last one is not used
    assert resolved("objective=supcon", "temperature=0.3").temperature == 0.3


def test_what_a_user_sets_overrides_the_paper_and_other_widths_follow():
    config = resolved("objective=byol", "head.hidden=200", "method.target_momentum=0.9", "head.layers=3")
    assert (config.head.hidden, config.head.layers, config.method.target_momentum) == (200, 3, 0.9)
    assert config.method.predictor == 200
    assert resolved("objective=byol", "head.hidden=200", "method.predictor=50").method.predictor == 50


def test_what_does_not_concern_an_objective_is_not_in_its_key():
    assert len({resolved(f"objective={name}").key for name in KINDS}) == len(KINDS)
    assert resolved("objective=byol").temperature == resolved("objective=byol", data="cifar10:/x").temperature == 0.5


def test_simclr_and_supervised_training_are_as_before():
    plain = resolved()
    assert resolved("objective=simclr").key == plain.key
    assert plain.method == resolved("objective=supervised").method == type(plain.method)()
    assert resolved("objective=supervised").temperature == plain.temperature  # keys of earlier records had it


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        (["objective=byl"], "unknown objective 'byl'; allowed: simclr, .*; did you mean 'byol'"),
        (["objective=untrained"], "objective 'untrained' is a reference, not a sweep"),
        (["objective=byol", "temperature=0.1"], "temperature is for simclr.*: the objective byol has no such setting"),
        (["objective=barlow", "loss_scale=2"], "loss_scale is for simclr: the objective barlow has no such setting"),
        (["method.variance=1"], "method.variance is for vicreg: the objective simclr has no such setting"),
        (["objective=byol", "method.target_momentum=1.5"], "method.target_momentum must be .*1, not 1.5"),
        (["objective=byol", "method.momentum=0.5"], "unknown setting 'method.momentum'"),
        (["objective=vicreg", "head.kind=linear"], "head.kind and head.batch_norm cannot be set for vicreg"),
        (["objective=byol", "head.batch_norm=False"], "head.kind and head.batch_norm cannot be set for byol"),
        (["objective=simsiam", "head.hidden=wide"], "head.hidden must be"),
    ],
)
def test_what_does_not_suit_is_one_sentence(assignments, sentence):
    with pytest.raises(UsageError, match=sentence):
        resolved(*assignments)


@pytest.mark.parametrize("objective", ["supervised", "supcon"])
def test_objectives_with_labels_need_them(objective):
    unlabelled = SimpleNamespace(
        name="scans", lacks="has no labels", classes=(), pretrain=SimpleNamespace(labels=range(1000))
    )
    allowed = "simclr, byol, simsiam, barlow, vicreg, mocov3, dino"
    with pytest.raises(
        UsageError, match=f"scans has no labels: {objective} training needs labels; allowed .*: {allowed}"
    ):
        check_data(resolved(f"objective={objective}"), unlabelled)
    check_data(resolved("objective=dino"), unlabelled)


def test_an_axis_of_objectives_has_the_defaults_of_each():
    file = Experiment(compositions=["crop"], device="cpu", axes={"objective": ["simclr", "byol", "vicreg"]})
    configs = [shared_config(file.at({"objective": name}), DATA) for name in ("simclr", "byol", "vicreg")]
    assert [config.objective for config in configs] == ["simclr", "byol", "vicreg"]
    assert [config.head.layers for config in configs] == [2, 2, 3]
    assert ", SimCLR, BYOL or VICReg; " in outline_of(configs)


def test_memory_of_targets_predictors_and_correlations():
    plain, byol, simsiam, barlow = (
        resolved(f"objective={name}", preset="imagenet-paper@2", data="folder:/x")
        for name in ("simclr", "byol", "simsiam", "barlow")
    )
    assert weights(byol) - weights(byol.replace(method=byol.method.replace(predictor=1))) == 4095 * 512
    assert peak(byol) > peak(plain)
    dino = resolved("objective=dino", preset="imagenet-paper@2", data="folder:/x")
    head = objective_of(dino).modules(2048, 0)["head"]
    counted = weights(dino) - weights(dino.replace(head=dino.head.replace(output=1, hidden=1)))
    assert counted == pytest.approx(sum(p.numel() for p in head.parameters()), rel=0.01)
    assert peak(barlow) - peak(simsiam) > 4 * 4 * 8192**2
