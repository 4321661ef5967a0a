"""Sweeps that start from given weights: what is planned, what is said, and what is trained."""

from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from ablate.config.encoder import IMAGENET, Encoder
from ablate.config.objectives import Method
from ablate.config.trial import DataIdentity
from ablate.data import Resident
from ablate.errors import Interrupted, UsageError
from ablate.launch import start
from ablate.planning.init import about_init, contents, normalization_of
from ablate.planning.settings import shared_config, trial_config
from ablate.sweep.fidelity import fidelities
from ablate.sweep.layout import SweepDir
from ablate.sweep.merge import merge
from ablate.sweep.plan import keep_weights, load_plan, plan, save_plan
from ablate.sweep.record import read_record
from ablate.training.encoder import build_encoder
from ablate.trial import encoders
from ablate.trial.context import Context
from ablate.trial.run import run_trial
from tests.support.checkpoints import drawn, moco
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command
from tests.support.in_process import run_here
from tests.support.settings import DATA
from tests.support.trials import comparable
from tests.support.wishes import wish

RESNET18 = {"encoder.name": "resnet18", "encoder.width": 64}
GREY = DataIdentity(name="x", fingerprint="f", classes=2, channels=1)


def state(seed=1, channels=3, **config):
    return drawn(lambda: build_encoder(Encoder(**{"name": "resnet8", "width": 4, **config}), 16, channels), seed)


@pytest.fixture
def weights(tmp_path):
    """A file as ``ablate`` keeps an encoder of width 4."""
    save_file(state(), tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


def asked(file, **changes):
    settings = {"encoder.name": "resnet8", "encoder.width": 4, "image_size": 16, **changes.pop("set", {})}
    return wish(init=str(file), set=settings, **changes)


def test_the_key_names_the_weights_and_not_their_place(weights, tmp_path):
    without = shared_config(asked(weights).replace(init=None), DATA)
    first = shared_config(asked(weights), DATA)
    assert first.key != without.key
    assert first.encoder.init.startswith("sha256 ")
    copy = tmp_path / "copy.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state().items()}}, copy)
    assert shared_config(asked(copy), DATA).key == first.key
    save_file(state(seed=2), weights)
    assert shared_config(asked(weights), DATA).key != first.key


def test_one_changed_number_is_another_key(weights):
    first = shared_config(asked(weights), DATA)
    changed = state()
    changed["blocks.2.bn2.running_var"][3] += 1e-3
    save_file(changed, weights)
    assert shared_config(asked(weights), DATA).encoder.init != first.encoder.init


def test_what_is_not_loaded_is_not_in_the_key(weights, tmp_path):
    first = shared_config(asked(weights), DATA)
    save_file({**state(), "head.weight": torch.ones(3, 16)}, tmp_path / "more.safetensors")
    assert shared_config(asked(tmp_path / "more.safetensors"), DATA).key == first.key


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"set": {"encoder.width": 8}}, "no tensor of this file fits resnet8; "),
        (
            {"set": {"encoder.name": "resnet18", "encoder.width": 64}},
            "no tensor of this file fits resnet18; ",
        ),
    ],
)
def test_another_architecture_is_refused_and_the_right_one_named(weights, changes, words):
    with pytest.raises(UsageError, match=words) as refused:
        shared_config(asked(weights, **changes), DATA)
    assert "--encoder resnet8 --set encoder.width=4 takes this file" in str(refused.value)


def test_a_partial_match_is_asked_for(tmp_path):
    partial = state()
    del partial["blocks.2.conv1.weight"]
    save_file(partial, tmp_path / "partial.safetensors")
    described = asked(tmp_path / "partial.safetensors")
    with pytest.raises(UsageError, match=r"blocks.2.conv1.weight, which the file lacks; --init-partial starts from"):
        shared_config(described, DATA)
    config = shared_config(described.replace(init_partial=True), DATA)
    said = about_init(described.replace(init_partial=True), [config])
    assert "drawn by the seed instead: blocks.2.conv1.weight, which the file lacks" in said
    assert said.startswith("start: ")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    broken = state()
    broken["stem.0.weight"][0, 0, 0, 0] = float("nan")
    save_file(broken, tmp_path / "nan.safetensors")
    with pytest.raises(UsageError, match=r"stem.0.weight holds NaN or infinite numbers"):
        shared_config(asked(tmp_path / "nan.safetensors"), DATA)


def test_variances_that_are_negative_are_refused(tmp_path):
    broken = state()
    broken["stem.1.running_var"][0] = -1
    save_file(broken, tmp_path / "negative.safetensors")
    with pytest.raises(UsageError, match=r"stem.1.running_var holds negative numbers, which are no variances"):
        shared_config(asked(tmp_path / "negative.safetensors"), DATA)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda value: value.long(), "int64"),
        (lambda value: value.to(torch.uint8), "uint8"),
        (lambda value: value.to(torch.complex64), "complex64"),
        (lambda value: value.to_sparse(), "sparse"),
        (lambda value: value.to("meta"), "without numbers"),
        (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), "quantised"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's quantised tensors are deprecated
