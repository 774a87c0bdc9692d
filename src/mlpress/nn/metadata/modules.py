"""Encodings of the parameters of modules and state dicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import torch

from mlpress.encoding import Encoding, decode
from mlpress.errors import EncodingError
from mlpress.nn.arrays import Array, assign, to_numpy
from mlpress.nn.metadata.buffers import FIELDS, PREFIX, VERSION, Metadata, buffer_name
from mlpress.nn.metadata.read import encoding_of
from mlpress.nn.metadata.write import metadata_of


def store(
    module: torch.nn.Module,
    parameter: str,
    encoding: Encoding,
    write: Callable[[torch.Tensor, Array], None] = assign,
) -> None:
    """Gives a parameter the decoded values of an encoding, and its module the buffers that describe it.

    Args:
        module: The module.
        parameter: Name of its parameter.
        encoding: How the parameter is stored.
        write: Gives a parameter its values: in memory of their own, or that it has.

    Raises:
        EncodingError: The fields cannot say what the encoding says; the module is not changed then.
    """
    metadata = metadata_of(encoding)
    write(module.get_parameter(parameter), decode(encoding))
    for field in FIELDS:
        module._buffers.pop(buffer_name(parameter, field), None)
    device = module.get_parameter(parameter).device
    for field, value in metadata.to_tensors().items():
        module.register_buffer(buffer_name(parameter, field), value.to(device))


def load(module: torch.nn.Module, parameter: str) -> Encoding | None:
    """Returns the encoding of a parameter that was compressed, by mlpress or coremltools; else None.

    Raises:
        EncodingError: Its buffers contradict each other.
    """
    fields = fields_of(module).get(parameter)
    if fields is None:
        return None
    return _named(parameter, fields, module.get_parameter(parameter))


def fields_of(module: torch.nn.Module) -> dict[str, dict[str, torch.Tensor]]:
    """Returns the fields of each compressed parameter that is a module's own."""
    found: defaultdict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, buffer in module.named_buffers(recurse=False):
        if name.startswith(f"{PREFIX}/") and name != VERSION:
            _, parameter, field = name.split("/")
            found[parameter][field] = buffer
    return dict(found)


def encodings(state_dict: Mapping[str, torch.Tensor]) -> dict[str, Encoding]:
    """Returns the encodings of all compressed parameters in a state dict, by the parameters' full names.

    Raises:
        EncodingError: Buffers contradict each other, or describe a parameter that is not there.
    """
    found: defaultdict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for key, tensor in state_dict.items():
        module, _, buffer = key.rpartition(".")
        if buffer.startswith(f"{PREFIX}/") and buffer != VERSION:
            _, parameter, field = buffer.split("/")
            found[f"{module}.{parameter}" if module else parameter][field] = tensor
    missing = [parameter for parameter in found if parameter not in state_dict]
    if missing:
        raise EncodingError(f"there are buffers about {missing[0]!r}, but no such parameter")
    return {
        parameter: _named(parameter, fields, state_dict[parameter]) for parameter, fields in found.items()
    }


def _named(parameter: str, fields: Mapping[str, torch.Tensor], values: torch.Tensor) -> Encoding:
    try:
        return encoding_of(Metadata.from_tensors(fields), to_numpy(values))
    except EncodingError as error:
        raise EncodingError(f"{parameter}: {error}") from None
