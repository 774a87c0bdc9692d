"""Non-maximum suppression: of boxes that overlap, the ones with the best score."""

from __future__ import annotations

import torch
from torch import Tensor

from mlpress.ops.op import op


@op(
    "non_maximum_suppression",
    CoreML5="boxes:T, scores:T, iou_threshold:T const, score_threshold:T const, max_boxes:int32 const, "
    "per_class_suppression:bool const?; T=fp16|fp32",
)
def suppress_rows(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    score_threshold: float,
    max_boxes: int,
    per_class_suppression: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As from iOS 17 on, of boxes [n, B, 4] and scores [n, B, K] whose best score reaches `score_threshold`.

    Returns boxes [n, M, 4], scores [n, M, K], indices [n, M] and int32 numbers of kept boxes [n].
    Where no score reaches the threshold, the best box is kept, so that there is at least one.
    """
    best = scores.amax(2)
    eligible = best >= score_threshold
    if boxes.shape[1] > 0:
        first = torch.zeros_like(eligible).scatter(1, best.argmax(1, keepdim=True), True)
        eligible = eligible | (first & ~eligible.any(1, keepdim=True))
    indices = _select(boxes, scores, eligible, iou_threshold, max_boxes, per_class_suppression)
    kept = (indices >= 0).sum(1).int()
    return _picked(boxes, indices), _picked(scores, indices), indices.int(), kept


@op(
    CoreML7="boxes:T, scores:T, iou_threshold:T const, max_boxes:int32 const, "
    "per_class_suppression:bool const?; T=fp16|fp32"
)
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_boxes: int,
    per_class_suppression: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Takes boxes [n, 4, B] (x and y of the centre, width, height) by falling best score [n, K, B].

    A box is left out if its intersection with one that was taken is more than `iou_threshold` of their union;
    with `per_class_suppression`, if both have their best score in the same class. Returns boxes
    [n, 4, M], scores [n, K, M] and int32 indices [n, M], M = `max_boxes`; behind the last there are zeros and
    indices of -1.
    """
    rows, row_scores = boxes.transpose(1, 2), scores.transpose(1, 2)
    eligible = torch.ones_like(row_scores[..., 0], dtype=torch.bool)
    indices = _select(rows, row_scores, eligible, iou_threshold, max_boxes, per_class_suppression)
    picked = _picked(rows, indices).transpose(1, 2), _picked(row_scores, indices).transpose(1, 2)
    return *picked, indices.int()


def _picked(rows: Tensor, indices: Tensor) -> Tensor:
    """Returns rows[b, indices[b]], and zeros for negative indices."""
    if rows.shape[1] == 0:
        return rows.new_zeros(*indices.shape, rows.shape[2])
    found = rows.gather(1, indices.clamp(min=0).unsqueeze(2).expand(-1, -1, rows.shape[2]))
    return torch.where((indices >= 0).unsqueeze(2), found, torch.zeros_like(found))


def _select(
    boxes: Tensor, scores: Tensor, eligible: Tensor, iou_threshold: float, max_boxes: int, per_class: bool
) -> Tensor:
    best, classes = scores.detach().max(2)
    groups = classes if per_class else torch.zeros_like(classes)
    taken: Tensor = _greedy(boxes.detach(), best, groups, eligible, iou_threshold, max_boxes)
    return taken


@torch.library.custom_op("mlpress::greedy_suppression", mutates_args=())
def _greedy(
    boxes: Tensor, best: Tensor, groups: Tensor, eligible: Tensor, iou_threshold: float, max_boxes: int
) -> Tensor:
    """Returns int64 indices [n, max_boxes] of boxes [n, B, 4]; boxes suppress others of their group only."""
    low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2
    area = boxes[..., 2] * boxes[..., 3]
    batch = torch.arange(boxes.shape[0], device=boxes.device)
    alive = eligible.clone()
    taken = best.new_full((boxes.shape[0], max_boxes), -1, dtype=torch.int64)
    for step in range(min(max_boxes, boxes.shape[1])):
        found = alive.any(1)
        if not found.any():
            break
        chosen = best.masked_fill(~alive, -torch.inf).argmax(1)
        taken[:, step] = torch.where(found, chosen, -1)
        sides = torch.minimum(high, high[batch, chosen].unsqueeze(1)) - torch.maximum(
            low, low[batch, chosen].unsqueeze(1)
        )
        shared = sides.clamp(min=0).prod(2)
        union = area + area[batch, chosen].unsqueeze(1) - shared
        alive &= ~((shared > iou_threshold * union) & (groups == groups[batch, chosen].unsqueeze(1)))
        alive[batch, chosen] = False
    return taken


@_greedy.register_fake
def _(
    boxes: Tensor, best: Tensor, groups: Tensor, eligible: Tensor, iou_threshold: float, max_boxes: int
) -> Tensor:
    return best.new_empty((boxes.shape[0], max_boxes), dtype=torch.int64)
