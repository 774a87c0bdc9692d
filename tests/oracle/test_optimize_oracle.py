"""Names, arguments, defaults and errors under `mlpress.optimize.coreml` are coremltools'."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as peer
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb

import mlpress
import mlpress.optimize.coreml as ours
from tests.oracle.chains import chains, decoded_here, decoded_there
from tests.oracle.models import build_linear

CONFIGS = [
    "OpLinearQuantizerConfig",
    "OpMagnitudePrunerConfig",
    "OpPalettizerConfig",
    "OpThresholdPrunerConfig",
]
FUNCTIONS = [
    "decompress_weights",
    "get_weights_metadata",
    "linear_quantize_weights",
    "palettize_weights",
    "prune_weights",
]


def arguments(call: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Names and defaults of what a function or class takes."""
    found = []
    for name, parameter in inspect.signature(call).parameters.items():
        default = parameter.default
        default = getattr(default, "name", default)  # an enumeration: its name
        found.append((name, default.lower() if isinstance(default, str) else default))
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_the_same_arguments(name: str) -> None:
    decorated = getattr(peer, name)
    (theirs,) = (cell.cell_contents for cell in decorated.__closure__)
    assert arguments(getattr(ours, name)) == arguments(theirs)


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_take_the_same_arguments_and_defaults(name: str) -> None:
    assert [key for key, _ in arguments(getattr(ours, name))] == [
        key for key, _ in arguments(getattr(peer, name))
    ]
    given = {"OpMagnitudePrunerConfig": {"target_sparsity": 0.5}, "OpPalettizerConfig": {"nbits": 4}}.get(
        name, {}
    )
    here, there = getattr(ours, name)(**given), getattr(peer, name)(**given)
    for key, _ in arguments(getattr(peer, name)):
        assert plain(getattr(here, key)) == plain(getattr(there, key)), key


def plain(value: Any) -> Any:
    """Enumerations and types by name."""
    if isinstance(value, type):
        return f"{'u' if value.is_unsigned() else ''}int{value.get_bitwidth()}"  # type: ignore[attr-defined]
    value = getattr(value, "name", value)
    return value.lower() if isinstance(value, str) else value


@pytest.mark.parametrize("name", ["set_global", "set_op_type", "set_op_name", "from_dict", "from_yaml"])
def test_the_methods_of_the_whole_configuration(name: str) -> None:
    here, there = (arguments(getattr(library.OptimizationConfig, name)) for library in (ours, peer))
    assert here == there


def test_the_parts_of_the_whole_configuration_come_in_the_same_order() -> None:
    theirs = [key for key, _ in arguments(peer.OptimizationConfig)]
    assert [key for key, _ in arguments(ours.OptimizationConfig)] == theirs[:3]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("OpPalettizerConfig", {}),
        ("OpPalettizerConfig", {"nbits": 5}),
        ("OpPalettizerConfig", {"nbits": 4, "mode": "unique"}),
        ("OpPalettizerConfig", {"mode": "custom"}),
        ("OpPalettizerConfig", {"mode": "nothing", "nbits": 4}),
        ("OpPalettizerConfig", {"nbits": 4, "lut_function": len}),
        ("OpPalettizerConfig", {"nbits": 4, "granularity": "per_channel"}),
        ("OpPalettizerConfig", {"nbits": 4, "weight_threshold": -1}),
        ("OpLinearQuantizerConfig", {"mode": "nothing"}),
        ("OpLinearQuantizerConfig", {"dtype": "int16"}),
        ("OpLinearQuantizerConfig", {"granularity": "per_grouped_channel"}),
        ("OpMagnitudePrunerConfig", {}),
        ("OpMagnitudePrunerConfig", {"target_sparsity": 1.5}),
        ("OpMagnitudePrunerConfig", {"target_sparsity": 0.5, "n_m_ratio": (1, 2)}),
        ("OpMagnitudePrunerConfig", {"n_m_ratio": (3, 2)}),
        ("OpMagnitudePrunerConfig", {"target_sparsity": 0.5, "block_size": 1}),
        ("OpMagnitudePrunerConfig", {"n_m_ratio": (1, 2), "dim": 2}),
        ("OpMagnitudePrunerConfig", {"target_sparsity": 0.5, "dim": 0}),
        ("OpThresholdPrunerConfig", {"threshold": -1}),
        ("OpThresholdPrunerConfig", {"minimum_sparsity_percentile": 2}),
    ],
)
def test_what_one_refuses_the_other_refuses_too(name: str, given: dict[str, Any]) -> None:
    for library in (ours, peer):
        with pytest.raises((ValueError, TypeError)):
            getattr(library, name)(**given)


