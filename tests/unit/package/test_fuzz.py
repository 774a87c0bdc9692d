"""Damaged packages: a documented error or a correct model, never another exception, a crash or a hang."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from mlpress.encoding import decode
from mlpress.errors import LegalityError, MlpressError
from mlpress.mil import Constant, Literal
from mlpress.package import ModelFile, atomic, load, save
from mlpress.package.proto.model_pb2 import Model
from tests.unit.package.samples import MODEL, WEIGHTS, saved_sample

CASES = 300
LONGEST_SECONDS = 10.0
EDGES = (-(1 << 31), -1, 0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 1 << 20, (1 << 31) - 1)


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_flush", lambda path: None)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_sample(tmp_path_factory.mktemp("pristine"))


@pytest.mark.parametrize(
    "file", [MODEL, WEIGHTS, Path("Manifest.json")], ids=["model", "weights", "manifest"]
)
def test_mutated_bytes(pristine: Path, tmp_path: Path, file: Path) -> None:
    original = (pristine / file).read_bytes()
    for seed in range(CASES):
        check(pristine, tmp_path, file, mutated(original, random.Random(seed)), seed)


def test_mutated_programs(pristine: Path, tmp_path: Path) -> None:
    original = Model.FromString((pristine / MODEL).read_bytes())
    for seed in range(CASES):
        model = Model()
        model.CopyFrom(original)
        choose = random.Random(seed)
        for _ in range(choose.randint(1, 3)):
            mutate_message(model, choose)
        check(pristine, tmp_path, MODEL, model.SerializeToString(), seed)


def check(pristine: Path, folder: Path, file: Path, content: bytes, seed: int) -> None:
    package = folder / f"{seed}.mlpackage"
    shutil.copytree(pristine, package)
    (package / file).write_bytes(content)
    start = time.monotonic()
    try:
        model = load(package)
    except MlpressError:
        pass
    else:
        loads_correctly(model, folder / "again.mlpackage")
    finally:
        shutil.rmtree(package)
    assert time.monotonic() - start < LONGEST_SECONDS, f"seed {seed}"


def loads_correctly(model: ModelFile, again: Path) -> None:
    """A model that loads can be saved, and what comes back is the same."""
    try:
        save(model, again)
    except LegalityError:
        return  # an opset that was changed can't express what an operator holds
    assert values(model) == values(load(again))


def values(model: ModelFile) -> list[tuple[str, Any]]:
    """The bits of every constant; the text of the error for one whose data contradict each other."""
    found = []
    for function in model.program.functions.values():
        for constant in function.block.constants():
            found.append((constant.output.name, value(constant)))
    return found


def value(constant: Constant) -> Any:
    if isinstance(constant.data, Literal):
        return constant.data
    try:
        return decode(constant.data).tobytes()
    except MlpressError as error:
        return str(error)


def mutated(data: bytes, choose: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(choose.choice([1, 1, 1, 2, 8])):
        at = choose.randrange(len(content) + 1)
        length = choose.choice([1, 1, 2, 8, 64, 1000])
        match choose.randrange(6):
            case 0:
                content[at : at + 1] = bytes([choose.randrange(256)])
            case 1 if at < len(content):
                content[at] ^= 1 << choose.randrange(8)
            case 2:
                del content[at : at + length]
            case 3:
                content[at:at] = choose.randbytes(length)
            case 4:
                content[at : at + length] = choose.choice([b"\0", b"\xff"]) * min(length, len(content) - at)
            case _:
                del content[at:]
    return bytes(content)


def mutate_message(root: Message, choose: random.Random) -> None:
    """Changes, removes, repeats or exchanges one field somewhere in the message."""
    kind = choose.choice(["program", "anything"])
    places = [
        (message, name)
        for message in messages(root.mlProgram if kind == "program" else root)  # type: ignore[attr-defined]
        for name in (field.name for field, _ in message.ListFields())
    ]
    message, name = choose.choice(places)
    current = getattr(message, name)
    if choose.random() < 0.15:
        message.ClearField(name)
    elif isinstance(current, str):
        names = [getattr(*place) for place in places if isinstance(getattr(*place), str)]
        setattr(message, name, choose.choice([*names, "", "ghost", "\0", "../x"]))
    elif isinstance(current, int):
        change(message, name, choose.choice(EDGES))
    elif isinstance(current, bytes):
        setattr(message, name, mutated(current, choose))
    elif isinstance(current, Message):
        donors = [value for place in places if type(value := getattr(*place)) is type(current)]
        current.CopyFrom(choose.choice(donors))
    elif hasattr(current, "keys"):
        del current[choose.choice(sorted(current))]
    elif choose.random() < 0.5:
        current.extend(list(current)[: choose.randint(1, 3)])
    else:
        del current[choose.randrange(len(current))]


def change(message: Message, name: str, number: int) -> None:
    try:
        setattr(message, name, number)
    except ValueError:
        setattr(message, name, abs(number))


def messages(message: Message) -> Iterator[Message]:
    """Yields `message` and all messages inside it."""
    yield message
    for field, current in message.ListFields():
        if isinstance(current, Message):
            yield from messages(current)
        elif hasattr(current, "values") and field.message_type is not None:
            yield from (
                inner for one in current.values() if isinstance(one, Message) for inner in messages(one)
            )
        elif field.message_type is not None:
            yield from (inner for one in current for inner in messages(one))
