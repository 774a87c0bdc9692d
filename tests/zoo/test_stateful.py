"""A decoder with its cache in states goes through tokens, and says what one without says of all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import coremltools as ct
import numpy as np
import pytest
import torch
import transformers as hf

from mlpress.models import MLModel
from mlpress.runtime import RunOptions
from tests.zoo.comparison import LEAST_OF_ROUNDED, Array, least_snr_db, snr_db
from tests.zoo.language import causal_mask, small_llama, tokens
from tests.zoo.network import stir
from tests.zoo.peer import PRECISIONS, convert_with
from tests.zoo.stateful import StatefulDecoder
from tests.zoo.tracing import trace

pytestmark = pytest.mark.zoo

LENGTH = 12
CHUNKS = (5, 3, 1, 1, 1, 1)
"""How many tokens are read at a time: a prompt, some more, and then one by one."""


@dataclass(frozen=True)
class Decoder:
    """A program with states, and what the module without a cache says of tokens read at once."""

    program: Path
    precision: str
    ids: Array
    expected: Array

    def step_through(self, options: RunOptions | None = None) -> Array:
        """Logits of all tokens, [1, length, vocabulary], from one prediction for each chunk."""
        model = MLModel(self.program, run_options=options)
        state = model.make_state()
        found, start = [], 0
        for size in CHUNKS:
            stop = start + size
            mask = causal_mask(stop)[:, :, start:].numpy()
            found.append(model.predict({"ids": self.ids[:, start:stop], "mask": mask}, state)["logits"])
            start = stop
        return np.concatenate(found, axis=1)


@pytest.fixture(scope="module", params=PRECISIONS)
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    torch.manual_seed(0)
    llama = small_llama().eval()
    stir(llama)
    ids = tokens(LENGTH)
    with torch.no_grad():
        expected = llama(input_ids=ids, use_cache=False).logits
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.mlpackage")
        _convert(llama, request.param, path)
        yield Decoder(path, request.param, ids.numpy(), expected.numpy())


def _convert(llama: hf.LlamaForCausalLM, precision: str, path: Path) -> None:
    stateful = StatefulDecoder(llama, LENGTH).eval()
    new, all_ = (ct.RangeDim(1, LENGTH, default=1) for _ in range(2))
    inputs = [
        ct.TensorType(name="ids", shape=(1, new), dtype=np.int32),
        ct.TensorType(name="mask", shape=(1, 1, new, all_), dtype=np.float16),
    ]
    states = [
        ct.StateType(ct.TensorType(shape=stateful.keys.shape, dtype=np.float16), name=name)
        for name in ("keys", "values")
    ]
    traced = trace(stateful, (tokens(3), causal_mask(5)[:, :, 2:]))
    outputs = [ct.TensorType(name="logits", dtype=np.float32)]
    convert_with(traced, inputs, "iOS18", precision, path, states=states, outputs=outputs)


def test_steps_say_what_the_decoder_without_a_cache_says(decoder: Decoder) -> None:
    assert snr_db(decoder.expected, decoder.step_through()) > least_snr_db(decoder.precision)


def test_states_rounded_to_float16_as_on_a_device_cost_little(decoder: Decoder) -> None:
    found = decoder.step_through(RunOptions(precision="float16"))
    assert snr_db(decoder.expected, found) > LEAST_OF_ROUNDED
