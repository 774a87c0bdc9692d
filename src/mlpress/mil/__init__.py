"""The program: types, operations, and how its constants are stored in each opset."""

from mlpress.mil.canonical import canonical, canonical_nbytes, canonical_program
from mlpress.mil.legal import why_illegal
from mlpress.mil.lift import lift
from mlpress.mil.lower import literal, lower
from mlpress.mil.opset import Opset
from mlpress.mil.program import (
    Block,
    Constant,
    Function,
    Literal,
    Operand,
    Operation,
    Program,
    Use,
    Value,
    uses,
    with_constants,
)
from mlpress.mil.raising import raised
from mlpress.mil.types import (
    DictionaryType,
    ListType,
    StateType,
    StringType,
    TensorType,
    TupleType,
    Type,
)

__all__ = [
    "Block",
    "Constant",
    "DictionaryType",
    "Function",
    "ListType",
    "Literal",
    "Operand",
    "Operation",
    "Opset",
    "Program",
    "StateType",
    "StringType",
    "TensorType",
    "TupleType",
    "Type",
    "Use",
    "Value",
    "canonical",
    "canonical_nbytes",
    "canonical_program",
    "lift",
    "literal",
    "lower",
    "raised",
    "uses",
    "why_illegal",
    "with_constants",
]
