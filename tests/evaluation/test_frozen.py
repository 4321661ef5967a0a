from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ablate.errors import Diverged, UsageError
from ablate.evaluation.accuracy import scores
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.knn import knn_predict
from ablate.evaluation.linear import linear_evaluation
from ablate.evaluation.protocols import PROTOCOLS, check_protocols, evaluate, parse_protocols
from ablate.ops import center_crop
from ablate.training.probe import OnlineProbe
from tests.evaluation.conftest import data_set, freeze, pixels


@pytest.mark.parametrize(("size", "fraction"), [(32, 1.0), (96, 0.875)])
def test_features_of_unaugmented_images(size, fraction):
    """Whole image up to 64 px, centre 0.875 above; evaluation mode inside, the former mode outside, no graph."""
    encoder = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3 * size * size, 4), torch.nn.Dropout(0.5)
    ).train()
    images = torch.randint(0, 256, (300, 3, size, size + 8), dtype=torch.uint8)
    data = data_set((images, torch.zeros(300).long()), (images[:2], torch.zeros(2).long()), torch.zeros(300).bool(), 1)
    frozen = freeze(data, encoder, torch.nn.Identity(), size=size)
    h, _, _ = frozen.train()
    assert encoder.training
    assert not h.requires_grad
    expected = encoder[1](center_crop(images, (size, size), fraction).flatten(1))
    torch.testing.assert_close(h, expected.detach(), atol=1e-4, rtol=1e-4)


def test_features_are_computed_once_however_many_protocols_run(stripes, monkeypatch):
    seen, features = [], Frozen.features

    def counting(self, split, index, *args, **kwargs):
        seen.append(len(index))
        return features(self, split, index, *args, **kwargs)

    monkeypatch.setattr(Frozen, "features", counting)
    evaluate(freeze(stripes), ["linear", "knn", "linear@z", "knn@z"])
    assert seen == [120, 60]


def test_h_and_z(stripes):
    frozen = freeze(stripes)
    (h, y, mask), (test_h, test_y) = frozen.train(), frozen.test()
    z, test_z = frozen.head(h).detach(), frozen.head(test_h).detach()
    torch.testing.assert_close(frozen.train("z")[0], z)
    torch.testing.assert_close(frozen.features(stripes.train, torch.arange(120), "z"), z)
    found = evaluate(frozen, ["linear", "knn", "linear@z", "knn@z"])
    for at, fitted, tested in (("", h, test_h), ("z_", z, test_z)):
        result = linear_evaluation(fitted, y, mask, tested, 3)
        expected = scores("linear", result.test, test_y, 3) | scores("linear_val", result.val, y[mask], 3)
        expected |= scores("knn", knn_predict(fitted, y, tested, 3), test_y, 3)
        assert {name: found.metrics[f"{at}{name}"] for name in expected} == expected
        assert len(expected) == 6
    assert list(found.protocols) == ["linear", "knn", "linear@z", "knn@z"]
    assert "z (after the head)" in found.protocols["knn@z"]
    assert "z" not in found.protocols["knn"].split()
    assert not [flag for flag in found.flags if "l2" in flag and not flag.startswith(("l2-", "z-l2-"))]


def test_only_labelled_training_images_teach(stripes):
    """Images that lost their label might as well not be there."""
    some = torch.arange(120) % 5 < 2
    labels = stripes.train.labels.where(some, -1)
    partly = replace(stripes, train=replace(stripes.train, labels=labels))
    images = stripes.train.images.pixels[some]
    fewer = data_set(
        (images, labels[some]), (stripes.test.images.pixels, stripes.test.labels), stripes.val_mask[some], 3
    )
    found, expected = (evaluate(freeze(data), ["linear", "knn"]) for data in (partly, fewer))
    number = some.nonzero()[:, 0].tolist()  # neighbours are given by the numbers of training images
    neighbours = tuple((query, *(number[i] for i in near)) for query, *near in expected.images.neighbours)
    assert found == replace(expected, images=replace(expected.images, neighbours=neighbours))


