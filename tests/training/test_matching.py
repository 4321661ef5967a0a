"""Weights of well-known checkpoints, found by their names."""

from __future__ import annotations

import pytest
import torch
import torchvision

from ablate.config.encoder import Encoder
from ablate.training.architectures import architecture_of
from ablate.training.encoder import build_encoder
from ablate.training.given import content_of, start_from
from ablate.training.matching import best_match, examples
from ablate.training.weight_file import digest
from tests.support.checkpoints import behind, body, drawn, lightning, moco, numbered

R18 = Encoder(name="resnet18")


@pytest.fixture(scope="module")
def resnet18():
    return drawn(torchvision.models.resnet18)


def groups(state):
    if "state_dict" in state:
        return {"state_dict": state["state_dict"]}
    return {"": state}


def loaded(encoder, match, tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content_of(match.tensors))
    start_from(encoder, file, digest(match.tensors))
    return encoder


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda state: state, ("", "")),
        (moco, ("state_dict", "module.encoder_q.")),
        (lightning, ("state_dict", "backbone.")),
        (numbered, ("", "backbone.")),
        (lambda state: behind("module.base_encoder.", body(state)), ("", "module.base_encoder.")),
    ],
    ids=["torchvision", "moco v2", "solo-learn", "lightly", "moco v3"],
)
def test_a_resnet_is_found_whatever_stands_before_its_names(resnet18, wrap, place):
    match = best_match(groups(wrap(resnet18)), build_encoder(R18, 96))
    assert match.is_whole
    assert match.place == place
    assert match.tensors.keys() == {name for name in body(resnet18) if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(value, resnet18[name]) for name, value in match.tensors.items())


def test_of_two_encoders_that_fit_alike_the_trained_one_is_taken_and_the_other_named(resnet18):
    match = best_match(groups(moco(resnet18)), build_encoder(R18, 96))
    assert match.also == ["state_dict: module.encoder_k."]
    assert "module.queue" in match.unused
    student, teacher = behind("module.backbone.", body(resnet18)), behind("backbone.", body(resnet18))
    match = best_match({"student": student, "teacher": teacher}, build_encoder(R18, 96))
    assert (match.place, match.also) == (("teacher", "backbone."), ["student: module.backbone."])


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_features_are_those_of_torchvisions_model_with_the_same_weights(name, dtype, tolerance, tmp_path):
    state = drawn(getattr(torchvision.models, name))
    theirs = getattr(torchvision.models, name)()
    theirs.load_state_dict(state)
    theirs.fc = torch.nn.Identity()
    encoder = build_encoder(Encoder(name=name), 96)
    ours = loaded(encoder, best_match({"": state}, encoder), tmp_path)
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.no_grad():
        expected, found = (model.eval().to(dtype)(images) for model in (theirs, ours))
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_a_smaller_encoder_inside_a_larger_one_is_not_whole():
    state = drawn(torchvision.models.resnet34)
    match = best_match({"": state}, build_encoder(R18, 96))
    assert len(match.tensors) == 100
    assert not match.missing
    assert not match.is_whole
    assert "layer1.2.conv1.weight" in match.unexpected


def test_the_stem_for_small_images_has_another_shape(resnet18):
    match = best_match({"": resnet18}, build_encoder(R18, 32))
    assert match.shapes == {"conv1.weight": ((64, 3, 7, 7), (64, 3, 3, 3))}
    assert not match.is_whole


def test_a_classifier_is_left_out_and_counted(resnet18):
    match = best_match({"": resnet18}, build_encoder(R18, 96))
    assert match.unused == ["fc.bias", "fc.weight"]
    assert match.classes == 1000


def test_no_common_name_is_no_match():
    match = best_match({"": {"wte.weight": torch.zeros(2, 2)}}, build_encoder(R18, 96))
    assert not match.tensors
    assert len(match.missing) == 100


@pytest.mark.parametrize(("channels", "factor"), [(1, None), (2, 1.5), (5, 0.6)])
def test_the_first_convolution_follows_timms_rule(channels, factor, resnet18):
    adapt = pytest.importorskip("timm.models._manipulate").adapt_input_conv
    match = best_match({"": resnet18}, build_encoder(R18, 96, channels))
    assert match.is_whole
    assert len(match.changes) == 1
    expected = adapt(channels, resnet18["conv1.weight"].clone())
    torch.testing.assert_close(match.tensors["conv1.weight"], expected)
    if factor:
        torch.testing.assert_close(match.tensors["conv1.weight"][:, 0], resnet18["conv1.weight"][:, 0] * factor)


