"""Runs one function of a program on arrays."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from mlpress.errors import ExecutionError, MlpressError
from mlpress.mil import Program, StateType, TensorType, Type
from mlpress.runtime.build import build
from mlpress.runtime.classifier import find_classifier
from mlpress.runtime.compiled import compiled
from mlpress.runtime.constants import carrier
from mlpress.runtime.failures import failed_operation
from mlpress.runtime.fast import uses_fast_kernels
from mlpress.runtime.full_float32 import full_float32
from mlpress.runtime.options import RunOptions
from mlpress.runtime.parts import DecodedConstants
from mlpress.runtime.precision import Float16, Float16RangeWarning
from mlpress.runtime.state import State, state_type
from mlpress.runtime.values import Tap, taps

Inputs = Mapping[str, npt.NDArray[Any] | Tensor]


class Runner:
    """One function of a program, ready to run.

    Attributes:
        inputs: Types of the inputs by name, states left out.
        outputs: Types of the outputs by name.
        states: Types of the states by name.
    """

    def __init__(self, program: Program, function: str, options: RunOptions | None = None) -> None:
        """Builds the module, which decodes the weights.

        Raises:
            MlpressError: The program has no such function, or torch cannot compute on the device asked for.
            UnsupportedModelError: The function has operations that cannot be run; all are listed.
        """
        if function not in program.functions:
            raise MlpressError(
                f"no function {function!r} in the program; it has {', '.join(program.functions)}"
            )
        chosen = program.functions[function]
        self._options = options or RunOptions()
        _check_device(self._options.device)
        self.inputs: dict[str, Type] = {
            value.name: value.type for value in chosen.inputs if not isinstance(value.type, StateType)
        }
        self.outputs: dict[str, Type] = {value.name: value.type for value in chosen.block.outputs}
        self.states: dict[str, TensorType] = {
            value.name: state_type(value) for value in chosen.inputs if isinstance(value.type, StateType)
        }
        self._build = partial(build, function, chosen, decoded=DecodedConstants())
        self._used: fx.GraphModule = self._build(self._options)
        self._run = compiled(self._used) if self._options.compile else self._used
        self._rounding = next((part for part in self._used.modules() if isinstance(part, Float16)), None)
        self._classifier = find_classifier(chosen.block)
        self._lock = threading.Lock()

    @cached_property
    def module(self) -> fx.GraphModule:
        """The function as a torch module, operation by operation, from inputs to a dictionary of outputs."""
        if not uses_fast_kernels(self._used):
            return self._used
        return self._build(replace(self._options, kernels="exact"))

    def make_state(self) -> State:
        """Returns a new state, all zeros."""
        return State(self.states, self._options.device)

    def __call__(self, inputs: Inputs, state: State | None = None) -> dict[str, Any]:
        """Runs the function once.

        Args:
            inputs: An array for each input, of its shape; converted to its element type.
            state: What to remember from one call to the next, changed in place; needed by a function with
                states.

        Returns:
            By name, arrays of the element types of the program; for a classifier also the label (``str`` or
            ``int``) and the probabilities by label.

        Raises:
            MlpressError: An input is missing or unknown, or the state is missing or another function's.
            ExecutionError: An operation cannot be computed on these inputs.

        Warns:
            Float16RangeWarning: With `precision="float16"`, a result leaves float16's range.
        """
        arguments = self._arguments(inputs)
        with self._lock, torch.inference_mode(), full_float32(self._options.device):
            self._bind(self._used, state)
            if self._rounding is not None:
                self._rounding.overflow = None  # `values` may have left one
            try:
                outputs = self._run(*arguments)
            except (IndexError, RuntimeError, ValueError) as error:
                where = failed_operation(self._used, error)
                raise ExecutionError(f"{where}: {error}" if where else str(error)) from error
            self._warn_of_overflow()
        return {name: self._result(name, value) for name, value in outputs.items()}

    def values(self, inputs: Inputs, state: State | None = None) -> Iterator[Tap]:
        """Runs the function once and yields the tensor that each operation makes, in program order.

        It runs as far as it is read. Other runs may go on meanwhile: `module` is not told of `state`.

        Raises:
            MlpressError: As a call does.
        """
        arguments = self._arguments(inputs)
        self._check_state(state)
        return taps(self.module, arguments, {} if state is None else state.tensors, self._options.device)

    def prepare(self, inputs: Inputs, state: State | None = None) -> list[Tensor]:
        """Makes `module` use a state, and returns what it takes for inputs.

        Raises:
            MlpressError: As a call does.
        """
        arguments = self._arguments(inputs)
        self._bind(self.module, state)
        return arguments

    def _arguments(self, inputs: Inputs) -> list[Tensor]:
        if set(inputs) != set(self.inputs):
            given, wanted = ", ".join(inputs) or "none", ", ".join(self.inputs) or "none"
            raise MlpressError(f"the inputs given are {given}; the function takes {wanted}")
        device = self._options.device
        return [_argument(inputs[name], kind).to(device) for name, kind in self.inputs.items()]

    def _bind(self, module: fx.GraphModule, state: State | None) -> None:
        self._check_state(state)
        for node in module.graph.find_nodes(op="get_attr"):
            if "state" in node.meta:
                assert state is not None  # the check above: there are states
                setattr(module, str(node.target), state.tensors[node.meta["state"]])

    def _check_state(self, state: State | None) -> None:
        given = {} if state is None else dict(state.types)
        if given != self.states:
            wanted = ", ".join(self.states) or "none"
            problem = (
                "none was given (see make_state)" if state is None else f"the given one has {list(given)}"
            )
            raise MlpressError(f"the function has the states {wanted}; {problem}")

    def _warn_of_overflow(self) -> None:
        if self._rounding is not None and self._rounding.overflow is not None:
            warnings.warn(str(self._rounding.overflow), Float16RangeWarning, stacklevel=3)

    def _result(self, name: str, value: Tensor) -> Any:
        if self._classifier is not None and name in (self._classifier.label, self._classifier.probabilities):
            return self._classifier.result(name, value)
        kind = self.outputs[name]
        assert isinstance(kind, TensorType)  # outputs are tensors, apart from a classifier's
        shares_memory = value.device.type == "cpu"  # with a weight, a state or an input, it may be
        with np.errstate(over="ignore"):  # what does not fit float16 is infinite, as on a device
            return value.detach().cpu().numpy().astype(kind.dtype.storage, copy=shares_memory)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # the former where torch was built without it
        reason = str(error).partition("\n")[0]
        raise MlpressError(f"device is {device!r}, and torch cannot compute there: {reason}") from error


def _argument(value: npt.NDArray[Any] | Tensor, kind: Type) -> Tensor:
    assert isinstance(kind, TensorType)  # inputs are tensors or states
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    with np.errstate(over="ignore"):
        stored = array.astype(kind.dtype.storage)
    return torch.from_numpy(stored).to(carrier(kind.dtype))
