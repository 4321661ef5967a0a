"""The tutorial, command by command, on generated micrographs; smaller images, encoders and epochs than it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from tests.micrographs import write
from tests.support.cli import ablate
from tests.support.in_process import without_workers

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SMALL = ["--size", "16", "--epochs", "1", "--batch-size", "16"]
TINY = [
    *("--device", "cpu", "--set", "encoder.name=resnet8", "--set", "encoder.width=4", "--set", "head.hidden=8"),
    *("--set", "head.output=4", "--set", "warmup_epochs=0"),
]


@pytest.mark.slow
def test_from_a_folder_to_a_recommendation(tmp_path):
    write(tmp_path / "cells", 20)
    report = tmp_path / "results" / "cells" / "report"
    said, code = dict[str, str](), ""
    for line in COMMANDS:
        said[line] = _run(line, tmp_path)
        if "--confirm" in line:  # what is added to the sweep afterwards withdraws it
            assert (report / "recommendation.json").stat().st_size > 0
            if "Recommended" in said[line]:  # an epoch of tiny trials need not beat the untrained encoder
                code = (report / "pipeline_torchvision.py").read_text()
    assert not (report / "recommendation.json").exists()
    with Image.open(tmp_path / "cells.png") as picture:
        assert picture.width > 300
    for name in ("index.html", "heatmap.png"):
        assert (report / name).stat().st_size > 0
    dry, first, three = (said[line] for line in COMMANDS if line.startswith("ablate grid") and "include" not in line)
    assert "16 cells x 1 seed + 1 reference = 17 trials; 17 to run" in dry
    assert "estimate" in dry
    assert "17 to run" in first
    assert "17 done; 34 to run" in three  # the first seed is not run again
    advice = next(words for line, words in said.items() if "--confirm" in line)
    assert "Confirmation on both branches with fresh seeds" in advice
    if code:
        exec(compile(code, "pipeline_torchvision.py", "exec"), {"__name__": "pipeline"})
    assert "crop+color+rotate" in said[next(line for line in COMMANDS if "--include" in line)]
    assert "the budget of 6 trials is spent" in said[next(line for line in COMMANDS if "search" in line)]


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
