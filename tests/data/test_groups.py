"""Splits by group, where groups lie within classes or across them."""

from __future__ import annotations

import pytest
import torch

from ablate.data.dataset import homes, split_by_group

RANDOM = torch.Generator().manual_seed(0)


def test_images_are_drawn_with_their_own_class_where_no_group_holds_several():
    groups = torch.randint(0, 300, (1000,), generator=RANDOM) * 7
    labels = groups // 7 % 5 - 1  # also -1, which means no label
    assert torch.equal(homes(labels, groups), labels)


def test_a_group_is_drawn_with_its_rarest_class():
    labels = torch.tensor([0, 0, 1, 1, 0, 2, 0])
    groups = torch.tensor([4, 4, 4, 8, 8, 8, 9])  # class 0 in three groups, 1 in two, 2 in one
    assert homes(labels, groups).tolist() == [1, 1, 1, 2, 2, 2, 0]


def test_ties_go_to_the_first_class():
    assert homes(torch.tensor([3, 2, 3, 2]), torch.tensor([0, 0, 1, 1])).tolist() == [2] * 4


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_torn_and_every_class_is_on_both_sides(seed):
    index = torch.arange(600)
    groups = index % 60  # patients
    labels = ((index < 60) & (index % 2 == 0)).long() + 2 * (groups < 6).long()  # a finding, a hospital of six patients
    mask = split_by_group(labels, groups, 0.2, seed)
    assert not set(groups[mask].tolist()) & set(groups[~mask].tolist())
    for side in (mask, ~mask):
        assert set(labels[side].tolist()) == {0, 1, 2, 3}
    assert 0.1 < mask.float().mean() < 0.3
