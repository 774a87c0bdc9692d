"""coremltools loads what the converter writes, and infers the same types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import pytest
import torch
from coremltools.converters.mil.frontend.milproto.load import load
from torch import Tensor, nn

import mlpress
from mlpress import bits
from mlpress.converter.description import describe
from mlpress.converter.interface import set_inputs, set_outputs
from mlpress.converter.lowering.program import lower
from mlpress.converter.passes.precision import set_precision
from mlpress.mil import Opset
from mlpress.package import ModelFile
from tests.torch.converter.lowering.cases import CASES, Case
from tests.torch.converter.quantized_graphs import Decomposed, Faked
from tests.torch.converter.running import captured


def load_package(path: Path) -> Any:
    model = ct.models.MLModel(str(path), skip_model_load=True)
    spec = model.get_spec()
    return load(spec, spec.specificationVersion, model.weights_dir)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_lowering_loads_with_the_types_that_we_give(case: Case, tmp_path: Path) -> None:
    program = lower(captured(case.function, case.inputs), Opset.CoreML8)
    function = program.functions["main"]
    set_precision(function, None)
    features = [mlpress.TensorType(shape=tuple(x.shape)) for x in case.inputs]
    set_inputs(function, features, bits.FLOAT32)
    set_outputs(function, {})
    spec = describe(function, features, {}, [feature.shape for feature in features], None)
    mlpress.MLModel(ModelFile(spec, program)).save(tmp_path / "case.mlpackage")
    theirs = load_package(tmp_path / "case.mlpackage").functions["main"].outputs
    for ours, loaded in zip(function.block.outputs, theirs, strict=True):
        assert [size if isinstance(size, int) else None for size in loaded.shape] == list(ours.type.shape)


class Decoder(nn.Module):
    """A layer with attention, a cache, and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.register_buffer("cache", torch.zeros(1, 4, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.cache[:, 1:3] = x
        y = self.norm(self.attention(self.cache, self.cache, self.cache)[0])
        return torch.cond(y.sum() > 0, lambda y: y * 2, lambda y: y - 1, (y,))


@pytest.mark.parametrize("precision", [mlpress.precision.FLOAT16, mlpress.precision.FLOAT32])
def test_states_and_branches_load(precision: mlpress.precision, tmp_path: Path) -> None:
    made = mlpress.convert(
        Decoder().eval(),
        inputs=[mlpress.TensorType("x", (1, 2, 8))],
        minimum_deployment_target=mlpress.target.iOS18,
        compute_precision=precision,
    )
    made.save(tmp_path / "decoder.mlpackage")
    kinds = [op.op_type for op in load_package(tmp_path / "decoder.mlpackage").functions["main"].operations]
    assert {"read_state", "cond", "scaled_dot_product_attention"} <= set(kinds)


def images() -> dict[str, Any]:
    image = mlpress.ImageType("photo", (1, 3, 8, 8), scale=1 / 255, color_layout=mlpress.colorlayout.BGR)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(-1)).eval()
    labels = mlpress.ClassifierConfig(["a", "b", "c", "d"])
    return {"model": model, "inputs": [image], "classifier_config": labels}


@pytest.mark.parametrize("target", ["iOS15", "iOS16", "iOS17", "iOS18", "iOS26"])
def test_the_peer_accepts_the_whole_model(target: str, tmp_path: Path) -> None:
    made = mlpress.convert(**images(), minimum_deployment_target=getattr(mlpress.target, target))
    made.save(tmp_path / "classifier.mlpackage")
    peer = ct.models.MLModel(str(tmp_path / "classifier.mlpackage"), skip_model_load=True)
    assert list(peer.input_description) == ["photo"]
    assert set(peer.output_description) == {"classLabel", "classLabel_probs"}
    assert load_package(tmp_path / "classifier.mlpackage").functions["main"].opset_version is not None


@pytest.mark.parametrize("target", [mlpress.target.iOS16, mlpress.target.iOS17, mlpress.target.iOS18])
@pytest.mark.parametrize("make", [Decomposed, Faked])
def test_what_torch_quantized_loads_with_its_weights_compressed(
    make: type[nn.Module], target: mlpress.target, tmp_path: Path
) -> None:
    inputs = [mlpress.TensorType("x", (1, 4, 8, 8))]
    model = mlpress.convert(make().eval(), inputs=inputs, minimum_deployment_target=target)
    model.save(tmp_path / "quantized.mlpackage")
    loaded = load_package(tmp_path / "quantized.mlpackage").functions["main"]
    kinds = [operation.op_type for operation in loaded.operations]
    form = (
        "constexpr_blockwise_shift_scale" if target == mlpress.target.iOS18 else "constexpr_affine_dequantize"
    )
    assert kinds.count(form) == 2
