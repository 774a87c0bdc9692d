"""What an opset accepts for an op: parameters, element types, which must be constants.

Written in a compact notation::

    x:T, alpha:U const, axes:int32 const?; T=fp16|fp32, U=fp16|fp32

Parameters come first, each ``name:type``. A type is an element type, a variable that the second half
declares (all parameters with the same variable have the same element type), or one of `STRUCTURES`.
``const`` asks for a value that is known when the model is made, ``?`` may be left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ELEMENT_TYPES: Final = {
    "fp16": "float16",
    "fp32": "float32",
    "bool": "bool",
    **{name: name for name in ("int4", "int8", "int16", "int32", "int64")},
    **{name: name for name in ("uint1", "uint2", "uint3", "uint4", "uint6", "uint8", "uint16", "uint32")},
}
"""Element types as MIL writes them, to the names of `mlpress.bits.DType`."""

STRUCTURES: Final = ("any", "dictionary", "list", "state", "string", "tensor", "tensors")
"""Types that are no element type: a tensor of any element type, several of them (a tuple), any value, ..."""

_PARAMETER: Final = re.compile(r"(?P<name>\w+):(?P<type>\w+)(?P<const> const)?(?P<optional>\?)?")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an op in one opset.

    Attributes:
        name: Its name in the program.
        dtypes: Names of the element types it takes; empty for a structure.
        variable: Type variable that it shares with others, or None.
        structure: One of `STRUCTURES`, or None for a tensor of one of `dtypes`.
        const: Whether its value must be known when the model is made.
        optional: Whether it may be left out.
    """

    name: str
    dtypes: tuple[str, ...]
    variable: str | None
    structure: str | None
    const: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of an op in one opset, by name."""

    parameters: dict[str, Parameter]

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Reads the notation above.

        Raises:
            ValueError: `text` breaks the notation or uses a variable that it does not declare.
        """
        head, _, tail = text.partition(";")
        variables = {}
        for declared in filter(None, map(str.strip, tail.split(","))):
            variable, _, names = declared.partition("=")
            variables[variable] = tuple(ELEMENT_TYPES[name] for name in names.split("|"))
        parsed = [_parameter(item.strip(), variables) for item in head.split(",") if item.strip()]
        return cls({parameter.name: parameter for parameter in parsed})


def _parameter(text: str, variables: dict[str, tuple[str, ...]]) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no parameter; expected 'name:type', 'name:type const' or with a final '?'"
        )
    name, kind = match["name"], match["type"]
    const, optional = match["const"] is not None, match["optional"] is not None
    if kind in variables:
        return Parameter(name, variables[kind], kind, None, const, optional)
    if kind in ELEMENT_TYPES:
        return Parameter(name, (ELEMENT_TYPES[kind],), None, None, const, optional)
    if kind in STRUCTURES:
        return Parameter(name, (), None, kind, const, optional)
    raise ValueError(f"parameter {name!r} has the unknown type {kind!r}")
