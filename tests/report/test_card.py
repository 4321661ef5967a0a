"""Appendices of sweeps and model cards of encoders: true sentences, escaped tables, code that loads the weights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save, save_file

from ablate.config.encoder import Encoder, Normalization
from ablate.config.objectives import KINDS
from ablate.config.sweep import Budgeted, Rounds, Rung, Task
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.report.card.appendix import Appendix, appendix, write_appendix
from ablate.report.card.encoder import Kept, find, model_card, write_encoder
from ablate.report.card.loading import code
from ablate.report.card.markup import in_markdown, in_tex
from ablate.report.card.methods import evaluation, images, methods
from ablate.report.card.references import CITED, ENTRIES, OBJECTIVES, OPTIMISERS, bibtex
from ablate.report.card.training import training
from ablate.report.data.results import read_sweep
from ablate.sweep.layout import SweepDir
from ablate.training.body import WRAPPER
from ablate.training.encoder import build_encoder
from tests.support.cli import ablate, one_sentence
from tests.support.recommendations import confirm, make
from tests.support.sweeps import by_position, sweep

KEYS = re.findall(r"^@\w+\{(\w+),$", ENTRIES.read_text(), re.MULTILINE)
RESNET8 = Encoder(name="resnet8", width=4)


def config(encoder=RESNET8, size=16, channels=3, **changes):
    data = DataIdentity(name="made-up (100 of 200 training images)", fingerprint="f00d", classes=3, channels=channels)
    return TrialConfig(composition=(), data=data, encoder=encoder, image_size=size, **changes)


def test_the_appendix_of_a_committed_sweep_says_what_its_plan_says():
    said = appendix(read_sweep("results/real-blood-cells")).paragraph
    for part in (
        "blood-cells (4992 of 13677 training images), fingerprint ab7e9dd0a3f7604bd18591bd,",
        "4,992 training images with a label (one of 8 classes), 496 of them for validation, and 3,415 test images",
        "alone and in all ordered pairs",
        "three basic blocks of 16, 32 and 64 channels",
        "SimCLR [@chen2020simclr] (temperature 0.2)",
        "40 epochs in batches of 64 images, with AdamW [@loshchilov2019adamw], peak learning rate 0.002",
        "the same random resized crop (area 0.08 to 1, aspect ratio 0.75 to 1.33). One of the two views goes through",
        "l2 chosen on the validation split",
        "PyTorch 2.14.1",
    ):
        assert part in said


@pytest.mark.parametrize("ended", [True, False])
def test_the_appendix_has_what_a_confirmation_found(tmp_path, ended):
    directory = make(tmp_path)
    assert "confirm" not in appendix(read_sweep(directory)).paragraph
    confirm(directory, skip=() if ended else ("color+crop",))
    told = " ".join(methods(read_sweep(directory))).partition("To confirm the choice, ")[2]
    were = "were" if ended else "are to be"
    assert told.startswith(
        f"2 compositions {were} trained again with both views augmented, with the seeds 3, 4 and 5: "
    )
    assert "In this confirmation: " in told and ("so far" in told) is not ended


def test_a_composition_behind_a_baseline_and_seeds_are_named(tmp_path):
    sentences = " ".join(methods(read_sweep("results/real-blood-cells-drop")))
    assert "all others are compared with recipe:simclr, which is crop+flip+jitter+gray+blur" in sentences
    assert "comparisons with one control [@dunnett1955]" in sentences
    assert "with the seeds 0, 1 and 2." in sentences
    alone = " ".join(methods(read_sweep(sweep(tmp_path, ["a", "b"], value=by_position))))
    assert "Without two seeds that compositions share, there are no intervals." in alone
    assert "smyth2004" not in alone


def test_values_that_an_axis_varies_are_all_listed_once():
    many = [config(batch_size=size, epochs=10, temperature=t) for size, t in ((32, 0.1), (64, 0.2), (32, 0.5))]
    many += [config(objective="supervised", epochs=10)]
    said = " ".join(training(many))
    assert "in batches of 32, 64 or 256 images" in said
    assert "by SimCLR [@chen2020simclr] (temperature 0.1, 0.2 or 0.5) or supervised training." in said
    assert said.count("One of the two views") == 1


def test_what_ended_early_is_said(tmp_path):
    results = read_sweep(sweep(tmp_path, ["a", "b"], seeds=4, value=by_position))
    rounds = Rounds(within=1, largest=9, compared=(3, 4), dropped={"a": 3})
    budget = Budgeted(budget="3", within=1, cells=("b", "a+b", "b+a"))
    planned = results.experiment.replace(rounds=rounds, budgeted=budget, prune=(Rung(eighth=2, keep=0.5),))
    said = " ".join(methods(dataclasses.replace(results, experiment=planned)))
    assert "with the seeds 0 to 3, or with fewer if it was dropped." in said
    assert "in rounds, up to 9; 1 composition known to be worse than another got no more." in said
    assert (
        "the 3 cells of the grid that a Gaussian process of the trained ones asked for, within a budget of 3." in said
    )
    assert "the best 50 % after 2/8 of the epochs" in said


def test_every_objective_and_optimiser_cites_a_source_that_exists():
    assert {*OBJECTIVES.values(), *OPTIMISERS.values()} <= set(KEYS)
    assert KINDS.keys() - OBJECTIVES.keys() == {"supervised"}
    text = "by Hsu [@hsu1996] and Dunnett [@dunnett1955]"
    assert re.findall(r"@\w+\{(\w+),", bibtex([text])) == ["hsu1996", "dunnett1955"]


def test_what_a_paragraph_cites_is_in_its_bibliography(tmp_path):
    made, paths = write_appendix(read_sweep(sweep(tmp_path, ["a", "b"], seeds=2, value=by_position)))
    cited = set(CITED.findall(made.paragraph))
    markdown, latex, entries = (path.read_text() for path in paths)
    assert cited == set(re.findall(r"@\w+\{(\w+),", entries)) == set(re.findall(r"\\cite\{(\w+)\}", latex))
    assert cited == set(CITED.findall(markdown))
    assert "| b | 30.5 ± 0.7 | 40.5 ± 0.7 | 35.5 |" in markdown
    assert r"b & 30.5 $\pm$ 0.7 & 40.5 $\pm$ 0.7 & 35.5 \\" in latex


def test_special_characters_are_escaped_in_both_languages():
    text = "50 % & more_of|it [@hsu1996] ± 1"
    assert in_markdown(text) == r"50 % & more\_of\|it [@hsu1996] ± 1"
    assert in_tex(text) == r"50 \% \& more\_of\textbar{}it \cite{hsu1996} $\pm$ 1"
    listed = Appendix((text,), text, [["composition", "n"], ["a|b_c", "2"]])
    assert r"| a\|b\_c | 2 |" in listed.markdown()
    assert r"a\textbar{}b\_c & 2 \\" in listed.latex()


def own():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


@pytest.mark.parametrize(
    ("encoder", "size", "channels"),
    [
        (RESNET8, 16, 5),
        (Encoder(name="resnet18", normalize=Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))), 32, 3),
        pytest.param(Encoder(name="resnet18", width=128), 72, 3, marks=pytest.mark.slow),
        (Encoder(name="timm:test_vit"), 32, 4),
        (Encoder(name="tests.report.test_card:own"), 16, 3),
    ],
    ids=["resnet8", "small", "wide", "timm", "own"],
)
def test_the_code_of_a_card_loads_the_weights_without_ablate(encoder, size, channels, tmp_path):
    script = code(config(encoder, size, channels))
    assert "ablate" not in script
    ours = build_encoder(encoder, size, channels).eval()
    state = {name.removeprefix(WRAPPER): value.contiguous() for name, value in ours.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    images = torch.rand(2, channels, size, size)
    known = {"yours": lambda *_: images}
    with contextlib.chdir(tmp_path):
        exec(compile(script.replace("torch.rand(", "yours("), "card", "exec"), known)
    with torch.no_grad():
        torch.testing.assert_close(known["h"], ours(images), rtol=1e-4, atol=1e-5)


@pytest.fixture
def kept(tmp_path):
    """A sweep with the encoder of one cell, and its id."""
    directory = sweep(tmp_path / "sweep", ["a", "b"], seeds=2, value=by_position)
    trial = next(one for one in read_sweep(directory).trials if one.label == "b+a" and one.seed == 1)
    described = {
        **trial.model_dump(mode="json", include={"config", "seed", "label", "reference"}),
        "input": "RGB",
        "metrics": {"linear_top1": 0.31, "linear_val_top1": 0.32},
    }
    files = {"json": json.dumps(described).encode(), "safetensors": save({"weight": torch.zeros(3)})}
    for kind, content in files.items():
        path = SweepDir(directory).encoder(trial.id, kind)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return directory, trial.id


def test_a_kept_encoder_becomes_a_folder_that_the_hub_understands(kept, tmp_path):
    directory, name = kept
    done = ablate("card", directory, "b+a", "--out", tmp_path / "hub")
    assert done.returncode == 0, done.stderr
    assert "b+a seed 1" in done.stdout
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (tmp_path / "hub" / "model.safetensors").read_bytes() == SweepDir(directory).encoder(name).read_bytes()
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["key"] == name.partition("-")[0]
    card = ModelCard.load(tmp_path / "hub" / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.31, "test")
    assert (card.data.library_name, card.data.pipeline_tag) == ("pytorch", "image-feature-extraction")
    assert "simclr" in card.data.tags
    assert card.data.license is None
    assert "| this encoder | 32.0 | 31.0 | 1 |" in card.text
    assert "| all seeds of it, mean ± standard deviation | 31.5 ± 0.7 | 30.5 ± 0.7 | 2 |" in card.text
    assert "| untrained | 6.0 ± 0.0 | 5.0 ± 0.0 | 2 |" in card.text
    assert "[@" not in card.text


def test_a_card_shows_first_what_chose():
    metrics = {"linear_top1": 0.3, "linear_balanced_accuracy": 0.2, "linear_auroc": 0.7}
    chosen = [Kept(Path(), "", {"metrics": metrics}, config(measure=by), None).measures for by in (None, "auroc", "f1")]
    assert chosen == [["top1", "balanced"], ["auroc", "top1", "balanced"], ["top1", "balanced"]]


def test_a_card_that_was_edited_is_not_replaced(kept, tmp_path):
    directory, _ = kept
    command = ("card", directory, "b+a", "--out", tmp_path / "hub")
    assert [ablate(*command).returncode for _ in range(2)] == [0, 0]
    page = tmp_path / "hub" / "README.md"
    page.write_text(edited := page.read_text().replace("---\n", "---\nlicense: mit\n", 1))
    assert "move it away" in one_sentence(ablate(*command))
    assert page.read_text() == edited


def test_an_earlier_card_is_replaced_when_the_numbers_have_changed(kept, tmp_path):
    directory, name = kept
    cards = []
    for _ in range(2):
        write_encoder(find(directory, "b+a", None), tmp_path)
        cards.append((tmp_path / "README.md").read_text())
        record = SweepDir(directory).record(name)
        content = json.loads(record.read_text())
        record.write_text(json.dumps(content | {"metrics": {**content["metrics"], "linear_top1": 0.4242}}))
    assert cards[0] != cards[1]


def test_names_in_a_card_are_text(kept, tmp_path):
    directory, name = kept
    described = SweepDir(directory).encoders / f"{name}.json"
    content = json.loads(described.read_text())
    content["config"]["data"]["name"] = "a_b$<i>"
    described.write_text(json.dumps(content))
    write_encoder(find(directory, "b+a", None), tmp_path)
    body = (tmp_path / "README.md").read_text().rpartition("---\n")[2]
    assert r"a\_b\$\<i\>" in body and "<i>" not in body


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        (None, "Input: RGB. For the numbers"),
        ([[96.0, 3871.5]], "Input: RGB. The files' values 96..3871.5 became 0 and 1, and others were clipped. For the"),
        (
            [[0.0, 65535.0], [-1.0, 1.5], [2.0, 9.0]],
            "0..65535, -1..1.5 and 2..9 of the channels, in their order, became",
        ),
    ],
)
def test_a_card_says_which_values_of_deep_images_are_0_and_1(kept, ranges, said):
    found = find(kept[0], "b+a", None)
    assert said in model_card(dataclasses.replace(found, description={**found.description, "ranges": ranges}))


def test_an_encoder_judged_on_other_images_says_of_which_its_accuracies_are(kept):
    found = find(kept[0], "b+a", None)
    data = found.config.data.replace(name="made-up, evaluated on leaves and petals")
    planned = found.sweep.experiment.replace(
        eval_data=["folder:/images/leaves", "folder:/images/petals"],
        tasks=tuple(Task(name=name, images=(4, 1, 2)) for name in ("leaves", "petals")),
        shared=found.sweep.experiment.shared.replace(data=data),
    )
    judged = dataclasses.replace(
        found, sweep=dataclasses.replace(found.sweep, experiment=planned), config=found.config.replace(data=data)
    )
    (result,) = ModelCard(model_card(judged)).data.eval_results
    assert (result.dataset_name, result.metric_value) == ("leaves", 0.31)
    said = " ".join(images(judged.sweep, planned.shared))
    assert said.startswith("The images on which encoders were trained are those of made-up, fingerprint")
    assert said.count("evaluated on") == 1
    untrained = dataclasses.replace(found, config=found.config.replace(objective="untrained"))
    assert "not trained but evaluated by ablate" in model_card(untrained)


def test_the_text_on_a_further_task_stands_without_the_key_of_its_record(tmp_path):
    done = next(iter(read_sweep(sweep(tmp_path, ["a"], value=by_position)).records.values()))
    told = {"linear": "a regression", "petals:linear": "task petals: a regression"}
    assert evaluation([done.replace(protocols=told)])[1:] == ["linear: a regression.", "Task petals: a regression."]


@pytest.mark.parametrize("damage", ["[1, 2]", "{}", "{", '"config": 7'])
def test_a_damaged_description_is_named_and_hides_no_other(kept, tmp_path, damage):
    directory, name = kept
    described = SweepDir(directory).encoders / f"{name}.json"
    content = json.loads(described.read_text())
    weights = SweepDir(directory).encoder(name)
    for suffix, source in (("json", described), ("safetensors", weights)):
        (SweepDir(directory).encoders / f"other-s0.{suffix}").write_bytes(source.read_bytes())
    (SweepDir(directory).encoders / "other-s0.json").write_text(json.dumps({**content, "label": "a"}))
    described.write_text(json.dumps({**content, "config": 7}) if "config" in damage else damage)
    assert f"{name}.json is damaged" in one_sentence(ablate("card", directory, "b+a"))
    assert ablate("card", directory, "a", "--out", tmp_path / "other").returncode == 0


def test_damaged_weights_are_not_published(kept, tmp_path):
    directory, name = kept
    weights = SweepDir(directory).encoder(name)
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "is damaged" in one_sentence(ablate("card", directory, "b+a", "--out", tmp_path / "hub"))
    assert not (tmp_path / "hub").exists()
    (tmp_path / "file").write_text("")
    assert "is a file" in one_sentence(ablate("card", directory, "b+a", "--out", tmp_path / "file" / "sub"))


def test_what_cannot_be_written_is_refused_in_a_sentence(kept, tmp_path):
    directory, name = kept
    assert "did you mean 'b+a'?" in one_sentence(ablate("card", directory, "b+aa"))
    assert "kept seeds: 1" in one_sentence(ablate("card", directory, "b+a", "--seed", "0"))
    assert "name its cell" in one_sentence(ablate("card", directory, "--seed", "0"))
    assert "leave the cell out" in one_sentence(ablate("card", directory, "b+a", "--metric", "top1"))
    assert "the directory of a sweep" in one_sentence(ablate("card", directory, "b+a", "--out", directory))
    alone = tmp_path / "trained"
    shutil.copytree(SweepDir(directory).encoders, SweepDir(alone).encoders)
    assert "name one of its encoders" in one_sentence(ablate("card", alone))
    SweepDir(directory).encoder(name).unlink()
    assert "is missing" in one_sentence(ablate("card", directory, "b+a"))
    assert "there is no directory" in one_sentence(ablate("card", tmp_path / "nowhere", "a"))
    (tmp_path / "empty").mkdir()
    assert "keeps no encoders" in one_sentence(ablate("card", tmp_path / "empty", "a"))
