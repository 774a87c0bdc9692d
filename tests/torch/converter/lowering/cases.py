"""Calls of ATen operators, a line each; the tests lower them and compare with torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Case:
    """A function and the inputs to call it with."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]

    def __str__(self) -> str:
        return self.name


def floats(*shape: int, low: float = -3.0, high: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    return torch.rand(shape, generator=generator) * (high - low) + low


def integers(*shape: int, low: int = -5, high: int = 5) -> Tensor:
    return torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(sum(shape) + 1))


def bools(*shape: int) -> Tensor:
    return integers(*shape) > 0


def _unary() -> Iterator[Case]:
    for name in [
        "abs",
        "atan",
        "ceil",
        "cos",
        "erf",
        "exp",
        "expm1",
        "floor",
        "hardsigmoid",
        "hardswish",
        "isfinite",
        "isinf",
        "isnan",
        "log_sigmoid",
        "mish",
        "neg",
        "relu",
        "relu6",
        "round",
        "selu",
        "sigmoid",
        "sign",
        "silu",
        "sin",
        "sinh",
        "cosh",
        "softsign",
        "square",
        "tan",
        "tanh",
        "tanhshrink",
        "trunc",
        "frac",
        "exp2",
        "asinh",
        "erfc",
    ]:
        function = (
            getattr(torch, name, None) or getattr(F, name, None) or getattr(F, name.replace("log_", "log"))
        )
        yield Case(name, function, (floats(2, 3, 4),))
    for name in ["acos", "asin", "atanh"]:
        yield Case(name, getattr(torch, name), (floats(2, 5, low=-0.9, high=0.9),))
    for name in ["log", "log1p", "log10", "log2", "rsqrt", "sqrt", "reciprocal", "acosh"]:
        yield Case(name, getattr(torch, name), (floats(2, 5, low=1.1, high=4),))
    for name in ["abs", "neg", "sign", "relu", "square"]:
        yield Case(f"{name} of integers", getattr(torch, name), (integers(2, 5),))
    yield Case("sqrt of integers", torch.sqrt, (integers(2, 5, low=0),))
    yield Case("isnan", torch.isnan, (torch.tensor([1.0, float("nan"), float("inf")]),))
    yield Case("isinf", torch.isinf, (torch.tensor([1.0, float("nan"), float("-inf")]),))
    yield Case("isfinite", torch.isfinite, (torch.tensor([1.0, float("nan"), float("-inf")]),))
    yield Case(
        "nan_to_num", torch.nan_to_num, (torch.tensor([1.0, float("nan"), float("-inf"), float("inf")]),)
    )
    yield Case("logical_not", torch.logical_not, (bools(3, 4),))
    yield Case("bitwise_not of bools", torch.bitwise_not, (bools(3, 4),))
    yield Case("bitwise_not of integers", torch.bitwise_not, (integers(3, 4),))
    yield Case("round decimals", lambda x: torch.round(x, decimals=1), (floats(3, 4),))
    for low, high in ((-1.0, 1.0), (None, 0.5), (-0.5, None), (0, 6), (0, None)):
        yield Case(f"clamp {low} {high}", lambda x, low=low, high=high: x.clamp(low, high), (floats(3, 4),))
    yield Case("clamp integers", lambda x: x.clamp(-2, 3), (integers(3, 4),))
    yield Case("clamp by tensors", torch.clamp, (floats(3, 4), floats(4) - 2, floats(4) + 2))
    yield Case("clamp_min", lambda x: aten.clamp_min(x, 0.3), (floats(3, 4),))
    yield Case("hardtanh", F.hardtanh, (floats(3, 4),))
    for dtype in (torch.float32, torch.int32, torch.int64, torch.bool):
        for x in (floats(3, 4), integers(3, 4), bools(3, 4)):
            yield Case(f"{x.dtype} to {dtype}", lambda x, dtype=dtype: x.to(dtype).float(), (x,))
    yield Case(
        "empty constants of halves",
        lambda x: torch.block_diag(x.round().half(), x.half()[:1] * 0).float(),
        (floats(3, 4),),
    )


