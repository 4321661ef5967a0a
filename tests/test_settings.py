"""From what was asked for to what is trained, without a process for each question."""

from __future__ import annotations

import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.config.presets import NAMED
from ablate.config.trial import Head
from ablate.errors import UsageError
from ablate.planning.compositions import parse_one
from ablate.planning.request import about_preset, with_preset
from ablate.planning.settings import parse_assignments, shared_config
from ablate.sweep.plan import save_plan
from tests.support.settings import DATA
from tests.support.sweeps import make_experiment
from tests.support.wishes import wish


def resolved(*assignments, data="glyphs", branches="one", device="cpu"):
    values = parse_assignments(assignments)
    return shared_config(wish(data=data, branches=branches, set=values, device=device), DATA)


def test_presets_by_data_set_and_size():
    glyphs, small, large = (resolved(data=d) for d in ("glyphs", "cifar10:/x", "folder:/x"))
    assert (glyphs.encoder.name, small.encoder.name, large.encoder.name) == ("resnet8", "resnet18", "resnet50")
    assert (small.temperature, large.temperature) == (0.5, 0.1)


def test_the_learning_rate_follows_the_batch_size_unless_given():
    assert resolved("batch_size=64").optimiser.lr == pytest.approx(2 * resolved("batch_size=32").optimiser.lr)
    assert resolved("batch_size=64", "optimiser.lr=0.5").optimiser.lr == 0.5


def test_a_shorter_training_has_a_shorter_warm_up():
    assert resolved(data="cifar10:/x").warmup_epochs == 10
    assert resolved("epochs=20", data="cifar10:/x").warmup_epochs == 2
    assert resolved("epochs=1000", data="cifar10:/x").warmup_epochs == 10
    assert resolved("epochs=20", "warmup_epochs=5", data="cifar10:/x").warmup_epochs == 5
    assert [preset("cifar10-readme@2", f"epochs={n}").warmup_epochs for n in (1000, 200, 100, 50)] == [10, 10, 10, 5]


def test_another_encoder_does_not_inherit_the_presets_width():
    assert resolved("encoder.name=resnet18").encoder.width == 64
    assert resolved("encoder.name=resnet8").encoder.width == resolved().encoder.width


def test_the_objective_can_be_set_either_way():
    assert resolved("objective=supervised").objective == "supervised"
    with pytest.raises(UsageError, match="reference"):
        resolved("objective=untrained")


def test_two_branches_have_no_base():
    assert resolved(branches="two").base is None


def test_a_gpu_without_bfloat16_arithmetic_trains_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert resolved(device="cuda").precision == "float32"
    with pytest.raises(UsageError, match="no bfloat16 arithmetic"):
        resolved("precision=bfloat16", device="cuda")


def preset(name, *assignments, data="cifar10:/x", branches="two"):
    values = parse_assignments(assignments)
    return shared_config(wish(data=data, branches=branches, set=values, preset=name), DATA)


def test_the_papers_imagenet_configuration():
    config = preset("imagenet-paper@2", data="folder:/x")
    assert (config.encoder.name, config.encoder.width, config.image_size) == ("resnet50", 64, 224)
    assert (config.batch_size, config.epochs, config.warmup_epochs, config.temperature) == (4096, 100, 10, 0.1)
    assert config.optimiser.model_dump(exclude={"init_lr_scale"}) == {
        "name": "lars",
        "lr": 4.8,
        "momentum": 0.9,
        "weight_decay": 1e-6,
    }
    assert config.head == Head(hidden=2048, output=128, kind="mlp", layers=2, batch_norm=True)
    assert (config.loss_scale, config.encoder.zero_init_residual) == (2, True)


def test_the_official_commands():
    imagenet = preset("imagenet-readme@2", data="folder:/x")
    assert imagenet.optimiser.lr == pytest.approx(0.075 * 64)  # equal to 0.3 B/256 at this batch, as the README says
    assert (imagenet.optimiser.name, imagenet.optimiser.weight_decay) == ("lars", 1e-4)
    assert preset("imagenet-readme@2", "batch_size=256", data="folder:/x").optimiser.lr == pytest.approx(0.075 * 16)
    cifar = preset("cifar10-readme@2")
    assert (cifar.encoder.name, cifar.batch_size, cifar.epochs, cifar.temperature) == ("resnet18", 512, 1000, 0.5)
    assert cifar.optimiser.model_dump(exclude={"init_lr_scale"}) == {
        "name": "lars",
        "lr": 2.0,
        "momentum": 0.9,
        "weight_decay": 1e-4,
    }
    assert (cifar.head.layers, cifar.head.batch_norm, cifar.loss_scale) == (3, True, 2)
    paper = preset("cifar10-paper@2")
    assert (paper.encoder.name, paper.batch_size, paper.optimiser.lr) == ("resnet50", 1024, 4.0)
    assert (paper.optimiser.weight_decay, paper.loss_scale, paper.head.batch_norm) == (1e-6, 2, True)
    assert all(official.encoder.zero_init_residual for official in (imagenet, cifar, paper))


FIRST = {  # what these presets were: keys that users' records have
    "imagenet-paper": "0c3e221a55781eca",
    "imagenet-readme": "35a3fd186101b9a0",
    "cifar10-paper": "473fc78bbb6c54c3",
    "cifar10-readme": "b279513a01b384a8",
    "laptop": "cfa485dff5fd8283",
}
SECOND = {
    "glyphs": "bc5b24876a78f74a",
    "laptop@2": "42300a8484bf6a94",
    "imagenet-paper@2": "ae829452c030b51d",
    "imagenet-readme@2": "42164c0e296676b6",
    "cifar10-paper@2": "1e34e28dbabe9bef",
    "cifar10-readme@2": "060e8eeafeb8fb2c",
    "cifar10-fast": "ee35199e0a2c7b8d",
}


