"""Saving in one step: the old or the new, never half, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlpress import bits
from mlpress.encoding import Dense
from mlpress.errors import InvalidPackageError, MlpressError
from mlpress.mil import Program
from mlpress.package import atomic, load, save
from mlpress.package.atomic import replace_file, replacing_directory
from tests.unit.package.samples import (
    WEIGHTS,
    constants_of,
    decoded,
    model_file,
    sample,
    saved_sample,
    tensor,
)
from tests.unit.package.samples import function as function_of


@pytest.fixture(params=["exchange", "rename"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the system's exchange of directories, and as where there is none."""
    if request.param == "rename":
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_new_directory_appears_whole(tmp_path: Path) -> None:
    with replacing_directory(tmp_path / "new") as staging:
        (staging / "file").write_text("x")
        assert not (tmp_path / "new").exists()

    assert contents(tmp_path) == {"new/file": b"x"}


@pytest.mark.usefixtures("_either_way")
def test_an_old_directory_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "old").write_text("old")

    with replacing_directory(tmp_path / "it") as staging:
        (staging / "new").write_text("new")

    assert contents(tmp_path) == {"it/new": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_while_writing_leaves_the_old(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "old").write_text("old")

    with pytest.raises(error), replacing_directory(tmp_path / "it") as staging:
        (staging / "new").write_text("new")
        raise error

    assert contents(tmp_path) == {"it/old": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_the_old_is_put_back_when_the_new_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "old").write_text("old")
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target.name == "it" and (self / "new").exists():
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no"), replacing_directory(tmp_path / "it") as staging:
        (staging / "new").write_text("new")

    assert contents(tmp_path) == {"it/old": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_file_is_replaced_or_stays(tmp_path: Path, file_size_limit: int) -> None:
    replace_file(tmp_path / "it", b"old")
    replace_file(tmp_path / "it", b"new")
    with pytest.raises(OSError):
        replace_file(tmp_path / "it", bytes(2 * file_size_limit))

    assert contents(tmp_path) == {"it": b"new"}


def test_a_link_keeps_pointing_at_the_package(tmp_path: Path) -> None:
    real = saved_sample(tmp_path)
    link = tmp_path / "link.mlpackage"
    link.symlink_to(real)

    save(load(link), link)

    assert link.is_symlink()
    assert constants_of(load(real)) == constants_of(sample())


@pytest.mark.usefixtures("_either_way")
def test_a_model_is_saved_over_the_package_it_is_mapped_from(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    before = contents(package)
    model = load(package)

    save(model, package)
    save(model, package)

    assert contents(package) == before
    assert constants_of(model) == constants_of(load(package)) == constants_of(sample())
    assert os.listdir(tmp_path) == ["sample.mlpackage"]  # noqa: PTH208 (hidden files too)


def test_a_full_disk_leaves_the_old_package(tmp_path: Path, file_size_limit: int) -> None:
    package = saved_sample(tmp_path)
    before = contents(tmp_path)
    large = {"w": Dense(tensor([[0.5] * 4096] * (file_size_limit // 4096), bits.FLOAT16))}

    with pytest.raises(OSError):
        save(model_file(Program({"main": function_of(large)})), package)

    assert contents(tmp_path) == before


def test_what_cannot_be_lowered_leaves_the_old_package(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    before = contents(tmp_path)
    model = sample()
    model.program.functions["main"].block.operations.reverse()  # uses before definitions

    with pytest.raises(MlpressError, match="which nothing before it defines"):
        save(model, package)

    assert contents(tmp_path) == before


def test_a_directory_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "photos.mlpackage"
    precious.mkdir()
    (precious / "holiday.jpg").write_text("x")

    with pytest.raises(InvalidPackageError, match="no package, and won't be replaced"):
        save(sample(), precious)

    assert contents(tmp_path) == {"photos.mlpackage/holiday.jpg": b"x"}


def test_an_empty_directory_becomes_the_package(tmp_path: Path) -> None:
    (tmp_path / "m.mlpackage").mkdir()

    save(sample(), tmp_path / "m.mlpackage")

    assert (tmp_path / "m.mlpackage" / WEIGHTS).is_file()


def test_files_and_packages_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "m.mlpackage").write_text("x")
    with pytest.raises(InvalidPackageError, match="is a file"):
        save(sample(), tmp_path / "m.mlpackage")

    (tmp_path / "m.mlmodel").mkdir()
    with pytest.raises(InvalidPackageError, match="is a directory"):
        save(model_file(Program({"main": function_of({})})), tmp_path / "m.mlmodel")


@pytest.mark.parametrize("name", ["model.onnx", "model.mlmodelc"])
def test_other_extensions_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidPackageError, match=r"allowed: \.mlpackage, \.mlmodel"):
        save(sample(), tmp_path / name)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackageError, match="is no directory"):
        save(sample(), tmp_path / "missing" / "m.mlpackage")


def test_weights_decode_to_the_same_bits_after_saving(tmp_path: Path) -> None:
    loaded = constants_of(load(saved_sample(tmp_path)))

    for name, data in constants_of(sample()).items():
        assert decoded(loaded[name]) == decoded(data), name
