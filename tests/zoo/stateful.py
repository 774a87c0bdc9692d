"""A language model of transformers that keeps its keys and values in states, as Core ML wants them."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn


class StatefulDecoder(nn.Module):
    """A decoder that reads some tokens at a time and remembers those before.

    Attributes:
        keys: Of all layers, [layers, 1, heads, length, size of a head].
        values: As `keys`.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, model: hf.LlamaForCausalLM, length: int) -> None:
        super().__init__()
        self.model = model
        config = model.config
        size = config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, 1, config.num_key_value_heads, length, size)
        self.register_buffer("keys", torch.zeros(shape))
        self.register_buffer("values", torch.zeros(shape))
        self.register_buffer("positions", torch.arange(length)[None], persistent=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits of `ids`, [1, new tokens]; `mask`, [1, 1, new tokens, tokens so far], is added to scores."""
        stop = mask.shape[-1]
        start = stop - ids.shape[-1]
        result = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=self.positions[:, start:stop],
            past_key_values=_Buffers(self.keys, self.values, start, stop),
            use_cache=True,
        )
        return result.logits


class _Buffers(hf.Cache):
    """Keys and values in tensors that are changed in place, at places that are known from outside."""

    def __init__(self, keys: Tensor, values: Tensor, start: int, stop: int) -> None:
        super().__init__(layers=[])
        self._buffers = keys, values
        self._start, self._stop = start, stop

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[layer_idx : layer_idx + 1, :, :, self._start : self._stop] = new[None]
        keys, values = (buffer[layer_idx, :, :, : self._stop] for buffer in self._buffers)
        return keys, values
