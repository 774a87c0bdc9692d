"""How a program is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from mlpress.errors import MlpressError

Precision = Literal["float32", "float16"]
Weights = Literal["decoded", "encoded"]
Kernels = Literal["fast", "exact"]

_ALLOWED: Final = {
    "precision": get_args(Precision),
    "weights": get_args(Weights),
    "kernels": get_args(Kernels),
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a program is run.

    Attributes:
        precision: ``"float32"`` computes in float32 over the stored weights. ``"float16"`` is faithful to the
            program: each result that it types as float16 is rounded to float16, and a warning names the first
            operation whose result leaves float16's range.
        weights: ``"decoded"`` decodes each weight once, when the function is first used. ``"encoded"`` keeps
            weights as they are stored and decodes one each time it is used, for models larger than memory;
            vectors and numbers are decoded all the same.
        device: Where torch computes, such as ``"cpu"`` or ``"cuda"``.
        compile: Compiles the whole graph with `torch.compile` at the first prediction, which takes a while
            and needs a C++ compiler; weights become constants of the compiled code. Fast kernels are called
            by it as they are; what stands between them is compiled.
        kernels: ``"fast"`` predicts with kernels that compute on compressed weights and on 8-bit activations
            as they are, where there are some: the same sums, rounded elsewhere. On CUDA these are linear
            layers and 1 x 1 convolutions of 8-bit activations by int8 weights. ``"exact"`` always decodes,
            and gives bit for bit what the decompressed model gives. It makes no difference on other devices
            and in faithful float16.

    Raises:
        MlpressError: A value is not allowed.
    """

    precision: Precision = "float32"
    weights: Weights = "decoded"
    device: str = "cpu"
    compile: bool = False
    kernels: Kernels = "fast"

    @property
    def fast(self) -> bool:
        """Whether kernels for compressed weights and 8-bit activations are used, if the device has any."""
        return self.precision == "float32" and self.kernels == "fast"

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise MlpressError(f"{name} is {value!r}; allowed: {', '.join(map(repr, allowed))}")
        if self.compile and self.weights == "encoded":
            raise MlpressError(
                "compile=True makes weights constants of the code; it cannot keep weights='encoded'"
            )
