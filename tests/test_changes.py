"""What kind of change a composition is to a baseline: a removal, an addition, or another one."""

from __future__ import annotations

from ablate.config.trial import DataIdentity, TrialConfig
from ablate.ops.composition import Composition
from ablate.planning.drop import dropping
from ablate.report.stats.baseline import _change as change
from tests.support.wishes import wish


def changes(baseline, *others, branches="two"):
    """Kind and ops of the change that each other composition is, by the plan of a sweep."""
    data = DataIdentity(name="made-up", fingerprint="f00d", classes=3)
    bare = TrialConfig(composition=(), data=data, branches=branches, base=None)
    parsed = [Composition.parse(text) for text in (baseline, *others)]
    whole, *rest = [bare.replace(composition=one.specs(), second=one.second_specs()) for one in parsed]
    return [change(whole, other) for other in rest]


def test_a_change_is_told_view_by_view():
    """Without blur and solarize, the views of recipe:byol are the same: every other op is still in both."""
    assert changes("crop+blur(p=1.0)|crop+blur(p=0.1)+solarize", "crop", "crop+blur(p=1.0)|crop+blur(p=0.1)") == [
        ("removal", ("blur", "solarize")),
        ("removal", ("solarize",)),
    ]
    asked = wish(branches="two", preset="one-gpu")
    cells = dropping(asked, "recipe:byol", ["rotate"], ["solarize", "blur"]).compositions.values()
    assert changes("recipe:byol", *cells)[1:] == [
        *(("removal", (name,)) for name in ("crop", "flip", "jitter", "gray", "blur", "solarize")),
        ("addition", ("rotate",)),
        ("removal", ("blur", "solarize")),
    ]
    assert changes("crop+blur", "crop+blur|crop+blur+flip") == [("addition", ("flip",))]
    assert changes("crop+blur", "blur", "crop+blur+blur", branches="one") == [
        ("removal", ("crop",)),
        ("addition", ("blur",)),
    ]


def test_another_order_or_parameter_and_an_op_that_one_view_keeps_are_no_removal():
    others = ("blur+crop", "crop+flip+blur(p=1.0)", "flip+color+crop+blur", "crop+blur|crop+flip+blur", "color")
    assert changes("crop+flip+blur", *others) == [("change", ())] * len(others)
