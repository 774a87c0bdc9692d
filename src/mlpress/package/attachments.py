"""Items of a package beside the model and its weights: read whole when loading, written again when saving."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlpress.errors import InvalidPackageError
from mlpress.package.manifest import DATA, Item
from mlpress.package.mapped import map_file


@dataclass(frozen=True, slots=True)
class Attachment:
    """An item that another tool put into the package, such as the descriptions that Xcode edits.

    Attributes:
        item: Its entry in the manifest.
        files: Contents by path relative to `Data`.
    """

    item: Item
    files: Mapping[str, memoryview] = field(repr=False)


def read_attachment(package: Path, item: Item, *, ours: tuple[Path, ...]) -> Attachment:
    """Reads the file or the directory of `item`.

    Args:
        package: The package directory.
        item: Entry of its manifest.
        ours: Files and directories to leave out: the model and its weights, which may lie inside the item.

    Raises:
        InvalidPackageError: A file can't be read.
    """
    root = package / DATA
    start = root / item.path
    paths = (
        [start]
        if start.is_file()
        else [Path(folder, name) for folder, _, names in os.walk(start) for name in names]
    )
    try:
        files = {
            path.relative_to(root).as_posix(): map_file(path)
            for path in sorted(paths)
            if path.is_file() and not any(path == mine or mine in path.parents for mine in ours)
        }
    except OSError as error:
        raise InvalidPackageError(f"cannot read item {item.path!r} of {package}: {error}") from error
    return Attachment(item, files)


def write_attachment(package: Path, attachment: Attachment) -> None:
    """Writes the files of an attachment into `package`."""
    for path, data in attachment.files.items():
        target = package / DATA / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (package / DATA / attachment.item.path).parent.mkdir(parents=True, exist_ok=True)
    if not (package / DATA / attachment.item.path).exists():
        (package / DATA / attachment.item.path).mkdir()  # an empty directory is an item too
