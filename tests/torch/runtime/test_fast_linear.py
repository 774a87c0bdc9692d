"""Linear layers by weights that stay encoded: which do, what they give and what memory that takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mlpress
from mlpress import MLModel, Palettize, Prune, Quantize, RunOptions, compress
from mlpress.kernels import encoded
from mlpress.runtime.build import build
from mlpress.runtime.fast.encoded_linear import EncodedLinear

K, N = 256, 1024


@pytest.fixture(autouse=True)
def fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "is_fast", lambda: True)
    torch.manual_seed(0)


def model(recipe: Any, *, n: int = N) -> MLModel:
    layer = mlpress.convert(
        nn.Linear(K, n).eval(),
        inputs=[mlpress.TensorType("x", (mlpress.RangeDim(1, 64, 1), K))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    return compress(layer, recipe).model


def stays_encoded(made: MLModel, **options: Any) -> bool:
    graph = build("main", made.program.functions["main"], RunOptions(**options))
    return any(isinstance(module, EncodedLinear) for module in graph.modules())


ENCODED = {
    "1-bit table": Palettize(nbits=1),
    "2-bit table": Palettize(nbits=2),
    "3-bit table": Palettize(nbits=3),
    "4-bit table": Palettize(nbits=4),
    "6-bit tables of groups, scales": Palettize(nbits=6, group_size=32, per_channel_scale=True),
    "6-bit int8 table": Palettize(nbits=6) >> Quantize(dtype="int8"),
    "4-bit tables of groups": Palettize(nbits=4, group_size=32),
    "4-bit table, scales of rows": Palettize(nbits=4, per_channel_scale=True),
    "4-bit int8 table": Palettize(nbits=4) >> Quantize(dtype="int8"),
    "int4 rows": Quantize(dtype="int4"),
    "int4 blocks": Quantize(dtype="int4", granularity="per_block", block_size=32),
    "int4 blocks, offsets": Quantize(dtype="int4", mode="linear", granularity="per_block", block_size=64),
    "uint4 rows, offsets": Quantize(dtype="uint4", mode="linear"),
    "int8 rows": Quantize(dtype="int8"),
    "int8 per tensor": Quantize(dtype="int8", granularity="per_tensor"),
    "uint8 rows, offsets": Quantize(dtype="uint8", mode="linear"),
    "int8 blocks": Quantize(dtype="int8", granularity="per_block", block_size=32),
}

DECODED = {
    "float": Prune(sparsity=0.0),
    "pruned": Prune(sparsity=0.5),
    "8-bit table": Palettize(nbits=8),
    "tables of columns": Palettize(nbits=4, group_size=32, channel_axis=1),
    "vectors": Palettize(nbits=4, cluster_dim=2),
    "small int4 blocks": Quantize(dtype="int4", granularity="per_block", block_size=4),
}


@pytest.mark.parametrize("weights", ["decoded", "encoded"])
@pytest.mark.parametrize("name", ENCODED)
def test_what_stays_encoded(name, weights):
    made = model(ENCODED[name])
    assert stays_encoded(made, weights=weights)
    for rows in (1, 7):
        x = np.random.default_rng(0).standard_normal((rows, K)).astype(np.float32)
        results = []
        for kernels in ("fast", "exact"):
            made.run_options = RunOptions(kernels=kernels, weights=weights)
            results.append(next(iter(made.predict({"x": x}).values())))
        np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize("shape", [(K,), (0, K), (2, 3, K)])
def test_inputs_of_any_rank_and_none_at_all(shape):
    graph = build("main", model(ENCODED["4-bit table"]).program.functions["main"], RunOptions())
    (layer,) = (module for module in graph.modules() if isinstance(module, EncodedLinear))
    assert layer(torch.randn(shape)).shape == (*shape[:-1], N)


@pytest.mark.parametrize("name", DECODED)
def test_what_is_decoded(name):
    assert not stays_encoded(model(DECODED[name]))


def test_small_weights_are_decoded_if_once_is_enough():
    """Torch is done with them before a kernel of ours is called."""
    made = model(Palettize(nbits=4, weight_threshold=0), n=64)
    assert not stays_encoded(made)
    assert stays_encoded(made, weights="encoded")


def convolution(layer: nn.Module, *sizes: int) -> tuple[MLModel, np.ndarray]:
    """Returns a convolution by a 4-bit table, and an input of `sizes`."""
    x = np.random.default_rng(0).standard_normal(sizes).astype(np.float32)
    made = mlpress.convert(
        layer.eval(),
        inputs=[mlpress.TensorType("x", sizes)],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=mlpress.precision.FLOAT32,
    )
    return compress(made, Palettize(nbits=4, group_size=32)).model, x


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [(nn.Conv2d(K, N, 1), (1, K, 1, 1)), (nn.Conv2d(K, N, 1), (2, K, 1, 7)), (nn.Conv1d(K, N, 1), (1, K, 5))],
    ids=str,
)
def test_convolutions_at_a_few_places_are_linear_layers(layer, sizes):
    made, x = convolution(layer, *sizes)
    assert stays_encoded(made)
    results = []
    for kernels in ("fast", "exact"):
        made.run_options = RunOptions(kernels=kernels)
        results.append(next(iter(made.predict({"x": x}).values())))
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.Conv2d(K, N, 1), (1, K, 9, 9)),
        (nn.Conv2d(K, N, 1, stride=2), (1, K, 4, 4)),
        (nn.Conv2d(K, N, 1, padding=1), (1, K, 1, 1)),
        (nn.Conv2d(K, N, 1, groups=2), (1, K, 1, 1)),
        (nn.Conv2d(K, N, 3), (1, K, 3, 3)),
    ],
    ids=str,
)
def test_other_convolutions_are_decoded(layer, sizes):
    assert not stays_encoded(convolution(layer, *sizes)[0])


def test_a_machine_without_the_kernels(monkeypatch):
    monkeypatch.setattr(encoded, "is_fast", lambda: False)
    assert not stays_encoded(model(ENCODED["4-bit table"]))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_rows(threads):
    wide = nn.Linear(1024, 4096, bias=False).eval()
    made = compress(
        mlpress.convert(wide, inputs=[torch.randn(1, 1024)], minimum_deployment_target=mlpress.target.iOS18),
        ENCODED["4-bit table"],
    ).model
    x = np.random.default_rng(0).standard_normal((1, 1024)).astype(np.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            results.append(next(iter(made.predict(dict.fromkeys(made.input_description, x)).values())))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_the_bytes_of_the_file_are_used():
    graph = build("main", model(ENCODED["4-bit table"]).program.functions["main"], RunOptions())
    (layer,) = (module for module in graph.modules() if isinstance(module, EncodedLinear))
    assert not layer._weight.data.flags.owndata
    assert not list(graph.parameters())