def _activations() -> Iterator[Case]:
    x = (floats(2, 3, 4),)
    yield Case("gelu", F.gelu, x)
    yield Case("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), x)
    yield Case("leaky_relu", lambda x: F.leaky_relu(x, 0.2), x)
    yield Case("elu", lambda x: F.elu(x, 1.5), x)
    yield Case("celu", lambda x: F.celu(x, 1.5), x)
    yield Case("softplus", F.softplus, x)
    yield Case("softplus beta", lambda x: F.softplus(x, beta=2.0), x)
    yield Case("threshold", lambda x: F.threshold(x, 0.5, -1.0), x)
    yield Case("hardshrink", F.hardshrink, x)
    yield Case("softshrink", F.softshrink, x)
    yield Case("glu", lambda x: F.glu(x, 2), x)
    yield Case("rrelu", F.rrelu, x)
    for axis in (0, -1):
        yield Case(f"softmax {axis}", lambda x, axis=axis: F.softmax(x, axis), x)
        yield Case(f"log_softmax {axis}", lambda x, axis=axis: F.log_softmax(x, axis), x)
    yield Case("log_softmax of large numbers", lambda x: F.log_softmax(100 * x, -1), x)
    for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5)):
        yield Case(f"prelu {len(shape)}", torch.nn.PReLU(3), (floats(*shape),))
    yield Case("prelu of one weight", torch.nn.PReLU(), (floats(2, 3, 4),))


def _binary() -> Iterator[Case]:
    pairs = {
        "same": (floats(2, 3, 4), floats(2, 3, 4)),
        "broadcast": (floats(2, 1, 4), floats(3, 1)),
        "integers": (integers(2, 5), integers(2, 5)),
        "mixed": (integers(2, 5), floats(2, 5)),
    }
    for note, pair in pairs.items():
        for name in ["add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"]:
            yield Case(f"{name} {note}", getattr(torch, name), pair)
    numbers = (floats(2, 5), floats(2, 5, low=0.5))
    whole = (integers(2, 5), integers(2, 5, low=1))
    for name in ["div", "floor_divide", "remainder", "fmod", "atan2"]:
        yield Case(name, getattr(torch, name), numbers)
    for name in ["div", "floor_divide", "remainder", "fmod"]:
        yield Case(f"{name} integers", getattr(torch, name), whole)
    for mode in ("floor", "trunc"):
        yield Case(f"div {mode}", lambda x, y, mode=mode: torch.div(x, y, rounding_mode=mode), numbers)
        yield Case(f"div {mode} integers", lambda x, y, mode=mode: torch.div(x, y, rounding_mode=mode), whole)
    yield Case(
        "atan2 on the axes", torch.atan2, (torch.tensor([0.0, 1, -1, 0, 0]), torch.tensor([1.0, 0, 0, -1, 0]))
    )
    yield Case("add alpha", lambda x, y: torch.add(x, y, alpha=0.5), numbers)
    yield Case("sub alpha", lambda x, y: torch.sub(x, y, alpha=2), whole)
    yield Case("rsub", lambda x: torch.rsub(x, 3.0), (floats(2, 5),))
    yield Case("number added to integers", lambda x: x + 1.5, (integers(2, 5),))
    yield Case("number", lambda x: (x * 2 + 1) / 3 - 4, (floats(2, 5),))
    for power in (2, 3, 0.5, -0.5, -1, 1.7, 4):
        yield Case(f"pow {power}", lambda x, power=power: x**power, (floats(2, 5, low=0.5),))
    yield Case("pow of tensors", torch.pow, (floats(2, 5, low=0.5), floats(2, 5)))
    yield Case("pow of a number", lambda x: 2.0**x, (floats(2, 5),))
    yield Case("pow of integers", lambda x: x**3, (integers(2, 5),))
    for name in [
        "logical_and",
        "logical_or",
        "logical_xor",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "eq",
        "ne",
        "add",
        "mul",
    ]:
        yield Case(f"{name} bools", getattr(torch, name), (bools(3, 4), bools(4)))
    yield Case("logical_and of numbers", torch.logical_and, (integers(3, 4), floats(3, 4)))
    yield Case("compared with a number", lambda x: x > 0.5, (integers(3, 4),))
    yield Case("where", torch.where, (bools(3, 4), floats(3, 4), floats(4)))
    yield Case("where with numbers", lambda c: torch.where(c, 1.0, -2.0), (bools(3, 4),))
    yield Case("masked_fill", lambda x, m: x.masked_fill(m, -1e9), (floats(3, 4), bools(3, 4)))


