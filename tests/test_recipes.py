"""Published recipes: they are what their sources say, with every preset, and stand wherever a composition does."""

from __future__ import annotations

import json

import pytest

from ablate.cli import completion
from ablate.config.presets import NAMED, one_gpu
from ablate.config.recipes import RECIPES
from ablate.errors import UsageError
from ablate.ops import names
from ablate.ops.composition import Composition
from ablate.planning.cells import label_of
from tests.support.cli import ablate, one_sentence
from tests.support.wishes import wish

PRESETS = [*NAMED.values(), one_gpu(32), one_gpu(224)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_same_with_every_preset_and_flips_by_an_op(name):
    made = Composition.parse(f"recipe:{name}")
    assert Composition.parse(str(made)) == made
    for preset in PRESETS:
        assert Composition.parse(f"recipe:{name}", preset.ops) == made
    for branch in (1, 2):
        ops = {op.name: op for op in made.branch(branch)}
        assert (ops["crop"].flip_p, ops["flip"].p) == (0.0, 0.5)
        assert len(ops) == len(made.branch(branch))  # each op once, so that leaving one out has one meaning
    assert RECIPES[name].source


def of(name, branch, op, *parameters):
    (found,) = [item for item in Composition.parse(f"recipe:{name}").branch(branch) if item.name == op]
    return tuple(getattr(found, parameter) for parameter in parameters)


BYOL = ("brightness", "contrast", "saturation", "hue", "p", "strength")


@pytest.mark.parametrize("name", ["byol", "vicreg", "dino", "moco-v3", "solo-learn-asymmetric", "lightly-train-dino"])
def test_the_two_branches_are_those_of_byols_table_6(name):
    for branch, blur, solarize in ((1, 1.0, None), (2, 0.1, 0.2)):
        assert of(name, branch, "jitter", *BYOL) == (0.4, 0.4, 0.2, 0.1, 0.8, 1.0)
        assert of(name, branch, "gray", "p") == (0.2,)
        assert of(name, branch, "blur", "p", "sigma") == (blur, (0.1, 2.0))
        there = [op.p for op in Composition.parse(f"recipe:{name}").branch(branch) if op.name == "solarize"]
        assert there == ([] if solarize is None else [solarize])
    least = {"dino": 0.4, "lightly-train-dino": 0.14}.get(name, 0.08)
    assert of(name, 1, "crop", "area") == of(name, 2, "crop", "area") == ((least, 1.0),)


def test_the_recipes_of_one_composition_are_those_of_their_papers():
    for name in ("simclr", "solo-learn", "lightly-train-simclr"):
        assert of(name, 1, "jitter", *BYOL) == (0.8, 0.8, 0.8, 0.2, 0.8, 1.0)
        assert of(name, 1, "blur", "p", "sigma") == (0.5, (0.1, 2.0))
    assert of("simclr-cifar10", 1, "jitter", "strength") == (0.5,)
    assert of("moco-v2", 1, "jitter", *BYOL) == (0.4, 0.4, 0.4, 0.1, 0.8, 1.0)
    assert of("moco-v2", 1, "crop", "area") == ((0.2, 1.0),)
    assert [op.name for op in Composition.parse("recipe:moco-v2").ops] == ["crop", "jitter", "gray", "blur", "flip"]


def test_a_recipe_stands_among_ops_unless_it_has_two_branches():
    longer = Composition.parse("rotate + recipe:simclr|recipe:simclr-cifar10")
    assert [op.name for op in longer.ops] == ["rotate", "crop", "flip", "jitter", "gray", "blur"]
    assert [op.name for op in longer.second or ()] == ["crop", "flip", "jitter", "gray"]
    for text in ("recipe:byol+rotate", "recipe:byol|crop", "crop|recipe:byol"):
        with pytest.raises(UsageError, match="recipe:byol has two branches, so it stands alone"):
            Composition.parse(text)
    with pytest.raises(UsageError, match=r"unknown recipe 'boyl'; allowed: simclr, .*did you mean 'byol'"):
        Composition.parse("recipe:boyl")


def test_a_recipe_keeps_its_name_as_a_label():
    asked = wish(branches="two")
    assert label_of(asked, " recipe:byol ") == "recipe:byol"
    assert label_of(asked, "recipe:simclr+rotate").endswith("blur+rotate")


def test_the_list_names_every_recipe_with_its_source(tmp_path):
    listed = ablate("ops", "--recipes").stdout
    for recipe in RECIPES.values():
        assert f"recipe:{recipe.name}" in listed and recipe.source in listed.replace("\n", " ")
    (byol,) = json.loads(ablate("ops", "--recipes", "--json", "recipe:byol").stdout)["recipes"]
    assert byol["composition"] == RECIPES["byol"].composition
    assert "did you mean 'dino'" in one_sentence(ablate("ops", "--recipes", "dina"))
    assert "recipe:byol" in ablate("ops", "recipe:byol").stdout
    assert "write recipe:byol" in one_sentence(ablate("ops", "byol"))
    assert "did you mean 'simclr'" in one_sentence(ablate("ops", "--recipes", "SimCLR"))
    assert "is a composition" in one_sentence(ablate("grid", "--ops", "recipe:simclr", cwd=tmp_path))
    assert "use --branches two" in one_sentence(
        ablate("grid", "--ops", "crop", "--include", "recipe:byol", cwd=tmp_path)
    )


def test_a_tab_completes_recipes_and_both_branches():
    assert completion.compositions("crop,recipe:sim") == ["crop,recipe:simclr", "crop,recipe:simclr-cifar10"]
    assert completion.compositions("crop|solar") == ["crop|solarize"]
    assert completion.ops("crop|solar") == ["crop|solarize"]
    assert not set(names()) & set(RECIPES)
