"""weight.bin: bytes as other tools write them, plans that hold, and refusal of everything damaged."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpress import bits
from mlpress.bits import ALL_DTYPES, DType, Tensor
from mlpress.errors import InvalidPackageError
from mlpress.package.blob_format import CODES
from mlpress.package.blob_reader import BlobReader
from mlpress.package.blob_writer import BlobLayout
from mlpress.package.mapped import map_file
from tests.unit.package.samples import ramp, resident_file_bytes, tensor


def written(*tensors: Tensor) -> tuple[bytes, list[int]]:
    layout = BlobLayout()
    offsets = [layout.add(tensor) for tensor in tensors]
    file = io.BytesIO()
    layout.write(file)
    assert len(file.getvalue()) == layout.nbytes
    return file.getvalue(), offsets


@pytest.fixture
def weight_file(tmp_path: Path) -> Path:
    return tmp_path / "weight.bin"


@pytest.mark.parametrize(
    ("values", "dtype", "padding", "data"),
    [
        ([1.5, -2, 3.25], bits.FLOAT16, 0, "003e 00c0 8042"),
        ([1, -2, 7, -8, 3], bits.INT4, 4, "e1 87 03"),
        ([1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0], bits.UINT1, 5, "81 03"),
        ([0, 1, 2, 3, 3], bits.UINT2, 6, "e4 03"),
        ([0, 1, 2, 3, 4, 5, 6, 7, 1], bits.UINT3, 5, "88 c6 fa 01"),
        ([1, 2, 15], bits.UINT4, 4, "21 0f"),
        ([1, 2, 3, 63, 33], bits.UINT6, 2, "81 30 fc 21"),
    ],
)
def test_bytes_are_those_that_coremltools_writes(
    values: list[float], dtype: DType, padding: int, data: str
) -> None:
    content, (offset,) = written(tensor(values, dtype))

    assert offset == 64
    assert struct.unpack_from("<II", content) == (1, 2)
    size = len(bytes.fromhex(data))
    assert struct.unpack_from("<IIQQQ", content, 64) == (0xDEADBEEF, CODES[dtype], size, 128, padding)
    assert content[128:] == bytes.fromhex(data)


def test_blobs_start_at_multiples_of_64_and_the_last_is_not_padded() -> None:
    content, offsets = written(ramp((3,)), ramp((100,)), ramp((7,)))

    assert offsets == [64, 192, 512]
    assert len(content) == 512 + 64 + 14


def test_an_empty_file_is_a_header() -> None:
    assert written()[0] == struct.pack("<II56x", 0, 2)


def test_tensors_over_the_same_bytes_are_stored_once() -> None:
    weight = ramp((4, 6))
    equal = ramp((4, 6))

    content, offsets = written(weight, weight.reshape((24,)), equal)

    assert offsets[0] == offsets[1] != offsets[2]
    assert struct.unpack_from("<I", content) == (2,)


def test_a_tensor_that_reads_the_same_bytes_differently_is_stored_again() -> None:
    ones = tensor([1] * 15, bits.UINT1)
    _, offsets = written(ones, Tensor(bits.UINT1, (16,), ones.buffer), Tensor(bits.UINT8, (2,), ones.buffer))

    assert len(set(offsets)) == 3


@given(st.lists(st.tuples(st.sampled_from(sorted(CODES, key=repr)), st.integers(0, 40)), max_size=6))
def test_what_is_written_is_read_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[DType, int]]
) -> None:
    tensors = [ramp((count,), dtype) for dtype, count in kinds]
    content, offsets = written(*tensors)
    path = tmp_path_factory.mktemp("blobs") / "weight.bin"
    path.write_bytes(content)
    reader = BlobReader(path)

    for original, offset in zip(tensors, offsets, strict=True):
        assert reader.tensor(offset, original.dtype, original.shape) == original


def test_reading_copies_nothing_and_gives_the_same_tensor_again(weight_file: Path) -> None:
    weight_file.write_bytes(written(ramp((20,)))[0])
    reader = BlobReader(weight_file)

    first = reader.tensor(64, bits.FLOAT16, (20,))

    assert reader.tensor(64, bits.FLOAT16, (20,)) is first
    assert reader.tensor(64, bits.FLOAT16, (4, 5)).address == first.address
    assert not first.numpy().flags.owndata


def test_garbage_after_the_offset_of_a_byte_type_is_ignored(weight_file: Path) -> None:
    # Writers before iOS 18 left it there.
    content = bytearray(written(ramp((20,)))[0])
    content[64 + 24 : 128] = b"\xaa" * 40
    weight_file.write_bytes(content)

    assert BlobReader(weight_file).tensor(64, bits.FLOAT16, (20,)) == ramp((20,))


@pytest.mark.parametrize("content", [b"", b"\2\0\0\0", written(ramp((3,)))[0][:63]])
def test_a_truncated_header_is_refused(weight_file: Path, content: bytes) -> None:
    weight_file.write_bytes(content)

    with pytest.raises(InvalidPackageError, match="truncated"):
        BlobReader(weight_file)


def test_another_version_is_refused(weight_file: Path) -> None:
    weight_file.write_bytes(struct.pack("<II56x", 0, 3))

    with pytest.raises(InvalidPackageError, match="version 3; supported: 2"):
        BlobReader(weight_file)


def test_a_missing_file_is_named(weight_file: Path) -> None:
    with pytest.raises(InvalidPackageError, match=r"cannot open .*weight\.bin"):
        BlobReader(weight_file)


@pytest.mark.parametrize(
    ("position", "patch", "message"),
    [
        (64, "<I", "record starts with"),
        (68, "<I", "unknown element code"),
        (72, "<Q", "bytes, but"),
        (80, "<Q", "not inside the file"),
        (88, "<Q", "unused bits"),
    ],
    ids=["sentinel", "code", "size", "offset", "padding"],
)
def test_each_field_of_a_record_is_checked(
    weight_file: Path, position: int, patch: str, message: str
) -> None:
    content = bytearray(written(tensor([1, 2, 15], bits.UINT4))[0])
    struct.pack_into(patch, content, position, 999)
    weight_file.write_bytes(content)

    with pytest.raises(InvalidPackageError, match=message):
        BlobReader(weight_file).tensor(64, bits.UINT4, (3,))


@pytest.mark.parametrize("offset", [0, 1, 63, 65, 128, 1 << 20, (1 << 64) - 64])
def test_offsets_without_a_record_are_refused(weight_file: Path, offset: int) -> None:
    weight_file.write_bytes(written(ramp((20,)))[0])

    with pytest.raises(InvalidPackageError, match=f"offset {offset} "):
        BlobReader(weight_file).tensor(offset, bits.FLOAT16, (20,))


@pytest.mark.parametrize("missing", [1, 20, 39, 40])
def test_truncated_data_are_refused(weight_file: Path, missing: int) -> None:
    weight_file.write_bytes(written(ramp((20,)))[0][:-missing])

    with pytest.raises(InvalidPackageError):
        BlobReader(weight_file).tensor(64, bits.FLOAT16, (20,))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(bits.FLOAT32, (10,)), (bits.FLOAT16, (21,)), (bits.INT16, (20,)), (bits.BOOL, (40,))],
)
def test_a_program_that_expects_something_else_is_refused(
    weight_file: Path, dtype: DType, shape: tuple[int, ...]
) -> None:
    weight_file.write_bytes(written(ramp((20,)))[0])

    with pytest.raises(InvalidPackageError, match="blob at offset 64"):
        BlobReader(weight_file).tensor(64, dtype, shape)


def test_bits_behind_the_last_element_have_to_be_zero(weight_file: Path) -> None:
    content = bytearray(written(tensor([1, 0, 1], bits.UINT1))[0])
    content[-1] |= 0x80
    weight_file.write_bytes(content)

    with pytest.raises(InvalidPackageError, match="unused bits of its last byte are not zero"):
        BlobReader(weight_file).tensor(64, bits.UINT1, (3,))


def test_every_type_below_64_bits_but_bool_has_a_code() -> None:
    assert set(ALL_DTYPES) - set(CODES) == {bits.BOOL, bits.FLOAT64, bits.INT64, bits.UINT64}
    assert sorted(CODES.values()) == list(np.arange(1, 18))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_writing_holds_a_few_megabytes_of_a_mapped_source_at_a_time(tmp_path: Path) -> None:
    size = 256 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)  # sparse
    layout = BlobLayout()
    layout.add(Tensor(bits.UINT8, (size,), map_file(tmp_path / "large")))
    before = resident_file_bytes()
    highest = 0

    class Sink(io.RawIOBase):
        def write(self, data: object) -> int:
            nonlocal highest
            view = memoryview(data)  # type: ignore[arg-type]
            np.frombuffer(view, np.uint8).sum()
            highest = max(highest, resident_file_bytes())
            return view.nbytes

    layout.write(Sink())  # type: ignore[arg-type]

    assert highest - before < 16 << 20
