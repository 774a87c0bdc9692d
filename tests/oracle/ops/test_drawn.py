"""Calls with operands of drawn shapes: coremltools infers the types and values that our definitions give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpress import ops
from mlpress.mil import Opset
from mlpress.ops import mil_dtype
from mlpress.ops.signature import ELEMENT_TYPES
from tests.oracle.ops import drawn, peer
from tests.torch.ops.example import leaves, run
from tests.torch.ops.examples import EXAMPLES

NOT_DRAWN = {
    "reverse_sequence": "the peer infers none",
    "scatter_along_axis": "the peer updates in every mode",
}
"""Ops whose values the peer infers, or says so, and why they are left out."""

FORMS = [(op, version.opset) for op in drawn.CALLS for version in ops.versions(op)]


def test_every_op_whose_values_the_peer_infers_is_drawn() -> None:
    inferred = {
        example.op for example in EXAMPLES if _has_tensors(example.op) and peer.infers_values(example)
    }
    assert inferred - set(NOT_DRAWN) == set(drawn.CALLS)


def _has_tensors(op: str) -> bool:
    signatures = [version.signature for version in ops.versions(op)]
    return not any(p.structure in ("list", "state") for s in signatures for p in s.parameters.values())


@pytest.mark.parametrize(
    ("op", "opset"), FORMS, ids=lambda each: each.name if isinstance(each, Opset) else each
)
@settings(max_examples=10)
@given(data=st.data())
def test_types_and_values(op: str, opset: Opset, data: st.DataObject) -> None:
    example = drawn.example(op, opset, data)
    ours, theirs = leaves(run(example)), peer.infer(example)
    assert [str(mil_dtype(x.dtype)) for x in ours] == [
        ELEMENT_TYPES[peer.element_type(x)].replace("float16", "float32") for x in theirs
    ]
    for x, variable in zip(ours, theirs, strict=True):
        assert peer.agree((x.numpy(), peer.value(variable))), (example.arguments, x, peer.value(variable))