def test_a_tensor_of_a_kind_that_cannot_be_loaded_is_named(change, kind, tmp_path):
    file, given = tmp_path / "odd.pth", state()
    torch.save({**given, "stem.0.weight": change(given["stem.0.weight"]), "queue": torch.ones(3).to_sparse()}, file)
    words = f"only 44 of 45 tensors of resnet8 match: stem.0.weight, {kind} in the file; --init-partial starts from"
    with pytest.raises(UsageError, match=words):
        shared_config(asked(file), DataIdentity(name="", fingerprint="", classes=2))
    config = shared_config(asked(file, init_partial=True), DATA)
    said = about_init(asked(file, init_partial=True), [config])
    assert f"drawn by the seed instead: stem.0.weight, {kind} in the file\n" in said


def test_weights_of_another_width_are_refused_by_that_width(tmp_path):
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "r18.pth")
    settings = {"encoder.name": "resnet18x2", "image_size": 96}
    with pytest.raises(UsageError, match="no tensor of this file fits resnet18x2; --encoder resnet18 takes this file"):
        shared_config(wish(init=str(tmp_path / "r18.pth"), set=settings), DATA)


@pytest.mark.parametrize("option", ["--init", "--eval-data"])
def test_an_empty_word_is_not_the_default(option, tmp_path):
    said = one_sentence(ablate("grid", "--ops", "crop", option, "", "--out", tmp_path / "out"))
    assert ("init must be a file, not ''" if option == "--init" else "unknown data set ''") in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init_partial": True}, "--init-partial needs --init FILE"),
        ({"set": {"encoder.frozen_stages": 1}}, "--freeze 1 is for given weights"),
        ({"set": {"optimiser.init_lr_scale": 0.1}}, "--init-lr-scale 0.1 is for given weights"),
        ({"set": {"encoder.frozen_statistics": True}}, "--set encoder.frozen_statistics=true is for given weights"),
        ({"init": "/no/such/file"}, "--init /no/such/file: no such file or directory; a sweep keeps"),
    ],
)
def test_settings_that_need_given_weights(changes, words):
    with pytest.raises(UsageError, match=words):
        shared_config(wish(**changes), DATA)


def test_frozen_statistics_need_batch_norm(tmp_path):
    timm = pytest.importorskip("timm")
    save_file(timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32).state_dict(), tmp_path / "v")
    settings = {"encoder.name": "timm:vit_tiny_patch16_224", "encoder.frozen_statistics": True, "image_size": 32}
    with pytest.raises(UsageError, match="has no batch norm"):
        shared_config(wish(init=str(tmp_path / "v"), set=settings), DATA)


def test_imagenets_numbers_are_for_rgb():
    assert shared_config(wish(normalize="imagenet"), DATA).encoder.normalize == IMAGENET
    with pytest.raises(UsageError, match=r"--normalize imagenet has numbers for RGB, but these images have 1 channel;"):
        shared_config(wish(normalize="imagenet"), GREY)


def test_without_a_word_nothing_is_normalised_and_the_key_stays():
    assert shared_config(wish(normalize="none"), DATA).key == shared_config(wish(), DATA).key


def test_a_first_convolution_of_other_channels_passes_before_the_images_are_known(tmp_path):
    save_file(state(channels=1), tmp_path / "grey.safetensors")
    described = asked(tmp_path / "grey.safetensors")
    shared_config(described, DataIdentity(name="", fingerprint="", classes=2))
    shared_config(described, GREY)
    with pytest.raises(UsageError, match=r"stem.0.weight, 4x1x3x3 in the file and 4x3x3x3 here"):
        shared_config(described, DATA)


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize(("channels", "words"), [(1, "1 channel,"), (4, "4 channels,")])
@pytest.mark.parametrize("size", [32, 96])
def test_a_first_convolution_of_other_channels_is_refused_by_these(kernel, channels, words, size, tmp_path):
    """Another stem is no advice: it has as many channels."""
    other = drawn(torchvision.models.resnet18)
    other["conv1.weight"] = torch.ones(64, channels, kernel, kernel)
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=f"the file is for images of {words} and these have 3 channels: only") as no:
        shared_config(asked(tmp_path / "other.safetensors", set=RESNET18 | {"image_size": size}), DATA)
    assert "all of it fits" not in str(no.value)


