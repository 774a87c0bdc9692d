"""Non-maximum suppression against the textbook loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress.ops.nms import non_maximum_suppression, suppress_rows

Array = np.ndarray[Any, Any]


def overlap(a: Array, b: Array) -> float:
    """Returns the intersection of two boxes (x, y, width, height) over their union."""
    sides = [
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
        for i in (0, 1)
    ]
    shared = max(sides[0], 0) * max(sides[1], 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def kept(boxes: Array, scores: Array, iou: float, limit: int, per_class: bool, least: float) -> list[int]:
    best, classes = scores.max(1), scores.argmax(1)
    taken: list[int] = []
    for candidate in np.argsort(-best):
        rivals = [i for i in taken if classes[i] == classes[candidate] or not per_class]
        if best[candidate] >= least and all(overlap(boxes[i], boxes[candidate]) <= iou for i in rivals):
            taken.append(int(candidate))
    return (taken or [int(best.argmax())])[:limit]


def problem(seed: int, batch: int, count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0, 2, (batch, count, 2)), rng.uniform(0.5, 2, (batch, count, 2))], 2)
    scores = rng.uniform(0, 1, (batch, count, classes))
    return torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(scores.astype(np.float32))


problems = st.builds(problem, st.integers(0, 999), st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))


@given(problems, st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(1, 15), st.booleans())
@settings(max_examples=60, deadline=None)
def test_ios17_takes_the_best_that_do_not_overlap(
    given: tuple[torch.Tensor, torch.Tensor], iou: float, limit: int, per_class: bool
) -> None:
    boxes, scores = given
    results = non_maximum_suppression(boxes.transpose(1, 2), scores.transpose(1, 2), iou, limit, per_class)
    assert [r.dtype for r in results] == [torch.float32, torch.float32, torch.int32]
    for b, (ours, our_scores, indices) in enumerate(zip(*results, strict=True)):
        ids = kept(boxes[b].numpy(), scores[b].numpy(), iou, limit, per_class, -1)
        assert indices.tolist() == ids + [-1] * (limit - len(ids))
        assert torch.equal(ours[:, : len(ids)], boxes[b, ids].T)
        assert torch.equal(our_scores[:, : len(ids)], scores[b, ids].T)
        assert not ours[:, len(ids) :].any() and not our_scores[:, len(ids) :].any()


@given(
    problems,
    st.sampled_from([0.1, 0.5]),
    st.sampled_from([0.0, 0.5, 0.9, 2.0]),
    st.integers(1, 15),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_ios15_has_a_least_score_and_counts(
    given: tuple[torch.Tensor, torch.Tensor], iou: float, least: float, limit: int, per_class: bool
) -> None:
    boxes, scores = given
    ours, our_scores, indices, counts = suppress_rows(boxes, scores, iou, least, limit, per_class)
    assert counts.dtype == torch.int32
    for b in range(len(boxes)):
        ids = kept(boxes[b].numpy(), scores[b].numpy(), iou, limit, per_class, least)
        assert counts[b] == len(ids)
        assert indices[b].tolist() == ids + [-1] * (limit - len(ids))
        assert torch.equal(ours[b, : len(ids)], boxes[b, ids])
        assert torch.equal(our_scores[b, : len(ids)], scores[b, ids])


def test_no_boxes_at_all() -> None:
    boxes, scores, indices = non_maximum_suppression(torch.zeros(1, 4, 0), torch.zeros(1, 2, 0), 0.5, 2)
    assert boxes.tolist() == [[[0, 0]] * 4]
    assert scores.tolist() == [[[0, 0]] * 2]
    assert indices.tolist() == [[-1, -1]]


def test_boxes_and_scores_that_were_kept_have_gradients() -> None:
    boxes, scores = problem(0, 1, 4, 2)
    boxes.requires_grad_()
    ours, _, indices, _ = suppress_rows(boxes, scores, 0.5, 0.0, 1)
    ours.sum().backward()
    expected = torch.zeros(1, 4, 4)
    expected[0, indices[0, 0]] = 1
    assert torch.equal(boxes.grad, expected)
