"""The exported files are run, and what they make is held against the transform pair that they stand for."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import re
import subprocess
import sys
from functools import lru_cache

import kornia.augmentation
import pytest
import torch
from PIL import Image

from ablate import Composition
from ablate.config.base import OpSpec
from ablate.config.encoder import IMAGENET
from ablate.config.trial import Base
from ablate.errors import NotExportable, UsageError
from ablate.ops import get, names, parse_op, spec
from ablate.ops.kornia_adapter import classes
from ablate.ops.op import parameter_fields
from ablate.pipelines.code import Files, kornia_code
from ablate.pipelines.steps import TENSORS, exportable
from tests.support.distributions import DOUBTFUL, kolmogorov_smirnov, statistics
from tests.support.exports import LIBRARIES, SIZE, STORED, code, exported_views, loaded, own_views, stored
from tests.support.pictures import generator, pictures

OPS = [name for name in names() if get(name).__module__.startswith("ablate.ops")]


def doubt(library, source, text, branches, n):
    """The smallest p of Kolmogorov-Smirnov tests between what the file and what the pair makes of one image."""
    images = stored(1).expand(n, -1, -1, -1)
    theirs = exported_views(library, source, images)
    tolerance = 1 / 255 if "clahe" in text else 1e-3  # the last digits decide on a level
    return kolmogorov_smirnov(statistics(*theirs), own_statistics(text, branches, n), tolerance)


@lru_cache(maxsize=1)
def own_statistics(text, branches, n):
    """Those of the pair, which are the same for both libraries: a test follows the other."""
    return statistics(*own_views(text, stored(1).expand(n, -1, -1, -1), branches))


COMPOSITIONS = (
    "crop+color+blur",
    "crop(p=0.5)+color(p=0.6)",
    "color+crop",
    "rotate(p=0.5)+posterize(p=0.5)+jitter(strength=0.3)",
    "sharpen(amount=2.0)+flip+crop(ratio=(2.0, 3.0), area=(0.8, 1.0))",
    "cutout(strength=1.5)+noise(strength=0.5)+blur(strength=2.0)",
    "affine(strength=0.5)+perspective(strength=0.5, p=0.7)+elastic(strength=0.5, p=0.7)",
    "solarize(p=0.2, threshold=0.3)+equalize(p=0.5)+sobel(p=0.5)+invert(p=0.5)+gray",
    "intensity(per_channel=True, p=0.5)+channel_drop(count=(1, 2), fill=0.3)+channel_shuffle+erase(shape='rows')",
    "d4+vflip+zoom_out(fill=0.5)+erase(shape='columns', strength=2.0)+stain(strength=0.5)",
    "jpeg(p=0.7)+poisson(strength=0.5)",
    "none",
)
LIMITS = [
    f"{name}(strength={strength})"
    for name in OPS
    if (field := parameter_fields(get(name)).get("strength"))
    for strength in (1e-6, field.metadata["high"])
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("text", [*OPS, COMPOSITIONS[0], "cutout(fill=0.584)", *LIMITS])
def test_both_views_are_distributed_as_ablates(library, text):
    assert doubt(library, code(library, text), text, "two", n=150) > DOUBTFUL


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("text", "branches"), [*((op, "two") for op in (*OPS, *LIMITS)), *itertools.product(COMPOSITIONS, ("one", "two"))]
)
def test_both_views_are_distributed_as_ablates_in_large_samples(library, text, branches):
    assert doubt(library, code(library, text, branches), text, branches, n=1500) > DOUBTFUL


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("text", "branches", "said"),
    [
        ("crop+color|crop(area=(0.5, 1.0))+invert", "two", "by its own ops; the crop takes the stored image itself."),
        ("solarize|crop+blur", "two", "the other view starts from the centre square."),
        ("none|color", "two", "by its own ops, from the same centre square."),
        ("color", "shared", "with its own draws, from one crop that both share."),
        ("crop+gray|noise", "shared", "by its own ops, from one crop that both share."),
    ],
)
def test_views_with_ops_or_a_crop_in_common_or_not_are_distributed_as_ablates(library, text, branches, said):
    source = code(library, text, branches)
    assert said in source
    assert doubt(library, source, text, branches, n=300) > DOUBTFUL
    turned = "|".join(reversed(text.split("|"))) if "|" in text else "color(strength=0.3)"
    assert doubt(library, source, turned, branches, n=300) < DOUBTFUL


@pytest.mark.parametrize("library", ["kornia", pytest.param("torchvision", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("exported", "trained"),
    [
        ("crop(area=(0.2, 1.0))", "crop"),
        ("crop(flip_p=0.2)", "crop"),
        ("color(gray_p=0.4)", "color"),
        ("color(jitter_p=0.6)", "color"),
        ("color(strength=0.8)", "color"),
        ("blur(p=0.7)", "blur"),
        ("blur(strength=0.7)", "blur"),
        ("cutout(size=0.45)", "cutout"),
        ("noise(strength=1.2)", "noise"),
        ("affine(strength=0.8)", "affine"),
        ("elastic(strength=0.8)", "elastic"),
        ("perspective(strength=0.8)", "perspective"),
        ("posterize(bits=(4, 7))", "posterize"),
        ("sharpen(strength=0.8)", "sharpen"),
        ("crop+blur", "blur+crop"),
        ("solarize(threshold=0.51)", "solarize"),
        ("intensity(strength=0.8)", "intensity"),
        ("intensity(per_channel=True)", "intensity"),
        ("channel_drop(count=(1, 2))", "channel_drop"),
        ("channel_shuffle(p=0.7)", "channel_shuffle"),
        ("vflip(p=0.6)", "vflip"),
        ("d4(p=0.75)", "d4"),
        ("erase(strength=0.8)", "erase"),
        ("erase(shape='rows')", "erase"),
        ("zoom_out(area=(0.4, 1.0))", "zoom_out"),
        ("poisson(strength=1.2)", "poisson"),
        ("stain(strength=0.8)", "stain"),
        ("clahe(limit=(1.0, 6.0))", "clahe"),
        ("jpeg(quality=(30, 85))", "jpeg"),
    ],
)
def test_a_wrong_parameter_is_found(library, exported, trained):
    assert doubt(library, code(library, exported), trained, "two", n=1500) < DOUBTFUL


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "text", ["none", "sobel", "sobel(signed=True)", "invert", "solarize", "equalize", "gray(p=1.0)"]
)
def test_what_is_not_random_is_equal_to_the_pixel(library, text):
    for size in (STORED, (SIZE, SIZE), (11, 40)):
        images = stored(4, size)
        theirs_and_ours = exported_views(library, code(library, text), images), own_views(text, images, "two")
        for theirs, ours in zip(*theirs_and_ours, strict=True):
            far = (theirs - ours).abs() > 2e-4  # kornia's weight of red is 0.299, not 0.2989
            assert far.float().mean() <= (0.01 if text == "equalize" else 0)  # the last digits can decide on a level


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_branch_augments_the_first_view_of_one_crop(library):
    images = stored(64)
    first, second = exported_views(library, code(library, "invert", "one"), images)
    torch.testing.assert_close(first, 1 - second)
    one = stored(1).expand(250, -1, -1, -1)
    theirs, ours = exported_views(library, code(library, "color", "one"), one), own_views("color", one, "one")
    assert kolmogorov_smirnov(statistics(*theirs), statistics(*ours)) > DOUBTFUL


@pytest.mark.parametrize("branches", ["one", "two"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_both_views_are_normalised_as_the_encoders_input_was(library, branches):
    base = Base(area=(1.0, 1.0), ratio=(1.0, 1.0)) if branches == "one" else None
    sources = [
        LIBRARIES[library](Composition.parse("invert").specs(), SIZE, branches, base, Files(normalize=normalize))
        for normalize in (None, IMAGENET)
    ]
    plain, normal = (exported_views(library, source, stored(2)) for source in sources)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    for before, after in zip(plain, normal, strict=True):
        torch.testing.assert_close(after, (before - mean) / std, rtol=1e-4, atol=1e-5)
    assert f"{SIZE}], normalised by mean 0.485, 0.456, 0.406" in sources[1]
    assert "normal" not in sources[0]


@pytest.mark.parametrize("branches", ["one", "two"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_ops_that_are_switched_off_are_left_out(library, branches):
    source = code(library, "color(strength=0)+blur(p=0)", branches)
    assert "augment = nn.Identity()" in source
    first, second = exported_views(library, source, stored(3))
    torch.testing.assert_close(first, second)


def test_each_image_has_its_own_order_of_the_jitter_steps():
    op = parse_op("jitter(p=1.0)")
    images = pictures(64, 3, (SIZE, SIZE))
    jitter = loaded(code("kornia", "jitter")).ColorJitter(p=1.0)
    params = op.sample(64, (SIZE, SIZE), generator())
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    forced = {name: params["factors"][:, i] for i, name in enumerate(names)}
    changed = jitter(images, params={**forced, "order": params["order"], "batch_prob": torch.ones(64)})
    torch.testing.assert_close(changed, op.apply(images, params), atol=2e-4, rtol=0)
    jitter(images)
    assert len(jitter._params["order"].unique(dim=0)) > 12


def test_torchvisions_pipeline_takes_pil_images():
    from torchvision.transforms.functional import to_pil_image

    pipeline, image = loaded(code("torchvision", "crop+color")), stored(1)[0]
    views = []
    for given in (image, to_pil_image(image)):
        torch.manual_seed(3)
        views.append(pipeline.views(given))
    assert type(views[0][0]) is torch.Tensor
    assert torch.equal(views[0][0], views[1][0])
    assert not torch.equal(views[0][0], views[0][1])


def test_every_op_of_ablates_can_be_exported_in_its_present_version():
    assert exportable() == {name: get(name).version for name in OPS}


def test_a_users_own_op_is_not_exportable():
    mine = OpSpec(name="mine", version=1, params={"p": 1.0})
    for library, write in LIBRARIES.items():
        with pytest.raises(NotExportable, match=f"the op 'mine' cannot be exported to a {library} pipeline"):
            write([mine], 32, "two", None)
    assert issubclass(NotExportable, UsageError)


def test_an_op_of_another_version_is_not_exportable():
    old = spec(parse_op("crop")).model_copy(update={"version": 1})
    with pytest.raises(NotExportable, match="'crop' has version 1 in these records"):
        kornia_code([old], 32, "two", None)


LATER = [(name, field) for name in OPS for field in parameter_fields(get(name)).values() if field.metadata.get("later")]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("name", "field"), LATER, ids=lambda x: x if isinstance(x, str) else x.name)
def test_a_later_parameter_is_exported_or_refused_by_name(library, name, field):
    """A file that left the parameter out would be another augmentation."""
    words = field.metadata["choices"] or ((False, True) if isinstance(field.default, bool) else (0.0, 0.5))
    for value in words:
        written, said = code(library, name), f"{field.name}={value!r}".replace("'", '"')
        if value == field.default:
            assert code(library, f"{name}({field.name}={value!r})") == written
            continue
        try:
            changed = code(library, f"{name}({field.name}={value!r})")
        except NotExportable as error:
            assert f"{name}({said})" in str(error)
        else:
            augment = changed[changed.index("\naugment") :]
            assert said in augment


def test_which_variants_are_refused_and_that_a_base_crop_is_too():
    for text in ("crop(sampling='tf')", "crop(resize='bicubic')", "color(impl='tf')", "jitter(impl='tf-v1')"):
        with pytest.raises(NotExportable, match=re.escape(text.replace("'", '"'))):
            code("kornia", text)
    with pytest.raises(NotExportable, match="resize"):
        kornia_code([], 32, "one", Base(resize="bicubic"))


def test_what_came_from_a_file_cannot_run_code():
    for name, params in (("kornia.A\nimport os", {}), ("kornia.A", {"p=1\nimport os\n": 1})):
        with pytest.raises(NotExportable, match="not an op's call"):
            kornia_code([OpSpec(name=name, version=1, params=params)], 32, "two", None)
    source = kornia_code([OpSpec(name="kornia.A", version=1, params={"text": '"\nimport os'})], 32, "two", None)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) and "os" in node.names]
    assert "\nimport os" not in source


def test_an_adapted_class_is_kornias_own_and_torchvision_has_none():
    text = "kornia.RandomPlanckianJitter(mode='blackbody', p=0.5)"
    assert 'K.RandomPlanckianJitter(mode="blackbody", p=0.5),\n    Clip(),' in code("kornia", text)
    with pytest.raises(NotExportable, match=r"torchvision has no equivalent of kornia\.RandomPlanckianJitter"):
        code("torchvision", text)


def test_which_arguments_kornia_takes_as_tensors():
    found = {}
    for name in classes():
        parameters = inspect.signature(getattr(kornia.augmentation, name), eval_str=True).parameters.values()
        tensors = tuple(p.name for p in parameters if p.annotation is torch.Tensor)
        found |= {name: tensors} if tensors else {}
    assert found == TENSORS


def test_the_example_of_the_torchvision_file_is_true(tmp_path):
    """An image is transparent over black, which torchvision's own loader would show."""
    import torchvision

    (tmp_path / "images" / "a").mkdir(parents=True)
    layer = Image.new("RGBA", (20, 20))
    layer.putpixel((0, 0), (255, 255, 255, 255))  # not transparent everywhere
    layer.save(tmp_path / "images" / "a" / "x.png")
    source = code("torchvision", "none")
    (line,) = [line for line in source.splitlines() if "ImageFolder" in line]
    pipeline = loaded(source)
    scope = {"torchvision": torchvision, "views": pipeline.views, "load": pipeline.load}
    with contextlib.chdir(tmp_path):
        exec(line.removeprefix("#").strip(), scope)
        (first, second), label = scope["data"][0]
    assert label == 0
    assert first.shape == (3, SIZE, SIZE)
    torch.testing.assert_close(first, torch.ones_like(first))
    torch.testing.assert_close(second, torch.ones_like(second))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_files_import_the_library_alone(library):
    for branches in ("one", "two"):
        tree = ast.parse(code(library, "+".join(OPS), branches))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert {module.split(".")[0] for module in modules} <= {
            "math",
            "pathlib",
            "typing",
            "numpy",
            "PIL",
            "torch",
            library,
        }