def _convolutions() -> Iterator[Case]:
    def conv(name: str, axes: int, **options: Any) -> Case:
        size = (9, 8, 7)[:axes]
        kind = getattr(torch.nn, name)
        torch.manual_seed(0)
        return Case(f"{name} {options}", kind(4, 6, 3, **options), (floats(2, 4, *size),))

    for axes in (1, 2, 3):
        for options in (
            {},
            {"stride": 2, "padding": 1},
            {"dilation": 2, "bias": False},
            {"groups": 2, "padding": 1},
            {"padding": "same"},
            {"padding": "valid"},
        ):
            yield conv(f"Conv{axes}d", axes, **options)
        for options in (
            {},
            {"stride": 2, "padding": 1, "output_padding": 1},
            {"stride": 2, "groups": 2},
            {"dilation": 2, "padding": 2, "bias": False},
            {"stride": 2, "output_padding": 1},
        ):
            yield conv(f"ConvTranspose{axes}d", axes, **options)
    torch.manual_seed(0)
    yield Case("conv of one sample", torch.nn.Conv2d(4, 6, 3), (floats(4, 8, 8),))
    yield Case("conv same, even kernel", torch.nn.Conv1d(4, 6, 4, padding="same"), (floats(1, 4, 8),))
    yield Case("conv by computed weights", F.conv2d, (floats(1, 2, 6, 6), floats(3, 2, 3, 3)))
    yield Case(
        "fold",
        lambda x: F.fold(x, (7, 8), (2, 3), stride=2, padding=1, dilation=(2, 1)),
        (floats(2, 12, 16),),
    )
    yield Case("unfold", lambda x: F.unfold(x, 2, stride=2, padding=1), (floats(2, 3, 6, 6),))


def _products() -> Iterator[Case]:
    torch.manual_seed(0)
    for shape in ((5,), (2, 5), (2, 3, 5), (2, 3, 4, 5)):
        yield Case(f"linear {shape}", torch.nn.Linear(5, 3), (floats(*shape),))
    yield Case("linear without bias", torch.nn.Linear(5, 3, bias=False), (floats(2, 5),))
    yield Case("linear by computed weights", F.linear, (floats(2, 5), floats(3, 5), floats(3)))
    shapes = [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
    ]
    for x, y in [*shapes, ((5, 1, 3, 4), (2, 4, 5)), ((2, 3, 4), (4,))]:
        yield Case(f"matmul {x} {y}", torch.matmul, (floats(*x), floats(*y)))
    yield Case("matmul of integers", torch.matmul, (integers(3, 4), integers(4, 5)))
    yield Case(
        "addmm",
        lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2),
        (floats(5), floats(3, 4), floats(4, 5)),
    )
    yield Case("baddbmm", torch.baddbmm, (floats(2, 3, 5), floats(2, 3, 4), floats(2, 4, 5)))
    for equation, sizes in {
        "ij,jk->ik": ("23", "34"),
        "bhid,bhjd->bhij": ("2345", "2365"),
        "bghid,bghjd->bghij": ("22345", "22365"),
        "abcd,cde->abe": ("2345", "456"),
        "i,j->ij": ("3", "4"),
        "ij->ji": ("34",),
        "bij->b": ("234",),
        "bn,anm,bm->ba": ("23", "534", "24"),
        "...ij,...jk": ("2234", "245"),
        "bc,bc->b": ("34", "34"),
        "abij,abjk,k->ai": ("2334", "2345", "5"),
    }.items():
        inputs = tuple(floats(*map(int, size)) for size in sizes)
        yield Case(f"einsum {equation}", lambda *x, e=equation: torch.einsum(e, *x), inputs)


