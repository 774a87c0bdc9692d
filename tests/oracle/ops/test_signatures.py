"""What each opset accepts for each op is what coremltools' registry says."""

from __future__ import annotations

from typing import Any

import pytest
from coremltools.converters.mil.mil import types
from coremltools.converters.mil.mil.input_type import (
    ListInputType,
    ListOrTensorOrDictInputType,
    StateInputType,
    TensorInputType,
    TupleInputType,
)
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from mlpress import ops
from mlpress.mil import Opset
from mlpress.ops import Signature
from mlpress.ops.signature import ELEMENT_TYPES
from tests.oracle.ops import peer

STRUCTURAL = {
    "classify": "the structure of a program, see mlpress.runtime",
    "cond": "control flow, see mlpress.runtime",
    "read_state": "state, see mlpress.runtime",
    "while_loop": "control flow, see mlpress.runtime",
    "const": "a node of its own in a program",
    "_const_symbolic": "never in a file",
    **{
        name: "an encoding, see mlpress.mil"
        for name in SSAOpRegistry.core_ops
        if name.startswith("constexpr_")
    },
}
"""Ops of the registry that the catalogue leaves to others."""

OTHER_SIGNATURES: dict[tuple[str, Opset], str] = {}
"""Forms whose registered signature we do not share, and why."""

STRUCTURES = {
    TupleInputType: "tensors",
    ListInputType: "list",
    StateInputType: "state",
    ListOrTensorOrDictInputType: "any",
}


def test_the_catalogue_has_every_op_of_the_registry() -> None:
    assert set(ops.names()) == set(SSAOpRegistry.core_ops) - set(STRUCTURAL)


@pytest.mark.parametrize("name", [name for name in ops.names() if name in SSAOpRegistry.core_ops])
def test_an_op_is_as_the_registry_has_it(name: str) -> None:
    registered = {
        opset: _described(peer.operation_class(name, opset))
        for opset in _introduced(name)
        if (name, opset) not in OTHER_SIGNATURES
    }
    ours = {
        version.opset: _ours(version.signature)
        for version in ops.versions(name)
        if (name, version.opset) not in OTHER_SIGNATURES
    }
    assert ours == registered


def _introduced(name: str) -> list[Opset]:
    """Returns the opsets that brought a new form of op `name`."""
    forms = SSAOpRegistry.core_ops[name]
    known = [opset for opset in peer.TARGETS if peer.TARGETS[opset] in forms]
    return [
        opset
        for position, opset in enumerate(known)
        if not position
        or peer.operation_class(name, opset) is not peer.operation_class(name, known[position - 1])
    ]


def _described(operation: Any) -> dict[str, tuple[Any, ...]]:
    inputs = operation.input_spec.input_types
    variables = {
        key: declared.type_domain_id
        for key, declared in inputs.items()
        if isinstance(declared, TensorInputType)
    }
    return {
        key: (*_type(declared, operation), _sharing(key, variables), declared.const, declared.optional)
        for key, declared in inputs.items()
    }


def _type(declared: Any, operation: Any) -> tuple[Any, ...]:
    if type(declared) in STRUCTURES:
        return STRUCTURES[type(declared)], frozenset()
    variable = declared.type_domain_id
    domain = operation.type_domains[variable] if variable else declared.type_domain
    names = {
        types.builtin_to_string(allowed) for allowed in (domain if isinstance(domain, tuple) else (domain,))
    }
    if names == {"string"}:
        return "string", frozenset()
    return None, frozenset(ELEMENT_TYPES[allowed] for allowed in names)


def _ours(signature: Signature) -> dict[str, tuple[Any, ...]]:
    variables = {key: parameter.variable for key, parameter in signature.parameters.items()}
    return {
        key: (
            parameter.structure,
            frozenset(parameter.dtypes),
            _sharing(key, variables),
            parameter.const,
            parameter.optional,
        )
        for key, parameter in signature.parameters.items()
    }


def _sharing(key: str, variables: dict[str, Any]) -> frozenset[str]:
    """Returns the parameters whose element type is that of `key` by a common variable."""
    variable = variables.get(key)
    return frozenset(
        other for other in variables if variable is not None and variables[other] == variable
    ) | {key}
