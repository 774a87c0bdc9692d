"""A converted model does not fill memory beside the module that it is made from."""

from __future__ import annotations

import torch
from torch import nn

import mlpress
from mlpress.encoding import tensors
from mlpress.mil import Constant, Literal
from mlpress.package.mapped import is_mapped

_LARGE = 1 << 16
"""Bytes from which a weight is kept out of memory."""


def test_weights_that_conversion_makes_lie_in_a_file() -> None:
    module = nn.Sequential(
        nn.Conv2d(64, 64, 3),
        nn.BatchNorm2d(64),  # folded: the weight is another one
        nn.Flatten(),
        nn.Linear(64 * 4, 256),  # narrowed to float16
    )
    program = mlpress.convert(module.eval(), inputs=[torch.rand(1, 64, 4, 4)]).program
    weights = [
        tensor
        for node in program.functions["main"].block.walk()
        if isinstance(node, Constant) and not isinstance(node.data, Literal)
        for tensor in tensors(node.data)
        if tensor.nbytes >= _LARGE
    ]
    assert [weight.shape for weight in weights] == [(64, 64, 3, 3), (256, 256)]
    assert all(is_mapped(weight) for weight in weights)
