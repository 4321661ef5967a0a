"""Exported files run in the tools that they are for, and make what the ops make; `make test-peers` installs these."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from ablate import Composition
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.targets import SAVED, exported
from tests.support.distributions import DOUBTFUL, kolmogorov_smirnov, statistics
from tests.support.exports import SIZE, loaded, own_views
from tests.support.pictures import pictures

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("default")]
SMALL = (10, 8)  # a crop of the stored image only enlarges it, and there all libraries interpolate alike
N = 400
LEVEL = 1.5 / 255  # files for 8 bits round after every step
ALBUMENTATIONS = (
    *("crop", "crop(p=0.5, flip_p=0.2)", "flip", "vflip", "rotate(p=0.75)", "rotate(p=0.3)", "d4", "jitter", "gray"),
    *("color(p=0.7)", "blur", "solarize(p=0.5)", "invert(p=0.5)", "posterize(bits=(3, 6))", "equalize(p=0.5)"),
    *("channel_shuffle", "channel_drop(count=(1, 2), fill=0.3)", "cutout(strength=0.7, fill=0.5)", "noise"),
    *("affine(translate=0, scale=0, shear=0)", "crop+color+blur"),
)
WRONG = (("crop(area=(0.5, 1.0))", "crop"), ("color(strength=0.5)", "color"), ("noise(strength=1.3)", "noise"))


def file(text, name):
    made = Composition.parse(text)
    found = exported(Pair((made.specs(),), SIZE, "two", None), Files())
    return found.files[name]


def stored(text):
    size = SMALL if text.startswith("crop") and "p=0.5" not in text else (SIZE, SIZE)
    return (pictures(1, 3, size) * 255).round().to(torch.uint8)[0]


def doubt(theirs, text):
    """The smallest p of tests between views that a tool has made and those of the ops."""
    ours = own_views(text, stored(text)[None].expand(N, -1, -1, -1), "two")
    tolerance = 0.03 if "equalize" in text else LEVEL
    return kolmogorov_smirnov(statistics(*map(torch.stack, zip(*theirs, strict=True))), statistics(*ours), tolerance)


def by_albumentations(text):
    pytest.importorskip("albumentations")
    pipeline = loaded(file(text, "pipeline_albumentations.py"))
    image = Image.fromarray(stored(text).permute(1, 2, 0).numpy())
    return [pipeline.views(image) for _ in range(N)]


@pytest.mark.parametrize("text", ALBUMENTATIONS)
def test_albumentations_makes_what_the_ops_make(text):
    assert doubt(by_albumentations(text), text) > DOUBTFUL


@pytest.mark.parametrize(("exported_as", "trained"), WRONG)
def test_a_wrong_parameter_is_found(exported_as, trained):
    assert doubt(by_albumentations(exported_as), trained) < DOUBTFUL


@pytest.mark.parametrize("text", ALBUMENTATIONS)
def test_albumentations_reads_its_file_and_would_write_the_same_arguments(text, tmp_path):
    library = pytest.importorskip("albumentations")
    path = tmp_path / "x.json"
    path.write_text(file(text, SAVED[0]))
    made = library.load(path)
    image = stored(text).permute(1, 2, 0).numpy()
    assert made(image=image)["image"].shape == (3, SIZE, SIZE)

    def check(ours, theirs):
        if isinstance(ours, dict):
            for name, value in ours.items():
                check(value, theirs[name])
        elif isinstance(ours, list):
            for one, other in zip(ours, theirs, strict=True):
                check(one, other)
        else:
            assert ours == pytest.approx(theirs) if isinstance(ours, float) else ours == theirs

    check(json.loads(path.read_text())["transform"], library.to_dict(made)["transform"])


@pytest.mark.parametrize("text", ["crop+color+blur", "rotate+sobel+cutout"])
def test_lightlys_transform_makes_what_the_ops_make(text):
    pytest.importorskip("lightly")
    transform = loaded(file(text, "pipeline_lightly.py")).transform
    assert doubt([transform(stored(text)) for _ in range(N)], text) > DOUBTFUL


DALI = ("crop", "vflip", "gray(p=0.5)", "blur", "solarize(p=0.5)", "invert(p=0.5)", "noise", "cutout", "none")


@pytest.mark.parametrize("text", [*DALI, "crop(p=0.5)+flip+gray+cutout(p=0.5)"])
def test_dali_makes_what_the_ops_make(text):
    pytest.importorskip("nvidia.dali")
    encoded = io.BytesIO()
    Image.fromarray(stored(text).permute(1, 2, 0).numpy()).save(encoded, "PNG")
    content = [np.frombuffer(encoded.getvalue(), np.uint8)] * N
    reader = 'fn.readers.file(file_root=folder, random_shuffle=True, name="images")'
    source = file(text, "pipeline_dali.py")
    assert reader in source
    scope = {"__name__": "pipeline", "content": content}
    exec(source.replace(reader, "(fn.external_source(lambda: content), types.Constant(0))"), scope)
    run = scope["views"]("", batch_size=N, num_threads=1, device_id=None, seed=3)
    run.build()
    first, second, _ = run.run()
    assert (
        doubt(zip(*(torch.from_numpy(np.array(view.as_array())) for view in (first, second)), strict=True), text)
        > DOUBTFUL
    )
