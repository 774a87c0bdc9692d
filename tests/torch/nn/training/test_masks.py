"""Pruning masks and schedules, on weights small enough to check by eye."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mlpress.errors import NotApplicableError, RecipeError
from mlpress.nn.training.masks import magnitude_mask, n_m_mask
from mlpress.nn.training.schedules import ConstantSparsityScheduler, PolynomialDecayScheduler

ENDS = SimpleNamespace(initial_sparsity=0.1, target_sparsity=0.9)


def test_the_smallest_go_first() -> None:
    weight = torch.tensor([[0.3, -0.2], [-0.01, 0.05]])
    assert magnitude_mask(weight, 0.75).tolist() == [[True, False], [False, False]]
    assert magnitude_mask(weight, 0.0).all()
    assert not magnitude_mask(weight, 1.0).any()


def test_blocks_go_by_their_norm() -> None:
    weight = torch.tensor([[1.0, 3], [-6, -7], [0, 3], [-9, 2]])
    mask = magnitude_mask(weight, 0.5, block_size=2)
    assert (weight * mask).tolist() == [[0, 3], [0, -7], [0, 0], [-9, 0]]


def test_a_last_block_may_be_short() -> None:
    mask = magnitude_mask(torch.tensor([[1.0], [1], [5], [5], [4]]), 0.5, block_size=2)
    assert mask[:, 0].tolist() == [False, False, True, True, True]


def test_a_block_is_at_most_half_of_the_channels() -> None:
    with pytest.raises(NotApplicableError, match="block_size is 3, more than half of the 4 channels"):
        magnitude_mask(torch.ones(4, 2), 0.5, block_size=3)


def test_channels_and_kernels_go_by_their_norms() -> None:
    weight = torch.tensor([[[[2.0, -1]], [[-3, 2]]], [[[5, -2]], [[-1, -3]]]])
    by_channel = weight * magnitude_mask(weight, 0.5, "per_channel")
    assert by_channel.flatten().tolist() == [0, 0, 0, 0, 5, -2, -1, -3]
    by_kernel = weight * magnitude_mask(weight, 0.5, "per_kernel")
    assert by_kernel.flatten().tolist() == [0, 0, -3, 2, 5, -2, 0, 0]


def test_n_of_each_m_go() -> None:
    weight = torch.tensor([[3.0, 4, 7, 6], [1, 8, -3, -8], [-2, -3, -4, 0], [5, 4, -3, -2]])
    assert (weight * n_m_mask(weight, 1, 2)).tolist() == [
        [0, 4, 7, 0],
        [0, 8, 0, -8],
        [0, -3, -4, 0],
        [5, 0, -3, 0],
    ]
    along_outputs = n_m_mask(weight, 3, 4, dim=0)
    assert along_outputs.sum(0).tolist() == [1, 1, 1, 1]


def test_a_last_group_is_completed_with_zeros() -> None:
    assert n_m_mask(torch.tensor([[1.0, 2, 3, 4, 5]]), 1, 2).tolist() == [[False, True, False, True, True]]


def test_a_polynomial_schedule_moves_at_its_steps_only() -> None:
    schedule = PolynomialDecayScheduler("range(2, 9, 2)")
    seen, sparsity = [], 0.1
    for step in range(1, 10):
        sparsity = schedule.compute_sparsity(step, sparsity, ENDS)
        seen.append(sparsity)
    expected = [0.9 + (0.1 - 0.9) * (1 - t) ** 3 for t in (0, 1 / 3, 2 / 3, 1)]
    assert seen == pytest.approx([0.1, *(each for each in expected for _ in range(2))])


@pytest.mark.parametrize("steps", [[1, 5], (1, 5), torch.tensor([1, 5]), range(1, 6, 4)], ids=repr)
def test_steps_are_given_in_many_forms(steps: object) -> None:
    assert PolynomialDecayScheduler(steps) == PolynomialDecayScheduler("range(1, 6, 4)")


def test_a_constant_schedule_jumps() -> None:
    schedule = ConstantSparsityScheduler(begin_step=3)
    assert [schedule.compute_sparsity(step, 0.1, ENDS) for step in (1, 2, 3, 4)] == [0.1, 0.1, 0.9, 0.9]


@pytest.mark.parametrize("steps", ["3", "range(1, 2", "__import__('os')", [], [1.5], [-1], 4])
def test_steps_that_are_none_are_refused(steps: object) -> None:
    with pytest.raises(RecipeError, match="update_steps"):
        PolynomialDecayScheduler(steps)
