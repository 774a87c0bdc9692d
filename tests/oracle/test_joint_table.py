"""Where coremltools 9 fails, drops a stage in silence or spoils a weight: here it works, or says why not.

`test_compression_grid` compares whole chains; these are the cases one by one, on one weight.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as peer
import numpy as np
import pytest

import mlpress.optimize.coreml as ours
from mlpress.encoding import Affine, Dense, Encoding, Lut, Scatter, Sparse, decode
from mlpress.errors import LegalityError
from mlpress.models import MLModel
from mlpress.passes import Row, weights
from tests.oracle.cases import Step, palettize, prune, quantize
from tests.oracle.chains import chains, decoded_here, decoded_there
from tests.oracle.models import build_conv, build_linear

JOINT_TARGETS = pytest.mark.parametrize("target", ["iOS18", "iOS26"])
PER_TENSOR = {"granularity": "per_tensor"}
SCALED = {"enable_per_channel_scale": True}


def values(shape: tuple[int, ...] = (128, 64), largest: float = 1.0) -> np.ndarray:
    """A float16 weight whose largest magnitude is as given, and which has both signs."""
    random = np.random.default_rng(0).standard_normal(shape).clip(-3, 3)
    random.reshape(-1)[:2] = -3, 3
    return (random / 3 * largest).astype(np.float16)


def model(shape: tuple[int, ...] = (128, 64), target: str = "iOS18", largest: float = 1.0) -> Any:
    make = build_linear if len(shape) == 2 else build_conv
    return make(values(shape, largest), target)


def compress(mlmodel: Any, *steps: Step) -> MLModel:
    for number, step in enumerate(steps):
        mlmodel = step.run(ours, mlmodel, joint=number > 0)
    return mlmodel


def encoding(mlmodel: Any) -> Encoding:
    (found,) = (
        weight.encoding for weight in weights(MLModel(mlmodel).program) if len(weight.encoding.shape) > 1
    )
    return found


def row(mlmodel: MLModel) -> Row:
    assert mlmodel.compression_report is not None
    (found,) = (found for found in mlmodel.compression_report if len(found.shape) > 1)
    return found


def chain(mlmodel: MLModel) -> list[str]:
    """Types of the constexpr operators of the only weight, in the order of a file."""
    (text,) = chains(mlmodel.get_spec()).values()
    return re.findall(r"(\w+)\(", text)


def read_back(mlmodel: MLModel, folder: Path) -> None:
    """Asserts that coremltools loads the saved package and decodes it to our values."""
    mlmodel.save(folder / "model.mlpackage")
    loaded = ct.models.MLModel(str(folder / "model.mlpackage"), skip_model_load=True)
    here, there = decoded_here(mlmodel), decoded_there(peer.decompress_weights(loaded))
    assert set(here) == set(there)
    for key, expected in here.items():
        np.testing.assert_array_equal(there[key], expected)


def order(steps: tuple[Step, ...]) -> str:
    """Names of techniques, as the name of a test."""
    return ", ".join(step.technique for step in steps)


PRUNE, PALETTIZE, QUANTIZE = prune(), palettize(), quantize(**PER_TENSOR)


@JOINT_TARGETS
@pytest.mark.parametrize("shape", [(128, 64), (64, 8, 3, 3)])
@pytest.mark.parametrize("steps", list(itertools.permutations([PRUNE, PALETTIZE, QUANTIZE])), ids=order)
def test_all_three_in_any_order(
    steps: tuple[Step, ...], shape: tuple[int, ...], target: str, tmp_path: Path
) -> None:
    joint = compress(model(shape, target), *steps)
    assert row(joint).status == "compressed"
    assert set(chain(joint)) == {"sparse_to_dense", "lut_to_sparse", "blockwise_shift_scale"}
    assert re.match("sparse 7.% · 4-bit palette · int8 table", row(joint).after)
    read_back(joint, tmp_path)


@JOINT_TARGETS
@pytest.mark.parametrize("shape", [(128, 64), (64, 8, 3, 3)])
def test_palettize_then_quantize_works_for_weights_of_any_rank(
    shape: tuple[int, ...], target: str, tmp_path: Path
) -> None:
    joint = compress(model(shape, target), PALETTIZE, QUANTIZE)
    expected = ["lut_to_dense", "blockwise_shift_scale"]
    assert chain(joint) == (expected if target == "iOS18" else expected[::-1])
    read_back(joint, tmp_path)


@JOINT_TARGETS
@pytest.mark.parametrize("shape", [(128, 64), (64, 8, 3, 3)])
def test_tables_of_vectors_can_be_quantized(shape: tuple[int, ...], target: str, tmp_path: Path) -> None:
    joint = compress(model(shape, target), palettize(cluster_dim=2), QUANTIZE)
    found = encoding(joint)
    lut = found.data if isinstance(found, Affine) else found
    assert isinstance(lut, Lut)
    assert (lut.vector_axis, lut.vector_size) == (0, 2)
    read_back(joint, tmp_path)


@JOINT_TARGETS
@pytest.mark.parametrize("granularity", ["per_channel", "per_block"])
def test_a_table_has_no_channels_to_quantize_by(granularity: str, target: str) -> None:
    joint = compress(model(target=target), PALETTIZE, quantize(granularity=granularity))
    assert row(joint).status == "skipped"
    assert "its table takes one scale (granularity per_tensor)" in row(joint).reason


@JOINT_TARGETS
def test_quantize_int4_then_palettize(target: str, tmp_path: Path) -> None:
    joint = compress(model(target=target), quantize("int4"), palettize(2))
    assert row(joint).status == "compressed"
    assert "int8 table" in row(joint).after  # a table cannot hold int4
    read_back(joint, tmp_path)


@JOINT_TARGETS
@pytest.mark.parametrize(
    "steps", [(PRUNE, palettize(cluster_dim=2)), (palettize(cluster_dim=2), PRUNE)], ids=order
)
def test_vectors_and_single_pruned_weights_exclude_each_other(steps: tuple[Step, ...], target: str) -> None:
    joint = compress(model(target=target), *steps)
    assert row(joint).status == "skipped"
    assert "cuts through vectors of 2 along axis 0" in row(joint).reason
    assert "prune with block_size=2, dim=0" in row(joint).reason


@JOINT_TARGETS
@pytest.mark.parametrize("last", ["prune", "palettize"])
def test_vectors_and_blocks_of_the_same_size_go_together(last: str, target: str, tmp_path: Path) -> None:
    steps = [
        prune(0.5, block_size=2, dim=0, op_types=("linear",)),
        palettize(cluster_dim=2, op_types=("linear",)),
    ]
    joint = compress(model(target=target), *(steps if last == "palettize" else steps[::-1]))
    assert row(joint).status == "compressed"
    assert set(chain(joint)) == {"sparse_to_dense", "lut_to_sparse"}
    read_back(joint, tmp_path)


@JOINT_TARGETS
def test_a_scale_per_channel_and_a_quantized_table(target: str, tmp_path: Path) -> None:
    joint = compress(model(target=target), palettize(**SCALED), QUANTIZE)
    assert row(joint).status == "compressed"
    found = encoding(joint)
    assert isinstance(found, Affine)
    assert isinstance(found.data, Lut)
    assert (found.data.table.dtype.name, found.scale.shape) == ("int8", (128, 1))
    read_back(joint, tmp_path)


@JOINT_TARGETS
@pytest.mark.parametrize("steps", [(PRUNE, palettize(**SCALED)), (palettize(**SCALED), PRUNE)], ids=order)
def test_a_scale_per_channel_and_pruning(steps: tuple[Step, ...], target: str, tmp_path: Path) -> None:
    joint = compress(model((64, 256), target), *steps)
    assert row(joint).status == "compressed"
    assert np.count_nonzero(decode(encoding(joint))) == pytest.approx(64 * 256 / 4, rel=0.1)
    read_back(joint, tmp_path)


@JOINT_TARGETS
def test_a_scale_per_channel_and_vectors_are_refused(target: str) -> None:
    left = compress(model(target=target), palettize(cluster_dim=2, **SCALED))
    assert row(left).reason == "palettize: a scale per channel goes with mode 'kmeans' and cluster_dim 1"


# What coremltools spoils without a word.


@JOINT_TARGETS
@pytest.mark.parametrize("shape", [(128, 64), (64, 8, 3, 3)])
def test_a_scale_per_channel_is_one_scale_per_output_channel(shape: tuple[int, ...], target: str) -> None:
    scaled = compress(model(shape, target), palettize(**SCALED))
    found = encoding(scaled)
    scale = found.scale if isinstance(found, Affine) else found.operands[1].operands[1]
    assert [size for size in scale.shape if size != 1] == [shape[0]]


@pytest.mark.parametrize(
    "arguments", [{"group_size": 48}, {"group_size": 48, **SCALED}], ids=["plain", "scaled"]
)
def test_an_operator_that_is_skipped_keeps_its_weight_bit_for_bit(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    original = model()
    left = compress(original, palettize(**arguments))
    assert row(left).reason == "palettize: group_size 48 does not divide the 128 channels of axis 0"
    assert encoding(left) == encoding(original)
    assert decode(encoding(left)).tobytes() == values().tobytes()
    read_back(left, tmp_path)
    if "enable_per_channel_scale" in arguments:
        theirs = decoded_there(palettize(**arguments).run(peer, original, joint=False))[
            "linear_cast_fp16", "weight"
        ]
        assert theirs.tobytes() != values().tobytes()


@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 300), ("int8", 625), ("int8", 40000), ("uint8", 65504)]
)
@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_large_weights_do_not_overflow_in_quantization(
    target: str, dtype: str, largest: float, mode: str
) -> None:
    quantized = compress(model(target=target, largest=largest), quantize(dtype, mode=mode))
    exact = values(largest=largest).astype(np.float64)
    error = decode(encoding(quantized)).astype(np.float64) - exact
    assert np.linalg.norm(error) < 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 300), ("int8", 625)])
def test_coremltools_overflows_for_the_same_weights(dtype: str, largest: float) -> None:
    with np.errstate(all="ignore"):
        theirs = quantize(dtype, mode="linear").run(peer, model(largest=largest), joint=False)
    exact = values(largest=largest).astype(np.float64)
    error = decoded_there(theirs)["linear_cast_fp16", "weight"].astype(np.float64) - exact
    assert not np.linalg.norm(error) < 0.1 * np.linalg.norm(exact)


@JOINT_TARGETS
def test_integers_become_the_nearest_table_entry(target: str) -> None:
    quantized = compress(model(target=target), QUANTIZE)
    found = encoding(PALETTIZE.run(ours, quantized, joint=True))
    (codes, *_) = encoding(quantized).operands
    assert isinstance(found, Affine)
    assert isinstance(found.data, Lut)
    integers, table = decode(codes).astype(int), decode(found.data.table).reshape(-1).astype(int)
    distance = np.abs(integers[..., None] - table)
    np.testing.assert_array_equal(np.abs(decode(found.data).astype(int) - integers), distance.min(axis=-1))


# Waste.


def test_no_table_entry_is_spent_on_the_zeros_of_a_pruned_weight() -> None:
    found = encoding(compress(model(), PRUNE, PALETTIZE))
    assert isinstance(found, Scatter)
    assert isinstance(found.source, Lut)
    table = decode(found.source.table)
    assert np.count_nonzero(table) == 16
    assert isinstance(found.source.indices, Sparse)
    assert len(np.unique(found.source.indices.values.numpy())) == 16


def test_a_weight_that_pruning_would_make_larger_is_left() -> None:
    left = compress(model(), prune(0.0))
    assert row(left).reason.startswith("it would not get smaller")
    assert isinstance(encoding(left), Dense)


def test_tables_that_would_be_repeated_for_every_block_are_left_to_ios26() -> None:
    blocks = quantize(granularity="per_block", block_size=4)
    left = compress(model(), blocks, PALETTIZE)
    assert row(left).reason.startswith("it would not get smaller: 12.0 KiB now, 40.0 KiB as 4-bit palette")
    assert row(compress(model(target="iOS26"), blocks, PALETTIZE)).nbytes_after == 8192 // 2 + 16 + 4096


# Tables whose size the weight decides.


@pytest.mark.parametrize(("target", "bits"), [("iOS15", 4), ("iOS16", 4), ("iOS18", 3)])
def test_unique_values_before_ios18(target: str, bits: int, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).choice([-3, -1, 0, 0.5, 2, 3], size=(128, 64)).astype(np.float16)
    made = compress(build_linear(weight, target), palettize(None, mode="unique"))
    assert row(made).after.startswith(f"{bits}-bit palette")
    assert decode(encoding(made)).tobytes() == decode(encoding(build_linear(weight, target))).tobytes()
    read_back(made, tmp_path)


# Oddities of the format.


def test_a_model_without_large_constants_has_no_weight_file(tmp_path: Path) -> None:
    tiny = build_linear(np.ones((2, 2), np.float16))
    left = compress(tiny, QUANTIZE)
    assert left.compression_report is not None
    assert not left.compression_report.skipped
    read_back(left, tmp_path)


@pytest.mark.parametrize("mode", ["linear_symmetric", "linear"])
@pytest.mark.parametrize("target", ["iOS16", "iOS18"])
def test_a_channel_of_zeros_stays_zero(target: str, mode: str, tmp_path: Path) -> None:
    weight = values()
    weight[7] = 0
    quantized = compress(build_linear(weight, target), quantize(mode=mode))
    assert not decode(encoding(quantized))[7].any()
    assert np.isfinite(decode(encoding(quantized))).all()
    read_back(quantized, tmp_path)


@pytest.mark.parametrize(
    ("target", "steps", "reason"),
    [
        ("iOS16", (palettize(3),), "3-bit palettization needs iOS 18 or later; the model targets iOS 16"),
        ("iOS17", (palettize(3),), "3-bit palettization needs iOS 18 or later; the model targets iOS 17"),
        ("iOS16", (quantize("int4"),), "4-bit quantization needs iOS 18"),
        ("iOS16", (quantize(granularity="per_block"),), "per-block quantization needs iOS 18"),
        ("iOS16", (palettize(group_size=16),), "per-grouped-channel palettization needs iOS 18"),
        ("iOS17", (palettize(cluster_dim=2),), "vector palettization needs iOS 18"),
        ("iOS17", (PRUNE, PALETTIZE), "joint compression needs iOS 18"),
    ],
)
def test_what_a_target_cannot_express_is_an_error(target: str, steps: tuple[Step, ...], reason: str) -> None:
    with pytest.raises(LegalityError, match=reason):
        compress(model(target=target), *steps)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (palettize(group_size=48), "group_size 48 does not divide the 128 channels of axis 0"),
        (palettize(cluster_dim=3), "cluster_dim 3 does not divide the 128 channels"),
        (
            quantize(granularity="per_block", block_size=48),
            "block size 48 does not divide the 64 elements of axis 1",
        ),
        (
            prune(0.5, block_size=100, op_types=("linear",)),
            "block_size is 100, more than half of the 128 channels",
        ),
        (palettize(None, mode="unique"), "different values; mode 'unique' takes 256 at most"),
    ],
)
def test_what_does_not_fit_a_weight_is_refused_with_the_reason(step: Step, reason: str) -> None:
    left = compress(model(), step)
    assert row(left).status == "skipped"
    assert reason in row(left).reason
    assert decode(encoding(left)).tobytes() == values().tobytes()
