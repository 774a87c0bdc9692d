"""coremltools' passes for activations, given ranges: its calibration needs a Mac, they do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import coremltools as ct
import coremltools.optimize as cto
import numpy as np
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.passes.graph_pass import PassOption
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY
from coremltools.models import utils
from coremltools.optimize.coreml.experimental._post_training_quantization import (
    _adjust_concat_surrounding_activation_stats as share_ranges_of_concat,
)

from mlpress import MLModel
from mlpress.mil import Operation
from mlpress.passes.activations import Range

Model = ct.models.MLModel
Ranges = Mapping[str, Range]
SHAPE = (1, 4, 8, 8)


def convert(build: Callable[..., Any], dtype: Any = types.fp16) -> Model:
    """Returns what the graph `build` makes from an input of `SHAPE` as a package for iOS 17."""
    spec = mb.TensorSpec(shape=SHAPE, dtype=dtype)
    program = mb.program(input_specs=[spec], opset_version=ct.target.iOS17)(build)
    precision = ct.precision.FLOAT16 if dtype is types.fp16 else ct.precision.FLOAT32
    return ct.convert(
        program,
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=precision,
        skip_model_load=True,
    )


def random_ranges(model: Model, seed: int = 0) -> dict[str, Range]:
    """Draws a range for each value of the outer block, in numbers that float16 has.

    What a reshape makes takes the same numbers as what goes in.
    """
    random = np.random.default_rng(seed)
    function = MLModel(model).program.functions["main"]
    found: dict[str, Range] = {}
    for value in [*function.inputs, *(v for node in function.block.operations for v in node.outputs)]:
        low, high = random.uniform(-4, 0), random.uniform(0, 6)
        found[value.name] = Range(float(np.float16(low)), float(np.float16(high)))
    for node in function.block.operations:
        if isinstance(node, Operation) and node.type == "reshape":
            found[node.outputs[0].name] = found[node.inputs["x"].name]
    return found


def quantized(model: Model, config: Any, ranges: Ranges, joined: list[list[str]] | None = None) -> MLModel:
    """Returns the package that coremltools makes of `model` and these ranges.

    Args:
        model: A model of coremltools.
        config: Its configuration.
        ranges: By name of the value.
        joined: Names of what goes into and comes out of each concat.
    """
    stats = {name: {"rmin": each.low, "rmax": each.high} for name, each in ranges.items()}
    share_ranges_of_concat(joined, stats)
    passes = []
    for end in ("prefix", "suffix"):
        insertion = PASS_REGISTRY[f"compression::insert_{end}_quantize_dequantize_pair"]
        insertion.set_options([PassOption("config", config), PassOption("activation_stats", stats)])
        passes.append(insertion)
    passes.append(PASS_REGISTRY["common::dequantize_quantize_pair_elimination"])
    made = utils._apply_graph_pass(
        model, passes, spec_version=8, skip_model_load=True, pymil_load_func=milproto.load
    )
    return MLModel(made)


def config(mode: str = "linear_symmetric", dtype: str = "int8", left_out: str | None = None) -> Any:
    """Returns coremltools' configuration: one for all, but for a type of operators to leave out."""
    one = cto.coreml.OpLinearQuantizerConfig(mode=mode, dtype=dtype)
    return cto.coreml.OptimizationConfig(
        global_config=one, op_type_configs={} if left_out is None else {left_out: None}
    )
