"""Replacing a file or a directory in one step, so that a failure leaves what was there before."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_EXCHANGE: Final = 2
"""RENAME_EXCHANGE of Linux's renameat2 and RENAME_SWAP of macOS's renamex_np."""

_AT_FDCWD: Final = -100


@contextlib.contextmanager
def replacing_directory(destination: Path) -> Iterator[Path]:
    """Yields an empty directory that takes the place of `destination` when the block ends without an error.

    Everything is flushed to disk first. An existing directory is exchanged in one system call where Linux or
    macOS and the file system offer that, so no moment exists without a whole directory; elsewhere it is
    renamed aside, the new one renamed in, and the old one put back if that fails. Files of the old one that
    are mapped stay readable (Windows refuses to rename a directory with open files instead, and the old one
    stays).

    Raises:
        OSError: Writing or renaming failed; `destination` is as before and nothing is left beside it.
    """
    destination = Path(os.path.realpath(destination))
    staging = _sibling(destination)
    staging.mkdir()
    try:
        yield staging
        _flush_tree(staging)
        if destination.exists():
            _swap(staging, destination)
        else:
            staging.rename(destination)
        _flush(destination.parent)
    finally:
        # After an exchange this is the old directory.
        shutil.rmtree(staging, ignore_errors=True)


def replace_file(destination: Path, data: bytes) -> None:
    """Writes `data` to a file beside `destination`, flushes it and renames it into place.

    Raises:
        OSError: Writing failed; `destination` is as before and nothing is left beside it.
    """
    destination = Path(os.path.realpath(destination))
    staging = _sibling(destination)
    try:
        staging.write_bytes(data)
        _flush(staging)
        staging.replace(destination)
        _flush(destination.parent)
    finally:
        staging.unlink(missing_ok=True)


def begin_flush(file: BinaryIO, start: int, end: int) -> None:
    """Lets the disk begin with a part of a file, so that flushing the whole in the end waits less.

    Does nothing where the system can't.
    """
    if sys.platform == "linux":
        # What is advised is to forget these bytes, which Linux does by writing them out first.
        with contextlib.suppress(OSError):
            os.posix_fadvise(file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _sibling(destination: Path) -> Path:
    return destination.with_name(f".{destination.name[:100]}.{uuid.uuid4().hex}.tmp")


def _swap(staging: Path, destination: Path) -> None:
    if _exchange(staging, destination):
        return
    aside = _sibling(destination)
    destination.rename(aside)
    try:
        staging.rename(destination)
    except BaseException:
        aside.rename(destination)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchanges two directories; returns False where the system or the file system can't."""
    if sys.platform not in ("linux", "darwin"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    try:
        if sys.platform == "darwin":
            status = library.renamex_np(*paths, _EXCHANGE)
        else:
            status = library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _EXCHANGE)
    except AttributeError:  # an older C library
        return False
    if status == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def _flush_tree(directory: Path) -> None:
    for folder, _, files in os.walk(directory):
        for name in files:
            _flush(Path(folder, name))
        _flush(Path(folder))


def _flush(path: Path) -> None:
    """Waits until a file or directory is on disk."""
    if path.is_dir() and sys.platform == "win32":
        return  # directories can't be opened there
    mode = os.O_RDONLY if path.is_dir() or sys.platform != "win32" else os.O_RDWR
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
