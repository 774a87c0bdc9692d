"""Example calls: images, recurrent layers, random tensors, scatter and gather, tensors, shapes, lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mlpress.mil import Opset
from tests.torch.ops.example import Example
from tests.torch.ops.examples_a import floats, integers

_F16: Final = np.float16
_F32: Final = np.float32
_I32: Final = np.int32
_SAMPLING: Final = ("ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "STRICT_ALIGN_CORNERS", "UNALIGN_CORNERS")


def _images() -> Iterator[Example]:
    x = floats(1, 2, 5, 7)
    yield Example("crop", {"x": x, "crop_height": [1, 2], "crop_width": [0, 3]})
    for mode in _SAMPLING:
        sizes = {"target_size_height": 3, "target_size_width": 9, "sampling_mode": mode}
        yield Example("resize_bilinear", {"x": x, **sizes}, note=mode)
        for kind in ("LINEAR", "NEAREST_NEIGHBOR"):
            modes = {"interpolation_mode": kind, "sampling_mode": mode}
            resized = {"x": x, "shape": [1, 8, 0], "resized_dims": 2, **modes}
            yield Example("resize", resized, Opset.CoreML7, f"{kind}, {mode}")
    whole = {"x": integers(2, 3, 4), "shape": [5, 8], "resized_dims": 1}
    yield Example("resize", whole, Opset.CoreML7, "int32")
    yield Example("resize_bilinear", {"x": x.astype(_F16)}, note="float16, to one element")
    yield Example("resize_nearest_neighbor", {"x": x, "target_size_height": 3, "target_size_width": 9})
    scales = {"scale_factor_height": 2, "scale_factor_width": _F32(2.6)}
    yield Example("upsample_nearest_neighbor", {"x": x, **scales})
    yield Example("upsample_nearest_neighbor", {"x": x[0], "scale_factor_width": 3}, note="rank 3")
    yield Example("upsample_bilinear", {"x": x, **scales})
    yield Example(
        "upsample_bilinear", {"x": x.astype(_F16), **scales, "align_corners": False}, note="float16"
    )
    default = {**scales, "align_corners": False, "half_pixel_centers": False}
    yield Example("upsample_bilinear", {"x": x, **default}, Opset.CoreML6)


def _samples() -> Iterator[Example]:
    x = floats(2, 3, 4, 5)
    fixed: dict[str, Any] = {
        "sampling_mode": "bilinear",
        "padding_mode": "constant",
        "padding_value": _F32(0),
        "coordinates_mode": "normalized_minus_one_to_one",
        "align_corners": True,
    }
    matrix = {"transform_matrix": floats(1, 6), "output_height": 3, "output_width": 6}
    yield Example("affine", {"x": x, **matrix, **fixed})
    at = {"x": x, "coordinates": floats(2, 3, 6, 2)}
    yield Example("resample", {**at, **fixed, "padding_value": _F32(0.5)})
    yield Example("resample", {**at, **fixed, "padding_mode": "symmetric"}, note="symmetric")
    half = {"x": x.astype(_F16), "coordinates": floats(2, 3, 6, 2, dtype=_F16)}
    yield Example(
        "resample",
        {**half, **fixed, "padding_value": _F16(0), "sampling_mode": "nearest"},
        Opset.CoreML6,
        "float16",
    )
    places = {"x": x, "coordinates": integers(2, 3, 6, 2, low=0, high=3, dtype=np.uint16)}
    yield Example(
        "resample", {**places, **fixed, "coordinates_mode": "unnormalized"}, Opset.CoreML7, "uint16"
    )
    size = {"target_height": 2, "target_width": 3}
    boxes = np.array([[0, 1, 2, 3], [1.5, 0, 3, 4.5]], _F32)
    rois = boxes.reshape(2, 1, 4, 1, 1)
    yield Example("crop_resize", {"x": x, "roi": rois, **size, "sampling_mode": "ALIGN_CORNERS"})
    indexed = np.concatenate([np.ones((2, 1, 1, 1, 1), _F32), rois], 2)
    yield Example("crop_resize", {"x": x, "roi": indexed, **size, "pad_value": _F32(3)}, Opset.CoreML6)
    yield Example("crop_resize", {"x": x.astype(_F16), "boxes": boxes, **size}, Opset.CoreML7)
    named = {"boxes": boxes.astype(np.uint16), "box_indices": np.array([1, 1], np.uint16)}
    yield Example("crop_resize", {"x": x, **named, **size}, Opset.CoreML7, "uint16")


def _recurrent() -> Iterator[Example]:
    for steps, dtype, opset in ((3, _F32, Opset.CoreML5), (9, _F16, Opset.CoreML7)):
        x, state = floats(steps, 2, 3, dtype=dtype), floats(2, 4, dtype=dtype)
        for op, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
            weights = {
                "weight_ih": floats(gates * 4, 3, dtype=dtype),
                "weight_hh": floats(gates * 4, 4, dtype=dtype),
                "bias": floats(gates * 4, dtype=dtype),
            }
            start = {"initial_h": state, "initial_c": state} if op == "lstm" else {"initial_h": state}
            call = {"x": x, **start, **weights}
            note = f"{steps} steps"
            yield Example(op, call, opset, note)
            yield Example(
                op, {**call, "direction": "reverse", "output_sequence": True}, opset, f"reverse, {note}"
            )
            if op == "gru":
                yield Example(op, call, Opset.CoreML8, f"reset before, {note}")
                after = {"reset_after": True, "input_bias": floats(12, dtype=dtype)}
                yield Example(op, {**call, **after}, Opset.CoreML8, f"reset after, {note}")
        double = {"initial_h": floats(2, 8, dtype=dtype), "initial_c": floats(2, 8, dtype=dtype)}
        back = {"weight_ih_back": weights["weight_ih"], "weight_hh_back": weights["weight_hh"]}
        both = {**call, **double, **back, "direction": "bidirectional"}
        yield Example("lstm", both, opset, f"bidirectional, {steps} steps")
        peep = {"peephole": floats(12, dtype=dtype), "clip": dtype(0.5)}
        yield Example("lstm", {**call, **peep}, opset, f"peephole, {steps} steps")


def _random() -> Iterator[Example]:
    yield Example("random_bernoulli", {"shape": [2, 3], "seed": 1})
    yield Example("random_bernoulli", {"shape": [2, 3], "prob": _F16(0.2)}, note="float16")
    yield Example("random_categorical", {"x": floats(2, 5), "size": 3})
    yield Example("random_categorical", {"x": floats(5, low=0), "mode": "probs", "seed": 3}, note="probs")
    yield Example("random_normal", {"shape": [2, 3], "mean": _F16(1), "stddev": _F16(2)})
    yield Example("random_uniform", {"shape": [4], "low": _F32(-1)})


def _gathers() -> Iterator[Example]:
    x, places = floats(2, 4, 5), np.array([[0, -1, 2], [1, 1, 3]], _I32)
    unsigned, small = (places % 4).astype(np.uint16), (places % 4).astype(np.uint8)
    yield Example("gather", {"x": x, "indices": places, "axis": 1})
    yield Example("gather", {"x": x, "indices": _I32(1)}, note="scalar")
    yield Example("gather", {"x": x, "indices": unsigned, "axis": 2, "batch_dims": 1}, Opset.CoreML6)
    bytes_ = {"x": integers(4, 2, low=0, dtype=np.uint16), "indices": small, "validate_indices": True}
    yield Example("gather", bytes_, Opset.CoreML7)
    along = integers(2, 3, 5, low=-4, high=3)
    yield Example("gather_along_axis", {"x": x, "indices": along, "axis": 1})
    yield Example("gather_along_axis", {"x": x, "indices": along.astype(np.int16), "axis": -2}, Opset.CoreML6)
    words = {"x": integers(4, 3, low=0, dtype=np.uint16), "indices": small.T.copy()[:2].repeat(2, 1)[:, :3]}
    yield Example("gather_along_axis", words, Opset.CoreML7)
    pairs = np.array([[0, 1], [1, -1], [1, 3]], _I32)
    yield Example("gather_nd", {"x": x, "indices": pairs})
    yield Example("gather_nd", {"x": x, "indices": pairs[:2] % 4, "batch_dims": 1}, Opset.CoreML6)
    yield Example("gather_nd", {"x": x, "indices": (pairs % 2).astype(np.int8)}, Opset.CoreML7)


def _scatters() -> Iterator[Example]:
    data, whole = floats(4, 3), integers(4, 3)
    rows, repeated = np.array([2, 0], _I32), np.array([1, 1, -1], _I32)
    for mode in ("add", "div", "max", "min", "mul", "sub", "update"):
        by_row = {"indices": rows, "updates": floats(2, 3, low=0.5), "mode": mode}
        yield Example("scatter", {"data": data, **by_row}, note=mode)
        places = {"indices": integers(2, 3, low=0, high=0) + rows[:, None], "updates": floats(2, 3, low=0.5)}
        yield Example("scatter_along_axis", {"data": data, **places, "mode": mode}, note=mode)
        at = np.array([[0, 1], [3, 2]], _I32)
        yield Example(
            "scatter_nd",
            {"data": data, "indices": at, "updates": floats(2, low=0.5), "mode": mode},
            note=mode,
        )
    columns = {"data": whole, "indices": repeated, "updates": integers(4, 3, low=1), "axis": 1}
    yield Example("scatter", {**columns, "mode": "mul"}, Opset.CoreML7, "int32")
    along = {"data": whole, "indices": integers(2, 3, low=0, high=3), "updates": integers(2, 3)}
    yield Example("scatter_along_axis", along, Opset.CoreML7, "int32")
    slices = {"data": whole, "indices": rows[:, None], "updates": integers(2, 3)}
    yield Example("scatter_nd", {**slices, "validate_indices": True}, Opset.CoreML7, "int32")


def _tensors() -> Iterator[Example]:
    x, whole = floats(3, 4), integers(3, 4)
    flags = whole > 0
    yield Example("identity", {"x": x})
    yield Example("shape", {"x": x})
    yield Example("shape", {"x": _F32(1)}, note="scalar")
    yield Example("concat", {"values": (x, x + 1), "axis": -1})
    yield Example("concat", {"values": (x, x + 1, x), "axis": 0, "interleave": True}, note="interleave")
    yield Example("concat", {"values": (_I32(1), _I32(2)), "axis": 0}, note="scalars")
    yield Example("stack", {"values": (flags, ~flags), "axis": -1})
    yield Example("split", {"x": x, "num_splits": 2, "axis": 1})
    yield Example("split", {"x": whole, "num_splits": 2, "split_sizes": [1, 3], "axis": -1}, note="sizes")
    yield Example("tile", {"x": flags, "reps": [2, 3]})
    yield Example("fill", {"shape": [2, 3]})
    yield Example("fill", {"shape": [2], "value": np.bool_(True)}, note="bool")
    yield Example("fill_like", {"ref_tensor": x, "value": _I32(7)}, Opset.CoreML6)
    yield Example("range_1d", {"start": _I32(2), "end": _I32(9), "step": _I32(3)})
    yield Example("range_1d", {"start": _F16(2), "end": _F16(1), "step": _F16(-0.3)}, note="float16, down")
    yield Example(
        "one_hot", {"indices": whole, "one_hot_vector_size": 5, "on_value": _F32(2), "off_value": _F32(1)}
    )
    yield Example(
        "one_hot",
        {"indices": _I32(2), "one_hot_vector_size": 4, "axis": 0, "on_value": _I32(1)},
        note="int32",
    )
    yield Example("non_zero", {"x": flags})
    yield Example("band_part", {"x": x, "lower": 0, "upper": 1})
    yield Example("band_part", {"x": flags, "upper": 0}, note="bool")
    for exclusive in (False, True):
        for reverse in (False, True):
            sums = {"axis": 1, "exclusive": exclusive, "reverse": reverse}
            yield Example("cumsum", {"x": x, **sums}, note=f"exclusive={exclusive}, reverse={reverse}")
    yield Example("cumsum", {"x": whole}, note="int32")
    yield Example("pad", {"x": x.astype(_F16), "pad": [1, 0, 0, 2], "constant_val": _F16(3)}, note="float16")
    for mode in ("constant", "reflect", "replicate"):
        yield Example("pad", {"x": floats(2, 3, 4), "pad": [2, 1, 0, 3], "mode": mode}, note=mode)
    yield Example("flatten2d", {"x": floats(2, 3, 4), "axis": -1})
    for cond in (flags, flags[:, :1]):
        yield Example("select", {"cond": cond, "a": x, "b": x[:1] + 10}, note=f"shape {cond.shape}")


def _ordered() -> Iterator[Example]:
    x, whole = floats(3, 5), integers(3, 5, high=99)
    yield Example("argsort", {"x": x})
    yield Example("argsort", {"x": whole, "axis": 0, "ascending": True}, note="int32")
    yield Example("topk", {"x": x, "k": 2})
    yield Example("topk", {"x": whole, "k": 3, "axis": 0, "ascending": True}, Opset.CoreML6, "int32")
    yield Example("topk", {"x": x, "k": 2, "return_indices": False}, Opset.CoreML6, "values only")
    unsigned = np.array([[5, 60000, 7], [9, 1, 2]], np.uint16)
    yield Example("topk", {"x": unsigned, "k": 2, "output_indices_dtype": "uint16"}, Opset.CoreML7, "uint16")
    yield Example("topk", {"x": x, "k": -1}, Opset.CoreML7, "all")
    boxes = np.array([[[0, 0, 2, 2], [0.1, 0, 2, 2], [5, 5, 1, 1]]], _F32)
    scores = np.array([[[0.9, 0.1], [0.3, 0.8], [0.5, 0.2]]], _F32)
    suppressed = {"boxes": boxes, "scores": scores, "iou_threshold": _F32(0.5), "score_threshold": _F32(0.4)}
    yield Example("non_maximum_suppression", {**suppressed, "max_boxes": 3})
    turned = {"boxes": boxes.swapaxes(1, 2).astype(_F16), "scores": scores.swapaxes(1, 2).astype(_F16)}
    limits = {"iou_threshold": _F16(0.5), "max_boxes": 4, "per_class_suppression": True}
    yield Example("non_maximum_suppression", {**turned, **limits}, Opset.CoreML7)


def _shapes() -> Iterator[Example]:
    x = floats(2, 3, 4)
    words = integers(2, 3, 4, low=0, dtype=np.uint16)
    for opset, y in ((Opset.CoreML5, x), (Opset.CoreML7, words)):
        yield Example("expand_dims", {"x": y, "axes": [0, -1]}, opset)
        yield Example("squeeze", {"x": y[:, :1], "axes": [-2]}, opset)
        yield Example("squeeze", {"x": y[:, :1], "axes": [1, 2]}, opset, "one axis of size 1")
        yield Example("squeeze", {"x": y[:1, :, :1]}, opset, "all")
        yield Example("reshape", {"x": y, "shape": [0, -1, 2]}, opset)
        yield Example("transpose", {"x": y, "perm": [2, 0, -2]}, opset)
        yield Example("reverse", {"x": y, "axes": [0, -1]}, opset)
        yield Example("reverse", {"x": y}, opset, "all axes")
        lengths = np.array([1, 3], _I32 if opset is Opset.CoreML5 else np.int8)
        yield Example("reverse_sequence", {"x": y, "lengths": lengths, "seq_axis": 2}, opset)
        yield Example("sliding_windows", {"x": y, "axis": -1, "size": 2, "stride": 2}, opset)
        yield Example("slice_by_size", {"x": y, "begin": [0, -2, 1], "size": [-1, 1, 2]}, opset)
        bounds = {
            "begin": [0, -1, 1],
            "end": [2, -3, 0],
            "stride": [1, -2, 2],
            "end_mask": [False, False, True],
        }
        yield Example("slice_by_index", {"x": y, **bounds}, opset)
        squeezed = {
            "begin": [1, 2, 3],
            "end": [0, 0, 0],
            "stride": [1, -1, 1],
            "squeeze_mask": [True, False, True],
        }
        yield Example(
            "slice_by_index", {"x": y, **squeezed, "end_mask": [False, True, False]}, opset, "squeezed"
        )
    yield Example("reshape", {"x": x, "shape": [0, 0, -1, 0]}, Opset.CoreML7, "zeros from the right")
    window = {"begin": [0, 0, 1], "end": [2, 3, 4], "stride": [1, 2, -1]}
    window |= {"begin_mask": [False, False, True], "end_mask": [False, False, False]}
    yield Example("slice_update", {"x": x, "update": floats(2, 2, 0), **window}, Opset.CoreML8, "nothing")
    window["end"] = [2, 3, 1]
    yield Example("slice_update", {"x": x, "update": floats(2, 2, 2), **window}, Opset.CoreML8)
    like = {
        "ref_tensors": (floats(6, 1), floats(2, 2)),
        "begins": [0, 0],
        "ends": [1, 0],
        "end_masks": [False, True],
    }
    for opset in (Opset.CoreML6, Opset.CoreML7):
        yield Example("reshape_like", {"x": x, **like}, opset)


def _blocks() -> Iterator[Example]:
    x = floats(1, 8, 4, 6)
    yield Example("depth_to_space", {"x": x, "block_size": 2})
    yield Example("space_to_depth", {"x": x, "block_size": 2})
    yield Example("pixel_shuffle", {"x": x, "upscale_factor": 2})
    yield Example("pixel_unshuffle", {"x": x, "downscale_factor": 2}, Opset.CoreML6)
    blocks = np.array([2, 3], _I32)
    yield Example(
        "space_to_batch", {"x": x, "block_shape": blocks, "paddings": np.array([[1, 1], [0, 3]], _I32)}
    )
    batch = floats(6, 1, 2, 3)
    yield Example(
        "batch_to_space", {"x": batch, "block_shape": blocks, "crops": np.array([[0, 1], [2, 0]], _I32)}
    )


def _lists() -> Iterator[Example]:
    elements = tuple(floats(2, 3) + index for index in range(3))
    yield Example("make_list", {"elem_shape": [2, 3], "init_length": 4, "dtype": "fp16"})
    yield Example("list_length", {"ls": elements})
    yield Example("list_read", {"ls": elements, "index": 2})
    yield Example("list_write", {"ls": elements, "index": 4, "value": floats(2, 3)})
    yield Example("list_gather", {"ls": elements, "indices": [2, 0]})
    yield Example("list_scatter", {"ls": elements, "indices": [2, 0], "value": floats(2, 2, 3)})


EXAMPLES: Final = (
    *_images(),
    *_samples(),
    *_recurrent(),
    *_random(),
    *_gathers(),
    *_scatters(),
    *_tensors(),
    *_ordered(),
    *_shapes(),
    *_blocks(),
    *_lists(),
)
