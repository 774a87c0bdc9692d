"""Labels of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mlpress.errors import InvalidProgramError
from mlpress.mil import Block, Literal, Operation
from mlpress.ops.arguments import python_value


@dataclass(frozen=True, slots=True)
class Classifier:
    """What the `classify` op of a function returns beyond tensors.

    Attributes:
        label: Name of the output with the label.
        probabilities: Name of the output with the probability of each label.
        classes: The labels, ``str`` or ``int``, in the order of the probabilities.
    """

    label: str
    probabilities: str
    classes: tuple[Any, ...]

    def result(self, name: str, value: Tensor) -> Any:
        """Returns output `name` of the module, a class index or probabilities, as users see it."""
        if name == self.label:
            return self.classes[int(value)]
        return dict(zip(self.classes, value.double().tolist(), strict=True))


def find_classifier(block: Block) -> Classifier | None:
    """Returns what the `classify` op of `block` does, or None if it has none.

    Raises:
        InvalidProgramError: The classes are not written in place.
    """
    for node in block.operations:
        if isinstance(node, Operation) and node.type == "classify":
            classes = node.inputs.get("classes")
            if not isinstance(classes, Literal):
                raise InvalidProgramError(f"classify {node.name!r}: its classes must be written in place")
            label, probabilities = node.outputs
            return Classifier(label.name, probabilities.name, tuple(python_value(classes)))
    return None
