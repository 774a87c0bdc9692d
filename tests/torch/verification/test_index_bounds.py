from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlpress import verify
from mlpress.bits import INT32, Tensor
from mlpress.mil import Function, Opset, Value, literal
from mlpress.ops.builder import Builder
from mlpress.verification.index_bounds import index_bounds
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import embedding


def bounds(*builds: Any) -> dict[str, int]:
    """The bounds of a function with an input ``i`` of three integers, to which each of `builds` adds."""
    build = Builder(Opset.CoreML8)
    i = build.input("i", tensor_type(3, dtype=INT32))
    outputs = [each(build, i) for each in builds]
    return index_bounds(Function([i], Opset.CoreML8, build.block([], outputs)))


def table(build: Builder, rows: int) -> Value:
    return build.constant(np.zeros((rows, 2), np.float32))


def look_up(build: Builder, i: Value, rows: int = 9, axis: Any = 0) -> Value:
    return build.op("gather", x=table(build, rows), indices=i, axis=axis)


def test_an_input_that_looks_up_a_table_is_bounded_by_its_rows() -> None:
    assert bounds(look_up) == {"i": 9}


def test_the_axis_counts() -> None:
    assert bounds(lambda build, i: look_up(build, i, axis=1)) == {"i": 2}
    assert bounds(lambda build, i: look_up(build, i, axis=-2)) == {"i": 9}
    inline = literal(Tensor.from_numpy(np.array(1, np.int32)))
    assert bounds(lambda build, i: look_up(build, i, axis=inline)) == {"i": 2}


def test_the_smallest_of_several_tables_counts() -> None:
    assert bounds(look_up, lambda build, i: look_up(build, i, rows=4)) == {"i": 4}


def test_an_input_that_looks_nothing_up_has_no_bound() -> None:
    assert bounds(lambda build, i: build.op("add", x=i, y=i)) == {}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("cast", {"dtype": "int16"}),
        ("expand_dims", {"axes": [0]}),
        ("reshape", {"shape": [3, 1]}),
        ("slice_by_index", {"begin": [0], "end": [2]}),
    ],
)
def test_an_index_is_followed_through_what_moves_it(kind: str, settings: dict) -> None:
    assert bounds(lambda build, i: look_up(build, build.op(kind, x=i, **settings))) == {"i": 9}


def test_positions_with_an_offset_leave_room_for_it() -> None:
    assert bounds(lambda build, i: look_up(build, build.op("add", x=i, y=np.int32(2)))) == {"i": 7}


def test_the_way_for_negative_indices_leaves_no_room() -> None:
    assert index_bounds(embedding(6).program.functions["main"]) == {"i": 6}


def test_random_inputs_look_up_what_is_there() -> None:
    found = verify(embedding(6), embedding(6), count=30)
    assert found.outputs[0].elements == 30 * 10
    assert found.passed(1000)


def test_the_smaller_table_of_two_models_counts() -> None:
    larger = verify(embedding(6), embedding(3), count=30)  # the tables begin alike
    assert larger.passed(1000)
