"""The types and values that coremltools infers for calls on constants are those of our definitions."""

from __future__ import annotations

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from mlpress.ops import mil_dtype
from mlpress.ops.signature import ELEMENT_TYPES
from tests.oracle.ops import peer
from tests.torch.ops.example import Example, leaves, run, run_as_typed
from tests.torch.ops.examples import EXAMPLES

NO_CONSTANTS = ("list", "state")
"""What cannot be a constant there."""

NOT_ACCEPTED = {
    "layer_norm-CoreML5": "its own default for axes, a range, is no constant to it",
    "cumsum-CoreML5-exclusive=True, reverse=True": "makes its zeros of the wrong element type",
    "cumsum-CoreML5-exclusive=True, reverse=False": "makes its zeros of the wrong element type",
    "squeeze-CoreML5-one axis of size 1": "its values, unlike its types, need all axes to be of size 1",
    "squeeze-CoreML7-one axis of size 1": "its values, unlike its types, need all axes to be of size 1",
    "make_list-CoreML5": "its result is a list, not a tensor",
}
"""Examples that the peer refuses though they are legal, and why."""

DATA_DEPENDENT = {"non_zero": "fake tensors have no number of indices"}

OTHER_TYPES = {
    "matmul-CoreML5-rank 1": "drops the first axis, rather than the one that it added for the vector",
    "crop_resize-CoreML6": "forgets that a box with an index is taken from one image only",
    "topk-CoreML7-all": "takes a k of -1 for a size, though documented as all elements",
}
"""Examples whose types the peer infers wrongly, and why."""

OTHER_VALUES = {
    "scatter_along_axis-CoreML5-add": "updates in every mode",
    "scatter_along_axis-CoreML5-div": "updates in every mode",
    "scatter_along_axis-CoreML5-max": "updates in every mode",
    "scatter_along_axis-CoreML5-min": "updates in every mode",
    "scatter_along_axis-CoreML5-mul": "updates in every mode",
    "scatter_along_axis-CoreML5-sub": "updates in every mode",
    "scatter_along_axis-CoreML7-int32": "updates in every mode",
    "concat-CoreML5-interleave": "does not interleave",
    "topk-CoreML7-all": "takes a k of -1 for all but one",
    "reverse_sequence-CoreML5": "infers none",
    "reverse_sequence-CoreML7": "infers none",
}
"""Examples whose values the peer infers wrongly or not at all, and why."""


def _can_ask(example: Example) -> bool:
    return str(example) not in NOT_ACCEPTED and all(
        parameter.structure not in NO_CONSTANTS for parameter in example.version.signature.parameters.values()
    )


ASKED = [example for example in EXAMPLES if _can_ask(example)]


@pytest.mark.parametrize("example", [e for e in ASKED if e.op not in DATA_DEPENDENT], ids=str)
def test_types(example: Example) -> None:
    theirs = [(ELEMENT_TYPES[peer.element_type(v)], tuple(v.shape)) for v in peer.infer(example)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        ours = [(str(mil_dtype(x.dtype)), tuple(x.shape)) for x in leaves(run_as_typed(example))]
    assert (ours == theirs) == (str(example) not in OTHER_TYPES), (ours, theirs)


@pytest.mark.parametrize("example", [e for e in ASKED if peer.infers_values(e)], ids=str)
def test_values(example: Example) -> None:
    pairs = [
        (ours.numpy(), peer.value(theirs))
        for ours, theirs in zip(leaves(run(example)), peer.infer(example), strict=True)
    ]
    assert all(map(peer.agree, pairs)) == (str(example) not in OTHER_VALUES), pairs
