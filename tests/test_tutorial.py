"""The tutorial, command by command, on a few of its images; smaller images, encoders and epochs than it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.micrographs import CLASSES, put
from tests.support.cli import ablate
from tests.support.in_process import without_workers

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
README = (ROOT / "README.md").read_text()
BLOCKS = [block.splitlines() for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS = [line for block in BLOCKS[1:] for line in block]
SMALL = ["--size", "16", "--epochs", "1", "--batch-size", "16"]
TINY = [
    *("--device", "cpu", "--set", "encoder.name=resnet8", "--set", "encoder.width=4", "--set", "head.hidden=8"),
    *("--set", "head.output=4", "--set", "warmup_epochs=0"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "folder"), [(README, "leaves"), (PAGE, "images/blood-cells")])
def test_two_commands_lead_from_nothing_to_a_heatmap(page, folder, tmp_path):
    """The first is pip's, which tests/test_package.py runs; the second is run here."""
    (line,) = re.findall(r"```bash\npip install \.\n(ablate grid .*)\n```", page)
    heatmap = f"{line.split()[-1]}/report/heatmap.png"
    assert f"`{heatmap}`" in page
    put(tmp_path / folder, 12)
    _run(line, tmp_path)
    with Image.open(tmp_path / heatmap) as picture:
        assert picture.width > 300


@pytest.mark.slow
def test_from_a_folder_to_a_recommendation(tmp_path):
    put(tmp_path / "images" / "blood-cells", 14)
    report = tmp_path / "results" / "cells" / "report"
    said, code = dict[str, str](), ""
    for line in COMMANDS:
        said[line] = _run(line, tmp_path)
        if "--confirm" in line:  # what is added to the sweep afterwards withdraws it
            assert (report / "recommendation.json").stat().st_size > 0
            if "Recommended" in said[line]:  # an epoch of tiny trials need not beat the untrained encoder
                code = (report / "pipeline_torchvision.py").read_text()
    assert not (report / "recommendation.json").exists()
    with Image.open(tmp_path / "views.png") as picture:
        assert picture.width > 300
    for name in ("index.html", "heatmap.png"):
        assert (report / name).stat().st_size > 0
    dry, first, three = (said[line] for line in COMMANDS if line.startswith("ablate grid") and "include" not in line)
    assert "25 cells x 1 seed + 3 references = 28 trials; 28 to run" in dry
    assert "estimate" in dry
    assert "28 to run" in first
    assert "28 done; 56 to run" in three  # the first seed is not run again
    advice = next(words for line, words in said.items() if "--confirm" in line)
    assert "Confirmation on both branches with fresh seeds" in advice
    if code:
        exec(compile(code, "pipeline_torchvision.py", "exec"), {"__name__": "pipeline"})
    assert "crop(flip_p=0.0)+rotate+flip" in said[next(line for line in COMMANDS if "--include" in line)]
    assert "the budget of 6 trials is spent" in said[next(line for line in COMMANDS if "search" in line)]


def test_the_page_shows_the_classes_and_names_the_source():
    assert set(re.findall(r"^    (\w+)/ ", PAGE, re.MULTILINE)) <= set(CLASSES)
    assert "Acevedo et al. 2020" in PAGE and "CC BY 4.0" in PAGE
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE):
        with Image.open(ROOT / "docs" / picture) as image:
            assert image.width > 300


def test_the_numbers_of_the_heatmap_are_those_of_its_table():
    table = pd.read_csv(ROOT / "docs" / "tutorial" / "table.csv")
    known = {row.label: f"{100 * row.linear_top1_mean:.1f}" for row in table.itertuples()}
    text = " ".join(PAGE.partition("tutorial/heatmap.png")[2].partition("\n## ")[0].split())
    said = re.findall(r"`([^`]+)`\)?(?: alone)?(?: reaches| has)? ([\d.]+) %", text)
    assert len(said) == 9
    assert said == [(label, known[label]) for label, _ in said]
    for label, words in (("untrained", "untrained encoder reaches"), ("supervised", "trained with labels")):
        assert f"{words} {known[label]} %" in text


def _run(line: str, home: Path) -> str:
    """A command of the page, in ``home``, which is the user's home directory too."""
    _, name, *arguments = shlex.split(line)
    if name in {"grid", "search"}:
        arguments += [*SMALL, *TINY]
    arguments = [argument.replace("~", str(home)) for argument in arguments]
    with without_workers():
        done = ablate(name, *arguments, cwd=home, HOME=str(home), ABLATE_CACHE=str(home / "cache"))
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout
