"""What is written into buffers is read back from them, whatever a weight was compressed with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings

from mlpress.bits import Tensor
from mlpress.encoding import Dense, Encoding, decode, describe
from mlpress.errors import EncodingError
from mlpress.fit.apply import Fitted, Job, run
from mlpress.fit.layout import Layout
from mlpress.nn.metadata import encoding_of, encodings, load, metadata_of, store
from mlpress.recipe import Palettize, Prune, Quantize, Stage
from tests.trees import encodings as any_encoding

PRUNE = Prune(sparsity=0.6)
SCALED = Palettize(nbits=4, per_channel_scale=True)
CASES: dict[str, tuple[Stage, ...]] = {
    "pruned": (PRUNE,),
    "int8": (Quantize(),),
    "uint8": (Quantize(dtype="uint8"),),
    "int4 blocks": (Quantize(dtype="int4", granularity="per_block", block_size=8),),
    "int4 affine": (Quantize(dtype="int4", mode="linear"),),
    "uint4 affine per tensor": (Quantize(dtype="uint4", mode="linear", granularity="per_tensor"),),
    "palette": (Palettize(nbits=4),),
    "palette of 6 bits in groups": (Palettize(nbits=6, group_size=8),),
    "palette in groups along the inputs": (Palettize(nbits=3, group_size=8, channel_axis=1),),
    "palette of vectors": (Palettize(nbits=4, cluster_dim=4),),
    "palette with scales": (SCALED,),
    "palette, int8 table": (Palettize(nbits=4), Quantize()),
    "palette, uint8 table": (Palettize(nbits=4, group_size=8), Quantize(dtype="uint8", mode="linear")),
    "palette of vectors, int8 table": (Palettize(nbits=4, cluster_dim=4), Quantize()),
    "palette with scales, int8 table": (SCALED, Quantize()),
    "palette with scales, uint8 table": (SCALED, Quantize(dtype="uint8")),
    "int8, palette": (Quantize(), Palettize(nbits=4)),
    "pruned, int8": (PRUNE, Quantize()),
    "pruned, uint4 affine": (PRUNE, Quantize(dtype="uint4", mode="linear")),
    "pruned, palette": (PRUNE, Palettize(nbits=4)),
    "pruned, palette with scales": (PRUNE, Palettize(nbits=3, per_channel_scale=True)),
    "pruned, palette, int8 table": (PRUNE, Palettize(nbits=4), Quantize()),
    "pruned, palette with scales, int8 table": (
        PRUNE,
        SCALED,
        Quantize(),
    ),
    "pruned in blocks, palette of vectors": (
        Prune(sparsity=0.5, block_size=4),
        Palettize(nbits=4, cluster_dim=4),
    ),
}


def compressed(values: np.ndarray, stages: tuple[Stage, ...]) -> Encoding:
    fitted = run(Job(Dense(Tensor.from_numpy(values)), stages, Layout()))
    assert isinstance(fitted, Fitted), fitted
    return fitted.encoding


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("shape", [(32, 48), (16, 8, 3, 3)], ids=["linear", "conv"])
@pytest.mark.parametrize("stages", CASES.values(), ids=CASES.keys())
def test_every_combination_comes_back(
    stages: tuple[Stage, ...], shape: tuple[int, ...], dtype: type[np.floating]
) -> None:
    values = np.random.default_rng(0).normal(scale=0.1, size=shape).astype(dtype)
    encoding = compressed(values, stages)
    back = encoding_of(metadata_of(encoding), decode(encoding))
    np.testing.assert_array_equal(decode(back), decode(encoding), strict=True)
    assert describe(back).replace("sparse 61%", "sparse 60%") == describe(encoding)


@settings(deadline=None, max_examples=150)
@given(any_encoding())
def test_any_tree_decodes_to_the_same_bits_or_is_refused(encoding: Encoding) -> None:
    try:
        metadata = metadata_of(encoding)
    except EncodingError:
        assume(False)
    values = decode(encoding)
    assume(np.isfinite(values).all())
    np.testing.assert_array_equal(decode(encoding_of(metadata, values)), values, strict=True)


def test_a_module_says_how_its_parameter_is_stored() -> None:
    layer = torch.nn.Linear(48, 32)
    assert load(layer, "weight") is None
    encoding = compressed(layer.weight.detach().numpy().copy(), (Palettize(nbits=4), Quantize()))
    store(layer, "weight", encoding)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), decode(encoding))
    assert load(layer, "weight") == encoding
    assert sorted(dict(layer.named_buffers())) == [
        "_COREML_/weight/compression_type",
        "_COREML_/weight/lut",
        "_COREML_/weight/quantization_n_bits",
        "_COREML_/weight/quantization_scale",
    ]


def test_compressing_again_leaves_no_buffers_of_before() -> None:
    layer = torch.nn.Linear(48, 32)
    values = layer.weight.detach().numpy().copy()
    for stages in ((Palettize(nbits=4),), (Quantize(),)):
        store(layer, "weight", compressed(values, stages))
    assert "_COREML_/weight/lut" not in dict(layer.named_buffers())


def test_encodings_of_a_state_dict_have_the_names_of_the_parameters() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(48, 32), torch.nn.Sequential(torch.nn.Linear(32, 16)))
    for layer in (model[0], model[1][0]):
        store(layer, "weight", compressed(layer.weight.detach().numpy().copy(), (Quantize(),)))
    assert list(encodings(model.state_dict())) == ["0.weight", "1.0.weight"]


def test_a_kept_zero_is_stored_as_a_dropped_one() -> None:
    layer = torch.nn.Linear(48, 32)
    encoding = compressed(layer.weight.detach().numpy().copy(), (Prune(sparsity=0.5), Quantize(dtype="int4")))
    store(layer, "weight", encoding)
    back = load(layer, "weight")
    assert back is not None
    np.testing.assert_array_equal(decode(back), decode(encoding))


INT8 = {"quantization_n_bits": torch.tensor(8), "quantization_scale": torch.full((4, 1), 0.01)}
LUT = {"lut": torch.linspace(-1, 1, 16).reshape(1, 1, 16, 1)}


@pytest.mark.parametrize(
    ("kinds", "values", "expected"),
    [
        ([3, 2], LUT["lut"].flatten().reshape(4, 4), "4-bit palette · float32 table"),
        ([2, 3], torch.arange(-8, 8).reshape(4, 4) * 0.01, "int8 · 4 scales"),
        ([3, 1], torch.tensor([0, 0, 1, 2]).repeat(4, 1) * 0.01, "sparse 50% · int8 · 4 scales"),
        ([3, 1], torch.tensor([0, 0, 1, 2]).repeat(4, 1) * 0.0123, "sparse 50% · float32"),
        ([2, 1], torch.tensor([0, 0, 0.123, -0.4]).repeat(4, 1), "sparse 50% · float32"),
    ],
)
def test_what_a_later_step_undid_is_left_out(kinds: list[int], values: torch.Tensor, expected: str) -> None:
    fields = {**INT8, "compression_type": torch.tensor(kinds), **(LUT if 2 in kinds else {})}
    fields = fields if 3 in kinds else {name: fields[name] for name in ("compression_type", "lut")}
    found = encodings({"w": values, **{f"_COREML_/w/{name}": field for name, field in fields.items()}})
    assert describe(found["w"]) == expected
    np.testing.assert_allclose(decode(found["w"]), values, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "there is no compression_type"),
        ({"compression_type": [4]}, r"compression_type is \[4\]; allowed codes: \[1, 2, 3\]"),
        ({"compression_type": [3, 2], "lut": [[[0.0, 1.0]]]}, "no quantization_n_bits"),
        ({"compression_type": [2]}, "there is no lut"),
        ({"compression_type": [1], "group_size": 1}, "unknown field 'group_size'; allowed: compression_type"),
        ({"compression_type": [2], "lut": [0.0, 1.0]}, "lut has shape"),
    ],
)
def test_buffers_that_make_no_sense_are_refused(fields: dict[str, object], message: str) -> None:
    tensors = {f"a._COREML_/weight/{name}": torch.tensor(value) for name, value in fields.items()}
    tensors.setdefault("a._COREML_/weight/vector_axis", torch.tensor(0))
    with pytest.raises(EncodingError, match=message):
        encodings({"a.weight": torch.zeros(4, 4), **tensors})
