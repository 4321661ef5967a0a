"""What a user meets: help, errors in one sentence with exit code 2, start-up without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest
from PIL import Image

from ablate.evaluation.protocols import PROTOCOLS
from ablate.sweep.layout import SweepDir
from tests.support.cli import ablate, one_sentence
from tests.support.grids import SETTINGS
from tests.support.wishes import wish


def grid(*args, cwd, cache=None):
    return ablate("grid", "--cache", cache or cwd / "cache", "--device", "cpu", *args, cwd=cwd)


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ("crp,color", ["crp", "did you mean 'crop'", "blur", "cutout"]),
        ("crop,color(strenght=0.5)", ["strenght", "did you mean 'strength'"]),
        ("crop,blur(p=1.5)", ["'p'", "[0.0, 1.0]", "1.5"]),
        ("crop,color(strength=", ["color(strength="]),
        ("crop,,color", ["empty"]),
        ("crop+color,blur", ["crop+color", "composition"]),
        ("crop,crop", ["twice"]),
        ("crop,color(strength=open('x'))", ["color"]),
        ("kornia.RandomPlankianJitter", ["RandomPlanckianJitter"]),
        ("kornia.RandomCrop(size=(8, 8))", ["changes the image size"]),
        ("kornia.RandomAffine(degrees=10.0, translate=None)", ["translate", "must be a number"]),
        ("posterize(bits=(1e999, 1e999))", ["finite"]),
        (
            "kornia.RandomGaussianBlur(kernel_size=(3,3),sigma=(1,2)),kornia.RandomGaussianBlur(sigma=(1,2),kernel_size=(3,3))",
            ["twice"],
        ),
    ],
)
def test_bad_ops(ops, expected, tmp_path):
    message = one_sentence(grid("--ops", ops, cwd=tmp_path))
    for part in expected:
        assert part in message
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--set", "optimizer.lr=1"], ["optimizer.lr", "did you mean 'optimiser.lr'"]),
        (["--set", "temperature"], ["NAME=VALUE"]),
        (["--set", "temperature=-1"], ["temperature", "at least 0.001", "-1"]),
        (["--set", "encoder.name=resnet19"], ["resnet18", "resnet19"]),
        (["--objective", "simclrr"], ["did you mean 'simclr'"]),
        (["--batch-size", "0"], ["--batch-size must be at least 2, not 0"]),
        (["--batch-size", "5000"], ["5000", "4096"]),
        (["--device", "gpu"], ["gpu", "cpu, cuda"]),
        (["--data", "glyph"], ["glyph", "did you mean 'glyphs'"]),
        (["--data", "folder:nowhere"], ["nowhere"]),
        (["--data", "cifar10:nowhere"], ["nowhere"]),
        (["--branches", "two", "--set", "base.area=(0.5,1)"], ["base"]),
        (["--size", "3"], ["3"]),
        (["--set", "threads=10000"], ["threads must be at most"]),
        (["--size", "1000000"], ["2048"]),
        (["--epochs", "0"], ["--epochs must be at least 1"]),
        (["--init-lr-scale", "0"], ["--init-lr-scale must be at least 0.000001"]),
        (["--set", "warmup_epochs=50"], ["warmup_epochs (50) must not exceed epochs (12)"]),
        (["--set", "batch_size=64.0"], ["--batch-size", "64.0"]),
        (["--set", "encoder.width=32", "--set", "encoder.name=resnet18"], ["64 or 128 or 256, not 32"]),
        (["--encoder", "resnet50x3"], ["1 or 2 or 4, not 3"]),
        (["--encoder", "resnet17"], ["resnet17", "timm:NAME", "did you mean 'resnet"]),
        (["--encoder", "nowhere:build"], ["cannot import nowhere"]),
        (["--encoder", "torchvision.models:resnet81"], ["no function 'resnet81'", "did you mean"]),
        (["--encoder", "torchvision.transforms.functional:hflip"], ["hflip", "missing 1 required"]),
        (["--encoder", "timm:resnet19"], ["timm has no model 'resnet19'", "did you mean"]),
        (["--preset", "cifar10-slow"], ["cifar10-slow", "imagenet-paper@2", "did you mean 'cifar10-fast'"]),
        (["--micro-batch", "12"], ["micro_batch (12) must divide batch_size (32)"]),
        (["--world-size", "3"], ["batch_size (32) must be a multiple of world_size (3)"]),
        (["--micro-batch", "4", "--world-size", "8"], ["micro_batch (4) must be a multiple of world_size (8)"]),
        (["--set", "lr_scaling=cubic"], ["cubic", "linear, sqrt"]),
        (["--set", "lr_scaling=sqrt"], ["needs a base rate"]),
        (["--set", "lr_base=-1"], ["lr_base must be a positive number, not -1"]),
        (["--set", "lr_base=1", "--set", "optimiser.lr=1"], ["cannot be set together"]),
        (["--set", "head.kind=none", "--set", "head.hidden=3"], ["head.hidden cannot be set for a head of kind none"]),
        (["--set", "head.kind=none", "--set", "head.output=3"], ["head.output cannot be set"]),
        (["--encoder", "timm:mobilenetv3_small_050", "--world-size", "2"], ["BatchNormAct2d", "several processes"]),
        (["--encoder", "resnet50x2", "--set", "encoder.width=64"], ["has its width in its name"]),
        (["--set", "head.layers=5"], ["head.layers must be 2 or 3, not 5"]),
        (["--protocol", "linar"], ["linar", "did you mean 'linear'"]),
        (["--protocol", "knn@y"], ["'y'"]),
        (["--protocol", "knn,linear@z"], ["add linear or rotation to the protocols knn,linear@z"]),
        (["--labels", "1.5"], ["labels must be the fraction", "1.5"]),
        (["--eval-data", "cifar10:nowhere"], ["nowhere"]),
        (["--short-side", "100"], ["short"]),
        (["--set", "base.area=(0, 1)"], ["base.area", "0.0001"]),
        (["--set", "objective=supervized"], ["supervized"]),
        (["--set", "temperature={[]: 1}"], ["temperature"]),
        (["--set", "temperature={}"], ["temperature: a setting is a number, a word", "not {}"]),
        (["--set", f"temperature={'-' * 20000}1"], ["temperature"]),
        (["--optimizer", "sgd"], ["learning rate", "adamw"]),
        (["--optimizer", "adam"], ["'sgd', 'adamw' or 'lars'", "did you mean 'adamw'"]),
        (["--data", "folder:"], ["needs a path"]),
        (["--data", "folder:~nobody-here/x"], ["no such user"]),
        (["--cache", "~nobody-here/x"], ["no such user"]),
        (["--cache", "/proc/nothing"], ["cannot use the cache"]),
        (["--out", "x" * 300], ["not writable"]),
    ],
)
def test_bad_settings(args, expected, cache, tmp_path):
    message = one_sentence(grid("--ops", "crop", *args, cwd=tmp_path, cache=cache))
    for part in expected:
        assert part in message
    assert not (tmp_path / "results").exists()


def test_a_process_of_its_own_says_the_same(tmp_path):
    line = ["grid", "--ops", "crp,color", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "ablate", *line], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert one_sentence(done) == one_sentence(ablate(*line, cwd=tmp_path))


def fill(folder, count=4):
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(folder / f"{i}.png")


def test_bad_folders(tmp_path):
    (tmp_path / "none" / "a").mkdir(parents=True)
    assert "no images" in one_sentence(grid("--ops", "crop", "--data", "folder:none", cwd=tmp_path))
    fill(tmp_path / "half" / "train" / "a")
    assert "neither test/ nor val/" in one_sentence(grid("--ops", "crop", "--data", "folder:half", cwd=tmp_path))
    fill(tmp_path / "single" / "a")
    for ask in (["--objective", "supervised"], ["--references"], ["--protocol", "linear"], ["--labels", "0.5"]):
        refused = grid("--ops", "crop", "--data", "folder:single", "--batch-size", "2", *ask, cwd=tmp_path)
        assert refused.returncode == 2
        *notes, error = refused.stderr.strip().splitlines()
        assert all("there is only one class" in note for note in notes)  # said when the images are read
        assert error.startswith("error: ")
        assert "has " in error
    fill(tmp_path / "untested" / "train" / "a")
    fill(tmp_path / "untested" / "train" / "b")
    (tmp_path / "untested" / "test").mkdir()
    assert "test" in one_sentence(grid("--ops", "crop", "--data", "folder:untested", cwd=tmp_path))


def test_a_corrupt_image_is_named_and_can_be_skipped(tmp_path, unmeasured):
    for split in ("train", "test"):
        for name in "ab":
            fill(tmp_path / "set" / split / name, 20)
    victim = tmp_path / "set" / "train" / "a" / "7.png"
    victim.write_bytes(victim.read_bytes()[:40])
    args = ["--ops", "crop", "--data", "folder:set", "--size", "16", "--batch-size", "8"]
    message = one_sentence(grid(*args, cwd=tmp_path))
    assert "7.png" in message
    assert "--skip-corrupt" in message
    done = grid(*args, "--skip-corrupt", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "skipped 1 corrupt image file" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "not writable" in one_sentence(grid("--ops", "crop", "--out", "locked/out", cwd=tmp_path))


def test_out_that_cannot_hold_a_sweep(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file" in one_sentence(grid("--ops", "crop", "--out", "file", cwd=tmp_path))
    assert "file is a file" in one_sentence(grid("--ops", "crop", "--out", "file/below", cwd=tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert "thesis.tex" in one_sentence(grid("--ops", "crop", "--out", "mine", cwd=tmp_path))
    assert "not writable" in one_sentence(grid("--ops", "crop", "--out", "/proc/nothing", cwd=tmp_path))
    (tmp_path / "dangling").symlink_to("nowhere")
    assert "leads nowhere" in one_sentence(grid("--ops", "crop", "--out", "dangling", cwd=tmp_path))


@pytest.mark.parametrize("name", ["status", "report"])
def test_a_directory_without_a_sweep(name, tmp_path):
    assert "has no sweep.toml" in one_sentence(ablate(name, tmp_path))


@pytest.mark.parametrize("content", ["shared = 3", "[[shared]]", "not toml", "schema_version = 1"])
def test_a_damaged_sweep_file(content, tmp_path):
    (tmp_path / "sweep.toml").write_text(content)
    for name in ("status", "report"):
        assert "is damaged" in one_sentence(ablate(name, tmp_path))


def test_a_report_that_cannot_be_written(experiment, tmp_path):
    from ablate.sweep.plan import save_plan

    save_plan(tmp_path, experiment)
    (tmp_path / "report").write_text("in the way")
    assert "report is a file, where a directory" in one_sentence(ablate("report", tmp_path))


def test_unknown_command_and_missing_option_are_usage_errors(tmp_path):
    assert ablate("gird", cwd=tmp_path).returncode == 2
    assert ablate("grid", cwd=tmp_path).returncode == 2


def test_a_missing_option_with_choices_is_one_line(tmp_path):
    assert "missing option '--to'; allowed: csv, parquet," in one_sentence(ablate("export", tmp_path))


def test_a_batch_larger_than_the_set_names_its_option(tiny_folder, cache, tmp_path):
    line = ("--ops", "crop", "--data", f"folder:{tiny_folder}", "--cache", cache, "--batch-size", "5000", "--dry-run")
    assert "allowed: --batch-size (batch_size) from 2 to" in one_sentence(ablate("grid", *line, cwd=tmp_path))


def test_train_runs_one_composition(tiny_folder, cache, tmp_path):
    small = ["--size", "16", "--epochs", "2", "--batch-size", "16", "--set", "encoder.name=resnet8"]
    line = ["train", "crop+color", "--data", f"folder:{tiny_folder}", "--cache", cache, "--device", "cpu", *small]
    done = ablate(*line, "--set", "encoder.width=4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2" in done.stdout
    assert "linear_top1: " in done.stdout
    (record,) = tmp_path.glob("results/train/trials/*.json")
    record.write_text(record.read_text()[:100])
    again = ablate(*line, "--set", "encoder.width=4", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"damaged_record results/train/trials/{record.name}.damaged" in again.stdout
    assert done.stdout.splitlines()[-6:] == again.stdout.splitlines()[-6:]
    wide = ablate(*line, "--set", "encoder.width=4", "--set", "optimiser.lr=1e30", cwd=tmp_path)
    assert wide.returncode == 1
    assert "failed: " in wide.stdout
    assert "Traceback" not in wide.stdout + wide.stderr
    (log,) = [p for p in tmp_path.glob("results/train/logs/*.log") if "Traceback" in p.read_text()]
    assert str(log.relative_to(tmp_path)) in wide.stdout


def test_evaluate_is_told_what_it_cannot_do(tmp_path):
    message = one_sentence(ablate("evaluate", tmp_path, "--protocol", "liner"))
    assert f"unknown protocol 'liner'; allowed: {', '.join(PROTOCOLS)}; did you mean" in message
    assert "did you mean 'linear'" in message
    assert "keeps no encoders" in one_sentence(ablate("evaluate", tmp_path, "--protocol", "linear,rankme@z"))
    assert "no directory" in one_sentence(ablate("evaluate", tmp_path / "x", "--protocol", "linear"))
    assert "unknown device" in one_sentence(ablate("evaluate", tmp_path, "--protocol", "knn", "--device", "tpu"))


def test_preview_draws_every_cell(cache, tmp_path):
    out = tmp_path / "views.png"
    done = ablate("preview", "--ops", "crop,color", "--out", out, "--cache", cache)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert picture.width > 300
    message = one_sentence(ablate("preview", "--ops", "crop", "--out", "/proc/views.png", "--cache", cache))
    assert "not writable" in message
    assert "picture format" in one_sentence(ablate("preview", "--ops", "crop", "--out", tmp_path / "views.gif"))


def test_preview_is_a_contact_sheet_of_compositions(cache, tmp_path):
    out, cached = tmp_path / "sheet.webp", ["--cache", cache]
    heights = []
    for line in (
        ["color", "--draws", "3"],
        ["color", "crop+color(strength=0.5)", "--draws", "3"],
        ["color", "none", "--images", "3", "--draws", "2"],
    ):
        done = ablate("preview", *line, "--out", out, *cached)
        assert done.returncode == 0, done.stderr
        with Image.open(out) as picture:
            heights.append(picture.size)
    assert heights[1][0] == heights[0][0] > heights[2][0]
    assert heights[1][1] > 1.7 * heights[0][1]
    for bad, sentence in (
        ([], "name either compositions"),
        (["color", "--ops", "crop"], "name either compositions"),
        (["--ops", "crop", "--draws", "3"], "--draws is for compositions"),
        (["crop+colr"], "did you mean 'color'"),
        (["color"] * 600, "a side may have at most 65535: draw fewer"),
    ):
        assert sentence in one_sentence(ablate("preview", *bad, *cached))


def test_a_contact_sheet_shows_once_what_always_draws_the_same(cache):
    from ablate.cli.contact_sheet import draw_sheet
    from ablate.data import prepare
    from ablate.planning.compositions import parse_one

    asked = wish(branches="two")
    compositions = [parse_one(asked, text) for text in ("solarize", "color")]
    figure = draw_sheet(asked, compositions, prepare("glyphs", cache=cache), 2, 8, 0)
    once, many = (figure.axes[row].images[0].get_size()[1] for row in (0, 2))  # two rows of images each
    assert 4 * once < many
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == [
        "original",
        "every draw",
        "applied",
    ]
    assert [len(axes.patches) for axes in figure.axes] == [2, 2, 9, 9]  # a hairline round each image
    assert figure.texts[0].get_text().startswith("glyphs; training: resnet8 (width 16), 32 px")


def test_preview_of_fewer_images_than_asked_for_shows_all(tiny_folder, tmp_path):
    for number, path in enumerate(sorted(tiny_folder.glob("train/*/*"))[:10]):
        (tmp_path / "few" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "few" / "ab"[number % 2])
    line = ["--data", f"folder:{tmp_path / 'few'}", "--images", "16", "--cache", tmp_path / "cache"]
    for what in (["none", "--draws", "3"], ["--ops", "crop"]):
        done = ablate("preview", *what, *line, "--out", tmp_path / "views.png")
        assert done.returncode == 0, done.stderr


def test_preview_names_the_ops_that_change_nothing(tiny_folder, tmp_path):
    for number, path in enumerate(sorted(tiny_folder.glob("train/*/*"))[:10]):
        grey = tmp_path / "grey" / "ab"[number % 2] / f"{number}.png"
        grey.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").save(grey)
    line = ["--data", f"folder:{tmp_path / 'grey'}", "--cache", tmp_path / "cache", "--out", tmp_path / "views.png"]
    for what in (["gray+crop", "crop+gray"], ["--ops", "crop,gray"]):
        done = ablate("preview", *what, *line)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("gray changes nothing on these images (tried on ") == 1


def test_ops_lists_every_op():
    from ablate.ops import names

    done = ablate("ops", COLUMNS="120")
    assert done.returncode == 0
    for name in names():
        assert name in done.stdout


def test_a_process_that_trains_imports_torch_and_little_else(tiny_folder, cache, tmp_path):
    """From the first import to the last protocol; torch.compile and torchvision take a second of CPU each."""
    line = ["train", "crop", "--branches", "one", "--data", f"folder:{tiny_folder}", "--cache", str(cache), *SETTINGS]
    script = (
        "import sys, ablate.planning.request, ablate.planning.settings, ablate.launch.start\n"
        "from ablate.cli import main\n"
        "unneeded = {'torchvision', 'torch._dynamo', 'sympy', 'sklearn', 'scipy.stats', 'pandas', 'matplotlib'}\n"
        "assert not unneeded & set(sys.modules), unneeded & set(sys.modules)\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not unneeded & set(sys.modules), unneeded & set(sys.modules)\n"
    )
    protocols = ["--protocol", ",".join(PROTOCOLS), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *line, *protocols], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_reads_the_disk_imports_no_torch(experiment, tmp_path):
    """One process runs them all, those without pandas first."""
    from ablate.sweep.plan import plan, save_plan

    save_plan(tmp_path, experiment)
    log = SweepDir(tmp_path).log(plan(experiment)[0].id)
    log.parent.mkdir()
    log.write_text("a line\n")
    light = [["status", "."], ["cancel", "."], ["logs", ".", "untrained"]]
    script = (
        "import sys\n"
        "from ablate.cli import main\n"
        f"for line in {[['--help'], ['grid', '--help'], *light, ['report', '.']]}:\n"
        "    sys.argv = ['ablate', *line]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code, (line, end.code)\n"
        f"    unneeded = {{'torch', 'pandas'}} if line in {light} else {{'torch'}}\n"
        "    assert not unneeded & set(sys.modules), (line, unneeded & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").exists()


@pytest.mark.slow
def test_report_watch_refreshes_the_page_until_the_sweep_has_ended(experiment, tmp_path):
    from ablate.sweep.plan import plan, save_plan
    from tests.support.running import begin
    from tests.support.sweeps import record, write_record

    save_plan(tmp_path, experiment)
    trials = plan(experiment)
    for trial in trials[1:]:
        write_record(tmp_path, record(trial))
    begin(tmp_path, trials[0])
    page = tmp_path / "report" / "index.html"
    line = [sys.executable, "-m", "ablate", "report", str(tmp_path), "--watch", "--every", "0.2"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not (page.exists() and "page reloads" in page.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        write_record(tmp_path, record(trials[0]))
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "page reloads" not in page.read_text()
    assert "1 running" in said
    assert "report: " in said
    assert "--every is for --watch" in one_sentence(ablate("report", tmp_path, "--every", "1"))
    assert "--every is for --watch" in one_sentence(ablate("status", tmp_path, "--every", "1"))


def test_a_grid_whose_ops_act_equally_often_says_so_in_its_ops(tmp_path, unmeasured):
    """``--act-on`` becomes parameters of the ops, in a directory of its own."""
    done = grid("--ops", "color,blur", "--act-on", "1", "--include", "blur+noise", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for cell in ("color(jitter_p=1.0)+blur(p=1.0)", "blur(p=1.0)+noise"):
        assert cell in done.stdout
    message = one_sentence(grid("--ops", "blur(p=0.3)", "--act-on", "1", cwd=tmp_path))
    assert "--act-on 1 sets how often every op acts, but blur(p=0.3) sets it too" in message
    assert "above 0 and at most 1, not 2" in one_sentence(grid("--ops", "blur", "--act-on", "2", cwd=tmp_path))
