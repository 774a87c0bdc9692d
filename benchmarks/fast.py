"""Rows about models that run faster because they are compressed: one thread, one process."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.nn import functional

import mlpress
from benchmarks import convert_work
from benchmarks.latency import Encoder
from benchmarks.table import Row
from benchmarks.taking_turns import medians, milliseconds
from mlpress import MLModel, Palettize, Quantize, Step, compress, quantize_activations
from tests.zoo.torchvision_operators import provide_operators

_SIZE = 4096
_TOKENS = 128
_INT8 = Quantize(dtype="int8")
_INT8_TABLES = Palettize(nbits=4, group_size=8) >> _INT8
_CALIBRATION = 8


def fast(folder: Path) -> Iterator[Row]:
    """8-bit networks, linear layers by compressed weights, and the memory that these take."""
    provide_operators()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # onnxruntime says what it cannot quantize
    yield from _resnet50(folder)
    yield from _minilm(folder)
    yield from _linear()
    yield from _linear_memory(folder)


def _converted(network: nn.Module, example: Tensor) -> MLModel:
    return mlpress.convert(
        network,
        inputs=[mlpress.TensorType("x", tuple(example.shape), dtype=_dtype(example))],
        minimum_deployment_target=mlpress.target.iOS18,
    )


def _dtype(example: Tensor) -> type[np.float32 | np.int32]:
    return np.float32 if example.is_floating_point() else np.int32


def _resnet50(folder: Path) -> Iterator[Row]:
    network, example = convert_work.resnet50()
    random = torch.Generator().manual_seed(0)
    samples = [torch.rand(example.shape, generator=random) for _ in range(_CALIBRATION)]
    with_activations = quantize_activations(
        _converted(network, example), ({"x": sample} for sample in samples), Quantize(mode="linear")
    ).model
    models = {
        "W8A8": compress(with_activations, _INT8).model,
        "A8W4": compress(with_activations, _INT8_TABLES).model,
    }
    as_exported, prepared = _onnx_int8(network, example, samples, folder)
    array = example.numpy()
    seconds = medians(
        {
            "torch": lambda: network(example),
            "as exported": lambda: as_exported.run(None, {"x": array}),
            "prepared": lambda: prepared.run(None, {"x": array}),
            **{name: _predicting(model, example) for name, model in models.items()},
        }
    )
    for name, target, rival in (
        ("torch", 4.0, "torch, eager float32"),
        ("as exported", 1.8, "onnxruntime's quantize_static"),
        ("prepared", None, "the same after its quant_pre_process"),
    ):
        times = seconds[name] / seconds["W8A8"]
        yield _faster(f"ResNet-50 W8A8 over {rival}", seconds["W8A8"], seconds[name], times, target)
    ratio = seconds["A8W4"] / seconds["W8A8"]
    yield Row(
        "faster from compression",
        "ResNet-50 A8W4 (int8 tables), time over W8A8's",
        milliseconds(seconds["A8W4"]),
        milliseconds(seconds["W8A8"]),
        ratio,
        1.05,
        note="noise of the machine: 5 %",
    )
    with torch.inference_mode():
        exact = network(example).numpy()
    error = _error(_predicting(models["W8A8"], example)(), exact)
    yield Row("faster from compression", "ResNet-50 W8A8, relative error of the output", "", "", error, 0.02)
    yield _file_ratio(models, folder)


def _file_ratio(models: dict[str, MLModel], folder: Path) -> Row:
    sizes = {}
    for name, model in models.items():
        model.save(folder / f"{name}.mlpackage")
        sizes[name] = _nbytes(folder / f"{name}.mlpackage")
    words = [f"{sizes[name] / 1e6:.1f} MB" for name in ("A8W4", "W8A8")]
    ratio = sizes["A8W4"] / sizes["W8A8"]
    return Row("faster from compression", "ResNet-50 A8W4, file over W8A8's", *words, ratio, 0.55)


def _minilm(folder: Path) -> Iterator[Row]:
    network, random = Encoder().eval(), torch.Generator().manual_seed(0)
    example, *samples = (torch.randint(1000, 30000, (8, _TOKENS), generator=random) for _ in range(4))
    # Sums are what 8 bits suit worst in a transformer: a few numbers are far larger than all others.
    rules = Step(Quantize(mode="linear"), {"add": None})
    model = compress(
        quantize_activations(
            _converted(network, example), ({"x": sample} for sample in samples), rules
        ).model,
        _INT8,
    ).model
    seconds = medians({"torch": lambda: network(example), "ours": _predicting(model, example)})
    times = seconds["torch"] / seconds["ours"]
    work = f"MiniLM W8A8, {_TOKENS} tokens, batch 8, over torch, eager float32"
    yield _faster(work, seconds["ours"], seconds["torch"], times, 2.0)
    palettized = compress(_converted(network, example[:1]), Palettize(nbits=4)).model
    yield _memory(f"MiniLM, {_TOKENS} tokens, 4-bit tables, activations and all", palettized, folder, None)


def _linear() -> Iterator[Row]:
    torch.manual_seed(0)
    network = nn.Linear(_SIZE, _SIZE, bias=False).eval()
    ways = {
        "int8 rows": (_INT8, 2.5),
        "int4 blocks of 32": (Quantize(dtype="int4", granularity="per_block"), 4.0),
        "4-bit table": (Palettize(nbits=4), 5.0),
    }
    for rows in (1, 64):
        example = torch.randn(rows, _SIZE)
        source = _converted(network, example)
        models = {name: compress(source, recipe).model for name, (recipe, _) in ways.items()}
        work: dict[str, Callable[[], Any]] = {"torch": _linear_by_torch(network.weight, example)}
        seconds = medians(work | {name: _predicting(model, example) for name, model in models.items()})
        for name, (_, target) in ways.items():
            times = seconds["torch"] / seconds[name]
            work_name = f"linear {_SIZE} x {_SIZE}, batch {rows}: {name}, over torch float32"
            yield _faster(work_name, seconds[name], seconds["torch"], times, target if rows == 1 else 1.0)


def _linear_by_torch(weight: Tensor, x: Tensor) -> Callable[[], Tensor]:
    return lambda: functional.linear(x, weight)


def _linear_memory(folder: Path) -> Iterator[Row]:
    torch.manual_seed(0)
    layers = [nn.Linear(_SIZE, _SIZE, bias=False) for _ in range(4)]
    source = _converted(nn.Sequential(*layers).eval(), torch.zeros(1, _SIZE))
    for name, recipe in (
        ("4-bit tables of 16 rows", Palettize(nbits=4, group_size=16)),
        ("int4 blocks of 32", Quantize(dtype="int4", granularity="per_block")),
    ):
        work = f"4 linear layers of {_SIZE} x {_SIZE}, {name}"
        yield _memory(work, compress(source, recipe).model, folder, 1.2)


def _memory(work: str, model: MLModel, folder: Path, target: float | None) -> Row:
    """Returns how much memory it takes to load and run a model in a process of its own, over its file."""
    package = folder / "memory.mlpackage"
    model.save(package)
    command = [sys.executable, "-m", "benchmarks.running_memory", str(package)]
    used = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    size = _nbytes(package)
    words = (f"{used / 1e6:.1f} MB", f"{size / 1e6:.1f} MB")
    return Row("faster from compression", f"{work}: memory to run over the file", *words, used / size, target)


def _predicting(model: MLModel, example: Tensor) -> Callable[[], Any]:
    """Returns a call like a user's, less the checks of what is handed in."""
    runner, array = model.predictor.runner, example.numpy()
    (output,) = runner.outputs
    return lambda: runner({"x": array})[output]


def _onnx_int8(
    network: nn.Module, example: Tensor, samples: list[Tensor], folder: Path
) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
    """Returns the network quantized by onnxruntime, as torch exports it and with its graph tidied up first.

    Activations go to uint8, weights to int8 by channel.
    """
    exported, prepared = folder / "exported.onnx", folder / "prepared.onnx"
    torch.onnx.export(network, (example,), str(exported), input_names=["x"], dynamo=False, verbose=False)
    quant_pre_process(exported, prepared)

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self._left, None)
            return None if sample is None else {"x": sample.numpy()}

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = []
    for source in (exported, prepared):
        quantized = source.with_suffix(".int8.onnx")
        quantize_static(
            source,
            quantized,
            Samples(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        sessions.append(onnxruntime.InferenceSession(str(quantized), options))
    return sessions[0], sessions[1]


def _faster(work: str, ours: float, theirs: float, times: float, target: float | None) -> Row:
    words = (milliseconds(ours), milliseconds(theirs))
    return Row("faster from compression", work, *words, times, target, "at least")


def _error(found: Any, exact: Any) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def _nbytes(package: Path) -> int:
    return sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
