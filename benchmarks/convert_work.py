"""Conversions that are timed, in processes of their own: ``python -m benchmarks.convert_work``.

Arguments as for `benchmarks.torch_work`. A conversion is capturing, converting and saving a network that is
there already; the decoder is made as part of the work, so that its memory counts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import torch_work
from benchmarks.jobs import Library
from tests.zoo.torchvision_operators import provide_operators

Made = tuple[nn.Module, Tensor]
"""A network and its input."""

_TOKENS = 128


def resnet50() -> Made:
    """ResNet-50."""
    return _vision("resnet50")


def vit_b_16() -> Made:
    """ViT-B/16."""
    return _vision("vit_b_16")


def _vision(name: str) -> Made:
    torch.manual_seed(0)
    network: nn.Module = getattr(import_module("torchvision.models"), name)(weights=None)
    return network.eval(), torch.rand(1, 3, 224, 224)


class _Tokens(nn.Module):
    """From tokens alone: mask and positions are fixed, as coremltools cannot convert what derives them."""

    def __init__(self, model: nn.Module, mask: Tensor, **options: Any) -> None:
        super().__init__()
        self.model, self._options = model, options
        self.register_buffer("mask", mask)
        self.register_buffer("positions", torch.arange(_TOKENS)[None])

    def forward(self, ids: Tensor) -> Tensor:
        result = self.model(
            input_ids=ids, attention_mask=self.mask, position_ids=self.positions, **self._options
        )
        found: Tensor = result[0]
        return found


def bert() -> Made:
    """BERT of 12 layers."""
    transformers = import_module("transformers")
    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False)
    return _Tokens(model, torch.zeros(1, 1, _TOKENS, _TOKENS)).eval(), _ids()


def decoder_1b() -> Made:
    """A decoder of 1.1 billion float16 weights, made without float32 ones."""
    transformers = import_module("transformers")
    model = _decoder_on_meta().to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding
    model.model.rotary_emb = rotary(model.config)  # its buffers are no parameters
    mask = torch.full((1, 1, _TOKENS, _TOKENS), -1e4, dtype=torch.float16).triu(1)
    return _Tokens(model, mask, use_cache=False).eval(), _ids()


def decoder_1b_bytes() -> int:
    """Returns the bytes of its weights."""
    return sum(parameter.nbytes for parameter in _decoder_on_meta().parameters())


def _decoder_on_meta() -> Any:
    provide_operators()
    transformers = import_module("transformers")
    config = transformers.LlamaConfig(
        vocab_size=32_000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return transformers.LlamaForCausalLM(config).half()


def _ids() -> Tensor:
    return torch.zeros(1, _TOKENS, dtype=torch.int32)


def _tiny() -> Made:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval(), torch.rand(1, 8)


NETWORKS: dict[str, Callable[[], Made]] = {"resnet50": resnet50, "vit_b_16": vit_b_16, "bert": bert}


def convert(library: Library, made: Made, path: Path) -> None:
    """Captures, converts to float16 and saves a network."""
    network, inputs = made
    home = import_module(library)
    name = "ids" if inputs.dtype == torch.int32 else "x"
    dtype = import_module("numpy").int32 if name == "ids" else import_module("numpy").float32
    described = [home.TensorType(name=name, shape=tuple(inputs.shape), dtype=dtype)]
    options = {"minimum_deployment_target": home.target.iOS18, "skip_model_load": True}
    if library == "mlpress":
        home.convert(network, inputs=described, **options).save(str(path))
        return
    peer = import_module("tests.zoo.peer")
    with peer.sizes_of_one_element():
        traced = import_module("tests.zoo.tracing").trace(network, (inputs,))
        home.convert(traced, inputs=described, **options).save(str(path))


def _ready(make: Callable[[], Made]) -> Callable[[Library, Path], torch_work.Work]:
    def work(library: Library, path: Path) -> torch_work.Work:
        made = make()
        convert(library, _tiny(), path.with_name("tiny.mlpackage"))
        return lambda: convert(library, made, path)

    return work


def _decoder(library: Library, path: Path) -> torch_work.Work:
    _decoder_on_meta()  # loads the code
    convert(library, _tiny(), path.with_name("tiny.mlpackage"))
    return lambda: convert(library, decoder_1b(), path)


WORKS = {**{name: _ready(make) for name, make in NETWORKS.items()}, "decoder_1b": _decoder}


if __name__ == "__main__":
    torch_work.main(WORKS)