def test_a_file_with_further_layers_has_all_tensors(tmp_path):
    save_file({**state(), "blocks.3.conv1.weight": torch.ones(3)}, tmp_path / "further.safetensors")
    with pytest.raises(UsageError, match=r"all 45 tensors of resnet8 match; the file has further layers: blocks\.3"):
        shared_config(asked(tmp_path / "further.safetensors"), DATA)


def test_what_is_loaded_is_said(tmp_path):
    torch.save(moco(drawn(torchvision.models.resnet18)), tmp_path / "moco.pth.tar")
    described = wish(init=str(tmp_path / "moco.pth.tar"), set={"encoder.name": "resnet18", "image_size": 96})
    lines = about_init(described, [shared_config(described, GREY)]).splitlines()
    assert lines == [
        "start: all 100 tensors of resnet18 from moco.pth.tar (in its 'state_dict', under the prefix "
        "'module.encoder_q.'); state_dict: module.encoder_k. would fit equally well",
        "conv1.weight: its 3 channels are summed to 1",
        "not used: fc.0.weight, module.encoder_k.bn1.bias and 100 more",
    ]


def test_a_classifier_of_imagenet_gives_a_hint_until_it_is_followed(tmp_path):
    torch.save(drawn(torchvision.models.resnet18), tmp_path / "r.pth")
    described = wish(init=str(tmp_path / "r.pth"), set={"encoder.name": "resnet18", "image_size": 96})
    hint = "most of them expect --normalize imagenet"
    assert hint in about_init(described, [shared_config(described, DATA)])
    for choice in ("imagenet", "none"):
        followed = described.replace(normalize=choice)
        assert hint not in about_init(followed, [shared_config(followed, DATA)])


def test_the_numbers_of_data_are_those_of_the_images(data):
    found = normalization_of(data, 16)
    images, _ = Resident(data.pretrain.images, torch.device("cpu")).batch(torch.arange(72))
    pixels = images.double() / 255
    assert found.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=6e-5)
    assert found.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=6e-5)
    config = trial_config(wish(normalize="data", set={"batch_size": 16, "image_size": 16}), data)
    assert config.encoder.normalize == found


@pytest.fixture
def given(data, config, weights):
    """The tiny trial with given weights, and the files that it needs."""
    described = asked(weights)
    encoder = shared_config(described, data.identity).encoder
    found = config.replace(encoder=encoder)
    return found, contents(described, [found])


@pytest.mark.parametrize("kept", [False, True], ids=["all trained", "parts kept as given"])
def test_a_trial_continues_to_the_same_bits(kept, data, given, tmp_path):
    config, files = given
    if kept:
        parts = {"frozen_stages": 1, "frozen_statistics": True, "normalize": IMAGENET}
        slower = config.optimiser.replace(init_lr_scale=0.1)
        byol = {"objective": "byol", "method": Method(target_momentum=0.9, predictor=8)}
        config = config.replace(encoder=config.encoder.replace(**parts), optimiser=slower, **byol)
    for place in ("whole", "part"):
        keep_weights(tmp_path / place, files)
    whole = run_trial(config, tmp_path / "whole", data=data, seed=3)
    assert whole.status == "done"
    reached = []
    context = Context(report=lambda e, _: reached.append(e), stop_requested=lambda: len(reached) >= 2)
    with pytest.raises(Interrupted):
        run_trial(config, tmp_path / "part", context, data=data, seed=3)
    assert comparable(run_trial(config, tmp_path / "part", data=data, seed=3)) == comparable(whole)
    plain = run_trial(config.replace(encoder=config.encoder.replace(init="")), tmp_path / "plain", data=data, seed=3)
    assert plain.history[0]["loss"] != whole.history[0]["loss"]


def test_the_untrained_reference_is_the_encoder_as_given(data, given, tmp_path, weights):
    config, files = given
    keep_weights(tmp_path / "out", files)
    reference = config.replace(objective="untrained", epochs=0)
    results = [run_trial(reference, tmp_path / "out", data=data, seed=seed, keep_encoders="all") for seed in (0, 1)]
    assert results[0].metrics == results[1].metrics
    kept, _ = encoders.load(tmp_path / "out", results[0].id)
    assert all(torch.equal(value, load_file(weights)[name]) for name, value in kept.items())


def test_a_file_of_something_else_is_refused_by_its_names(tmp_path):
    save_file({"wte.weight": torch.ones(2, 2)}, tmp_path / "gpt.safetensors")
    with pytest.raises(UsageError, match=r"no tensor of this file fits resnet8: its names are like wte.weight$"):
        shared_config(asked(tmp_path / "gpt.safetensors"), DATA)


