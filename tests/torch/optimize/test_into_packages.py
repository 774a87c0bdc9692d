"""The three ways of joint compression that coremltools' guide shows for torch models, into saved packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mlpress as ct
from mlpress.encoding import describe
from mlpress.mil import Literal
from mlpress.nn.metadata import encodings
from mlpress.optimize.torch.palettization import (
    ModulePostTrainingPalettizerConfig,
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)
from mlpress.optimize.torch.pruning import (
    MagnitudePruner,
    MagnitudePrunerConfig,
    ModuleMagnitudePrunerConfig,
)
from mlpress.optimize.torch.quantization import (
    LinearQuantizer,
    LinearQuantizerConfig,
    ModuleLinearQuantizerConfig,
)
from tests.torch.converter.running import operations
from tests.torch.optimize.prepared import finalize, prepare
from tests.torch.optimize.training_loop import network, train


def palettize_with_an_integer_table(model: nn.Module) -> nn.Module:
    config = PostTrainingPalettizerConfig.from_dict({"global_config": {"n_bits": 4, "lut_dtype": torch.int8}})
    return PostTrainingPalettizer(model, config).compress()


def prune_and_quantize_in_training(model: nn.Module) -> nn.Module:
    module = ModuleLinearQuantizerConfig(quantization_scheme="symmetric", activation_dtype=torch.float)
    quantizer = LinearQuantizer(model, LinearQuantizerConfig(global_config=module))
    prepared = quantizer.prepare(example_inputs=[1, 3, 6, 6])
    pruner = MagnitudePruner(
        prepared, MagnitudePrunerConfig(global_config=ModuleMagnitudePrunerConfig(target_sparsity=0.8))
    )
    prepared = pruner.prepare(inplace=True)
    train(prepared, [quantizer, pruner], steps=2)
    quantized = quantizer.finalize(inplace=True)
    return pruner.finalize(quantized, inplace=True)


def prune_in_training_then_palettize(model: nn.Module) -> nn.Module:
    pruner = MagnitudePruner(
        model, MagnitudePrunerConfig(global_config=ModuleMagnitudePrunerConfig(target_sparsity=0.8))
    )
    prepared = pruner.prepare()
    train(prepared, [pruner], steps=2)
    pruned = pruner.finalize(prepared, inplace=True)
    config = PostTrainingPalettizerConfig(global_config=ModulePostTrainingPalettizerConfig(n_bits=4))
    return PostTrainingPalettizer(pruned, config).compress()


@pytest.mark.parametrize(
    ("compress", "expected"),
    [
        (palettize_with_an_integer_table, "4-bit palette · int8 table"),
        (prune_and_quantize_in_training, "sparse 80% · int8 · 32 scales"),
        (prune_in_training_then_palettize, "sparse 80% · 4-bit palette · float16 table"),
    ],
)
def test_a_listing_of_the_guide_ends_in_a_package(compress, expected: str, tmp_path: Path) -> None:
    compressed = compress(network()).eval()
    image = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    converted = ct.convert(
        torch.jit.trace(compressed, image),
        inputs=[ct.TensorType(shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.macOS15,
    )
    converted.save(str(tmp_path / "small.mlpackage"))
    loaded = ct.models.MLModel(str(tmp_path / "small.mlpackage"))
    weights = {
        constant.data.shape: describe(constant.data)
        for constant in loaded.program.functions["main"].block.constants()
        if not isinstance(constant.data, Literal)
    }
    assert weights[(32, 256)] == expected
    assert len([text for text in weights.values() if text.split(" · ")[0] == expected.split(" · ")[0]]) == 3
    (name,) = (feature.name for feature in loaded.get_spec().description.input)
    (found,) = loaded.predict({name: image.numpy()}).values()
    np.testing.assert_allclose(found, compressed(image).detach().numpy(), rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("names", [("prune", "table"), ("prune", "palettize", "weights")], ids=str)
def test_all_three_trained_together_end_in_a_package(names: tuple[str, ...], tmp_path: Path) -> None:
    """The encoding that was trained is the encoding in the file: masks, indices and integers, bit for bit."""
    model, optimizers = prepare(network(), names)
    train(model, optimizers, steps=8)
    final = finalize(model, optimizers).eval()
    image = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    converted = ct.convert(
        torch.jit.trace(final, image),
        inputs=[ct.TensorType("image", shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
    )
    converted.save(str(tmp_path / "all.mlpackage"))
    loaded = ct.models.MLModel(str(tmp_path / "all.mlpackage"))
    stored = {
        constant.data.shape: constant.data
        for constant in loaded.program.functions["main"].block.constants()
        if not isinstance(constant.data, Literal)
    }
    trained = encodings(final.state_dict())
    assert len(trained) == 3
    for encoding in trained.values():
        assert describe(encoding) == "sparse 60% · 2-bit palette · int8 table"
        assert stored[encoding.shape] == encoding
    (found,) = loaded.predict({"image": image.numpy()}).values()
    np.testing.assert_allclose(found, final(image).detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("algorithm", ["vanilla", "learnable"])
def test_8_bit_activations_end_in_a_package(algorithm: str, trace: bool) -> None:
    module = ModuleLinearQuantizerConfig(algorithm=algorithm)
    quantizer = LinearQuantizer(network(), LinearQuantizerConfig(global_config=module))
    train(quantizer.prepare(example_inputs=[1, 3, 6, 6]), [quantizer], steps=2)
    final = quantizer.finalize()
    assert not any(part.training for part in final.modules())
    image = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    converted = ct.convert(
        torch.jit.trace(final, image) if trace else final,
        inputs=[ct.TensorType("image", shape=(1, 3, 6, 6))],
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT32,
    )
    found = operations(converted.program)
    assert found.count("quantize") == found.count("dequantize") == 5
    (found,) = converted.predict({"image": image.numpy()}).values()
    np.testing.assert_allclose(found, final(image).detach().numpy(), rtol=1e-4, atol=1e-4)
