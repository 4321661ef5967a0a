"""`recipe:PATH` wherever a composition stands: descriptions, commands, completion, and files that hold no pipeline."""

from __future__ import annotations

import pytest

from ablate import Composition
from ablate.cli import completion
from ablate.config.presets import NAMED
from ablate.errors import UsageError
from ablate.ops import with_files
from ablate.planning.from_files import spelled_out
from ablate.transforms import read as read_module
from ablate.transforms.read import is_file
from tests.support.cli import ablate, one_sentence
from tests.support.transforms import IMPORTS, SIMCLR, composition
from tests.support.wishes import wish


def test_a_file_means_the_same_with_every_preset(tmp_path):
    composition(tmp_path, SIMCLR)
    for preset in NAMED.values():
        made = Composition.parse(f"recipe:{tmp_path / 'transforms.py'}", preset.ops)
        assert made == Composition.parse("recipe:simclr")


@pytest.mark.parametrize(
    ("ending", "content", "name", "expected"),
    [
        (
            ".txt",
            "Compose(\n    RandomInvert(p=0.5)\n    oh no\n)",
            "",
            "line 3: 'oh no' cannot be read; a .txt file holds",
        ),
        (".txt", "ResNet()", "", r"must begin with Compose\(, .* not with 'ResNet\(\)'"),
        (".txt", "(", "", r"line 1: '\(' cannot be read"),
        (".txt", "Compose(\n    RandomInvert(p=0.5)\n)", ":a", "holds one pipeline, so leave out 'a'"),
        (".json", "{", "", "is not JSON"),
        (".json", "[]", "", "is not a file of albumentations.save"),
        (".yaml", "", "", "read from files that end in .py, .txt, .json, not in '.yaml'"),
    ],
)
def test_files_that_hold_no_pipeline_are_refused(ending, content, name, expected, tmp_path):
    with pytest.raises(UsageError, match=expected):
        composition(tmp_path, content, name, ending)


def test_a_path_is_told_from_a_name_by_a_dot_or_a_slash():
    assert is_file("recipe:a.py") and is_file(" recipe:a/b") and is_file("recipe:a.py:name")
    assert not is_file("recipe:byol") and not is_file("crop(area=(0.2, 1.0))") and not is_file("kornia.RandomRain")
    assert with_files("crop+recipe:byol") == ("crop+recipe:byol", [])


def test_the_description_holds_the_ops_and_no_file(tmp_path):
    composition(tmp_path, SIMCLR)
    recipe = f"recipe:{tmp_path / 'transforms.py'}"
    asked = wish(branches="two", compositions=[f"{recipe}|{recipe}+rotate", "crop"], baseline=recipe)
    text = "crop(area=(0.08, 1.0), flip_p=0.0)+flip+jitter+gray+blur"
    written, about = spelled_out(asked)
    assert written.compositions == [f"{text}|{text}+rotate", "crop"] and written.baseline == text
    assert about.splitlines() == [
        f"read from {tmp_path / 'transforms.py'}: {text}",
        "left out, since they augment nothing: ToTensor, Normalize",
    ]
    named, _ = spelled_out(wish(ops=["crop"], first=recipe, compositions={"mine": recipe}))
    assert named.first == text and named.compositions == {"mine": text}
    assert spelled_out(written) == (written, "")


def test_a_recipe_in_a_file_is_dropped_from_the_command_line(tmp_path, tiny_folder, cache, unmeasured):
    (tmp_path / "transforms.py").write_text(SIMCLR)
    line = ["--data", f"folder:{tiny_folder}", "--size", "16", "--cache", cache, "--dry-run"]
    done = ablate("drop", "recipe:transforms.py", *line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("read from transforms.py: crop(area=(0.08, 1.0), flip_p=0.0)+flip+jitter+gray+blur\n")
    assert "without jitter, without gray" in done.stdout
    for wrong, expected in (
        (["drop", "recipe:transform.py"], "transform.py: there is no such file; did you mean 'transforms.py'?"),
        (["drop", "recipe:mine.py"], "mine.py: there is no such file"),
        (["grid", "--ops", "recipe:transforms.py"], "'recipe:transforms.py' is a composition"),
        (["train", "recipe:transforms.py:x"], "transforms.py holds no pipeline 'x'"),
    ):
        assert expected in one_sentence(ablate(*wrong, cwd=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.py"]


def test_files_that_are_no_transforms_and_files_of_windows(tmp_path, monkeypatch):
    assert str(composition(tmp_path, f"\ufeff{IMPORTS}t = v2.Compose([v2.RandomInvert()])\r\n")) == "invert(p=0.5)"
    with pytest.raises(UsageError, match=r"transforms.txt is empty$"):
        composition(tmp_path, " \n\n", ending=".txt")
    monkeypatch.setattr(read_module, "MOST_BYTES", 100)
    with pytest.raises(UsageError, match=r"transforms.json has more than 100 bytes: this is no file of transforms$"):
        composition(tmp_path, "[" * 101, ending=".json")


def test_a_tab_completes_files(tmp_path, monkeypatch):
    for name in ("moco.py", "moco.txt", "moco.csv"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert completion.compositions("crop,recipe:moc") == [
        *("crop,recipe:moco-v2", "crop,recipe:moco-v3", "crop,recipe:moco.py", "crop,recipe:moco.txt"),
    ]
