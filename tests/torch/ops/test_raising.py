"""`mil.raised`: programs for older systems become programs for newer ones that compute the same."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

from mlpress.bits import FLOAT32
from mlpress.errors import LegalityError
from mlpress.mil import Function, Operation, Opset, Program, TensorType, raised
from mlpress.mil.raising import _ADDED, _CHANGED
from mlpress.ops import lookup, names
from mlpress.ops.builder import Builder
from mlpress.runtime import Runner

STEPS = list(itertools.pairwise(Opset))


@pytest.mark.parametrize(("old", "new"), STEPS, ids=lambda opset: opset.name)
def test_the_tables_agree_with_the_catalogue(old: Opset, new: Opset) -> None:
    added, changed = {}, set()
    for name in names():
        before, after = lookup(name, old), lookup(name, new)
        if before is None or after is None or before is after:
            continue
        if before.function is not after.function:
            changed.add(name)
            continue
        assert set(before.signature.parameters) <= set(after.signature.parameters), name
        declared = inspect.signature(after.function).parameters
        fresh = {
            key: declared[key].default
            for key in after.signature.parameters
            if key not in before.signature.parameters and declared[key].default is not None
        }
        if fresh:
            added[name] = fresh
    assert added == {kind: dict(parameters) for kind, parameters in _ADDED.get(new, {}).items()}
    assert changed == set(_CHANGED.get(new, ()))


def of_ios15() -> Program:
    build = Builder(Opset.CoreML5)
    x = build.input("x", TensorType(FLOAT32, (4, 6)))
    picked = build.op("gather", "picked", x=x, indices=np.array([2, 0], np.int32), axis=0)
    best = build.op("reduce_argmax", "best", x=picked, axis=1, keep_dims=False)
    largest, _ = build.op("topk", "largest", x=picked, k=2, axis=1)
    return Program({"main": Function([x], Opset.CoreML5, build.block([x], [best, largest]))})


def test_results_stay_the_same_and_new_parameters_are_stated() -> None:
    before = of_ios15()
    after = raised(before, Opset.CoreML8)
    assert before.functions["main"].opset is Opset.CoreML5
    assert after.functions["main"].opset is Opset.CoreML8
    stated = {
        node.type: set(node.inputs)
        for node in after.functions["main"].block.operations
        if isinstance(node, Operation)
    }
    assert stated["gather"] >= {"batch_dims", "validate_indices"}
    assert "output_dtype" in stated["reduce_argmax"]
    assert stated["topk"] >= {"sort", "return_indices", "output_indices_dtype"}

    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    here, there = (Runner(program, "main")({"x": x}) for program in (after, before))
    assert all(np.array_equal(here[name], there[name]) for name in there)


def test_what_is_of_the_opset_already_is_shared() -> None:
    program = of_ios15()
    assert raised(program, Opset.CoreML5).functions["main"] is program.functions["main"]


def test_an_operator_that_would_be_another_one_is_refused() -> None:
    build = Builder(Opset.CoreML6)
    x = build.input("x", TensorType(FLOAT32, (1, 2, 8, 8)))
    roi = np.zeros((1, 1, 4, 1, 1), np.float32)
    crop = build.op("crop_resize", "crop", x=x, roi=roi, target_height=4, target_width=4)
    program = Program({"main": Function([x], Opset.CoreML6, build.block([x], [crop]))})
    with pytest.raises(LegalityError, match="its crop_resize 'crop' would be another operator for iOS 17"):
        raised(program, Opset.CoreML7)
