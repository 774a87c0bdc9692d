from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mlpress import verify
from mlpress.errors import MlpressError
from mlpress.mil import Opset
from mlpress.models import MLModel
from mlpress.ops.builder import Builder
from mlpress.verification import Loss, OperationRow, Verification
from tests.torch.models.packages import counting_model
from tests.torch.runtime.programs import tensor_type
from tests.torch.verification.models import model, network, unary
from tests.unit.models.descriptions import array


@pytest.mark.parametrize("changed", ["first", "second"])
def test_names_the_operation_where_accuracy_is_lost(changed: str) -> None:
    found = verify(network(), network(changed, noise=0.5), per_op=True)
    lost = found.lost_at()
    assert lost is not None
    assert (lost.operation, lost.name) == ("linear", {"first": "hidden", "second": "y"}[changed])
    assert lost.before == math.inf
    assert lost.after < 30
    assert f"accuracy is lost at linear {lost.name!r}: exact → {lost.after:.1f} dB" in str(found)


def test_a_row_for_each_operation_in_program_order() -> None:
    found = verify(network(), network("second"), per_op=True)
    assert [(row.operation, row.name) for row in found.operations] == [
        ("linear", "hidden"),
        ("relu", "active"),
        ("linear", "y"),
    ]
    hidden, active, y = found.operations
    assert (hidden.snr_db, active.snr_db) == (math.inf, math.inf)
    assert y.snr_db == pytest.approx(found.min_snr)
    assert y.inputs_snr_db == math.inf


def test_no_loss_in_the_same_model() -> None:
    assert verify(network(), network(), per_op=True).lost_at() is None


def test_without_per_op_nothing_is_told() -> None:
    found = verify(network(), network("first"))
    assert found.operations == ()
    assert found.lost_at() is None


def test_a_bound_finds_the_first_operation_below_it() -> None:
    found = verify(network(), network("first", noise=0.01), per_op=True)
    level = found.operations[0].snr_db
    assert found.lost_at(min_snr=level - 100) is None
    below = found.lost_at(min_snr=level + 0.1)
    assert below is not None
    assert below.name == "hidden"


def reordered(extra: bool) -> MLModel:
    """Two branches, ``a`` and ``b``, in one order or the other; with `extra` a value that is in one only."""
    build = Builder(Opset.CoreML8)
    x = build.input("x", tensor_type(2))
    made = {}
    for name, kind in (("b", "exp"), ("a", "tanh")) if extra else (("a", "tanh"), ("b", "exp")):
        made[name] = build.op(kind, name, x=x)
    left = build.op("identity", "only_here", x=made["a"]) if extra else made["a"]
    y = build.op("add", "y", x=left, y=made["b"])
    return model(build, {x: array("x", 2)}, {y: array("y", 2)})


def test_values_go_together_by_name_in_any_order() -> None:
    for pair in ((reordered(True), reordered(False)), (reordered(False), reordered(True))):
        found = verify(*pair, per_op=True)
        assert {row.name for row in found.operations} == {"a", "b", "y"}
        assert all(row.snr_db == math.inf for row in found.operations)


def test_a_value_that_is_in_one_only_passes_on_the_ratio_of_its_inputs() -> None:
    def chain(with_step: bool, noise: float) -> MLModel:
        build = Builder(Opset.CoreML8)
        x = build.input("x", tensor_type(2))
        noisy = build.op("add", "noisy", x=x, y=np.float32(noise))
        step = build.op("identity", "step", x=noisy) if with_step else noisy
        y = build.op("mul", "y", x=step, y=np.float32(2))
        return model(build, {x: array("x", 2)}, {y: array("y", 2)})

    found = verify(chain(False, 0), chain(True, 0.5), per_op=True)
    noisy, y = found.operations
    assert y.inputs_snr_db == noisy.snr_db < 30
    lost = found.lost_at()
    assert lost is not None
    assert lost.name == "noisy"


def test_nan_is_traced_to_the_operation_that_makes_it() -> None:
    found = verify(unary("relu"), unary("sqrt"), [{"x": np.array([-1.0, 4.0])}], per_op=True)
    lost = found.lost_at()
    assert lost is not None
    assert (lost.operation, lost.name, lost.after) == ("sqrt", "inner", -math.inf)


def test_values_of_other_shapes_are_left_out() -> None:
    def inner(axes: tuple[int, ...]) -> MLModel:
        build = Builder(Opset.CoreML8)
        x = build.input("x", tensor_type(1, 2))
        value = build.op("expand_dims", "inner", x=x, axes=list(axes))
        y = build.op("reshape", "y", x=value, shape=[2])
        return model(build, {x: array("x", 1, 2)}, {y: array("y", 2)})

    found = verify(inner((0,)), inner((0, 1)), per_op=True)
    assert [row.name for row in found.operations] == ["y"]


def test_states_go_on_once_a_step() -> None:
    one = {"x": np.array([1.0, 2.0])}
    plain, per_op = (
        verify(counting_model(2), counting_model(2), [[one, one]], per_op=each) for each in (False, True)
    )
    assert plain.outputs == per_op.outputs
    assert per_op.min_snr == math.inf
    assert {row.name for row in per_op.operations} >= {"before", "added", "y"}


def test_a_torch_module_has_no_names() -> None:
    with pytest.raises(MlpressError, match="allowed are two Core ML models"):
        verify(torch.nn.Linear(4, 3), network(), per_op=True)


# ---- which operation is blamed ----


def row(name: str, before: float, after: float, differences: int = 0) -> OperationRow:
    return OperationRow(
        name=name,
        elements=1,
        snr_db=after,
        cosine=None,
        max_abs_error=0,
        relative_error=0,
        nonfinite_reference=0,
        nonfinite_model=differences,
        nonfinite_differences=differences,
        operation="conv",
        inputs_snr_db=before,
    )


@pytest.mark.parametrize(
    ("rows", "blamed"),
    [
        ([row("a", 61, 59), row("b", 59, 23), row("c", 23, 20)], "b"),
        ([row("rounding", math.inf, 75), row("b", 75, 50)], "b"),
        ([row("rounding", math.inf, 75), row("more", 75, 62)], None),
        ([row("a", 50, 30), row("nan", 30, -math.inf, 1), row("spread", -math.inf, -math.inf, 1)], "nan"),
        ([row("zeros", 50, -math.inf), row("b", 50, 40)], "b"),
        ([row("first", 50, 40), row("as much", 40, 30)], "first"),
        ([], None),
    ],
)
def test_the_largest_fall_is_blamed(rows: list[OperationRow], blamed: str | None) -> None:
    lost = Verification(1, (), None, tuple(rows)).lost_at()
    assert (None if lost is None else lost.name) == blamed


def test_a_loss_in_words() -> None:
    assert str(Loss("conv", "x", 61.04, 23)) == "accuracy is lost at conv 'x': 61.0 → 23.0 dB"