def _normalizations() -> Iterator[Case]:
    torch.manual_seed(0)
    for axes, kind in enumerate((torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d), start=1):
        layer = kind(4)
        layer.running_mean.uniform_(-1, 1)
        layer.running_var.uniform_(0.5, 2)
        yield Case(f"batch_norm {axes}", layer, (floats(2, 4, *(5, 6, 3)[:axes]),))
    yield Case("batch_norm of a matrix", torch.nn.BatchNorm1d(4), (floats(3, 4),))
    yield Case(
        "batch_norm by the batch", torch.nn.BatchNorm1d(4, track_running_stats=False), (floats(3, 4, 5),)
    )
    yield Case("batch_norm plain", torch.nn.BatchNorm2d(4, affine=False), (floats(2, 4, 3, 3),))
    for kind in (torch.nn.InstanceNorm1d, torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d):
        axes = int(kind.__name__[-2])
        yield Case(kind.__name__, kind(4, affine=True), (floats(2, 4, *(5, 6, 3)[:axes]),))
        yield Case(f"{kind.__name__} plain", kind(4), (floats(2, 4, *(5, 6, 3)[:axes]),))
    for shape, last in (((2, 3, 4), (4,)), ((2, 3, 4), (3, 4)), ((2, 5), (5,)), ((2, 3, 4, 5), (5,))):
        layer = torch.nn.LayerNorm(last)
        torch.nn.init.uniform_(layer.weight)
        yield Case(f"layer_norm {shape} {last}", layer, (floats(*shape),))
    yield Case("layer_norm plain", torch.nn.LayerNorm(4, elementwise_affine=False), (floats(3, 4),))
    yield Case(
        "layer_norm by computed weights", lambda x, w: F.layer_norm(x, (4,), w), (floats(3, 4), floats(4))
    )
    for shape in ((2, 6), (2, 6, 5), (2, 6, 5, 4), (1, 6, 3, 2, 2)):
        for groups in (1, 2, 6):
            if len(shape) > 2 or groups < 6:
                yield Case(f"group_norm {shape} {groups}", torch.nn.GroupNorm(groups, 6), (floats(*shape),))
    layer = torch.nn.RMSNorm(4, eps=1e-5)
    torch.nn.init.uniform_(layer.weight)
    yield Case("rms_norm", layer, (floats(2, 3, 4),))
    yield Case("local_response_norm", torch.nn.LocalResponseNorm(3), (floats(2, 6, 4, 4),))
    for order in (0, 1, 2, 3, float("inf"), -float("inf")):
        if order >= 0:
            yield Case(
                f"cdist {order}",
                lambda x, y, o=order: torch.cdist(x, y, o),
                (floats(2, 3, 4), floats(2, 5, 4)),
            )
        yield Case(
            f"vector_norm {order}",
            lambda x, o=order: torch.linalg.vector_norm(x, o, dim=1),
            (floats(2, 5, 3),),
        )
    yield Case("pdist", F.pdist, (floats(4, 3),))
    yield Case("normalize", F.normalize, (floats(2, 5),))


def _pooling() -> Iterator[Case]:
    for axes in (1, 2, 3):
        x = (floats(2, 3, *(9, 8, 7)[:axes]),)
        maximum, average = getattr(F, f"max_pool{axes}d"), getattr(F, f"avg_pool{axes}d")
        for options in ({}, {"stride": 2, "padding": 1}, {"stride": 2, "ceil_mode": True}):
            yield Case(f"max_pool{axes}d {options}", lambda x, f=maximum, o=options: f(x, 3, **o), x)
            yield Case(f"avg_pool{axes}d {options}", lambda x, f=average, o=options: f(x, 3, **o), x)
        yield Case(
            f"avg_pool{axes}d of what is there",
            lambda x, f=average: f(x, 3, 2, 1, count_include_pad=False),
            x,
        )
        yield Case(
            f"avg_pool{axes}d of what ceil_mode adds",
            lambda x, f=average: f(x, 3, 2, 1, ceil_mode=True),
            x,
        )
        for ceil in (False, True):
            yield Case(
                f"max_pool{axes}d with dilation, ceil_mode={ceil}",
                lambda x, f=maximum, c=ceil: f(x, 2, 2, 1, dilation=3, ceil_mode=c),
                x,
            )
        adaptive = getattr(F, f"adaptive_avg_pool{axes}d")
        for size in (1, 2, 3):
            yield Case(f"adaptive_avg_pool{axes}d {size}", lambda x, f=adaptive, s=size: f(x, s), x)
        largest = getattr(F, f"adaptive_max_pool{axes}d")
        for size in (1, 3):
            yield Case(f"adaptive_max_pool{axes}d {size}", lambda x, f=largest, s=size: f(x, s), x)
    yield Case("adaptive to a width", lambda x: F.adaptive_avg_pool2d(x, (None, 2)), (floats(1, 2, 5, 6),))
    yield Case("avg_pool divisor", lambda x: F.avg_pool2d(x, 2, divisor_override=3), (floats(1, 2, 6, 6),))
    yield Case("max_pool of one sample", lambda x: F.max_pool2d(x, 2), (floats(2, 6, 6),))


