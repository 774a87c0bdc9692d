"""Transformers as users call them: masks and positions are derived from the inputs inside."""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers as hf
from torch import nn

from tests.zoo.language import LENGTH, VOCABULARY, Wrapped, small_llama, tokens
from tests.zoo.network import Inputs, Network, network

_SCALE = 0.1
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "initializer_range": _SCALE,
}
_DECODER = {**_SIZES, "num_key_value_heads": 2}


def _ids() -> Inputs:
    return {"ids": tokens()}


def _ids_and_mask() -> Inputs:
    mask = torch.ones(1, LENGTH, dtype=torch.int64)
    mask[:, LENGTH - 3 :] = 0
    return {"ids": tokens(), "mask": mask}


def _encoder(model: nn.Module) -> Network:
    inputs = ("input_ids", "attention_mask")
    return network(Wrapped(model, inputs, ("last_hidden_state",)), _ids_and_mask)


def _causal(model: nn.Module) -> Network:
    return network(Wrapped(model, ("input_ids",), ("logits",), use_cache=False), _ids)


def distilbert() -> Network:
    config = hf.DistilBertConfig(
        vocab_size=VOCABULARY, dim=64, n_layers=2, n_heads=4, hidden_dim=128, initializer_range=_SCALE
    )
    return _encoder(hf.DistilBertModel(config))


def gpt2() -> Network:
    sizes = {"vocab_size": VOCABULARY, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return _causal(hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, initializer_range=_SCALE)))


def mixtral() -> Network:
    """A mixture of experts."""
    config = hf.MixtralConfig(**_DECODER, num_local_experts=4, num_experts_per_tok=2)
    return _causal(hf.MixtralForCausalLM(config))


def _bart() -> hf.BartModel:
    config = hf.BartConfig(
        vocab_size=VOCABULARY,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_position_embeddings=64,
        init_std=_SCALE,
    )
    return hf.BartModel(config)


def _t5() -> hf.T5Model:
    sizes = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    return hf.T5Model(hf.T5Config(vocab_size=VOCABULARY, **sizes, decoder_start_token_id=0))


def _decoder(model: nn.Module) -> Network:
    """A decoder that also sees what an encoder has read."""
    inputs = ("input_ids", "encoder_hidden_states")
    wrapped = Wrapped(model, inputs, ("last_hidden_state",), use_cache=False)
    return network(wrapped, lambda: {"ids": tokens(), "read": torch.randn(1, LENGTH, 64)})


def wav2vec2() -> Network:
    config = hf.Wav2Vec2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32, 32, 32),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        initializer_range=_SCALE,
    )
    model = Wrapped(hf.Wav2Vec2Model(config), ("input_values",), ("last_hidden_state",))
    return network(model, lambda: {"sound": torch.randn(1, 2000)})


MORE_LANGUAGE: dict[str, Callable[[], Network]] = {
    "bert_as_called": lambda: _encoder(hf.BertModel(hf.BertConfig(**_SIZES))),
    "distilbert": distilbert,
    "roberta": lambda: _encoder(hf.RobertaModel(hf.RobertaConfig(**_SIZES))),
    "gpt2_as_called": gpt2,
    "llama_as_called": lambda: _causal(small_llama()),
    "qwen3_as_called": lambda: _causal(hf.Qwen3ForCausalLM(hf.Qwen3Config(**_DECODER, head_dim=16))),
    "gemma": lambda: _causal(hf.GemmaForCausalLM(hf.GemmaConfig(**_DECODER, head_dim=16))),
    "mixtral": mixtral,
    "bart_encoder": lambda: _encoder(_bart().encoder),
    "bart_decoder": lambda: _decoder(_bart().decoder),
    "t5_encoder_as_called": lambda: _encoder(_t5().encoder),
    "t5_decoder_as_called": lambda: _decoder(_t5().decoder),
    "wav2vec2": wav2vec2,
}
