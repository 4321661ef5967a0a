"""The sdist is complete, its wheel installs and runs outside the source tree, and dependencies are documented."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "constraints.txt"}
BUILT = {"MANIFEST.in", "PKG-INFO", "ablate.egg-info", "pyproject.toml", "setup.cfg"}


def test_the_page_of_dependencies_has_every_extra_and_every_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    extras = project["optional-dependencies"]
    assert not [name for name in extras if not re.search(rf"^\|.*`{name}`.* \|", page, re.MULTILINE)]
    users = {name: needs for name, needs in extras.items() if name not in {"dev", "docs", "bench", "peers"}}
    for needed in (project["dependencies"], *users.values()):
        bounded = dict(re.findall(r"^([\w-]+)>=[\w.]+,<([\w.]+)$", "\n".join(needed), re.MULTILINE))
        assert not [name for name, bound in bounded.items() if f"| {name} | < {bound} |" not in page]


@pytest.mark.slow
def test_the_wheel_from_the_sdist_installs_and_runs_outside_the_source_tree(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(ROOT)]  # the wheel from the sdist
    subprocess.run(build, check=True, capture_output=True)
    (wheel,), (sdist,) = ((tmp_path / "dist").glob(f"ablate-*{ending}") for ending in (".whl", ".tar.gz"))
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True, capture_output=True)
    with tarfile.open(sdist) as file:
        tops = {name.split("/")[1] for name in file.getnames() if "/" in name}
    assert tops == {"ablate", *DOCUMENTS, *BUILT}
    names = zipfile.ZipFile(wheel).namelist()
    assert "ablate/py.typed" in names
    assert {"ablate/report/figures/fig5.csv", "ablate/pipelines/snippets/per_image.py"} <= set(names)
    assert "ablate/report/card/references.bib" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "results"))]

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True)
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    # the dependencies (5 GB) are borrowed from the environment that runs the tests, ablate itself is not
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "ablate" not in entry.name:
            (borrowed / entry.name).symlink_to(entry)
    (site / "borrowed.pth").write_text(f"{borrowed}\n")

    small = ["--limit", "200", "--size", "16", "--epochs", "1", "--set", "encoder.width=4", "--workers", "1"]
    command = ["grid", "--ops", "crop", *small]
    line = [tmp_path / "venv" / "bin" / "ablate", *command, "--cache", tmp_path / "cache"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "glyphs-crop" / "report" / "heatmap.png").exists()
    where = subprocess.check_output([python, "-c", "import ablate; print(ablate.__file__)"], text=True, cwd=tmp_path)
    assert where.startswith(str(tmp_path))