def test_grey_images_give_what_they_gave_as_rgb(resnet18, tmp_path):
    encoders = [build_encoder(R18, 96, channels) for channels in (1, 3)]
    grey, rgb = (loaded(net, best_match({"": resnet18}, net), tmp_path).eval().double() for net in encoders)
    images = torch.rand(2, 1, 96, 96, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(grey(images), rgb(images.expand(-1, 3, -1, -1)), rtol=1e-6, atol=1e-6)


def test_a_transformer_of_dino_with_positions_for_larger_images():
    timm = pytest.importorskip("timm")
    state = drawn(lambda: timm.create_model("vit_tiny_patch16_224", num_classes=0))
    teacher = behind("backbone.", state) | {"head.mlp.0.weight": torch.zeros(4, 192)}
    encoder = build_encoder(Encoder(name="timm:vit_tiny_patch16_224"), 32)
    match = best_match({"student": behind("module.", teacher), "teacher": teacher}, encoder)
    assert match.is_whole
    assert match.place == ("teacher", "backbone.")
    assert match.changes == ["pos_embed: its 14 x 14 positions are resampled to 2 x 2, as timm does"]
    resampled = timm.layers.resample_abs_pos_embed(state["pos_embed"], new_size=[2, 2])
    assert torch.equal(match.tensors["pos_embed"], resampled)
    same = best_match({"": state}, build_encoder(Encoder(name="timm:vit_tiny_patch16_224"), 224))
    assert same.changes == []


def test_timms_resnet_takes_torchvisions_weights(resnet18):
    pytest.importorskip("timm")
    match = best_match({"": resnet18}, build_encoder(Encoder(name="timm:resnet18"), 64))
    assert match.is_whole


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("convnext_atto", "head.norm.weight"),
        ("edgenext_xx_small", "head.norm.weight"),
        ("inception_next_atto", "head.norm.weight"),
        ("efficientvit_b0", "head.in_conv.conv.weight"),
        ("caformer_s18", "head.norm.weight"),
        ("levit_128s", "stages.0.blocks.0.attn.qkv.linear.weight"),
        ("vit_tiny_patch16_224", "norm.weight"),
    ],
)
def test_the_classifier_of_timms_whole_models_is_left_out_and_the_rest_of_a_head_is_not(model, kept):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        named, encoder = timm.create_model(model).state_dict(), build_encoder(Encoder(name=f"timm:{model}"), 224)
    state = {name: torch.zeros((), dtype=value.dtype).expand(value.shape) for name, value in named.items()}
    match = best_match({"": state}, encoder)
    assert match.is_whole
    assert kept in match.tensors
    assert {*match.tensors, *match.unused} == {name for name in named if not name.endswith("num_batches_tracked")}
    assert match.unused
    assert match.classes == 1000


@pytest.mark.parametrize(
    ("config", "size", "named"),
    [
        (Encoder(name="resnet50"), 96, "resnet50"),
        (Encoder(name="resnet18", width=128), 96, "resnet18x2"),
        (Encoder(name="resnet8", width=6), 32, "resnet8 --set encoder.width=6"),
    ],
)
def test_the_architecture_in_a_file_is_named(config, size, named):
    with torch.device("meta"):
        shapes = build_encoder(config, size).state_dict()
    state = {name: torch.empty_like(value, device="cpu") for name, value in shapes.items()}
    assert architecture_of({"": behind("model.", state)}, 32) == named


def test_a_transformer_in_a_file_is_named():
    patches = {"": {"patch_embed.proj.weight": torch.zeros(384, 3, 8, 8)}}
    assert architecture_of(patches, 32) == "timm:vit_small_patch8_224"
    assert architecture_of({"": {"a.weight": torch.zeros(2)}}, 32) == ""


def test_examples_name_each_part_once():
    assert examples(["fc.bias", "fc.weight", "queue", "a.b", "c"]) == "fc.bias, queue, a.b and 2 more"
    assert examples(["fc"]) == "fc"
