"""Packages that coremltools makes: one for each convention of `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import get_new_symbol, types

from tests.zoo.peer import sizes_of_one_element

IOS18 = ct.target.iOS18


class Negative(torch.nn.Module):
    """255 less each value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 255 - x


class Sum(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Attention(torch.nn.Module):
    """Rows that attend to each other, and a convolution along them: all sizes follow from that of x."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = torch.nn.Linear(8, 24)
        self.conv = torch.nn.Conv1d(8, 8, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        q, k, v = (
            part.reshape(n, length, 2, width // 2).transpose(1, 2) for part in self.heads(x).chunk(3, -1)
        )
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        joined = mixed.transpose(1, 2).reshape(n, length, width)
        smooth: torch.Tensor = self.conv(joined.transpose(1, 2))
        return smooth.flatten(1)


def attention_package(folder: Path, low: int, high: int) -> Path:
    """`Attention` of ``x``, [1, low to high, 8]: ``y``."""
    example = torch.zeros(1, low + 1, 8)
    shape = (1, ct.RangeDim(low, high, low + 1), 8)
    with sizes_of_one_element():
        return _convert(
            torch.jit.trace(Attention().eval(), example),
            folder,
            inputs=[ct.TensorType(name="x", shape=shape, dtype=np.float32)],
            outputs=[ct.TensorType(name="y", dtype=np.float32)],
        )


def image_package(folder: Path, color: str, **scaling: Any) -> Path:
    """From an image, 3 × 4, to one: 255 less each value, which the converter scales and shifts before."""
    layout = ct.colorlayout[color]
    shape = (1, 1 if color.startswith("GRAY") else 3, 3, 4)
    return _convert(
        torch.jit.trace(Negative(), torch.zeros(shape)),
        folder,
        inputs=[ct.ImageType(name="x", shape=shape, color_layout=layout, **scaling)],
        outputs=[ct.ImageType(name="y", color_layout=layout)],
    )


def enumerated_package(folder: Path, shapes: dict[str, Sequence[Sequence[int]]]) -> Path:
    """Each input plus 1, as an output of its own."""
    return _flexible_package(
        folder, {name: ct.EnumeratedShapes(shapes=list(some)) for name, some in shapes.items()}
    )


def range_package(folder: Path, low: int, high: int) -> Path:
    """``x``, [1, low to high], plus 1."""
    return _flexible_package(folder, {"x": ct.Shape((1, ct.RangeDim(low, high, low + 1)))})


def optional_package(folder: Path, default: float) -> Path:
    """``x + y``, both [2]; ``y`` is `default` when it is left out."""
    inputs = [
        ct.TensorType(name="x", shape=(2,), dtype=np.float32),
        ct.TensorType(name="y", shape=(2,), default_value=np.full(2, default, np.float32)),
    ]
    outputs = [ct.TensorType(name="sum", dtype=np.float32)]
    return _convert(
        torch.jit.trace(Sum(), (torch.zeros(2), torch.ones(2))), folder, inputs=inputs, outputs=outputs
    )


def integer_package(folder: Path) -> Path:
    """``ids + 1`` of int32, [3]."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(3,), dtype=types.int32)], opset_version=IOS18)
    def program(ids: Any) -> Any:
        return mb.add(x=ids, y=1, name="next")

    return _convert(program, folder)


def scalar_package(folder: Path) -> Path:
    """The sum of ``x``, [3], without axes."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(3,))], opset_version=IOS18)
    def program(x: Any) -> Any:
        return mb.reduce_sum(x=x, keep_dims=False, name="sum")

    return _convert(program, folder)


def half_package(folder: Path) -> Path:
    """``relu(x)`` of float16, [4]."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(4,), dtype=types.fp16)], opset_version=IOS18)
    def program(x: Any) -> Any:
        return mb.relu(x=x, name="y")

    return _convert(program, folder)


def classifier_package(folder: Path, labels: Sequence[str] | Sequence[int]) -> Path:
    """Softmax of ``x``, [1, labels]."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, len(labels)))], opset_version=IOS18)
    def program(x: Any) -> Any:
        return mb.softmax(x=x, axis=-1, name="probabilities")

    return _convert(program, folder, classifier_config=ct.ClassifierConfig(list(labels)))


def stateful_package(folder: Path, size: int = 2) -> Path:
    """Adds ``x`` of float16, [size], to the state ``total``, and returns twice the sum."""
    specs = [mb.TensorSpec(shape=(size,), dtype=types.fp16), mb.StateTensorSpec((size,), dtype=types.fp16)]

    @mb.program(input_specs=specs, opset_version=IOS18)
    def program(x: Any, total: Any) -> Any:
        added = mb.add(x=mb.read_state(input=total), y=x)
        after = mb.coreml_update_state(state=total, value=added)
        return mb.mul(x=after, y=np.float16(2), name="y")

    return _convert(program, folder)


def two_function_package(folder: Path) -> Path:
    """``relu`` and ``square`` of ``x``, [2], by functions of these names; the second is the default."""
    description = ct.utils.MultiFunctionDescriptor()
    for name in ("relu", "square"):
        single = _convert(_operator_program(name), folder, name)
        description.add_function(str(single), "main", name)
    description.default_function_name = "square"
    path = folder / "two.mlpackage"
    ct.utils.save_multifunction(description, str(path))
    return path


def _operator_program(operator: str) -> Any:
    @mb.program(input_specs=[mb.TensorSpec(shape=(2,))], opset_version=IOS18)
    def program(x: Any) -> Any:
        return getattr(mb, operator)(x=x, name="y")

    return program


def _flexible_package(folder: Path, shapes: dict[str, Any]) -> Path:
    specs = [mb.TensorSpec(shape=(1, get_new_symbol())) for _ in shapes]

    def program(x: Any, y: Any) -> Any:
        return mb.add(x=x, y=1.0, name="x_out"), mb.add(x=y, y=1.0, name="y_out")

    def single(x: Any) -> Any:
        return mb.add(x=x, y=1.0, name="x_out")

    body = mb.program(input_specs=specs, opset_version=IOS18)(single if len(shapes) == 1 else program)
    return _convert(
        body, folder, inputs=[ct.TensorType(name=name, shape=shape) for name, shape in shapes.items()]
    )


def _convert(program: Any, folder: Path, name: str = "model", **options: Any) -> Path:
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=IOS18,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )
    path = folder / f"{name}.mlpackage"
    model.save(str(path))
    return path
