"""How a program is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from mlpress.errors import MlpressError

Precision = Literal["float32", "float16"]
Weights = Literal["decoded", "encoded"]

_ALLOWED: Final = {"precision": get_args(Precision), "weights": get_args(Weights)}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a program is run.

    Attributes:
        precision: ``"float32"`` computes in float32 over the stored weights. ``"float16"`` is faithful to the
            program: each result that it types as float16 is rounded to float16, and a warning names the first
            operation whose result leaves float16's range.
        weights: ``"decoded"`` decodes each weight once, when the function is first used. ``"encoded"`` keeps
            weights as they are stored and decodes one each time it is used, for models larger than memory.
        device: Where torch computes, such as ``"cpu"`` or ``"cuda"``.
        compile: Compiles the whole graph with `torch.compile` at the first prediction, which takes a while
            and needs a C++ compiler; weights become constants of the compiled code.

    Raises:
        MlpressError: A value is not allowed.
    """

    precision: Precision = "float32"
    weights: Weights = "decoded"
    device: str = "cpu"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise MlpressError(f"{name} is {value!r}; allowed: {', '.join(map(repr, allowed))}")
        if self.compile and self.weights == "encoded":
            raise MlpressError(
                "compile=True makes weights constants of the code; it cannot keep weights='encoded'"
            )