def data_of(name):
    return "glyphs" if name == "glyphs" else "folder:/x" if name.startswith("imagenet") else "cifar10:/x"


def test_the_values_of_a_preset_never_change():
    assert {name: preset(name, data=data_of(name)).key for name in NAMED} == SECOND


@pytest.mark.parametrize("name", FIRST)
def test_a_replaced_preset_says_how_a_sweep_that_began_with_it_goes_on(name):
    with pytest.raises(UsageError, match=f"{name} has been replaced by {name}@2") as refused:
        preset(name, data=data_of(name))
    words = str(refused.value).rsplit(": ", 1)[1].split()
    assert words[::2] == ["--preset"] + ["--set"] * (len(words) // 2 - 1)
    assert preset(words[1], *words[3::2], data=data_of(name)).key == FIRST[name]


def test_another_resnet_starts_as_the_presets_does_and_what_is_not_ours_cannot():
    assert preset("cifar10-readme@2", "encoder.name=resnet50x2").encoder.zero_init_residual
    assert not resolved("encoder.name=resnet18").encoder.zero_init_residual
    assert resolved("encoder.zero_init_residual=True").encoder.zero_init_residual
    with pytest.raises(UsageError, match="zero_init_residual is for resnet8, resnet18"):
        resolved("encoder.name=timm:resnet10t", "encoder.zero_init_residual=True")


def test_loss_scale_is_for_nt_xent():
    """A preset's is left out where the objective has none, so that the key is another than of those that had it."""
    assert preset("cifar10-readme@2", "objective=supervised").loss_scale == 1
    assert preset("cifar10-readme@2", "objective=simclr").loss_scale == 2
    with pytest.raises(UsageError, match="loss_scale multiplies NT-Xent: for supervised training it must be 1, not 2"):
        resolved("objective=supervised", "loss_scale=2")


def test_the_public_one_gpu_recipe():
    config = preset("cifar10-fast")
    assert config.optimiser.model_dump(exclude={"init_lr_scale"}) == {
        "name": "sgd",
        "lr": 0.12,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    }
    assert (config.batch_size, config.epochs, config.warmup_epochs, config.loss_scale) == (512, 100, 0, 1)
    asked = wish(data="cifar10:/x", branches="two", preset="cifar10-fast")
    crop, color = parse_one(asked, "crop+color").ops
    assert (crop.area, color.strength, color.gray_p) == ((0.2, 1.0), 0.5, 0.1)


def test_presets_differ_from_each_other_and_set_no_colour_on_imagenet():
    keys = {preset(name).key for name in NAMED}
    assert len(keys) == len(NAMED)
    for name in ("imagenet-paper@2", "imagenet-readme@2"):
        (color,) = parse_one(wish(data="folder:/x", branches="two", preset=name), "color").ops
        assert (color.strength, color.gray_p) == (1.0, 0.2)


def test_lars_brings_its_own_rate_and_scaling():
    assert resolved("optimiser.name=lars", "batch_size=512").optimiser.lr == pytest.approx(0.6)
    assert resolved("optimiser.name=lars", "lr_scaling=sqrt", "batch_size=400").optimiser.lr == pytest.approx(1.5)
    assert resolved("lr_base=0.1", "lr_scaling=sqrt", "batch_size=64").optimiser.lr == pytest.approx(0.8)
    assert preset("cifar10-fast", "lr_base=0.03").optimiser.lr == pytest.approx(0.06)
    with pytest.raises(UsageError, match="needs a base rate of its own"):
        preset("cifar10-readme@2", "lr_scaling=sqrt")
    assert resolved("optimiser.name=lars").optimiser.weight_decay == 1e-6  # not the other optimiser's
    assert resolved("optimiser.name=lars", "optimiser.weight_decay=0.1").optimiser.weight_decay == 0.1


def test_a_batch_within_one_micro_batch_is_an_ordinary_one():
    assert resolved("batch_size=32", "micro_batch=32").key == resolved("batch_size=32").key
    assert resolved("batch_size=32", "micro_batch=16").micro_batch == 16


def test_width_multipliers_by_name():
    assert resolved("encoder.name=resnet50x2").encoder == Encoder(name="resnet50", width=128)
    assert resolved("encoder.name=resnet50x4").key == resolved("encoder.name=resnet50", "encoder.width=256").key


def test_without_a_gpu_the_default_is_the_preset_for_laptops_and_says_so():
    asked = wish(data="folder:/x")
    chosen = with_preset(asked, "cpu")
    assert chosen.preset == "laptop@2"
    said = about_preset(asked, chosen)
    assert said.startswith("preset laptop@2, the default without a GPU")
    assert "preset=one-gpu" in said or "--preset one-gpu" in said
    assert with_preset(asked, "cuda") == asked  # a cluster's GPUs count, too: the device is that of the trials
    for own in (wish(data="glyphs"), wish(data="glyphs:3"), chosen, wish(data="folder:/x", preset="one-gpu")):
        assert with_preset(own, "cpu") == own
        assert about_preset(own, own) == ""


def test_a_sweep_goes_on_with_its_own_preset(tmp_path):
    asked = wish(data="folder:/x")
    for name in (None, "laptop@2", "cifar10-fast"):
        save_plan(tmp_path, make_experiment(["crop"], 1).replace(preset=name))
        for device in ("cpu", "cuda"):
            assert with_preset(asked, device, tmp_path).preset == name
    assert with_preset(asked, "cpu", tmp_path / "new").preset == "laptop@2"


def test_the_recipe_for_a_gpu_can_be_asked_for_by_name():
    assert preset("one-gpu").key == preset(None).key
