"""The built wheel installs and runs outside the source tree."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_installs_and_runs_outside_the_source_tree(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("ablate-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "ablate/py.typed" in names
    assert {"ablate/report/figures/fig5.csv", "ablate/pipelines/snippets/per_image.py"} <= set(names)
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

    command = ["grid", "--ops", "crop", "--size", "16", "--epochs", "1", "--set", "encoder.width=4"]
    line = [tmp_path / "venv" / "bin" / "ablate", *command, "--cache", tmp_path / "cache"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "glyphs-crop" / "report" / "heatmap.png").exists()
    where = subprocess.check_output([python, "-c", "import ablate; print(ablate.__file__)"], text=True, cwd=tmp_path)
    assert where.startswith(str(tmp_path))