def _resampling() -> Iterator[Case]:
    image = (floats(1, 2, 5, 7),)
    for mode in ("nearest", "bilinear", "bicubic"):
        corners = {} if mode == "nearest" else {"align_corners": False}
        for options in ({"scale_factor": 2}, {"size": (8, 9)}, {"scale_factor": 1.5}, {"size": (3, 4)}):
            yield Case(
                f"{mode} {options}",
                lambda x, o={**options, **corners}, m=mode: F.interpolate(x, mode=m, **o),
                image,
            )
    for mode in ("bilinear", "bicubic"):
        for options in ({"scale_factor": 2}, {"size": (8, 9)}):
            yield Case(
                f"{mode} corners {options}",
                lambda x, o=options, m=mode: F.interpolate(x, mode=m, align_corners=True, **o),
                image,
            )
    for mode in ("bilinear", "bicubic"):
        for size in ((8, 9), (3, 4)):
            yield Case(
                f"{mode} antialias {size}",
                lambda x, m=mode, s=size: F.interpolate(x, s, mode=m, antialias=True),
                image,
            )
    for mode in ("nearest", "trilinear"):
        yield Case(
            f"{mode} of a volume",
            lambda x, m=mode: F.interpolate(x, (4, 5, 6), mode=m),
            (floats(1, 2, 2, 3, 4),),
        )
    for mode in ("nearest", "linear"):
        yield Case(
            f"{mode} of a row", lambda x, m=mode: F.interpolate(x, scale_factor=2, mode=m), (floats(1, 2, 5),)
        )
    for mode in ("bilinear", "nearest"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (False, True):
                yield Case(
                    f"grid_sample {mode} {padding} {corners}",
                    lambda x, g, m=mode, p=padding, c=corners: F.grid_sample(x, g, m, p, c),
                    (floats(1, 2, 5, 6), floats(1, 4, 4, 2, low=-1.2, high=1.2)),
                )
    yield Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (floats(1, 8, 3, 4),))
    yield Case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), (floats(1, 2, 6, 4),))
    yield Case("channel_shuffle", lambda x: F.channel_shuffle(x, 2), (floats(1, 6, 3, 4),))


