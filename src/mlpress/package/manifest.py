"""The package directory and its `Manifest.json`.

A package is a directory with `Manifest.json`, which lists items by identifier, and `Data`, under which they
lie. The root item is the model file; a directory `weights` beside it holds the blob files (format version
1.0.0).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from mlpress.errors import InvalidPackageError

MANIFEST: Final = "Manifest.json"
DATA: Final = "Data"
AUTHOR: Final = "com.apple.CoreML"
MODEL: Final = "model.mlmodel"
WEIGHTS: Final = "weights"
WEIGHT_FILE: Final = "weight.bin"

_NEWEST: Final = (1, 0, 0)
_KEYS: Final = ("author", "description", "name", "path")
_NAMESPACE: Final = uuid.UUID("7a8a2f4e-9a53-4c0c-8d57-7d1d4b2f3a10")


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of the manifest; `path` is relative to `Data`, with forward slashes."""

    author: str
    name: str
    path: str
    description: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The items of a package: the root model and all others."""

    root: Item
    others: tuple[Item, ...]


MODEL_ITEM: Final = Item(AUTHOR, MODEL, f"{AUTHOR}/{MODEL}", "CoreML Model Specification")
WEIGHTS_ITEM: Final = Item(AUTHOR, WEIGHTS, f"{AUTHOR}/{WEIGHTS}", "CoreML Model Weights")


def is_package(path: Path) -> bool:
    """Whether `path` is a directory with a manifest."""
    return (path / MANIFEST).is_file()


def read_manifest(package: Path) -> Manifest:
    """Reads and checks the manifest of `package`.

    Raises:
        InvalidPackageError: The manifest is missing, damaged, of a newer version, names no root model, or has
            an item that is incomplete, missing on disk or outside the package.
    """
    file = package / MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise InvalidPackageError(f"{package} is not a Core ML package: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidPackageError(f"cannot read {file}: {error}") from error
    if not isinstance(manifest, dict):
        raise InvalidPackageError(f"{file} holds a {type(manifest).__name__}, not an object")
    _check_version(file, manifest.get("fileFormatVersion"))
    entries = manifest.get("itemInfoEntries", {})
    if not isinstance(entries, dict):
        raise InvalidPackageError(f"{file}: itemInfoEntries is a {type(entries).__name__}, not an object")
    items = {key: _item(file, package, key, entry) for key, entry in entries.items()}
    root = manifest.get("rootModelIdentifier")
    if not isinstance(root, str) or root not in items:
        raise InvalidPackageError(
            f"{file} names no root model: rootModelIdentifier is {root!r}, items are {list(items)}"
        )
    if not (package / DATA / items[root].path).is_file():
        raise InvalidPackageError(f"{file}: the root model {items[root].path!r} is not a file")
    return Manifest(items[root], tuple(item for key, item in items.items() if key != root))


def write_manifest(package: Path, others: tuple[Item, ...]) -> None:
    """Writes the manifest of a package with the model, the weights directory and `others`.

    Identifiers are derived from the paths, so that equal packages have equal manifests.
    """
    items = (MODEL_ITEM, WEIGHTS_ITEM, *others)
    manifest = {
        "fileFormatVersion": ".".join(map(str, _NEWEST)),
        "itemInfoEntries": {_identifier(item): {key: getattr(item, key) for key in _KEYS} for item in items},
        "rootModelIdentifier": _identifier(MODEL_ITEM),
    }
    text = json.dumps(manifest, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    (package / MANIFEST).write_bytes(text.encode())


def leaves(path: str) -> bool:
    """Whether a path from a file is unfit to be joined to a directory: empty, absolute, leading upwards."""
    flavours = PurePosixPath(path), PureWindowsPath(path)
    return (
        not flavours[0].parts
        or "\0" in path
        or any(flavour.anchor or ".." in flavour.parts for flavour in flavours)
    )


def _identifier(item: Item) -> str:
    return str(uuid.uuid5(_NAMESPACE, item.path))


def _check_version(file: Path, version: object) -> None:
    parts = version.split(".") if isinstance(version, str) else []
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise InvalidPackageError(f"{file}: fileFormatVersion {version!r} is not of the form '1.0.0'")
    if tuple(map(int, parts)) > _NEWEST:
        raise InvalidPackageError(
            f"{file}: fileFormatVersion {version} is newer than the newest supported, 1.0.0"
        )


def _item(file: Path, package: Path, identifier: str, entry: Any) -> Item:
    where = f"{file}, item {identifier!r}"
    if not isinstance(entry, dict):
        raise InvalidPackageError(f"{where} is a {type(entry).__name__}, not an object")
    for key in _KEYS:
        if not isinstance(entry.get(key), str):
            raise InvalidPackageError(f"{where}: {key} must be a string, not {entry.get(key)!r}")
    path = entry["path"]
    if leaves(path):
        raise InvalidPackageError(f"{where}: path {path!r} leaves the package")
    try:
        exists = (package / DATA / path).exists()
    except (OSError, ValueError) as error:
        raise InvalidPackageError(f"{where}: path {path!r} can't be looked up: {error}") from error
    if not exists:
        raise InvalidPackageError(f"{where}: nothing exists at {package / DATA / path}")
    return Item(entry["author"], entry["name"], path, entry["description"])