@pytest.mark.parametrize("dtype", ["int8", "uint8", np.int8, np.uint8, "int4", "uint4"])
def test_every_spelling_of_a_dtype(dtype: Any) -> None:
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    assert ours.OpLinearQuantizerConfig(dtype=dtype).stage().dtype == name
    peer_type = peer.OpLinearQuantizerConfig(dtype=dtype).dtype
    assert ours.OpLinearQuantizerConfig(dtype=peer_type).stage().dtype == name


def test_coremltools_own_granularities_are_understood() -> None:
    from coremltools.optimize.coreml._config import CompressionGranularity

    quantizer = ours.OpLinearQuantizerConfig(granularity=CompressionGranularity.PER_TENSOR)
    assert quantizer.stage().granularity == "per_tensor"
    palettizer = ours.OpPalettizerConfig(nbits=4, granularity=CompressionGranularity.PER_GROUPED_CHANNEL)
    assert palettizer.stage().group_size == 32


# Scripts written for coremltools.

LISTINGS = {
    "palettize to 4 bits, then quantize the table": """
config = cto.coreml.OptimizationConfig(global_config=cto.coreml.OpPalettizerConfig(mode="kmeans", nbits=4))
palettized = cto.coreml.palettize_weights(mlmodel, config)

config = cto.coreml.OptimizationConfig(
    global_config=cto.coreml.OpLinearQuantizerConfig(mode="linear_symmetric", granularity="per_tensor")
)
result = cto.coreml.linear_quantize_weights(palettized, config, joint_compression=True)
""",
    "prune 80 %, then quantize what is left": """
config = cto.coreml.OptimizationConfig(global_config=cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.8))
pruned = cto.coreml.prune_weights(mlmodel, config)

op_config = cto.coreml.OpLinearQuantizerConfig(mode="linear_symmetric")
config = cto.coreml.OptimizationConfig(global_config=op_config)
result = cto.coreml.linear_quantize_weights(pruned, config, joint_compression=True)
""",
    "prune 80 %, then palettize what is left": """
config = cto.coreml.OptimizationConfig(global_config=cto.coreml.OpMagnitudePrunerConfig(target_sparsity=0.8))
pruned = cto.coreml.prune_weights(mlmodel, config)

config = cto.coreml.OptimizationConfig(global_config=cto.coreml.OpPalettizerConfig(mode="kmeans", nbits=4))
result = cto.coreml.palettize_weights(pruned, config, joint_compression=True)
""",
}
_FRAME = """
import {package} as ct
import {package}.optimize as cto

mlmodel = ct.models.MLModel(source, skip_model_load=True)
{listing}
result.save(target)
"""


@pytest.mark.parametrize("name", LISTINGS)
def test_a_script_runs_with_only_the_import_changed(name: str, tmp_path: Path) -> None:
    source = str(tmp_path / "source.mlpackage")
    build_linear(np.random.default_rng(0).standard_normal((128, 64)).astype(np.float16)).save(source)
    targets = {}
    for package in ("coremltools", "mlpress"):
        targets[package] = str(tmp_path / f"{package}.mlpackage")
        script = _FRAME.format(package=package, listing=LISTINGS[name])
        exec(compile(script, name, "exec"), {"source": source, "target": targets[package]})
    here, there = (
        ct.models.MLModel(targets[key], skip_model_load=True) for key in ("mlpress", "coremltools")
    )
    assert chains(here.get_spec()) == chains(there.get_spec())
    assert chains(here.get_spec())
    values = decoded_here(targets["mlpress"])
    assert (
        decoded_there(peer.decompress_weights(here))["linear_cast_fp16", "weight"].tobytes()
        == values["linear_cast_fp16", "weight"].tobytes()
    )