def _shapes() -> Iterator[Case]:
    x = (floats(2, 3, 4),)
    yield Case("view", lambda x: x.view(6, 4) + 0, x)
    yield Case("flatten", lambda x: x.flatten(1) * 2, x)
    yield Case("permute", lambda x: x.permute(2, 0, 1), x)
    yield Case("transpose", lambda x: x.transpose(0, -1), x)
    yield Case("t", lambda x: x.t(), (floats(2, 3),))
    yield Case("movedim", lambda x: aten.movedim(x, [0], [2]), x)
    yield Case("unsqueeze", lambda x: x.unsqueeze(-1), x)
    yield Case("squeeze", lambda x: x.squeeze(1), (floats(2, 1, 3, 1),))
    yield Case("squeeze all", lambda x: x.squeeze(), (floats(2, 1, 3, 1),))
    yield Case("expand", lambda x: x.expand(4, 3, 2), (floats(3, 1),))
    yield Case("repeat", lambda x: x.repeat(2, 1, 3), (floats(3, 2),))
    yield Case("repeat_interleave", lambda x: x.repeat_interleave(2, 1), x)
    yield Case("cat", lambda x: torch.cat([x, x * 2], 1), x)
    yield Case("cat mixed", lambda x, y: torch.cat([x, y]), (integers(3, 2), floats(2, 2)))
    yield Case("stack", lambda x: torch.stack([x, x * 2], -1), x)
    yield Case("split", lambda x: x.split(2, 2), x)
    yield Case("split sizes", lambda x: x.split([1, 3], 2), x)
    yield Case("chunk", lambda x: x.chunk(2, 2), x)
    yield Case("unbind", lambda x: x.unbind(1), x)
    yield Case("select", lambda x: x[:, 1] + x[:, -1], x)
    yield Case("slice", lambda x: x[:, 1:, ::2], x)
    yield Case("slice from the end", lambda x: x[:, -2:, :-1], x)
    yield Case("slice beyond", lambda x: x[:, 1:100], x)
    yield Case("narrow", lambda x: x.narrow(2, 1, 2), x)
    yield Case("flip", lambda x: x.flip(0, 2), x)
    yield Case("roll", lambda x: x.roll((1, -1), (1, 2)), x)
    yield Case("roll flat", lambda x: x.roll(2), x)
    for mode in ("constant", "reflect", "replicate"):
        yield Case(f"pad {mode}", lambda x, m=mode: F.pad(x, (1, 2, 2, 1), m), (floats(1, 2, 4, 5),))
    yield Case("pad circular", lambda x: F.pad(x, (1, 2), "circular"), (floats(1, 2, 5),))
    yield Case("pad value", lambda x: F.pad(x, (0, 1, 0, 0, 2, 0), value=3.0), x)
    yield Case("pad negative", lambda x: F.pad(x, (-1, 1)), x)
    yield Case("pad integers", lambda x: F.pad(x, (1, 1), value=7), (integers(2, 3),))
    yield Case("pad volume", lambda x: F.pad(x, (1, 1, 1, 1, 1, 1), "replicate"), (floats(1, 2, 3, 4, 5),))
    yield Case("diagonal", lambda x: torch.diagonal(x, 1, 1, 2), x)
    yield Case("diagonal below", lambda x: torch.diagonal(x, -1, 0, 2), (floats(4, 2, 3),))
    yield Case("tril", lambda x: x.tril(), x)
    yield Case("tril below", lambda x: x.tril(-1), x)
    yield Case("triu above", lambda x: x.triu(1), x)
    yield Case("triu of bools", lambda x: x.triu(-1), (bools(4, 4),))
    yield Case("unfold a row", lambda x: x.unfold(1, 2, 1), x)
    yield Case("as_strided", lambda x: x.as_strided((2, 3), (1, 2), 1), (floats(3, 4),))
    yield Case("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), (floats(3), floats(2)))
    yield Case("bools moved", lambda x: x.permute(1, 0).reshape(-1)[1:], (bools(3, 4),))


def _indexing() -> Iterator[Case]:
    x, i = floats(5, 4, 3), torch.tensor([0, 3, 2])
    torch.manual_seed(0)
    yield Case("embedding", torch.nn.Embedding(7, 3), (integers(2, 3, low=0),))
    yield Case("index_select", lambda x, i: x.index_select(1, i), (x, i))
    yield Case("index_select of bools", lambda x, i: x.index_select(1, i), (bools(3, 4), i))
    yield Case("gather", lambda x, i: x.gather(1, i), (floats(3, 4), integers(3, 2, low=0, high=3)))
    yield Case("gather of longer", lambda x, i: x.gather(1, i), (floats(5, 4), integers(3, 2, low=0, high=3)))
    yield Case("index", lambda x, i: x[i], (x, i))
    yield Case("index from the end", lambda x, i: x[:, i], (x, torch.tensor([-1, 0, -4])))
    yield Case("index by two", lambda x, i: x[i, :, i[:, None] * 0], (x, torch.tensor([0, 1, 2])))
    yield Case("index by neighbours", lambda x, i: x[:, i, i - 1], (x, torch.tensor([0, 1, 2])))
    yield Case("index by constants", lambda x: x[[0, 2], [1, 3]], (x,))
    yield Case("index_put", lambda x, i, v: x.index_put((i,), v), (x, i, floats(3, 4, 3)))
    yield Case("index_put one", lambda x, i: x.index_put((i,), torch.tensor(2.0)), (x, i))
    yield Case("index_put by two", lambda x, i, v: x.index_put((i, i), v), (x, i, floats(3, 3)))
    yield Case("index_put add", lambda x, i, v: x.index_put((i * 0,), v, True), (x, i, floats(3, 4, 3)))
    yield Case("index_put behind", lambda x, i, v: aten.index_put(x, [None, i], v), (x, i, floats(5, 3, 3)))
    yield Case("index_put by a mask", lambda x, m: x.index_put((m,), torch.tensor(1.5)), (x, bools(5, 4)))
    indices = integers(5, 4, low=0, high=3)
    yield Case(
        "scatter", lambda x, i, s: x.scatter(1, i.argsort(1), s), (floats(5, 4), indices, floats(5, 4))
    )
    yield Case("scatter value", lambda x, i: x.scatter(1, i, 2.5), (floats(5, 4), indices))
    yield Case("scatter_add", lambda x, i, s: x.scatter_add(1, i, s), (floats(5, 4), indices, floats(5, 4)))
    yield Case("scatter less", lambda x, i: x.scatter(1, i, 2.5), (floats(5, 4), indices[:3, :2]))
    for reduce in ("sum", "amax", "amin", "prod"):
        yield Case(
            f"scatter_reduce {reduce}",
            lambda x, i, s, r=reduce: x.scatter_reduce(1, i, s, r),
            (floats(5, 4), indices, floats(5, 4)),
        )
    yield Case("index_add", lambda x, i, s: x.index_add(0, i, s), (x, i, floats(3, 4, 3)))
    yield Case("index_copy", lambda x, i, s: x.index_copy(1, i, s), (x, i, floats(5, 3, 3)))
    yield Case("index_fill", lambda x, i: x.index_fill(1, i, 2.0), (x, i))
    yield Case("slice_scatter", lambda x, s: x.slice_scatter(s, 1, 1, 3), (x, floats(5, 2, 3)))
    yield Case("slice_scatter steps", lambda x, s: x.slice_scatter(s, 1, 0, None, 2), (x, floats(5, 2, 3)))
    yield Case("select_scatter", lambda x, s: x.select_scatter(s, 1, 2), (x, floats(5, 3)))
    yield Case("select_scatter last", lambda x, s: x.select_scatter(s, 1, -1), (x, floats(5, 3)))
    yield Case("one_hot", lambda x: F.one_hot(x, 6), (integers(3, 2, low=0),))
    yield Case("bucketize", torch.bucketize, (floats(3, 4), torch.tensor([-1.0, 0.0, 1.0])))
    yield Case("set in place", _set_in_place, (x,))


def _set_in_place(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1:3] = 0.0
    y[1] += 1
    return y


def _reductions() -> Iterator[Case]:
    x = (floats(2, 3, 4),)
    for name in ("sum", "mean", "amax", "amin", "logsumexp", "var", "std"):
        for axes in ((1,), (0, -1)):
            for keep in (False, True):
                yield Case(
                    f"{name} {axes} {keep}",
                    lambda x, n=name, a=axes, k=keep: getattr(torch, n)(x, dim=a, keepdim=k),
                    x,
                )
    for name in ("sum", "mean", "amax", "prod", "var", "max", "min", "argmax", "argmin"):
        yield Case(f"{name} of all", getattr(torch, name), x)
    yield Case("prod", lambda x: x.prod(1), x)
    yield Case("sum of integers", lambda x: x.sum(0), (integers(3, 4),))
    yield Case("sum of bools", lambda x: x.sum(1), (bools(3, 4),))
    yield Case("mean of bools", lambda x: x.float().mean(1), (bools(3, 4),))
    yield Case("var uncorrected", lambda x: x.var(1, unbiased=False), x)
    yield Case("var_mean", lambda x: torch.var_mean(x, 1), x)
    for name in ("max", "min"):
        yield Case(f"{name} and where", lambda x, n=name: getattr(x, n)(1), x)
    for name in ("argmax", "argmin"):
        yield Case(f"{name} kept", lambda x, n=name: getattr(x, n)(2, keepdim=True), x)
    for name in ("any", "all"):
        yield Case(f"{name} of all", getattr(torch, name), (bools(3, 4),))
        yield Case(name, lambda x, n=name: getattr(x, n)(1), (bools(3, 4),))
    yield Case("any of numbers", lambda x: x.any(0), (integers(3, 4),))
    yield Case("cumsum", lambda x: x.cumsum(1), x)
    yield Case("cumsum of bools", lambda x: x.cumsum(1), (bools(3, 4),))
    yield Case("topk", lambda x: x.topk(2, 1), x)
    yield Case("topk smallest", lambda x: x.topk(2, -1, largest=False), x)
    yield Case("sort", lambda x: x.sort(1), x)
    yield Case("sort downwards", lambda x: x.sort(1, descending=True), x)
    yield Case("argsort", lambda x: x.argsort(2), x)
    yield Case("histc", lambda x: torch.histc(x, 4, -2, 2), (floats(9),))


def _creation() -> Iterator[Case]:
    x = (floats(2, 3),)
    yield Case("full", lambda x: x + torch.full((3,), 2.0), x)
    yield Case("full_like", lambda x: torch.full_like(x, 2) * x, x)
    yield Case("zeros_like", lambda x: torch.zeros_like(x) + x, x)
    yield Case("new_ones", lambda x: x.new_ones(3) + x, x)
    yield Case("arange", lambda x: x + torch.arange(3), x)
    yield Case("arange steps", lambda x: x + torch.arange(1.0, 2.5, 0.5), x)
    yield Case("eye", lambda x: x @ torch.eye(3), x)
    yield Case("scalar_tensor", lambda x: x * torch.tensor(2.5), x)
    yield Case("linspace", lambda x: x + torch.linspace(0, 1, 3), x)
    yield Case("large", lambda x: torch.full((70, 70), 2.0) * x.sum(), x)


def _attention() -> Iterator[Case]:
    q, k, v = floats(2, 3, 4, 8), floats(2, 3, 5, 8), floats(2, 3, 5, 6)
    attend = F.scaled_dot_product_attention
    yield Case("attention", attend, (q, k, v))
    yield Case("attention of rank 3", attend, (q[0], k[0], v[0]))
    yield Case("attention, bool mask", attend, (q, k, v, torch.ones(4, 5).tril().bool()))
    yield Case("attention, mask", attend, (q, k, v, floats(2, 1, 4, 5)))
    yield Case("attention, causal", lambda q, k, v: attend(q, k, v, is_causal=True), (q, k, v))
    yield Case("attention, scale", lambda q, k, v: attend(q, k, v, scale=0.3), (q, k, v))
    yield Case(
        "attention, groups", lambda q, k, v: attend(q, k, v, enable_gqa=True), (q.repeat(1, 2, 1, 1), k, v)
    )
    yield Case("attention, broadcast", attend, (q, k[:1, :1], v[:1, :1]))


def _rounding() -> Iterator[Case]:
    per_tensor, per_channel = torch.fake_quantize_per_tensor_affine, torch.fake_quantize_per_channel_affine
    for low, high, zero in ((0, 255, 120), (-128, 127, 0), (0, 15, 7)):
        yield Case(
            f"fake_quantize {low} to {high}",
            lambda x, z=zero, ends=(low, high): per_tensor(x, 0.02, z, *ends),
            (floats(4, 6),),
        )
    yield Case(
        "fake_quantize by computed parameters",
        lambda x, scale, zero: per_tensor(x, scale * 2, zero, 0, 255),
        (floats(4, 6), torch.tensor([0.01]), torch.tensor([120], dtype=torch.int32)),
    )
    for axis in (0, 1):
        yield Case(
            f"fake_quantize per channel of axis {axis}",
            lambda x, scale, a=axis: per_channel(x, scale, torch.zeros_like(scale).int(), a, -128, 127),
            (floats(4, 4, 2), floats(4, low=0.01, high=0.1)),
        )


CASES = tuple(
    case
    for family in (
        _unary,
        _activations,
        _binary,
        _convolutions,
        _products,
        _normalizations,
        _pooling,
        _resampling,
        _shapes,
        _indexing,
        _reductions,
        _creation,
        _attention,
        _rounding,
    )
    for case in family()
)