def test_features_that_are_not_finite(stripes):
    frozen = freeze(stripes)
    next(frozen.encoder.parameters()).data.fill_(float("nan"))
    with pytest.raises(Diverged):
        frozen.test()


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("linear", ("linear",)),
        ("linear, knn@z", ("linear", "knn@z")),
        ("linear@h,linear,linear@z", ("linear", "linear@z")),
        ("online", ("online",)),
    ],
)
def test_how_protocols_are_asked_for(text, specs):
    assert parse_protocols(text) == specs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("liner", "unknown protocol 'liner'; allowed: linear, .*did you mean 'linear'"),
        ("linear@y", "cannot be evaluated at 'y'; allowed: linear@h, linear@z"),
        ("linear@", "cannot be evaluated at ''"),
        ("online@z", "'online' cannot be evaluated at 'z'; allowed: online@h"),
        (" ,", "name at least one protocol; allowed: linear"),
    ],
)
def test_what_cannot_be_asked_for(text, message):
    with pytest.raises(UsageError, match=message):
        parse_protocols(text)


def test_without_labels_only_label_free_protocols(stripes):
    unlabelled = replace(stripes, classes=())
    for name, protocol in PROTOCOLS.items():
        if protocol.needs_labels:
            check_protocols([name], stripes)
            with pytest.raises(UsageError, match=f"'{name}@z' needs labels, and made-up has no labels"):
                check_protocols([f"{name}@z"], unlabelled)
        else:
            check_protocols([name], unlabelled)


def test_the_classifier_of_a_supervised_encoder_is_scored(stripes):
    head = torch.nn.Linear(192, 3, bias=False)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    frozen = freeze(stripes, pixels(), head, objective="supervised")
    found = evaluate(frozen, ["linear@z"])
    h, y = frozen.test()
    right = (frozen.head(h).argmax(1) == y).double().mean().item()
    assert found.metrics["classifier_top1"] == right
    h, y, mask = frozen.train()
    right = (frozen.head(h[mask]).argmax(1) == y[mask]).double().mean().item()
    assert found.metrics["classifier_val_top1"] == right
    assert "logits" in found.protocols["linear@z"]
    assert set(found.protocols) == {"linear@z", "classifier"}


def test_the_online_probe_learns_and_leaves_everything_else_alone(stripes):
    frozen = freeze(stripes, pixels(), torch.nn.Identity())
    h, y, mask = frozen.train()
    encoded = h.clone().requires_grad_()
    before = torch.get_rng_state()
    probe = OnlineProbe(192, 3, torch.device("cpu"))
    for _ in range(300):
        probe.update(encoded, y.where(~mask, -1))
    assert torch.equal(torch.get_rng_state(), before)
    assert encoded.grad is None
    frozen.probe = probe
    test_h, test_y = frozen.test()
    found = evaluate(frozen, ["online"])
    assert found.metrics["online_top1"] == (probe.linear(test_h).argmax(1) == test_y).double().mean().item()
    assert found.metrics["online_val_top1"] == (probe.linear(h[mask]).argmax(1) == y[mask]).double().mean().item()
    assert (probe.predict(encoded) == y)[~mask].double().mean() > 0.7  # by chance a third
    with pytest.raises(UsageError, match="cannot be added afterwards"):
        evaluate(freeze(stripes), ["online"])


def test_the_online_probe_ignores_images_without_label(stripes):
    """Against an ordinary step on the labelled rows; a batch without any moves nothing."""
    h, y, _ = freeze(stripes).train()
    labels = y.where(torch.arange(120) % 2 == 0, -1)
    one, other, still = (OnlineProbe(16, 3, torch.device("cpu")) for _ in range(3))
    for _ in range(3):
        one.update(h, labels)
        other.update(h[::2], y[::2])
        still.update(h, torch.full_like(y, -1))
    torch.testing.assert_close(one.linear.weight, other.linear.weight)
    assert one.linear.weight.abs().max() > 0
    assert (still.linear.weight == 0).all()


def test_the_online_probe_resumes(stripes):
    h, y, _ = freeze(stripes).train()
    whole, first, second = (OnlineProbe(16, 3, torch.device("cpu")) for _ in range(3))
    whole.update(h, y)
    first.update(h, y)
    second.restore(first.state())
    whole.update(h[:50], y[:50])
    second.update(h[:50], y[:50])
    assert torch.equal(whole.linear.weight, second.linear.weight)
