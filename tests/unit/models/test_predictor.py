"""How a model, its description and its program, ready to run, work together."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from mlpress import bits
from mlpress.errors import InvalidProgramError, MlpressError
from mlpress.mil import TensorType
from mlpress.models.prediction import MLState, Predictor
from tests.unit.models.descriptions import array, interface


class FakeState:
    def __init__(self, types: Mapping[str, TensorType]) -> None:
        self.types = dict(types)
        self.values = {name: np.zeros(kind.shape, kind.dtype.storage) for name, kind in types.items()}

    def read(self, name: str) -> np.ndarray:
        return self.values[name]

    def write(self, name: str, value: np.ndarray) -> None:
        self.values[name] = value


class FakeRunner:
    """Gives back its inputs under the names of its outputs, and counts calls in its states."""

    def __init__(
        self,
        inputs: Mapping[str, Sequence[int]],
        outputs: Sequence[str],
        states: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.inputs = {name: TensorType(bits.FLOAT32, tuple(shape)) for name, shape in inputs.items()}
        self.outputs = {
            name: TensorType(bits.FLOAT32, tuple(shape))
            for name, shape in zip(outputs, inputs.values(), strict=True)
        }
        self.states = {name: TensorType(bits.FLOAT16, tuple(shape)) for name, shape in (states or {}).items()}
        self.seen: dict[str, np.ndarray] = {}

    def __call__(self, inputs: dict[str, np.ndarray], state: FakeState | None) -> dict[str, np.ndarray]:
        self.seen = inputs
        if state is not None:
            for name in state.values:
                state.values[name] = state.values[name] + np.float16(1)
        return dict(zip(self.outputs, inputs.values(), strict=True))

    def make_state(self) -> FakeState:
        return FakeState(self.states)


def predictor(runner: FakeRunner) -> Predictor:
    described = interface(
        *(array(name, *(kind.shape or (1,))) for name, kind in runner.inputs.items()),
        outputs=[array(name) for name in runner.outputs],
    )
    return Predictor(described, lambda: runner)  # type: ignore[arg-type, return-value]


def test_a_prediction_goes_from_the_values_of_users_to_arrays_and_back() -> None:
    found = predictor(FakeRunner({"x": (2,)}, ["y"]))({"x": [1, 2]})
    np.testing.assert_array_equal(found["y"], np.array([1, 2], np.float32), strict=True)


def test_a_number_has_the_axes_that_the_program_has_for_it() -> None:
    runner = FakeRunner({"x": ()}, ["y"])  # described as one of one axis, as all numbers are
    found = predictor(runner)({"x": [5]})
    assert runner.seen["x"].shape == ()
    assert found["y"].tolist() == [5]


def test_the_program_is_made_ready_once_for_all_threads() -> None:
    started = threading.Barrier(4)
    made: list[FakeRunner] = []

    def make() -> Any:
        made.append(FakeRunner({"x": (1,)}, ["y"]))
        return made[-1]

    shared = Predictor(interface(array("x", 1), outputs=[array("y")]), make)

    def predict(value: int) -> float:
        started.wait()
        return float(shared({"x": value})["y"][0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predict, range(4))) == [0, 1, 2, 3]
    assert len(made) == 1


def test_wrong_values_are_refused_before_the_program_is_made_ready() -> None:
    def fail() -> Any:
        raise AssertionError("made ready")

    with pytest.raises(MlpressError, match="input 'x' is missing"):
        Predictor(interface(array("x", 1)), fail)({})


@pytest.mark.parametrize(
    "inputs, outputs, problem",
    [
        ({"a": (1,)}, ["y"], r"describes the inputs \['x'\]; its program has \['a'\]"),
        ({"x": (1,)}, ["b"], r"describes the outputs \['y'\]; its program has \['b'\]"),
    ],
)
def test_a_program_that_is_not_the_one_described_is_refused(
    inputs: dict[str, tuple[int, ...]], outputs: list[str], problem: str
) -> None:
    described = interface(array("x", 1), outputs=[array("y")])
    runner: Any = FakeRunner(inputs, outputs)
    with pytest.raises(InvalidProgramError, match=problem):
        Predictor(described, lambda: runner)({"x": 1})


def test_each_state_remembers_by_itself() -> None:
    model = predictor(FakeRunner({"x": (1,)}, ["y"], {"count": (2,)}))
    first, second = model.make_state(), model.make_state()
    for _ in range(3):
        model({"x": 0}, first)
    model({"x": 0}, second)
    assert first.read_state("count").tolist() == [3, 3]
    assert second.read_state("count").tolist() == [1, 1]

    first.write_state("count", [0.5, 7])
    model({"x": 0}, first)
    assert first.read_state("count").tolist() == [1.5, 8]
    assert first.read_state("count").dtype == np.float32  # half precision, as coremltools gives it


def test_functions_with_the_same_states_take_turns_on_one() -> None:
    prompt = predictor(FakeRunner({"x": (8,)}, ["y"], {"count": (1,)}))
    extend = predictor(FakeRunner({"x": (1,)}, ["y"], {"count": (1,)}))
    state = prompt.make_state()
    prompt({"x": np.zeros(8)}, state)
    extend({"x": 0}, state)
    assert state.read_state("count").tolist() == [2]


def test_a_missing_state_a_foreign_one_and_one_too_many_are_refused() -> None:
    stateful = predictor(FakeRunner({"x": (1,)}, ["y"], {"count": (2,)}))
    other = predictor(FakeRunner({"x": (1,)}, ["y"], {"count": (3,)}))
    stateless = predictor(FakeRunner({"x": (1,)}, ["y"]))

    with pytest.raises(MlpressError, match=r"has states \('count': float16\[2\]\): predict needs state="):
        stateful({"x": 0})
    foreign = r"state is another model's \('count': float16\[3\]\); this model has 'count': float16\[2\]"
    with pytest.raises(MlpressError, match=foreign):
        stateful({"x": 0}, other.make_state())
    with pytest.raises(MlpressError, match="this model has no states"):
        stateless({"x": 0}, other.make_state())
    with pytest.raises(TypeError, match=r"state is a dict; allowed: what the model's make_state\(\) returns"):
        stateful({"x": 0}, {"count": 0})  # type: ignore[arg-type]
    with pytest.raises(MlpressError, match="the model has no states; predict needs none"):
        stateless.make_state()


def test_a_state_takes_numbers_only() -> None:
    state: MLState = predictor(FakeRunner({"x": (1,)}, ["y"], {"count": (2,)})).make_state()
    with pytest.raises(MlpressError, match=r"state 'count' \(str of <U3\) holds no real numbers"):
        state.write_state("count", "abc")
