"""Models around their program: kinds, versions, single files, other items of a package, weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpress import bits
from mlpress.encoding import Dense, Encoding
from mlpress.errors import InvalidPackageError, UnsupportedModelError
from mlpress.mil import Opset, Program, Value, literal, why_illegal
from mlpress.mil.program import Operation
from mlpress.package import build_spec, from_spec, load, parse_spec, read_spec, save
from mlpress.package.mapped import is_mapped
from mlpress.package.proto.model_pb2 import Model
from tests.unit.package.samples import (
    MODEL,
    WEIGHTS,
    constants_of,
    function,
    model_file,
    ramp,
    sample,
    saved_sample,
    tensor,
    weights_of_each_kind,
)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_saving_and_loading_gives_the_same_model_bit_for_bit(tmp_path: Path, data: st.DataObject) -> None:
    opset = data.draw(st.sampled_from(list(Opset)))
    kinds = {key: value for key, value in weights_of_each_kind().items() if not why_illegal(value, opset)}
    names = data.draw(st.lists(st.sampled_from(list(kinds)), max_size=4, unique=True))
    weights: dict[str, Encoding] = {name: kinds[name] for name in names}
    dtype = data.draw(st.sampled_from([bits.FLOAT16, bits.FLOAT32]))
    size = data.draw(st.integers(0, 30))
    raw = data.draw(st.binary(min_size=12 * dtype.nbytes(size), max_size=12 * dtype.nbytes(size)))
    weights["raw"] = Dense(bits.Tensor(dtype, (size, 12), raw))
    first = save(model_file(Program({"main": function(weights, opset)})), tmp_path / "first.mlpackage")
    loaded = load(first)
    second = save(loaded, tmp_path / "second.mlpackage")

    assert constants_of(loaded)["raw"] == weights["raw"]
    assert constants_of(loaded) == constants_of(load(second))
    assert (first / MODEL).read_bytes() == (second / MODEL).read_bytes()
    if (first / WEIGHTS).exists():
        assert (first / WEIGHTS).read_bytes() == (second / WEIGHTS).read_bytes()


def test_weights_are_mapped_not_read(tmp_path: Path) -> None:
    data = constants_of(load(saved_sample(tmp_path)))["dense"]

    assert isinstance(data, Dense)
    assert is_mapped(data.values)


def test_descriptions_and_metadata_survive(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)

    assert load(package).spec.description == sample().spec.description


def test_a_plan_and_a_saved_package_agree(tmp_path: Path) -> None:
    spec, layout = build_spec(sample())
    package = save(sample(), tmp_path / "m.mlpackage")

    assert read_spec(package) == spec
    assert (package / WEIGHTS).stat().st_size == layout.nbytes


def test_a_message_and_its_weights_are_a_model(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    model = from_spec((package / MODEL).read_bytes(), (package / WEIGHTS).parent)

    assert constants_of(model) == constants_of(sample())


@pytest.mark.parametrize("version", [6, 7, 8, 9, 10])
def test_every_version_of_an_mlprogram_is_read(tmp_path: Path, version: int) -> None:
    spec = build_spec(sample())[0]
    spec.specificationVersion = version
    package = saved_sample(tmp_path)
    (package / MODEL).write_bytes(spec.SerializeToString())

    assert load(package).spec.specificationVersion == version


@pytest.mark.parametrize("version", [-1, 0, 5, 11])
def test_other_versions_are_refused(tmp_path: Path, version: int) -> None:
    spec = build_spec(sample())[0]
    spec.specificationVersion = version

    with pytest.raises(UnsupportedModelError, match=f"version {version}; supported for mlprograms: 6 to 10"):
        from_spec(spec.SerializeToString(), None)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(500, "neuralNetwork"), (202, "pipeline"), (402, "treeEnsembleClassifier"), (900, "identity")],
)
def test_another_type_of_model_is_named(tmp_path: Path, number: int, kind: str) -> None:
    tag = number << 3 | 2
    field = bytes([tag & 127 | 128, tag >> 7, 0])
    (tmp_path / "m.mlmodel").write_bytes(Model(specificationVersion=4).SerializeToString() + field)

    with pytest.raises(UnsupportedModelError, match=f"the model is a {kind}; supported: mlProgram"):
        load(tmp_path / "m.mlmodel")
    assert read_spec(tmp_path / "m.mlmodel").WhichOneof("Type") == kind


def test_a_model_of_no_type_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="of no known type; supported: mlProgram"):
        from_spec(b"", None)


@pytest.mark.parametrize("data", [b"\xff", b"PK\3\4 not a model", b"\0" * 100])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidPackageError, match="not a Core ML model"):
        parse_spec(data)


def test_a_model_without_weights_fits_into_a_single_file(tmp_path: Path) -> None:
    small = model_file(Program({"main": function({"w": Dense(ramp((2, 4)))})}))
    path = save(small, tmp_path / "m.mlmodel")

    loaded = load(path)
    assert constants_of(loaded) == constants_of(small)
    package = save(loaded, tmp_path / "m")
    assert package == tmp_path / "m.mlpackage"
    assert (package / WEIGHTS).parent.is_dir()
    assert not (package / WEIGHTS).exists()
    assert constants_of(load(package)) == constants_of(small)


def test_a_model_with_weights_does_not(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"save it as \.mlpackage"):
        save(sample(), tmp_path / "m.mlmodel")


def test_a_single_file_that_refers_to_weights_is_refused(tmp_path: Path) -> None:
    package = saved_sample(tmp_path)
    (tmp_path / "m.mlmodel").write_bytes((package / MODEL).read_bytes())

    with pytest.raises(InvalidPackageError, match="no directory for them"):
        load(tmp_path / "m.mlmodel")


def with_item(package: Path, path: str) -> Path:
    manifest = json.loads((package / "Manifest.json").read_text())
    manifest["itemInfoEntries"]["extra"] = {
        "author": "com.apple.CoreML",
        "description": "Edited by hand",
        "name": path.rsplit("/", 1)[-1],
        "path": path,
    }
    (package / "Manifest.json").write_text(json.dumps(manifest))
    return package


def test_other_items_of_a_package_are_kept(tmp_path: Path) -> None:
    package = with_item(saved_sample(tmp_path), "com.apple.CoreML/notes")
    notes = package / "Data" / "com.apple.CoreML" / "notes"
    (notes / "more").mkdir(parents=True)
    (notes / "more" / "deep.txt").write_text("deep")
    (notes / "empty.txt").touch()
    model = load(package)
    save(model, package)
    save(model, package)

    assert (notes / "more" / "deep.txt").read_text() == "deep"
    assert (notes / "empty.txt").read_bytes() == b""
    (again,) = load(package).attachments
    assert again.item == model.attachments[0].item
    assert again.item.description == "Edited by hand"


@pytest.mark.parametrize("path", ["com.apple.CoreML", "com.apple.CoreML/weights/weight.bin"])
def test_items_that_overlap_the_model_do_not_bring_old_weights_back(tmp_path: Path, path: str) -> None:
    package = with_item(saved_sample(tmp_path), path)
    model = load(package)
    small = model.with_program(Program({"main": function({"w": Dense(ramp((3, 12)))})}))
    save(small, package)

    assert constants_of(load(package)) == constants_of(small)


def test_an_empty_directory_is_an_item_too(tmp_path: Path) -> None:
    package = with_item(saved_sample(tmp_path), "other/things")
    (package / "Data" / "other" / "things").mkdir(parents=True)
    again = save(load(package), tmp_path / "again.mlpackage")

    assert (again / "Data" / "other" / "things").is_dir()
    load(again)


def test_literals_that_came_from_a_weight_file_go_back_to_one(tmp_path: Path) -> None:
    loaded = load(saved_sample(tmp_path))
    main = loaded.program.functions["main"]
    data = constants_of(loaded)["dense"]
    assert isinstance(data, Dense)
    out = Value("z", main.inputs[0].type)
    inputs = {"big": literal(data.values), "small": literal(tensor(list(range(20)), bits.INT32))}
    main.block.operations.append(Operation("custom", "z", dict(inputs), [out]))
    again = load(save(loaded, tmp_path / "again.mlpackage"))

    operation = again.program.functions["main"].block.operations[-1]
    assert isinstance(operation, Operation)
    assert operation.inputs == inputs
    proto = read_spec(tmp_path / "again.mlpackage").mlProgram.functions["main"]
    arguments = proto.block_specializations["CoreML8"].operations[-1].inputs
    assert arguments["big"].arguments[0].value.WhichOneof("value") == "blobFileValue"
    assert arguments["small"].arguments[0].value.WhichOneof("value") == "immediateValue"
