"""Transformers of the library of that name, from small random configurations.

Masks and positions are given, not derived: what derives them has no converter in coremltools.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from tests.zoo.network import Inputs, Network, network

LENGTH = 16
VOCABULARY = 100
_END = VOCABULARY - 1
_MASKED = -1e4  # within float16


class Wrapped(nn.Module):
    """Calls a model with fixed keyword arguments, and returns the fields of its result that are asked for."""

    def __init__(
        self, model: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...], **fixed: Any
    ) -> None:
        super().__init__()
        self.model = model
        self._inputs, self._outputs = inputs, outputs
        self._fixed = fixed

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        result = self.model(**dict(zip(self._inputs, values, strict=True)), **self._fixed)
        return tuple(getattr(result, name) for name in self._outputs)


def causal_mask(length: int = LENGTH) -> Tensor:
    """What is added to scores so that nothing sees what follows it, [1, 1, length, length]."""
    return torch.full((1, 1, length, length), _MASKED).triu(1)


def padding_mask(length: int = LENGTH, padded: int = 3) -> Tensor:
    """What is added to scores so that nothing sees the last `padded` tokens."""
    mask = torch.zeros(1, 1, length, length)
    mask[..., length - padded :] = _MASKED
    return mask


def tokens(length: int = LENGTH) -> Tensor:
    return torch.randint(VOCABULARY, (1, length))


def _ids() -> Inputs:
    return {"ids": tokens()}


def _positions() -> Tensor:
    return torch.arange(LENGTH)[None]


_SCALE = 0.1
"""Deviation of weights: the usual 0.02 is for wide models; at this width, layers would hardly have a say."""
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": _SCALE,
}
_DECODER = {**_SIZES, "intermediate_size": 128, "num_key_value_heads": 2, "max_position_embeddings": 64}


def bert() -> Network:
    config = hf.BertConfig(**_SIZES, intermediate_size=128, max_position_embeddings=64)
    fixed = {"position_ids": _positions(), "attention_mask": padding_mask()}
    fields = ("last_hidden_state", "pooler_output")
    return network(Wrapped(hf.BertModel(config), ("input_ids",), fields, **fixed), _ids)


def gpt2() -> Network:
    sizes = {"vocab_size": VOCABULARY, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = hf.GPT2Config(**sizes, initializer_range=_SCALE)
    return _causal(hf.GPT2LMHeadModel(config))


def small_llama() -> hf.LlamaForCausalLM:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**_DECODER))


def llama() -> Network:
    return _causal(small_llama())


def qwen() -> Network:
    return _causal(hf.Qwen3ForCausalLM(hf.Qwen3Config(**_DECODER, head_dim=16)))


def _causal(model: nn.Module) -> Network:
    fixed = {"position_ids": _positions(), "attention_mask": causal_mask(), "use_cache": False}
    return network(Wrapped(model, ("input_ids",), ("logits",), **fixed), _ids)


def _whisper() -> hf.WhisperModel:
    return hf.WhisperModel(
        hf.WhisperConfig(
            vocab_size=VOCABULARY,
            num_mel_bins=20,
            d_model=64,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=128,
            decoder_layers=2,
            decoder_attention_heads=4,
            decoder_ffn_dim=128,
            max_source_positions=40,
            max_target_positions=32,
            init_std=_SCALE,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    )


def whisper_encoder() -> Network:
    model = Wrapped(_whisper().encoder, ("input_features",), ("last_hidden_state",))
    return network(model, lambda: {"spectrogram": torch.randn(1, 20, 80)})


def whisper_decoder() -> Network:
    fixed = {"attention_mask": causal_mask(), "position_ids": _positions(), "use_cache": False}
    inputs = ("input_ids", "encoder_hidden_states")
    model = Wrapped(_whisper().decoder, inputs, ("last_hidden_state",), **fixed)
    return network(model, lambda: {"ids": tokens(), "heard": torch.randn(1, 40, 64)})


def clip() -> Network:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    text = {**sizes, "vocab_size": VOCABULARY, "max_position_embeddings": LENGTH, "eos_token_id": _END}
    vision = {**sizes, "image_size": 32, "patch_size": 8}
    model = hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=32))
    fixed = {"attention_mask": causal_mask(), "position_ids": _positions()}
    fields = ("logits_per_image", "text_embeds", "image_embeds")
    wrapped = Wrapped(model, ("input_ids", "pixel_values"), fields, **fixed)
    return network(wrapped, _captions_and_images)


def _captions_and_images() -> Inputs:
    ids = torch.randint(_END, (4, LENGTH))
    ids[torch.arange(4), torch.tensor([5, 9, 12, 15])] = _END  # where each caption is summed up
    return {"ids": ids, "images": torch.randn(2, 3, 32, 32)}


def _t5() -> hf.T5Model:
    return hf.T5Model(
        hf.T5Config(
            vocab_size=VOCABULARY,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
        )
    )


def t5_encoder() -> Network:
    model = Wrapped(_t5().encoder, ("input_ids",), ("last_hidden_state",), attention_mask=padding_mask())
    return network(model, _ids)


def t5_decoder() -> Network:
    fixed = {
        "attention_mask": causal_mask(),
        "encoder_attention_mask": torch.zeros(1, 1, LENGTH, LENGTH),
        "use_cache": False,
    }
    inputs = ("input_ids", "encoder_hidden_states")
    model = Wrapped(_t5().decoder, inputs, ("last_hidden_state",), **fixed)
    return network(model, lambda: {"ids": tokens(), "read": torch.randn(1, LENGTH, 64)})


LANGUAGE: dict[str, Callable[[], Network]] = {
    "bert": bert,
    "gpt2": gpt2,
    "llama": llama,
    "qwen3": qwen,
    "whisper_encoder": whisper_encoder,
    "whisper_decoder": whisper_decoder,
    "clip": clip,
    "t5_encoder": t5_encoder,
    "t5_decoder": t5_decoder,
}
