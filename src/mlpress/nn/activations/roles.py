"""What operations mean for quantization.

The lists are those of the patterns that coremltools quantizes.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import torch
from torch import fx, nn
from torch.nn import functional as F

from mlpress.nn.targets import CONVOLUTIONS, TRANSPOSED


class Role(Enum):
    """What a node of a graph does."""

    WEIGHTED = auto()
    """Multiplies by weights; a batch norm and an activation can follow as parts of it."""

    NORM = auto()
    BINARY = auto()
    """Combines tensors; an activation can follow as a part of it."""

    ACTIVATION = auto()
    SHARING = auto()
    """Moves or pools values, so that what comes out has the scale of what goes in."""

    DROPOUT = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Fixed:
    """Scale and zero point of values whose range is known."""

    scale: float
    zero_point: int


NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_UNIT, _BOTH = Fixed(1 / 256, 0), Fixed(2 / 256, 128)
FIXED: Final[Mapping[Any, Fixed]] = {
    **dict.fromkeys((nn.Sigmoid, torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), _UNIT),
    **dict.fromkeys((nn.Hardsigmoid, F.hardsigmoid, nn.Softmax), _UNIT),
    **dict.fromkeys((nn.Tanh, torch.tanh, F.tanh, "tanh", "tanh_"), _BOTH),
}
POSITIVE: Final = (nn.ReLU, nn.ReLU6, F.relu, F.relu_, torch.relu, torch.relu_, F.relu6, "relu", "relu_")
"""Whose results are not negative, so that all integers can stand for them."""

_ACTIVATIONS: Final = (
    *FIXED, *POSITIVE, nn.PReLU, nn.RReLU, nn.LeakyReLU, nn.LogSigmoid, nn.SiLU, nn.ELU, nn.CELU, nn.SELU,
    nn.GLU, nn.Mish, nn.GELU, nn.Hardtanh, nn.LogSoftmax, nn.Hardswish, F.prelu, F.rrelu, F.rrelu_,
    F.leaky_relu, F.leaky_relu_, F.logsigmoid, F.silu, F.elu, F.elu_, F.celu, F.celu_, F.selu, F.selu_, F.glu,
    F.mish, F.gelu, F.hardtanh, F.hardtanh_, F.log_softmax, F.hardswish, torch.exp2,
)  # fmt: skip
_SHARING: Final = (
    nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten, F.max_pool1d, F.max_pool2d,
    F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d, torch.mean, torch.flatten, torch.cat, "mean", "flatten",
)  # fmt: skip
_WEIGHTED_MODULES: Final = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
_ROLES: Final[Mapping[Any, Role]] = {
    **dict.fromkeys(_ACTIVATIONS, Role.ACTIVATION),
    **dict.fromkeys(_SHARING, Role.SHARING),
    **dict.fromkeys(_WEIGHTED_MODULES, Role.WEIGHTED),
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d, F.linear), Role.WEIGHTED),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), Role.WEIGHTED),
    **dict.fromkeys(NORMS, Role.NORM),
    **dict.fromkeys((operator.add, torch.add, operator.iadd, "add", "add_"), Role.BINARY),
    **dict.fromkeys((operator.mul, torch.mul, operator.imul, "mul", "mul_"), Role.BINARY),
    **dict.fromkeys((operator.sub, torch.sub, operator.matmul, torch.matmul, "matmul"), Role.BINARY),
    torch.einsum: Role.BINARY,
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, F.dropout), Role.DROPOUT),
}
COMBINING: Final = (operator.add, torch.add, operator.mul, torch.mul, "add", "mul")
"""Results are not negative where no operand is."""


def operation(node: fx.Node, model: nn.Module) -> Any:
    """Returns what a node calls: the type of a module, a function, or the name of a method."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return torch.nn.utils.parametrize.type_before_parametrizations(module)
    return node.target if node.op in ("call_function", "call_method") else None


def role(node: fx.Node, model: nn.Module) -> Role:
    """Returns what a node does; a subclass of a module that multiplies by weights does so, too."""
    called = operation(node, model)
    found = _ROLES.get(called) if called is not None else None
    if found is None and isinstance(called, type) and issubclass(called, _WEIGHTED_MODULES):
        return Role.WEIGHTED
    return found or Role.OTHER