def largest_entries(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero, and the 15 largest weights; each weight takes the entry not above it."""
    flat = weight.flatten()
    table = np.concatenate([np.zeros(1, flat.dtype), np.sort(flat)[-15:]])
    return table, (np.searchsorted(table, flat, side="right") - 1).clip(0).astype(np.uint8)


def test_a_custom_function_does_the_same_in_both() -> None:
    weight = np.abs(np.random.default_rng(0).standard_normal((128, 64))).astype(np.float16)
    model = build_linear(weight)
    here, there = (
        library.palettize_weights(
            model,
            library.OptimizationConfig(
                library.OpPalettizerConfig(mode="custom", lut_function=largest_entries)
            ),
        )
        for library in (ours, peer)
    )
    assert chains(here.get_spec()) == chains(there.get_spec())
    key = ("linear_cast_fp16", "weight")
    np.testing.assert_array_equal(decoded_here(here)[key], decoded_there(there)[key])


def test_unique_does_the_same_in_both() -> None:
    weight = np.random.default_rng(0).choice([-1, 0, 0.5, 2, 3], size=(128, 64)).astype(np.float16)
    model = build_linear(weight)
    here, there = (
        library.palettize_weights(
            model, library.OptimizationConfig(library.OpPalettizerConfig(mode="unique"))
        )
        for library in (ours, peer)
    )
    assert chains(here.get_spec()) == chains(there.get_spec())
    assert decoded_here(here)["linear_cast_fp16", "weight"].tobytes() == weight.tobytes()


@pytest.mark.parametrize("more", [{}, {"cluster_dim": 2}, {"channel_axis": 1}])
def test_a_group_of_size_0_is_all_channels_in_both(more: dict[str, int]) -> None:
    model = build_linear(np.random.default_rng(0).standard_normal((128, 64)).astype(np.float16))
    here, there = (
        library.palettize_weights(
            model,
            library.OptimizationConfig(
                library.OpPalettizerConfig(nbits=4, granularity="per_grouped_channel", group_size=0, **more)
            ),
        )
        for library in (ours, peer)
    )
    assert chains(here.get_spec()) == chains(there.get_spec())


def test_metadata_can_be_made_of_an_array() -> None:
    data = np.array([[1.0, 0.0], [0.0, 6.0]], dtype=np.float32)
    here, there = ours.CoreMLWeightMetaData(data), peer.CoreMLWeightMetaData(data)
    assert (here.sparsity, here.unique_values) == (there.sparsity, there.unique_values) == (0.5, 3)
    assert str(here).split() == str(there).split()
    np.testing.assert_array_equal(here.val, data)


def test_weights_that_stay_as_they_were_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    model = build_linear(np.random.default_rng(0).standard_normal((128, 64)).astype(np.float16))
    config = ours.OptimizationConfig(ours.OpPalettizerConfig(mode="unique"))
    ours.palettize_weights(model, config)
    assert "1 of 2 weights stay as they were" in caplog.text or "1 of 1 weights" in caplog.text
    assert "mode 'unique' takes 256 at most" in caplog.text


@pytest.mark.parametrize("compressed", [False, True])
def test_metadata_of_weights(compressed: bool, built: Callable[[str], Any]) -> None:
    model = built("iOS18")
    if compressed:
        config = peer.OptimizationConfig(
            peer.OpMagnitudePrunerConfig(target_sparsity=0.5, weight_threshold=3000)
        )
        model = peer.prune_weights(model, config)
    here = ours.get_weights_metadata(model, weight_threshold=3000)
    there = peer.get_weights_metadata(peer.decompress_weights(model), weight_threshold=3000)
    assert set(here) == set(there)
    for name, metadata in there.items():
        assert here[name].sparsity == pytest.approx(metadata.sparsity)
        assert here[name].unique_values == metadata.unique_values
        np.testing.assert_array_equal(here[name].val, metadata.val)
        assert [(op.op_type, op.name, op.params_name_mapping) for op in here[name].child_ops] == [
            (op.op_type, op.name, op.params_name_mapping) for op in metadata.child_ops
        ]


def operators(model: Any) -> list[tuple[str, list[str]]]:
    """Type and parameters of each operator of the only function, constants and attributes apart."""
    (function,) = model.get_spec().mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return [(op.type, sorted(op.inputs)) for op in block.operations if op.type != "const"]


@mb.program(input_specs=[mb.TensorSpec(shape=(1, 4, 8, 8))], opset_version=ct.target.iOS15)
def of_ios15(x: Any) -> Any:
    weight = np.random.default_rng(0).standard_normal((64, 4, 3, 3)).astype(np.float32)
    picked = mb.gather(x=mb.conv(x=x, weight=weight), indices=[0, 2], axis=1)
    largest, _ = mb.topk(x=picked, k=1, axis=1)
    return mb.upsample_bilinear(x=largest, scale_factor_height=2.0, scale_factor_width=2.0)


def test_compression_makes_a_model_for_ios15_one_for_ios16() -> None:
    model = ct.convert(of_ios15, minimum_deployment_target=ct.target.iOS15, skip_model_load=True)
    here, there = (
        library.linear_quantize_weights(model, library.OptimizationConfig(library.OpLinearQuantizerConfig()))
        for library in (ours, peer)
    )
    assert here.get_spec().specificationVersion == there.get_spec().specificationVersion == 7
    assert operators(here) == operators(there)


@pytest.mark.parametrize("target", [ct.target.iOS15, ct.target.iOS16])
def test_quantized_activations_make_a_model_one_for_ios17(target: Any, tmp_path: Path) -> None:
    model = ct.convert(of_ios15, minimum_deployment_target=target, skip_model_load=True)
    config = ours.OptimizationConfig(ours.OpLinearQuantizerConfig())
    made = ours.linear_quantize_activations(model, config, [{"x": np.ones((1, 4, 8, 8), np.float32)}])
    assert made.get_spec().specificationVersion == 8
    made.save(tmp_path / "made.mlpackage")
    read = peer.decompress_weights(ct.models.MLModel(str(tmp_path / "made.mlpackage"), skip_model_load=True))
    assert [op.op_type for op in read._mil_program.functions["main"].operations].count("quantize") == 2


# Names that scripts import.


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("optimize.coreml", set()),
        (
            "models.MLModel",
            {  # Core ML's runtime on macOS
                "get_available_compute_devices",
                "get_compiled_model_path",
                "last_predict_duration_in_nano_seconds",
                "load_duration_in_nano_seconds",
            },
        ),
        (
            "utils",
            {  # of other kinds of models, or for macOS
                "compile_model",
                "convert_double_to_float_multiarray_type",
                "evaluate_classifier",
                "evaluate_classifier_with_probabilities",
                "evaluate_regressor",
                "evaluate_transformer",
                "make_pipeline",
            },
        ),
        (
            "",
            {"SPECIFICATION_VERSION", "compression_utils", "converters", "version"}
            | {"libmilstoragepython", "libmodelpackage"},
        ),
    ],
)
def test_names_that_are_there(place: str, missing: set[str]) -> None:
    here, there = mlpress, ct
    for name in filter(None, place.split(".")):
        here, there = getattr(here, name), getattr(there, name)
    names = {name for name in dir(there) if not name.startswith("_") and name != "test"}
    assert names - set(dir(here)) == missing


@pytest.mark.parametrize("name", sorted({*mlpress.utils.__all__} - {"MultiFunctionDescriptor"}))
def test_functions_of_utils_take_the_same_arguments(name: str) -> None:
    here, there = arguments(getattr(mlpress.utils, name)), arguments(getattr(ct.utils, name))
    assert here == there
    assert getattr(mlpress.models.utils, name) is getattr(mlpress.utils, name)
