"""Packages of coremltools load and save here; what is saved here is the same program to coremltools."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto.load import load as load_milproto
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types
from coremltools.proto import Model_pb2

from mlpress.encoding import decode
from mlpress.errors import UnsupportedModelError
from mlpress.mil import Constant, Literal
from mlpress.models import MLModel, as_mlmodel
from mlpress.package.proto import model_pb2

TARGETS = [ct.target.iOS15, ct.target.iOS16, ct.target.iOS17, ct.target.iOS18, ct.target.iOS26]
WEIGHTS = Path("Data", "com.apple.CoreML", "weights", "weight.bin")


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convert(program: Any, target: Any, **options: Any) -> Any:
    return ct.convert(
        program, convert_to="mlprogram", minimum_deployment_target=target, skip_model_load=True, **options
    )


def conv_and_linear(target: Any, precision: Any = ct.precision.FLOAT16) -> Any:
    @mb.program(input_specs=[mb.TensorSpec((1, 3, 16, 16))], opset_version=target)
    def program(x: Any) -> Any:
        x = mb.conv(x=x, weight=weight(16, 3, 3, 3), bias=weight(16), pad_type="same", name="conv1")
        x = mb.concat(values=[mb.relu(x=x), x], axis=1)
        x = mb.conv(x=x, weight=weight(24, 32, 3, 3), pad_type="same", name="conv2")
        x = mb.reshape(x=mb.reduce_mean(x=x, axes=[2, 3]), shape=(1, 24))
        return mb.linear(x=x, weight=weight(10, 24), bias=weight(10), name="scores")

    return convert(program, target, compute_precision=precision)


def classifier(target: Any) -> Any:
    """An image classifier with labels."""

    @mb.program(input_specs=[mb.TensorSpec((1, 3, 16, 16))], opset_version=target)
    def program(image: Any) -> Any:
        x = mb.reshape(x=mb.reduce_mean(x=image, axes=[2, 3]), shape=(1, 3))
        return mb.softmax(x=mb.linear(x=x, weight=weight(12, 3)), axis=-1, name="probabilities")

    image = ct.ImageType("image", shape=(1, 3, 16, 16), scale=1 / 127.5, bias=[-1, -1, -1])
    return convert(
        program,
        target,
        inputs=[image],
        classifier_config=ct.ClassifierConfig([f"class {number}" for number in range(12)]),
    )


def loop(target: Any) -> Any:
    """Nested blocks that use a weight from outside and have one inside."""

    @mb.program(input_specs=[mb.TensorSpec((4, 8))], opset_version=target)
    def program(x: Any) -> Any:
        outside = mb.const(val=weight(8, 8), name="outside")

        def body(count: Any, y: Any) -> Any:
            y = mb.add(x=mb.matmul(x=y, y=outside), y=weight(4, 8, seed=1))
            return mb.add(x=count, y=1), mb.cond(
                pred=mb.less(x=count, y=2), _true_fn=lambda: mb.relu(x=y), _false_fn=lambda: mb.tanh(x=y)
            )

        return mb.while_loop(_cond=lambda count, y: mb.less(x=count, y=3), _body=body, loop_vars=(0, x))[1]

    return convert(program, target)


def flexible(target: Any) -> Any:
    """Unknown sizes, a gather from a table, integers and an optional default."""

    @mb.program(
        input_specs=[mb.TensorSpec((1, ct.converters.mil.mil.get_new_symbol()), dtype=types.int32)],
        opset_version=target,
    )
    def program(ids: Any) -> Any:
        x = mb.gather(x=weight(50, 16), indices=ids, axis=0)
        pad = mb.pad(x=x, pad=[0, 0, 1, 1, 0, 0], mode="reflect")
        return mb.linear(x=mb.layer_norm(x=pad, axes=[-1], epsilon=1e-5), weight=weight(16, 16))

    return convert(program, target, inputs=[ct.TensorType("ids", (1, ct.RangeDim(2, 20)), dtype=np.int32)])


def stateful(target: Any) -> Any:
    @mb.program(
        input_specs=[mb.TensorSpec((1, 8), dtype=types.fp16), mb.StateTensorSpec((1, 8), dtype=types.fp16)],
        opset_version=target,
    )
    def program(x: Any, cache: Any) -> Any:
        x = mb.linear(x=x, weight=weight(8, 8).astype(np.float16))
        total = mb.add(x=mb.read_state(input=cache), y=x)
        return mb.coreml_update_state(state=cache, value=total)

    return convert(program, target)


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "conv_and_linear": conv_and_linear,
    "float32": lambda target: conv_and_linear(target, ct.precision.FLOAT32),
    "classifier": classifier,
    "loop": loop,
    "flexible": flexible,
}
CASES = [
    *(
        pytest.param(build, target, id=f"{name}-{target.name}")
        for name, build in BUILDERS.items()
        for target in TARGETS
    ),
    *(pytest.param(stateful, target, id=f"stateful-{target.name}") for target in TARGETS[3:]),
]


def through_mlpress(theirs: Path, folder: Path) -> Path:
    ours = folder / "ours.mlpackage"
    MLModel(theirs).save(ours)
    return ours


def assert_same(theirs: Path, ours: Path) -> None:
    """Both packages are the same to coremltools: description, program, weights."""
    before, after = (ct.models.MLModel(str(path), skip_model_load=True) for path in (theirs, ours))
    assert after.get_spec() == before.get_spec()
    assert program_text(after) == program_text(before)
    assert (ours / WEIGHTS).exists() == (theirs / WEIGHTS).exists()
    if (ours / WEIGHTS).exists():
        assert (ours / WEIGHTS).read_bytes() == (theirs / WEIGHTS).read_bytes()


def program_text(model: Any) -> str:
    """The program as coremltools reads it, without what it numbers through the whole process."""
    spec = model.get_spec()
    text = str(load_milproto(spec, spec.specificationVersion, model.weights_dir or ""))
    return re.sub(r"\b(block|is|0x|coreml_update_state_)[0-9a-f]+\b", r"\1", text)


@pytest.mark.parametrize(("build", "target"), CASES)
def test_a_package_is_the_same_after_loading_and_saving(
    build: Callable[[Any], Any], target: Any, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.mlpackage"
    build(target).save(str(theirs))

    assert_same(theirs, through_mlpress(theirs, tmp_path))


def test_functions_that_share_weights_are_the_same_after_loading_and_saving(tmp_path: Path) -> None:
    conv_and_linear(ct.target.iOS18).save(str(tmp_path / "one.mlpackage"))
    description = ct.utils.MultiFunctionDescriptor()
    description.add_function(str(tmp_path / "one.mlpackage"), "main", "first")
    description.add_function(str(tmp_path / "one.mlpackage"), "main", "second")
    description.default_function_name = "second"
    theirs = tmp_path / "theirs.mlpackage"
    ct.utils.save_multifunction(description, str(theirs))

    assert_same(theirs, through_mlpress(theirs, tmp_path))
    model = MLModel(theirs)
    assert model.function_name == "second"
    assert list(model.program.functions) == ["first", "second"]
    assert list(model.input_description) == ["x"]


cto = ct.optimize.coreml
QUANTIZE = cto.OptimizationConfig(cto.OpLinearQuantizerConfig(weight_threshold=0))
PALETTIZE = cto.OptimizationConfig(cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=0))
PRUNE = cto.OptimizationConfig(cto.OpMagnitudePrunerConfig(target_sparsity=0.75, weight_threshold=0))


def prune_and(then: Callable[..., Any], config: Any) -> Callable[[Any], Any]:
    return lambda model: then(cto.prune_weights(model, PRUNE), config, joint_compression=True)


COMPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "quantized": lambda model: cto.linear_quantize_weights(model, QUANTIZE),
    "palettized": lambda model: cto.palettize_weights(model, PALETTIZE),
    "pruned": lambda model: cto.prune_weights(model, PRUNE),
    "pruned and quantized": prune_and(cto.linear_quantize_weights, QUANTIZE),
    "pruned and palettized": prune_and(cto.palettize_weights, PALETTIZE),
}
COMPRESSED = [
    pytest.param(compress, target, id=f"{name}-{target.name}")
    for name, compress in COMPRESSIONS.items()
    for target in TARGETS[1:]
    if " and " not in name or target in TARGETS[3:]
]


@pytest.mark.parametrize(("compress", "target"), COMPRESSED)
def test_a_compressed_package_decodes_to_the_same_values_on_both_sides(
    compress: Callable[[Any], Any], target: Any, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.mlpackage"
    compressed = compress(conv_and_linear(target))
    compressed.save(str(theirs))
    ours = through_mlpress(theirs, tmp_path)

    assert (ours / WEIGHTS).read_bytes() == (theirs / WEIGHTS).read_bytes()
    expected = weights_of(as_mlmodel(cto.decompress_weights(compressed)))
    again = cto.decompress_weights(ct.models.MLModel(str(ours), skip_model_load=True))
    assert weights_of(MLModel(ours)) == expected
    assert weights_of(as_mlmodel(again)) == expected


def weights_of(model: MLModel) -> dict[str, tuple[tuple[int, ...], bytes]]:
    """Decoded bits of the weights of convolutions and linear operators by operator."""
    found = {}
    for operation in model.program.functions["main"].block.operations:
        if isinstance(operation, Constant) or "weight" not in operation.inputs:
            continue
        (constant,) = (
            node
            for node in model.program.functions["main"].block.constants()
            if node.output is operation.inputs["weight"]
        )
        assert not isinstance(constant.data, Literal)
        found[operation.name] = (constant.data.shape, decode(constant.data).tobytes())
    assert len(found) == 3
    return found


def test_coremltools_model_objects_and_messages_are_models_here(tmp_path: Path) -> None:
    theirs = conv_and_linear(ct.target.iOS16)
    theirs.author = "Ada"
    ours = MLModel(theirs)

    assert ours.author == "Ada"
    assert weights_of(ours) == weights_of(MLModel(theirs.get_spec(), weights_dir=theirs.weights_dir))
    ours.input_description["x"] = "pixels"
    spec = Model_pb2.Model.FromString(ours.get_spec().SerializeToString())
    back = ct.models.MLModel(spec, weights_dir=ours.weights_dir, skip_model_load=True)
    assert back.input_description["x"] == "pixels"
    assert program_text(back) == program_text(theirs)


def test_a_model_without_large_constants_has_no_weight_file(tmp_path: Path) -> None:
    @mb.program(input_specs=[mb.TensorSpec((2, 4))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        return mb.linear(x=x, weight=weight(2, 4))

    theirs = tmp_path / "theirs.mlpackage"
    convert(program, ct.target.iOS16).save(str(theirs))

    assert_same(theirs, through_mlpress(theirs, tmp_path))
    MLModel(theirs).save(tmp_path / "single.mlmodel")
    assert ct.utils.load_spec(str(tmp_path / "single.mlmodel")) == ct.utils.load_spec(str(theirs))


def test_other_types_of_model_are_refused_by_name(tmp_path: Path) -> None:
    network = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(2))], [("y", ct.models.datatypes.Array(2))]
    )
    network.add_activation("relu", "RELU", "x", "y")
    ct.utils.save_spec(network.spec, str(tmp_path / "network.mlmodel"))
    pipeline = ct.models.pipeline.Pipeline(
        [("x", ct.models.datatypes.Array(2))], [("y", ct.models.datatypes.Array(2))]
    )
    pipeline.add_model(network.spec)
    ct.utils.save_spec(pipeline.spec, str(tmp_path / "pipeline.mlmodel"))

    for name, kind in (("network", "neuralNetwork"), ("pipeline", "pipeline")):
        with pytest.raises(UnsupportedModelError, match=f"the model is a {kind}; supported: mlProgram"):
            MLModel(tmp_path / f"{name}.mlmodel")


def test_the_messages_are_declared_as_coremltools_declares_them() -> None:
    """Field by field, but for opaque model types and the two fields that travel as unknown ones."""
    seen: set[str] = set()
    missing = []

    def compare(theirs: Any, ours: Any) -> None:
        if theirs.full_name in seen:
            return
        seen.add(theirs.full_name)
        fields = {field.number: field for field in ours.fields}
        for field in theirs.fields:
            mine = fields.pop(field.number, None)
            if mine is None:
                missing.append(f"{theirs.name}.{field.name}")
                continue
            assert mine.name == field.name
            assert getattr(mine.containing_oneof, "name", None) == getattr(
                field.containing_oneof, "name", None
            )
            if mine.type != field.type:
                assert (mine.type, field.type) == (mine.TYPE_BYTES, field.TYPE_MESSAGE), field.name
            elif field.message_type is not None:
                compare(field.message_type, mine.message_type)
            elif field.enum_type is not None:
                assert numbers(mine.enum_type) == numbers(field.enum_type)
        assert not fields

    def numbers(enumeration: Any) -> dict[str, int]:
        return {value.name: value.number for value in enumeration.values}

    compare(Model_pb2.Model.DESCRIPTOR, model_pb2.Model.DESCRIPTOR)
    assert sorted(missing) == ["TensorType.attributes", "Value.docString"]