@pytest.mark.parametrize("harm", ["missing", "cut short", "other weights"])
def test_weights_that_are_gone_or_changed_are_a_sentence(harm, data, given, tmp_path):
    config, files = given
    keep_weights(tmp_path, files)
    file = SweepDir(tmp_path).init(config.encoder.init)
    if harm == "missing":
        file.unlink()
    elif harm == "cut short":
        file.write_bytes(file.read_bytes()[:200])
    else:
        save_file(state(seed=7), file)
    result = run_trial(config, tmp_path, data=data)
    assert result.status == "failed"
    assert result.error.type == "UsageError"
    words = {"missing": "are missing", "cut short": "is damaged", "other weights": "holds other weights"}[harm]
    assert words in result.error.message
    assert "repeat the command that planned the sweep" in result.error.message


@pytest.mark.parametrize("harm", ["missing", "other weights"])
def test_a_launch_that_does_not_bring_its_weights_along_is_refused_without_them(harm, given, experiment, tmp_path):
    config, files = given
    planned = experiment.replace(shared=experiment.shared.replace(encoder=config.encoder))
    inside, cache = SweepDir(tmp_path).confirmation, tmp_path / "cache"
    if harm == "other weights":
        keep_weights(tmp_path, files)
        save_file(state(seed=7), SweepDir(tmp_path).init(config.encoder.init))
    with pytest.raises(UsageError, match=f"the weights .* are {harm}|holds {harm}"):
        start.run_here(inside, planned, "", cache, 1, False, dry_run=False)
    with pytest.raises(UsageError, match=f"the weights .* are {harm}|holds {harm}"):
        start.submit(inside, planned, "", cache, False, dry_run=False)
    assert not inside.exists()


def test_the_command_that_planned_the_sweep_mends_its_weights(given, tmp_path):
    config, files = given
    keep_weights(tmp_path, files)
    file = SweepDir(tmp_path).init(config.encoder.init)
    save_file(state(seed=7), file)
    keep_weights(tmp_path, files)
    assert file.read_bytes() == files[config.encoder.init]


def test_the_encoder_of_one_sweep_is_the_start_of_another(tiny_folder, cache, tmp_path, undrawn):
    kept = ["--keep-encoders", "all", "--normalize", "data"]
    first = run_here(command(tiny_folder, cache, tmp_path / "first", *kept, ops="crop"))
    assert first.returncode == 0, first.stderr
    trial = next(t for t in plan(load_plan(tmp_path / "first")) if t.label == "crop")
    file = SweepDir(tmp_path / "first").encoder(trial.id)
    line = command(tiny_folder, cache, tmp_path / "second", "--init", str(file), ops="crop")
    second = run_here(line)
    assert second.returncode == 0, second.stderr
    assert f"tensors of resnet8 from {file.name}" in second.stdout
    assert "as the given encoder did" in second.stdout
    planned = load_plan(tmp_path / "second")
    assert planned.shared.encoder.normalize == trial.config.encoder.normalize is not None
    assert planned.init == str(file)
    reference = next(t for t in plan(planned) if t.reference)
    before, after = (
        read_record(SweepDir(place).record(t.id)).metrics["linear_val_top1"]
        for place, t in ((tmp_path / "first", trial), (tmp_path / "second", reference))
    )
    assert before == after
    again = run_here(line)
    assert "2 done" in again.stdout or "0 to run" in again.stdout
    file.write_bytes(SweepDir(tmp_path / "first").encoder(plan(load_plan(tmp_path / "first"))[0].id).read_bytes())
    assert "encoder.init was 'sha256" in one_sentence(ablate(*line[3:]))


def test_a_confirmation_and_a_calibration_start_from_the_weights_of_their_sweep(given, tmp_path):
    config, files = given
    keep_weights(tmp_path, files)
    file = SweepDir(tmp_path).init(config.encoder.init)
    for inside in (tmp_path, SweepDir(tmp_path).confirmation, SweepDir(tmp_path).calibration / "epochs-6"):
        assert encoders.init_file(inside, config) == file
    assert encoders.init_file(tmp_path / "a" / "b" / "c", config) != file
    assert encoders.init_file(tmp_path, config.replace(encoder=config.encoder.replace(init=""))) is None


def test_a_calibration_keeps_the_width_of_given_weights(given):
    def lowered(config):
        return {name for fidelity in fidelities(config, 1000) for name in fidelity.settings}

    config, _ = given
    assert "encoder.width" in lowered(config.replace(encoder=config.encoder.replace(init="")))
    assert "encoder.width" not in lowered(config)


def test_merged_sweeps_have_the_weights_of_both(given, experiment, tmp_path):
    config, files = given
    for name, seed in (("A", 0), ("B", 1)):
        shared = experiment.shared.replace(encoder=config.encoder)
        save_plan(tmp_path / name, experiment.replace(shared=shared, seeds=(seed,), weights=files))
    merge([tmp_path / "A", tmp_path / "B"], tmp_path / "whole")
    assert SweepDir(tmp_path / "whole").init(config.encoder.init).read_bytes() == next(iter(files.values()))
