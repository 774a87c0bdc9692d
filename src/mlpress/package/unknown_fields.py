"""Fields of a message that this version does not know: found when reading, put back when writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def has_unknown(message: Message) -> bool:
    """Whether `message`, or any message inside it, has unknown fields."""
    data = message.SerializeToString()
    known = type(message).FromString(data)
    known.DiscardUnknownFields()
    return known.ByteSize() != len(data)


def without(message: M, field: str) -> M:
    """Returns a copy of `message` with `field` cleared."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField(field)
    return copy


def graft(target: Message, source: Message) -> None:
    """Adds to `target` the unknown fields of `source`, message by message where both have the same parts."""
    own = type(source)()
    own.CopyFrom(source)
    for field, value in source.ListFields():
        own.ClearField(field.name)
        if field.message_type is not None:
            _graft_field(target, field.name, value)
    target.MergeFromString(own.SerializeToString())


def _graft_field(target: Message, name: str, value: Any) -> None:
    if isinstance(value, Message):
        if target.HasField(name):
            graft(getattr(target, name), value)
        return
    ours = getattr(target, name)
    if isinstance(value, Mapping):
        for key in value:
            if key in ours and isinstance(value[key], Message):
                graft(ours[key], value[key])
    elif len(ours) == len(value):
        for mine, theirs in zip(ours, value, strict=True):
            graft(mine, theirs)
