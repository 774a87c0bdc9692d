"""Types of the results of ops, told by running their definitions on fake tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from mlpress.errors import InvalidProgramError
from mlpress.mil import Constant, Literal, Operand, Operation, TensorType, Value
from mlpress.ops.arguments import arguments, python_value
from mlpress.ops.dtypes import mil_dtype, torch_dtype
from mlpress.ops.op import Version


class Inference:
    """Remembers a fake tensor for each value that it has seen, so that unknown sizes stay related."""

    def __init__(self, mode: FakeTensorMode | None = None) -> None:
        """Makes fake tensors in `mode`, in one of its own if not given; also an attribute."""
        self.mode = mode or FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)
        self._fakes: dict[Value, Any] = {}
        self._constants: dict[Value, Constant] = {}

    def know(self, constant: Constant) -> None:
        """Makes the value of `constant` known to ops that look at it."""
        self._constants[constant.output] = constant

    def constant(self, value: Value) -> Constant | None:
        """Returns the constant that `value` is, None if a run has to tell."""
        return self._constants.get(value)

    def hold(self, value: Value, fake: Any) -> None:
        """Lets `fake`, a fake tensor of this mode or several, stand for `value`."""
        self._fakes[value] = fake

    def shape(self, value: Value) -> tuple[Any, ...]:
        """Returns the sizes of `value`, an ``int`` or a `torch.SymInt` each."""
        kind = value.type
        if isinstance(kind, TensorType) and None not in kind.shape:
            return kind.shape
        held = self._fakes.get(value)
        return tuple((self.tensor(value) if held is None else held).shape)

    def results(self, operation: Operation, version: Version) -> tuple[Any, ...]:
        """Returns the fake results of `operation`, whose `outputs` are not looked at.

        Raises:
            InvalidProgramError: The operands do not fit the op, or a result depends on values that only a
                run has.
        """
        try:
            # The dispatcher of Python decomposes what has no kernel for sizes that are unknown.
            with enable_python_dispatcher(), self.mode:
                made = version.function(**arguments(operation, version, self))
        except (RuntimeError, IndexError, TypeError) as error:
            raise InvalidProgramError(f"{operation.type} {operation.name!r}: {error}") from error
        return made if version.several else (made,)

    # ---- how ops are called here, see `Evaluation` ----

    def anchor(self) -> Tensor:
        return torch.empty(0)

    def tensor(self, operand: Operand) -> Any:
        if isinstance(operand, Literal):
            return self._new(operand)
        fake = self._fakes.get(operand)
        if fake is None:
            fake = self._fakes[operand] = self._new(operand)
        elif isinstance(operand.type, TensorType) and fake.dtype is not self.dtype(operand):
            # What is held comes from a graph of torch, whose integers are wider.
            with self.mode:
                fake = self._fakes[operand] = fake.to(self.dtype(operand))
        return fake

    def plain(self, operand: Operand) -> Any:
        if isinstance(operand, Literal):
            return python_value(operand)
        if operand in self._constants:
            return python_value(self._constants[operand].data)
        raise InvalidProgramError(f"{operand.name!r} is known only in a run; the types must be given")

    def dtype(self, operand: Operand | None) -> torch.dtype:
        kind = None if operand is None else operand.type
        return torch_dtype(kind.dtype) if isinstance(kind, TensorType) else torch.float32

    def element_type(self, name: str) -> str:
        return name

    def fresh(self, kind: TensorType) -> Tensor:
        """Returns a new fake tensor; a size that `kind` leaves open is unlike any other."""
        sizes = [self._some_size() if size is None else size for size in kind.shape]
        with self.mode:
            return torch.empty(sizes, dtype=torch_dtype(kind.dtype))

    def _new(self, operand: Operand) -> Tensor:
        if not isinstance(operand.type, TensorType):
            raise InvalidProgramError(f"{operand} is no tensor")
        return self.fresh(operand.type)

    def _some_size(self) -> torch.SymInt:
        assert self.mode.shape_env is not None
        size = self.mode.shape_env.create_unbacked_symint()
        torch._check(size >= 2)  # type: ignore[no-untyped-call]  # 0 and 1 are special to broadcasting
        return size


def type_of(fake: Tensor) -> TensorType:
    """Returns the type of a tensor; a size that is symbolic is unknown."""
    sizes: tuple[Any, ...] = tuple(fake.shape)  # torch.Size claims to hold int only
    shape = tuple(None if isinstance(size, torch.SymInt) else int(size) for size in sizes)
    return TensorType(mil_dtype(fake.dtype), shape)