def test_the_files_are_clean_code(tmp_path):
    for library in LIBRARIES:
        for i, text in enumerate([*OPS, *COMPOSITIONS]):
            for branches in ("one", "two"):
                (tmp_path / f"{library}_{i}_{branches}.py").write_text(code(library, text, branches))
    options = ["--isolated", "--line-length", "120", str(tmp_path)]
    checks = (["check", "--select", "E,F,W,I,B,UP"], ["format", "--check"])
    for check in checks:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_written_without_torch():
    script = (
        "import sys; from ablate.config.base import OpSpec; from ablate.pipelines import code as p;"
        "op = OpSpec(name='flip', version=1, params={'p': 0.5});"
        "assert 'RandomHorizontalFlip' in p.kornia_code([op], 32, 'two', None);"
        "assert 'RandomHorizontalFlip' in p.torchvision_code([op], 32, 'two', None);"
        "assert not {'torch', 'kornia', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_files_run_where_there_is_no_ablate(library, tmp_path):
    (tmp_path / "pipeline.py").write_text(code(library, "+".join(OPS)))
    given = "torch.rand(4, 3, 40, 30)" if library == "kornia" else "torch.zeros(3, 40, 30, dtype=torch.uint8)"
    script = f"""
import sys
sys.modules["ablate"] = None  # importing it is an error
import torch
from pipeline import views
for view in views({given}):
    assert view.shape[-3:] == (3, {SIZE}, {SIZE})
    assert -1e-6 <= view.min() and view.max() <= 1 + 1e-6, (view.min(), view.max())  # resampling rounds
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


WANTED = {
    "Normalize": "mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)",
    "RandomAffine": "degrees=10.0, translate=(0.1, 0.1)",
    "RandomFisheye": "center_x=(-0.3, 0.3), center_y=(-0.3, 0.3), gamma=(0.9, 1.1), p=1.0",
    "RandomGaussianBlur": "kernel_size=(3, 3), sigma=(0.1, 2.0)",
    "RandomMotionBlur": "kernel_size=5, angle=35.0, direction=0.5, border_type='constant'",
    "RandomResizedCrop": "size=(32, 32)",
    "RandomRotation": "degrees=20.0",
    "RandomRotation90": "times=(1, 3)",
    "RandomShear": "shear=(-10.0, 10.0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", classes())
def test_an_adapted_class_does_what_it_does_in_ablate(name):
    text = f"kornia.{name}({WANTED.get(name, '')})"
    try:
        op, images = parse_op(text), stored(6, (32, 32))
        params = op.sample(6, (32, 32), generator())
        expected = op.apply(images / 255, params)
    except UsageError as error:
        pytest.skip(str(error))  # it changes the size, or needs a package
    pipeline = loaded(code("kornia", text, size=32))
    torch.manual_seed(int(params["seed"][0]))
    torch.testing.assert_close(pipeline.augment(images / 255), expected)
