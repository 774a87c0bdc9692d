"""A small network, compressed in every way that the two libraries know, or with buffers written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from tests.torch.optimize.training_loop import batch

LIBRARIES: Final = ("mlpress", "coremltools")

Compress = Callable[[str, nn.Module], nn.Module]
"""Compresses a network with the classes of the library of this name."""


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(4, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 16)
    return nn.Sequential(*layers).eval()


def images(index: int) -> torch.Tensor:
    """A batch for the network."""
    three = batch(index)[0]
    return torch.cat([three, three[:, :1] ** 2], 1)


# Constexpr operators of a weight: the last that is applied, then those behind it by name.
QUANTIZED: Final = ("blockwise_shift_scale",)
PALETTE: Final = ("lut_to_dense",)
INTEGER_TABLE: Final = ("lut_to_dense", "blockwise_shift_scale")
PRUNED: Final = ("sparse_to_dense",)
PRUNED_QUANTIZED: Final = ("sparse_to_dense", "sparse_blockwise_shift_scale")
PRUNED_PALETTE: Final = ("sparse_to_dense", "lut_to_sparse")
PRUNED_INTEGER_TABLE: Final = ("sparse_to_dense", "blockwise_shift_scale", "lut_to_sparse")
BEHIND: Final = ("blockwise_shift_scale", "lut_to_dense")
"""Where the scale of a palette stands behind the look-up: from iOS 26 on, or where the table has its own."""
BEFORE_IOS18: Final = {
    QUANTIZED: ("affine_dequantize",),
    PALETTE: ("lut_to_dense",),
    PRUNED: ("sparse_to_dense",),
}


@dataclass(frozen=True)
class Case:
    """One way to compress.

    Attributes:
        compress: Does it.
        linear: How the weight of the linear layer is stored in the end.
        chain: The operators that say so for iOS 18.
        before_ios18: Whether iOS 17 can express it.
        libraries: Those that can do it.
    """

    compress: Compress
    linear: str
    chain: tuple[str, ...]
    before_ios18: bool = False
    libraries: tuple[str, ...] = LIBRARIES


# ---- the classes of the libraries ----


def _made(library: str, home: str, kind: str, model: nn.Module, config: dict[str, Any]) -> Any:
    module = import_module(f"{library}.optimize.torch.{home}")
    return getattr(module, kind)(model, getattr(module, f"{kind}Config").from_dict({"global_config": config}))


def quantize(**config: Any) -> Compress:
    return lambda library, model: _made(
        library, "quantization", "PostTrainingQuantizer", model, config
    ).compress()


def palettize(**config: Any) -> Compress:
    return lambda library, model: _made(
        library, "palettization", "PostTrainingPalettizer", model, config
    ).compress()


def layerwise(**config: Any) -> Compress:
    def compress(library: str, model: nn.Module) -> nn.Module:
        compressor = _made(library, "layerwise_compression", "LayerwiseCompressor", model, config)
        compressed: nn.Module = compressor.compress([images(index) for index in range(4)], "cpu")
        return compressed

    return compress


_Technique = tuple[str, str, tuple[Any, ...], dict[str, Any]]

PRUNER: Final[_Technique] = ("pruning", "MagnitudePruner", (), {"target_sparsity": 0.5})


def quantizer(**config: Any) -> _Technique:
    options = {"activation_dtype": "float32", **config}
    return "quantization", "LinearQuantizer", ((torch.zeros(1, 4, 6, 6),),), options


def palettizer(**config: Any) -> _Technique:
    return "palettization", "DKMPalettizer", (), {"weight_threshold": 100, **config}


def trained(*techniques: _Technique) -> Compress:
    def compress(library: str, model: nn.Module) -> nn.Module:
        optimizers = []
        for home, kind, arguments, config in techniques:
            optimizers.append(_made(library, home, kind, model, config))
            model = optimizers[-1].prepare(*arguments, inplace=True)
        sgd = torch.optim.SGD(model.parameters(), lr=0.01)
        model.train()
        for index in range(2):
            sgd.zero_grad()
            model(images(index)).square().mean().backward()
            sgd.step()
            for optimizer in optimizers:
                optimizer.step()
        for optimizer in optimizers:
            model = optimizer.finalize(model, inplace=True)
        return model

    return compress


def one_after_the_other(*steps: Compress) -> Compress:
    def compress(library: str, model: nn.Module) -> nn.Module:
        for step in steps:
            model = step(library, model)
        return model

    return compress


# ---- buffers written by hand ----


def stored(kinds: list[int], **fields: Callable[[nn.Parameter], Any]) -> Compress:
    """Writes the fields of both weights; the values of a weight come from the field ``values``."""

    def compress(library: str, model: nn.Module) -> nn.Module:
        del library
        for layer in (model[0], model[3]):
            given = {name: torch.as_tensor(field(layer.weight)) for name, field in fields.items()}
            values = given.pop("values").to(layer.weight.dtype)
            layer.weight.data = values.reshape(layer.weight.shape)
            given["compression_type"] = torch.tensor(kinds)
            for name, tensor in given.items():
                layer.register_buffer(f"_COREML_/weight/{name}", tensor)
        return model

    return compress


def _table(weight: torch.Tensor, entries: int, length: int = 1) -> torch.Tensor:
    flat = torch.linspace(0.02, 0.4, entries)[:, None] * torch.linspace(1, 2, length)
    return flat.reshape((1,) * weight.dim() + (entries, length))


def _draws(weight: torch.Tensor, *shape: int, below: int) -> torch.Tensor:
    return torch.randint(below, shape or tuple(weight.shape), generator=torch.Generator().manual_seed(1))


def _scale_of_rows(weight: torch.Tensor) -> torch.Tensor:
    """Of rank 2, which coremltools expands for convolutions."""
    return torch.linspace(0.01, 0.02, len(weight))[:, None]


def _rows(weight: torch.Tensor) -> torch.Tensor:
    return _scale_of_rows(weight).reshape(-1, *(1,) * (weight.dim() - 1))


def _zeros(weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return values * _draws(weight, below=2)


def integers(bits: int, signed: bool) -> Compress:
    """Integers of any number of bits; with a zero point where they have no sign."""
    half = 1 << (bits - 1)
    field: dict[str, Any] = {} if signed else {"zero_point": lambda w: torch.full((len(w), 1), half)}
    return stored(
        [3],
        quantization_n_bits=lambda w: bits,
        quantization_scale=_scale_of_rows,
        values=lambda w: (_draws(w, below=1 << bits) - half) * _rows(w),
        **field,
    )


def table(entries: int) -> Compress:
    """A palette, written without the axis of vectors."""
    return stored(
        [2],
        lut=lambda w: _table(w, entries)[..., 0],
        values=lambda w: _table(w, entries).reshape(-1)[_draws(w, below=entries)],
    )


def pruned_vectors() -> Compress:
    def values(w: torch.Tensor) -> torch.Tensor:
        vectors = _table(w, 16, 2).reshape(16, 2)[_draws(w, len(w) // 2, *w.shape[1:], below=16)]
        kept = _draws(w, len(w) // 2, *w.shape[1:], below=2)
        return (vectors * kept[..., None]).movedim(-1, 1).reshape(w.shape)

    return stored([1, 2], lut=lambda w: _table(w, 16, 2), values=values, vector_axis=lambda w: 0)


def integer_table(
    kinds: list[int], *, flat_scale: bool = False, behind: bool = False, length: int = 1
) -> Compress:
    """A table of int8: with a scale of two axes, with another scale behind it, of vectors."""
    step = 0.4 / 127

    def entries(w: torch.Tensor) -> torch.Tensor:
        return (_table(w, 16, length) / (step * (2 if length > 1 else 1))).round() * step

    def values(w: torch.Tensor) -> torch.Tensor:
        if length > 1:
            found = entries(w).reshape(16, length)[_draws(w, len(w) // length, *w.shape[1:], below=16)]
            return found.movedim(-1, 1).reshape(w.shape)
        found = entries(w).reshape(-1)[_draws(w, below=16)]
        found = found * _rows(w) if behind else found
        return _zeros(w, found) if 1 in kinds else found

    fields: dict[str, Any] = {"palettization_scale": _scale_of_rows} if behind else {}
    fields |= {"vector_axis": lambda w: 0} if length > 1 else {}
    return stored(
        kinds,
        quantization_n_bits=lambda w: 8,
        quantization_scale=lambda w: torch.full((1,) * (2 if flat_scale else w.dim() + 2), step),
        lut=entries,
        values=values,
        **fields,
    )


def with_bias(compress: Compress) -> Compress:
    """Also stores the biases as int8."""

    def both(library: str, model: nn.Module) -> nn.Module:
        for layer in (model[0], model[3]):
            codes = np.random.default_rng(0).integers(-127, 128, layer.bias.shape)
            layer.bias.data = torch.tensor(codes * np.float32(0.01), dtype=torch.float32)
            for name, value in (
                ("compression_type", torch.tensor([3])),
                ("quantization_n_bits", torch.tensor(8)),
                ("quantization_scale", torch.tensor([0.01])),
            ):
                layer.register_buffer(f"_COREML_/bias/{name}", value)
        return compress(library, model)

    return both


# ---- the grid ----


def _post_training() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    scales = {"per_tensor": "1 scale", "per_channel": "16 scales", "per_block": "16x64 scales"}
    for dtype in ("int8", "uint8", "int4", "uint4"):
        for scheme in ("symmetric", "affine"):
            for granularity, text in scales.items():
                if (dtype[0], scheme, granularity) == ("i", "affine", "per_tensor"):
                    continue  # the zero point comes out as 0 here, which is the symmetric case
                config: dict[str, Any] = {"granularity": granularity}
                if granularity == "per_block":
                    config["block_size"] = 4
                cases[f"{dtype} {scheme} {granularity}"] = Case(
                    quantize(weight_dtype=dtype, quantization_scheme=scheme, **config),
                    f"{dtype} · {text}" + ("" if dtype[0] == "i" and scheme == "symmetric" else " · offset"),
                    QUANTIZED,
                    before_ios18="8" in dtype and granularity != "per_block",
                )
    for bits in (1, 2, 3, 4, 6, 8):
        cases[f"palette of {bits} bits"] = Case(
            palettize(n_bits=bits), f"{bits}-bit palette · float32 table", PALETTE, before_ios18=bits != 3
        )
    groups = {"granularity": "per_grouped_channel", "group_size": 4}
    scaled = {"enable_per_channel_scale": True}
    for name, config, linear, chain in (
        ("in groups", groups, "4-bit palette x4 · float32 table", PALETTE),
        ("in groups of inputs", groups | {"channel_axis": 1}, "4-bit palette x64 · float32 table", PALETTE),
        ("of vectors", {"cluster_dim": 2}, "4-bit palette of 2-vectors · float32 table", PALETTE),
        ("with scales", scaled, "4-bit palette · float32 table · 16 scales", INTEGER_TABLE),
    ):
        cases[f"palette {name}"] = Case(palettize(n_bits=4, **config), linear, chain)
        for dtype in ("int8", "uint8"):
            compress = palettize(n_bits=4, lut_dtype=dtype, **config)
            stored_as = linear.replace("float32", dtype)
            if config is scaled:  # coremltools gives the table a scale besides those of the channels
                cases[f"palette {name}, scaled {dtype} table"] = Case(
                    compress, stored_as, BEHIND, False, ("coremltools",)
                )
            libraries = ("mlpress",) if config is scaled else LIBRARIES
            cases[f"palette {name}, {dtype} table"] = Case(
                compress, stored_as, INTEGER_TABLE, False, libraries
            )
    return cases


def _layerwise() -> dict[str, Case]:
    normal = {"weight_dtype": "uint4", "enable_normal_float": True}
    return {
        "GPTQ": Case(
            layerwise(algorithm="gptq", weight_dtype="uint4"), "uint4 · 16 scales · offset", QUANTIZED
        ),
        "GPTQ, 3 bits": Case(
            layerwise(algorithm="gptq", weight_dtype="uint3"), "uint4 · 16 scales · offset", QUANTIZED
        ),
        "GPTQ, normal floats": Case(
            layerwise(algorithm="gptq", **normal), "4-bit palette · float32 table · 16 scales", INTEGER_TABLE
        ),
        "SparseGPT": Case(
            layerwise(algorithm="sparse_gpt", weight_dtype="uint8"),
            "sparse 50% · uint8 · 16 scales · offset",
            PRUNED_QUANTIZED,
        ),
        "SparseGPT, normal floats": Case(
            layerwise(algorithm="sparse_gpt", **normal),
            "4-bit palette · float32 table · 16 scales",
            PRUNED_INTEGER_TABLE,
        ),
    }


def _trained() -> dict[str, Case]:
    return {
        "pruned": Case(trained(PRUNER), "sparse 50% · float32", PRUNED, before_ios18=True),
        "trained int8": Case(trained(quantizer()), "int8 · 16 scales", QUANTIZED, before_ios18=True),
        "trained int8, activations too": Case(
            trained(quantizer(activation_dtype="quint8")), "int8 · 16 scales", QUANTIZED, before_ios18=True
        ),
        "trained int4 of the whole": Case(
            trained(quantizer(weight_dtype="qint4", weight_per_channel=False)), "int4 · 1 scale", QUANTIZED
        ),
        "trained uint4 affine": Case(
            trained(quantizer(weight_dtype="quint4", quantization_scheme="affine")),
            "uint4 · 16 scales · offset",
            QUANTIZED,
        ),
        "trained int8 with learned scales": Case(
            trained(quantizer(algorithm="learnable")), "int8 · 16 scales", QUANTIZED, before_ios18=True
        ),
        "DKM": Case(
            trained(palettizer(n_bits=2)), "2-bit palette · float32 table", PALETTE, before_ios18=True
        ),
        "DKM of vectors": Case(
            trained(palettizer(n_bits=2, cluster_dim=2)),
            "2-bit palette of 2-vectors · float32 table",
            PALETTE,
        ),
        "DKM with scales": Case(
            trained(palettizer(n_bits=2, enable_per_channel_scale=True)),
            "2-bit palette · float32 table · 16 scales",
            INTEGER_TABLE,
        ),
        "trained int8, pruned": Case(
            trained(quantizer(), PRUNER), "sparse 50% · int8 · 16 scales", PRUNED_QUANTIZED
        ),
        "pruned, int8": Case(
            one_after_the_other(trained(PRUNER), quantize()),
            "sparse 50% · int8 · 16 scales",
            PRUNED_QUANTIZED,
        ),
        "pruned, palette": Case(
            one_after_the_other(trained(PRUNER), palettize(n_bits=4)),
            "sparse 50% · 4-bit palette · float32 table",
            PRUNED_PALETTE,
        ),
        "pruned, palette with scales": Case(
            one_after_the_other(trained(PRUNER), palettize(n_bits=4, enable_per_channel_scale=True)),
            "sparse 50% · 4-bit palette · float32 table · 16 scales",
            PRUNED_INTEGER_TABLE,
        ),
        "pruned, palette, int8 table": Case(
            one_after_the_other(trained(PRUNER), palettize(n_bits=4, lut_dtype="int8")),
            "sparse 50% · 4-bit palette · int8 table",
            PRUNED_INTEGER_TABLE,
        ),
    }


def _in_other_orders() -> dict[str, Case]:
    """What coremltools does without a thought for what was done before; mlpress takes care of that."""
    theirs = ("coremltools",)
    return {
        # Training goes on before weights are pruned, so that they leave the integers or the table.
        "int8, pruned": Case(
            one_after_the_other(quantize(), trained(PRUNER)), "sparse 50% · float32", PRUNED, True, theirs
        ),
        "palette, pruned": Case(
            one_after_the_other(palettize(n_bits=4), trained(PRUNER)),
            "sparse 50% · float32",
            PRUNED,
            True,
            theirs,
        ),
        "int8, palette": Case(
            one_after_the_other(quantize(), palettize(n_bits=4)),
            "4-bit palette · float32 table",
            PALETTE,
            True,
            theirs,
        ),
        "palette, int8": Case(
            one_after_the_other(palettize(n_bits=4), quantize()),
            "int8 · 16 scales",
            QUANTIZED,
            True,
            theirs,
        ),
    }


def _by_hand() -> dict[str, Case]:
    once = ("coremltools",)
    cases = {
        f"{'' if signed else 'u'}int{bits} by hand": Case(
            integers(bits, signed),
            f"{'' if signed else 'u'}int{4 if bits <= 4 else 8} · 16 scales"
            + ("" if signed else " · offset"),
            QUANTIZED,
            bits > 4,
            once,
        )
        for bits in range(1, 9)
        for signed in (True, False)
    }
    for entries, bits in ((2, 1), (5, 3), (20, 6), (256, 8)):
        cases[f"table of {entries} entries by hand"] = Case(
            table(entries), f"{bits}-bit palette · float32 table", PALETTE, bits != 3, once
        )
    integer = "4-bit palette · int8 table"
    for name, compress, linear, chain in (
        ("int8 table, flat scale", integer_table([2, 3], flat_scale=True), integer, INTEGER_TABLE),
        (
            "int8 table, scales behind it",
            integer_table([2, 3], behind=True),
            f"{integer} · 16 scales",
            BEHIND,
        ),
        (
            "int8 table of vectors",
            integer_table([2, 3], length=2),
            "4-bit palette of 2-vectors · int8 table",
            INTEGER_TABLE,
        ),
        (
            "pruned, int8 table, flat scale",
            integer_table([1, 2, 3], flat_scale=True),
            integer,
            PRUNED_INTEGER_TABLE,
        ),
        (
            "int8, table that is on the integers",
            integer_table([3, 2], flat_scale=True),
            integer,
            INTEGER_TABLE,
        ),
        ("pruned, table of vectors", pruned_vectors(), "4-bit palette of 2-vectors", PRUNED_PALETTE),
        (
            "integers that were pruned",
            stored(
                [3, 1],
                quantization_n_bits=lambda w: 8,
                quantization_scale=_scale_of_rows,
                values=lambda w: _zeros(w, (_draws(w, below=255) - 127) * _rows(w)),
            ),
            "int8 · 16 scales",
            PRUNED_QUANTIZED,
        ),
        (
            "a palette that was pruned",
            stored(
                [2, 1],
                lut=lambda w: _table(w, 16),
                values=lambda w: _zeros(w, _table(w, 16).reshape(-1)[_draws(w, below=16)]),
            ),
            "4-bit palette · float32 table",
            PRUNED_PALETTE,
        ),
        ("int4 and biases of int8", with_bias(integers(4, True)), "int4 · 16 scales", QUANTIZED),
    ):
        cases[f"{name}, by hand"] = Case(compress, linear, chain, False, once)
    return cases


CASES: Final = _post_training() | _layerwise() | _trained() | _in_other_orders() | _by_hand()
