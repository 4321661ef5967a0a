"""Every loss against a plain loop over its paper's equations, and every objective in the trainer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ablate.config.objectives import KINDS, Method
from ablate.config.trial import Head, Optimiser
from ablate.distributed import ALONE
from ablate.evaluation.collapse import collapse
from ablate.evaluation.frozen import Frozen
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams
from ablate.training.head import ProjectionHead
from ablate.training.objectives.barlow import barlow_twins
from ablate.training.objectives.byol import byol
from ablate.training.objectives.dino import Centre, dino
from ablate.training.objectives.mocov3 import mocov3
from ablate.training.objectives.objective import Projections
from ablate.training.objectives.pairs import spread
from ablate.training.objectives.registry import OBJECTIVES, objective_of
from ablate.training.objectives.simsiam import simsiam
from ablate.training.objectives.supcon import supcon
from ablate.training.objectives.vicreg import vicreg
from ablate.training.target import follow, momentum_at
from ablate.training.trainer import Trainer
from tests.support.processes import CPU, config, data, of_objective

N, D = 6, 4
OTHERS = [name for name in KINDS if name not in {"simclr", "supervised"}]
"""The objectives that later versions added."""


def projections(count, n=N, d=D):
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(count)]


def unit(row):
    length = math.sqrt(sum(value * value for value in row))
    return [value / length for value in row]


def byol_loop(p1, p2, t1, t2):
    total = 0.0
    for p, t in ((p1, t2), (p2, t1)):
        for a, b in zip(p.tolist(), t.tolist(), strict=True):
            total += sum((x - y) ** 2 for x, y in zip(unit(a), unit(b), strict=True)) / len(p)
    return total


def simsiam_loop(p1, p2, z1, z2):
    total = 0.0
    for p, z in ((p1, z2), (p2, z1)):
        for a, b in zip(p.tolist(), z.tolist(), strict=True):
            total -= sum(x * y for x, y in zip(unit(a), unit(b), strict=True)) / len(p) / 2
    return total


def columns(z):
    return [list(column) for column in zip(*z.tolist(), strict=True)]


def mean(values):
    return sum(values) / len(values)


def centred(values):
    return [value - mean(values) for value in values]


def barlow_loop(z1, z2, weight):
    total = 0.0
    for i, a in enumerate(map(centred, columns(z1))):
        for j, b in enumerate(map(centred, columns(z2))):
            lengths = [math.sqrt(mean([x * x for x in values]) + 1e-5) for values in (a, b)]
            c = mean([x * y for x, y in zip(a, b, strict=True)]) / lengths[0] / lengths[1]
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total


def vicreg_loop(z1, z2, invariance, variance, covariance):
    total, d, n = 0.0, z1.shape[1], len(z1)
    for a, b in zip(z1.flatten().tolist(), z2.flatten().tolist(), strict=True):
        total += invariance * (a - b) ** 2 / n / d
    for z in (z1, z2):
        each = [centred(column) for column in columns(z)]
        for i, a in enumerate(each):
            total += variance * max(0, 1 - math.sqrt(sum(x * x for x in a) / (n - 1) + 1e-4)) / d / 2
            for j, b in enumerate(each):
                if i != j:
                    total += covariance * (sum(x * y for x, y in zip(a, b, strict=True)) / (n - 1)) ** 2 / d
    return total


def dot(a, b):
    return sum(x * y for x, y in zip(unit(a), unit(b), strict=True))


def supcon_loop(z, labels, temperature):
    total = 0.0
    for i, a in enumerate(z.tolist()):
        others = [math.exp(dot(a, b) / temperature) for k, b in enumerate(z.tolist()) if k != i]
        partners = [b for k, b in enumerate(z.tolist()) if k != i and labels[k] == labels[i]]
        total -= mean([dot(a, b) / temperature - math.log(sum(others)) for b in partners]) / len(z)
    return total


def mocov3_loop(q1, q2, k1, k2, temperature):
    total = 0.0
    for q, k in ((q1, k2), (q2, k1)):
        for i, a in enumerate(q.tolist()):
            found = [math.exp(dot(a, b) / temperature) for b in k.tolist()]
            total -= 2 * temperature * math.log(found[i] / sum(found)) / len(q)
    return total


def softmax(values):
    return [math.exp(value) / sum(map(math.exp, values)) for value in values]


def dino_loop(s1, s2, t1, t2, student, teacher):
    total = 0.0
    for t, s in ((t1, s2), (t2, s1)):
        for a, b in zip(t.tolist(), s.tolist(), strict=True):
            p, q = softmax([x / teacher for x in a]), softmax([x / student for x in b])
            total -= sum(x * math.log(y) for x, y in zip(p, q, strict=True)) / len(t) / 2
    return total


LOSSES = {
    "byol": (byol, byol_loop, 4, ()),
    "simsiam": (simsiam, simsiam_loop, 4, ()),
    "barlow": (barlow_twins, barlow_loop, 2, (0.005,)),
    "vicreg": (vicreg, vicreg_loop, 2, (25.0, 20.0, 1.5)),
    "mocov3": (lambda *z: mocov3(*z)[0], mocov3_loop, 4, (0.3,)),
    "supcon": (lambda *z: supcon(*z)[0], supcon_loop, 1, (torch.tensor([0, 1, 0, 1, 1, 0]), 0.2)),
    "dino": (dino, dino_loop, 4, (0.7, 0.4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_the_plain_loop(name):
    loss, loop, count, weights = LOSSES[name]
    z = projections(count)
    assert float(loss(*z, *weights)) == pytest.approx(loop(*z, *weights), rel=1e-12)
    assert float(loss(*[0.1 * part for part in z], *weights)) == pytest.approx(
        loop(*[0.1 * part for part in z], *weights), rel=1e-12
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_equals_finite_differences(name):
    loss, _, count, weights = LOSSES[name]
    z = projections(count)
    trained = z[:2]
    rest = z[len(trained) :]
    assert torch.autograd.gradcheck(
        lambda *parts: loss(*parts, *rest, *weights), [part.requires_grad_() for part in trained]
    )


def test_simsiam_stops_the_gradient_into_z():
    p1, p2, z1, z2 = (part.requires_grad_() for part in projections(4))
    simsiam(p1, p2, z1, z2).backward()
    assert p1.grad is not None
    assert z1.grad is None
    assert z2.grad is None


def test_losses_of_a_perfect_pair():
    z = projections(1, 4000, 3)[0]
    assert byol(z, z, z, z) == pytest.approx(0, abs=1e-12)
    assert simsiam(z, z, z, z) == pytest.approx(-1)
    assert barlow_twins(z, z, 0.005) < 1e-4
    assert vicreg(z * 2, z * 2, 25, 25, 0) == pytest.approx(0, abs=1e-12)


def test_the_spread_of_projections():
    z = projections(1, 5000, 16)[0]
    assert spread(z) == pytest.approx(1, abs=0.01)
    assert spread(1e-3 * z + 1) < 0.1
    by_hand = torch.tensor([unit(row) for row in z[:9].tolist()]).double().std(0).mean() * 4
    assert spread(z[:9]) == pytest.approx(float(by_hand), abs=1e-6)


def test_top1_of_contrastive_objectives():
    z = torch.eye(4, dtype=torch.float64)
    assert mocov3(z, z, z, z, 0.2)[1] == 1
    assert mocov3(z, z, z, z.roll(1, 0), 0.2)[1] == 0.5
    labels = torch.tensor([0, 0, 1, 1])
    near = torch.tensor([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=torch.float64)
    assert supcon(near, labels, 0.2)[1] == 1
    assert supcon(near, torch.tensor([0, 1, 0, 1]), 0.2)[1] == 0


def test_the_centre_is_a_running_mean_that_is_used_before_it_is_updated():
    centre = Centre(D, 0.9, ALONE).double()
    x, y = projections(2)
    assert torch.equal(centre(x), x)
    torch.testing.assert_close(centre.value, 0.1 * x.mean(0))
    torch.testing.assert_close(centre(y), y - 0.1 * x.mean(0))
    torch.testing.assert_close(centre.value, 0.09 * x.mean(0) + 0.1 * y.mean(0))
    before = centre.value.clone()
    centre.eval()(x)
    assert torch.equal(centre.value, before)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lars"])
def test_dinos_prototypes_wait_for_an_epoch(optimiser):
    def directions(trainer):
        return nn.functional.normalize(trainer.head.prototypes.detach(), dim=1)

    trainer = trainer_of("dino", optimiser=Optimiser(name=optimiser, lr=0.05))
    start = directions(trainer)
    trainer.train_epoch()
    torch.testing.assert_close(directions(trainer), start)
    trainer.train_epoch()
    assert (directions(trainer) - start).abs().max() > 1e-6


def test_the_teacher_is_evaluated_and_targets_of_others_are_not():
    dino, byol = trainer_of("dino"), trainer_of("byol")
    assert dino.evaluated == (dino.target["encoder"], dino.target["head"][0])
    assert byol.evaluated == (byol.encoder, byol.head)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.views == 2])
def test_batch_norms_see_both_views_together(name):
    trainer, seen = trainer_of(name), []
    parts = [part[key] for part in (trainer.model, trainer.target) if part is not None for key in ("encoder", "head")]
    for part in [*parts, *([trainer.model["predictor"]] if "predictor" in trainer.model else [])]:
        part.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    trainer.train_steps(1)
    assert set(seen) == {2 * trainer.config.batch_size}


def test_supcon_never_sees_a_hidden_label():
    trainer = trainer_of("supcon")
    seen = torch.cat(trainer._batches())
    assert len(seen) == trainer.steps_per_epoch * trainer.config.batch_size
    assert not data().val_mask[seen].any()
    assert (trainer.labels[seen] >= 0).all()


def test_every_objective_is_registered_and_every_setting_says_whose_it_is():
    assert set(OBJECTIVES) == {*KINDS, "untrained"}
    for name, field in Method.model_fields.items():
        users = [kind.name for kind in KINDS.values() if f"method.{name}" in kind.settings]
        assert field.description.startswith(f"{', '.join(users)}: "), name


def test_the_momentum_rises_to_one_as_a_cosine():
    assert momentum_at(0, 100, 0.9) == pytest.approx(0.9)
    assert momentum_at(50, 100, 0.9) == pytest.approx(0.95)
    assert momentum_at(100, 100, 0.9) == 1
    model, target = (nn.ModuleDict({"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 1)}) for _ in range(2))
    before = [p.detach().clone() for p in target.parameters()]
    follow(target, model, 1 - 0.9)
    for old, new, theirs in zip(before, target.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * theirs)


def trainer_of(objective, micro_batch=None, **changes):
    changes = {
        "optimiser": Optimiser(name="adamw", lr=0.01),
        "micro_batch": micro_batch,
        **of_objective(objective),
        **changes,
    }
    trainer = Trainer(config(1, **changes), 7, data(), CPU, online=True)
    for part in (trainer.model, trainer.target):
        if part is not None:
            part.double()
    return trainer


def plain_step(trainer):
    """The definition: all views through encoder and target in chunks, one loss, one backward pass."""
    trainer.model.train()
    index, size = trainer._batches()[0], trainer.config.micro_batch or trainer.config.batch_size
    images, sizes = trainer.images.batch(index)
    params = trainer.step.pair.sample(len(index), trainer.images.extents(index), Streams(7, 0, CPU))
    made, targets = [], []
    for start in range(0, len(index), size):
        rows = slice(start, start + size)
        views = torch.cat(trainer.step.pair.apply(images[rows], params.part(rows), sizes)).double()
        made.append(trainer.encoder(views).unflatten(0, (2, size)))
        if trainer.target is not None:
            with torch.no_grad():
                targets.append(trainer.target["encoder"](views).unflatten(0, (2, size)))
    z = trainer.head(torch.cat(made, 1).flatten(0, 1))
    target = None
    if trainer.target is not None:
        with torch.no_grad():
            target = trainer.target["head"](torch.cat(targets, 1).flatten(0, 1))
    predicted = trainer.model["predictor"](z) if "predictor" in trainer.model else None
    loss, _ = objective_of(trainer.config).of_batch(Projections(z, trainer.labels[index], predicted, target))
    loss.backward()
    return loss


def everything(trainer):
    found = {f"model.{name}": value for name, value in trainer.model.state_dict().items()}
    if trainer.target is not None:
        found |= {f"target.{name}": value for name, value in trainer.target.state_dict().items()}
    return found


@pytest.mark.parametrize("micro_batch", [None, 8])
@pytest.mark.parametrize("objective", OTHERS)
def test_a_step_equals_the_plain_one(objective, micro_batch):
    """Gradients, and running statistics of model and target, which are updated once per chunk."""
    made, plain = trainer_of(objective, micro_batch), trainer_of(objective, micro_batch)
    index, streams = made._batches()[0], made.streams
    made.model.train()
    streams.restart(0, {})
    with made.step.pixels([index]) as pixels:
        result = made.step.gradients(0, index, pixels)
    loss = plain_step(plain)
    torch.testing.assert_close(result.share[0], loss.detach(), atol=1e-9, rtol=1e-9)
    for (name, a), b in zip(made.model.named_parameters(), plain.model.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b[1].grad, atol=1e-8, rtol=1e-8, msg=name)
    for name, value in everything(plain).items():
        torch.testing.assert_close(everything(made)[name], value, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize("objective", OTHERS)
def test_training_lowers_the_loss_and_moves_the_target_behind_the_model(objective):
    # The images are noise: views that are more than a little distorted have nothing in common.
    trainer = trainer_of(objective, epochs=6, composition=Composition.parse("noise").specs())
    start = None if trainer.target is None else [p.clone() for p in trainer.target.parameters()]
    entries = [trainer.train_epoch() for _ in range(6)]
    assert all(math.isfinite(entry[trainer.objective.metric]) for entry in entries)
    if objective == "dino":  # the distribution that it is to find changes: the loss may rise while it learns
        assert entries[-1]["prototype_top1"] > 0.5
    else:
        assert entries[-1]["loss"] < entries[0]["loss"]
    if trainer.target is not None:
        assert not any(p.requires_grad for p in trainer.target.parameters())
        theirs = [*trainer.target.parameters()]
        ours = [p.detach() for name in ("encoder", "head") for p in trainer.model[name].parameters()]
        moved = sum(float((a - b).abs().sum()) for a, b in zip(theirs, start, strict=True))
        behind = sum(float((a - b).abs().sum()) for a, b in zip(theirs, ours, strict=True))
        assert 0 < moved < behind


@pytest.mark.parametrize("objective", OTHERS)
def test_a_loss_that_is_shared_out_is_that_of_the_whole_batch(objective):
    """The shares of a process alone are the loss itself; several processes are in test_processes.py."""
    trainer = trainer_of(objective)
    z = torch.randn(16, trainer.config.head.output, dtype=torch.float64, requires_grad=True)
    whole = Projections(z, torch.arange(8) % 3, z * 2, z.detach().flip(1))
    for a, b in zip(trainer.objective.loss(whole, ALONE), trainer.objective.of_batch(whole), strict=True):
        assert torch.equal(a, b)
    assert trainer.objective.loss(whole, ALONE)[0].requires_grad


def test_head_and_predictor_have_the_layers_of_the_papers():
    def layers(module):
        return [
            (type(part).__name__, getattr(part, "bias", None) is not None)
            for part in module
            if not isinstance(part, nn.ReLU)
        ]

    linear, plain, norm, bare = ("Linear", True), ("Linear", False), ("BatchNorm1d", True), ("BatchNorm1d", False)
    expected = {
        "byol": ([linear, norm, plain], [linear, norm, plain]),
        "simsiam": ([plain, norm, plain, norm, plain, bare], [plain, norm, linear]),
        "barlow": ([plain, norm, plain, norm, plain], None),
        "vicreg": ([linear, norm, linear, norm, plain], None),
        "mocov3": ([plain, norm, plain, bare], [plain, norm, plain]),
    }
    for name, (head, predictor) in expected.items():
        modules = objective_of(config(1, **of_objective(name))).modules(16, 3)
        assert layers(modules["head"]) == head, name
        assert (layers(modules["predictor"]) if predictor else None) == predictor, name
    dino = objective_of(config(1, **of_objective("dino"))).modules(16, 3)["head"]
    assert [type(part).__name__ for part in dino.layers] == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    assert isinstance(objective_of(config(1, **of_objective("supcon"))).modules(16, 3)["head"], ProjectionHead)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"objective": "byol"}, "byol needs its settings; its paper has method.target_momentum=0.996, method.pred"),
        ({"method": Method(variance=1.0)}, "method.variance is for vicreg: the objective simclr has no such setting"),
        ({**of_objective("byol"), "head": Head(kind="linear")}, "head.kind and head.batch_norm cannot be set for byol"),
        ({**of_objective("barlow"), "loss_scale": 2.0}, "loss_scale multiplies NT-Xent: for barlow training it must"),
    ],
)
def test_what_does_not_suit_an_objective_is_refused(bad, sentence):
    with pytest.raises(ValueError, match=sentence):
        config(1, **bad)


@pytest.mark.parametrize("stops", [True, False])
def test_collapse_is_flagged(stops, monkeypatch):
    """SimSiam without its stop-gradient collapses (its paper, figure 2), with it not."""
    if not stops:
        monkeypatch.setattr(
            "ablate.training.objectives.simsiam.simsiam", lambda p1, p2, z1, z2: byol(p1, p2, z1, z2) / 4 - 1
        )
    changes = {"optimiser": Optimiser(name="sgd", lr=0.2), "epochs": 16, **of_objective("simsiam")}
    cfg = config(1, **changes, composition=Composition.parse("crop(area=(0.5,1))+noise").specs())
    trainer = Trainer(cfg, 7, data(), CPU)
    for _ in range(cfg.epochs):
        trainer.train_epoch()
    frozen = Frozen(trainer.encoder, trainer.head, cfg, 7, data(), CPU)
    assert collapse(frozen) == (() if stops else ("collapsed-z",))
    assert (spread(frozen.test("z")[0]) > 0.5) == stops
