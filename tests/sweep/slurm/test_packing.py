"""Trials into jobs, jobs into arrays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.launch.slurm.packing import Limits, pack


def ids(number):
    return [f"t{n}" for n in range(number)]


def shape(packing):
    return [len(p) for p in packing.packs], list(packing.arrays), packing.left


def test_a_job_has_one_trial_for_each_that_runs_side_by_side():
    assert shape(pack(ids(10), 4, Limits())) == ([4, 4, 2], [(0, 3, 3)], 0)


def test_jobs_grow_by_whole_rounds_until_they_fit_what_may_be_submitted():
    packing = pack(ids(10), 2, Limits(room=3))
    assert shape(packing) == ([4, 4, 2], [(0, 3, 3)], 0)


def test_what_was_asked_for_holds_and_what_does_not_fit_is_left():
    packing = pack(ids(10), 1, Limits(room=3), trials_per_job=2)
    assert shape(packing) == ([2, 2, 2], [(0, 3, 3)], 4)


def test_without_room_everything_is_left():
    assert shape(pack(ids(3), 1, Limits(room=0))) == ([], [], 3)


def test_more_jobs_than_an_array_may_have_are_several_arrays_of_even_sizes():
    packing = pack(ids(2500), 1, Limits(array_size=1001))
    assert packing.arrays == ((0, 833, 833), (833, 833, 833), (1666, 834, 834))


def test_jobs_at_a_time_are_shared_over_the_arrays():
    packing = pack(ids(25), 1, Limits(array_size=10), parallel=4)
    assert [k for _, _, k in packing.arrays] == [1, 1, 2]


def test_with_fewer_jobs_at_a_time_than_arrays_jobs_grow():
    packing = pack(ids(25), 1, Limits(array_size=10), parallel=2)
    assert shape(packing)[1:] == ([(0, 6, 1), (6, 7, 1)], 0)
    packing = pack(ids(25), 1, Limits(array_size=10), trials_per_job=1, parallel=2)
    assert shape(packing)[1:] == ([(0, 10, 1), (10, 10, 1)], 5)


@given(
    number=st.integers(0, 300),
    together=st.integers(1, 9),
    size=st.integers(1, 40),
    room=st.none() | st.integers(0, 200),
    asked=st.none() | st.integers(1, 20),
    parallel=st.none() | st.integers(1, 12),
)
def test_whatever_the_limits_they_hold_and_no_trial_is_lost(number, together, size, room, asked, parallel):
    packing = pack(ids(number), together, Limits(size, room), asked, parallel)
    placed = [trial for one in packing.packs for trial in one]
    assert placed == ids(number)[: len(placed)]
    assert len(placed) + packing.left == number
    assert all(packing.packs)
    assert room is None or len(packing.packs) <= room
    assert sum(count for _, count, _ in packing.arrays) == len(packing.packs)
    assert all(first == sum(c for _, c, _ in packing.arrays[:n]) for n, (first, _, _) in enumerate(packing.arrays))
    assert all(1 <= k <= count <= size for _, count, k in packing.arrays)
    assert parallel is None or sum(k for _, _, k in packing.arrays) <= parallel
    if asked is None and room != 0:
        assert not packing.left


@pytest.mark.parametrize("asked", [None, 3])
def test_nothing_to_pack(asked):
    assert shape(pack([], 2, Limits(), asked)) == ([], [], 0)
