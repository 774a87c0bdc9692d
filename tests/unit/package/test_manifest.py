"""The manifest: what is written, and each way in which one can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlpress.errors import InvalidPackageError
from mlpress.package import load
from mlpress.package.manifest import leaves, read_manifest
from tests.unit.package.samples import saved_sample


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return saved_sample(tmp_path)


def edit(package: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = package / "Manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def root_of(manifest: dict[str, Any]) -> dict[str, str]:
    return manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]


def test_a_saved_package_lists_the_model_and_its_weights(package: Path) -> None:
    text = (package / "Manifest.json").read_text()
    manifest = json.loads(text)

    assert text.startswith('{\n    "fileFormatVersion": "1.0.0",\n    "itemInfoEntries": {')
    assert text.endswith("}\n")
    assert root_of(manifest) == {
        "author": "com.apple.CoreML",
        "description": "CoreML Model Specification",
        "name": "model.mlmodel",
        "path": "com.apple.CoreML/model.mlmodel",
    }
    assert sorted(item["path"] for item in manifest["itemInfoEntries"].values()) == [
        "com.apple.CoreML/model.mlmodel",
        "com.apple.CoreML/weights",
    ]


def test_equal_models_have_equal_manifests(package: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = saved_sample(tmp_path / "other")

    assert (package / "Manifest.json").read_bytes() == (other / "Manifest.json").read_bytes()


@pytest.mark.parametrize("version", ["1.0.0", "0.1.0", "0.9.9"])
def test_versions_up_to_the_newest_are_read(package: Path, version: str) -> None:
    edit(package, lambda manifest: manifest.update(fileFormatVersion=version))

    assert read_manifest(package).root.name == "model.mlmodel"


@pytest.mark.parametrize(
    "version", ["1.0.1", "1.1.0", "2.0.0", "1.0", "", "-1.0.0", "1.0.x", None, 1, "9" * 9999]
)
def test_other_versions_are_refused(package: Path, version: object) -> None:
    edit(package, lambda manifest: manifest.update(fileFormatVersion=version))

    with pytest.raises(InvalidPackageError, match="fileFormatVersion"):
        load(package)


def test_extra_keys_do_no_harm(package: Path) -> None:
    edit(package, lambda manifest: manifest.update(more=[1]))

    load(package)


@pytest.mark.parametrize("root", [None, "nobody", 3, ["x"]])
def test_a_manifest_without_a_root_model_is_refused(package: Path, root: object) -> None:
    edit(package, lambda manifest: manifest.update(rootModelIdentifier=root))

    with pytest.raises(InvalidPackageError, match="names no root model"):
        load(package)


def test_a_manifest_without_items_has_no_root_model(package: Path) -> None:
    edit(package, lambda manifest: manifest.pop("itemInfoEntries"))

    with pytest.raises(InvalidPackageError, match="names no root model"):
        load(package)


@pytest.mark.parametrize("key", ["author", "description", "name", "path"])
def test_an_incomplete_item_is_refused(package: Path, key: str) -> None:
    edit(package, lambda manifest: root_of(manifest).pop(key))

    with pytest.raises(InvalidPackageError, match=f"{key} must be a string"):
        load(package)


@pytest.mark.parametrize(
    "path", ["../../secret", "com.apple.CoreML/../../x", "/etc/passwd", "C:/x", "a\\..\\b", "", "."]
)
def test_a_path_that_leaves_the_package_is_refused(package: Path, path: str) -> None:
    edit(package, lambda manifest: root_of(manifest).update(path=path))

    with pytest.raises(InvalidPackageError, match="leaves the package"):
        load(package)


@pytest.mark.parametrize("path", ["com.apple.CoreML/nothing", "x" * 5000])
def test_a_path_to_nothing_is_refused(package: Path, path: str) -> None:
    edit(package, lambda manifest: root_of(manifest).update(path=path))

    with pytest.raises(InvalidPackageError, match=path[:20]):
        load(package)


def test_a_root_model_that_is_a_directory_is_refused(package: Path) -> None:
    edit(package, lambda manifest: root_of(manifest).update(path="com.apple.CoreML"))

    with pytest.raises(InvalidPackageError, match="is not a file"):
        load(package)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"text"', "[" * 100_000, "{}", '{"itemInfoEntries": []}', "\xff", "9" * 9999],
)
def test_a_damaged_manifest_is_refused(package: Path, text: str) -> None:
    (package / "Manifest.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(InvalidPackageError, match=r"Manifest\.json"):
        load(package)


def test_a_directory_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackageError, match=r"no Manifest\.json"):
        load(tmp_path)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackageError, match=r"nothing\.mlpackage"):
        load(tmp_path / "nothing.mlpackage")


def test_the_package_may_consist_of_links(package: Path, tmp_path: Path) -> None:
    # Download caches of model hubs keep files elsewhere and link to them.
    model = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.rename(tmp_path / "blob")
    model.symlink_to(tmp_path / "blob")

    load(package)


@pytest.mark.parametrize("path", ["weights/weight.bin", "@model_path/weights/weight.bin", "..weird/name.."])
def test_ordinary_paths_stay_inside(path: str) -> None:
    assert not leaves(path)
