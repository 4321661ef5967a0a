from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

import ablate
from ablate.errors import UsageError
from ablate.ops import Op, get, names, parse_op, register, registry
from ablate.ops.catalogue import markdown_table

DOCS = Path(__file__).parents[2] / "docs" / "ops.md"

FIGURE_5 = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
OTHERS = ["flip", "jitter", "gray", "solarize", "invert", "posterize", "equalize"]
OTHERS += ["sharpen", "affine", "perspective", "elastic"]


def test_all_promised_ops_are_there():
    assert set(FIGURE_5 + OTHERS) <= set(names())


def test_defaults_are_the_papers():
    assert get("crop")().recorded() == {"area": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "flip_p": 0.5, "p": 1.0}
    color = get("color")()
    assert (color.brightness, color.contrast, color.saturation, color.hue) == (0.8, 0.8, 0.8, 0.2)
    assert (color.jitter_p, color.gray_p, color.p) == (0.8, 0.2, 1.0)
    assert (get("blur")().sigma, get("blur")().p) == ((0.1, 2.0), 0.5)
    assert (get("cutout")().size, get("noise")().sigma) == (0.5, (0.0, 0.2))
    assert [get(name)().p for name in ("cutout", "sobel", "noise", "rotate")] == [1.0] * 4


@pytest.mark.usefixtures("own_registry")
def test_registering_ones_own():
    @ablate.register("dim")
    class Dim(ablate.Op):
        """Darken."""

        factor: float = ablate.param(0.5, "brightness factor", low=0.0, high=1.0)

        def transform(self, images, params):
            return images * self.factor

    op = parse_op("dim(factor=0.25)")
    images = torch.ones(2, 3, 8, 8)
    assert op.apply(images, op.sample(2, (8, 8), torch.Generator())).unique().tolist() == [0.25]
    assert "dim" in names()
    with pytest.raises(UsageError, match=r"\[0.0, 1.0\]"):
        parse_op("dim(factor=2.0)")


@pytest.mark.usefixtures("own_registry")
def test_bad_registrations():
    with pytest.raises(UsageError, match="taken"):
        register("crop")(type("Crop", (Op,), {}))
    with pytest.raises(UsageError, match="lower-case"):
        register("My Op")(type("Mine", (Op,), {}))
    with pytest.raises(UsageError, match="subclass"):
        register("mine")(int)
    with pytest.raises(UsageError, match=r"'amount' of op 'mine' must be declared with ablate.param"):
        register("mine")(type("Mine", (Op,), {"__annotations__": {"amount": float}, "amount": 0.5}))


def install(folder, value, body):
    """A distribution on the path with one entry point in the group ``ablate.ops``."""
    info = folder / "plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ablate.ops]\nglow = {value}\n")
    (folder / "glowing.py").write_text(body)


@pytest.fixture
def plugin(tmp_path, monkeypatch, own_registry):
    """Discovery starts anew, with ``tmp_path`` on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    registry._discover.cache_clear()
    yield tmp_path
    sys.modules.pop("glowing", None)
    registry._discover.cache_clear()


BODY = """
import ablate

class Glow(ablate.Op):
    "Brighten."

    def transform(self, images, params):
        return 1 - images / 2
"""


def test_entry_point_of_a_class(plugin):
    install(plugin, "glowing:Glow", BODY)
    assert parse_op("glow(p=0.5)").p == 0.5


def test_entry_point_of_a_module_that_registers(plugin):
    install(plugin, "glowing", BODY.replace("class", "@ablate.register('glow')\nclass"))
    assert parse_op("glow").name == "glow"


def test_a_broken_plugin_is_named(plugin):
    install(plugin, "glowing:Nothing", BODY)
    with pytest.raises(UsageError, match="'glow' = 'glowing:Nothing'"):
        names()


def test_the_documented_table_is_up_to_date():
    assert markdown_table() in DOCS.read_text()


@pytest.mark.usefixtures("own_registry")
def test_the_documented_example_runs(tmp_path, monkeypatch):
    """The worked example of docs/ops.md: every python block, in order, as one module."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    script = tmp_path / "ops_example.py"
    script.write_text("\n".join(blocks))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("ops_example")
    assert "vignette" in names()
