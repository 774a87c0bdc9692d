"""`MLModel`, the face that users know from coremltools."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest

from mlpress.encoding import Dense
from mlpress.errors import InvalidPackageError, MlpressError, UnsupportedModelError
from mlpress.mil import Opset, Program
from mlpress.models import ComputeUnit, MLModel, as_mlmodel, utils
from mlpress.package import load, save
from mlpress.package.proto.model_pb2 import Model
from tests.unit.package.samples import constants_of, function, model_file, ramp, sample, saved_sample


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return saved_sample(tmp_path)


def weights_of(model: MLModel) -> Any:
    return {node.name: node.data for node in model.program.functions["main"].block.constants()}


def test_metadata_are_read_set_and_saved(package: Path, tmp_path: Path) -> None:
    model = MLModel(package)
    assert (model.author, model.license, model.version) == ("Ada", "MIT", "1.2")
    assert model.short_description == "a sample"
    assert dict(model.user_defined_metadata) == {"key": "value"}

    model.author, model.license, model.version = "Bea", "BSD", "2"
    model.short_description = "another"
    model.user_defined_metadata["more"] = "yes"
    del model.user_defined_metadata["key"]
    model.save(tmp_path / "again.mlpackage")

    again = MLModel(str(tmp_path / "again.mlpackage"))
    assert (again.author, again.license, again.version) == ("Bea", "BSD", "2")
    assert again.short_description == "another"
    assert dict(again.user_defined_metadata) == {"more": "yes"}
    assert "another" in repr(again)


def test_features_are_described_by_name(package: Path, tmp_path: Path) -> None:
    model = MLModel(package)
    assert list(model.input_description) == ["x"]
    assert len(model.output_description) == 1
    assert model.output_description["y"] == "feature y"
    assert "y" in model.output_description
    assert "x" not in model.output_description
    assert repr(model.input_description) == "Features(x)"

    model.input_description["x"] = "an image"
    model.save(tmp_path / "again.mlpackage")
    assert MLModel(tmp_path / "again.mlpackage").input_description["x"] == "an image"

    with pytest.raises(KeyError, match=r"'z'; there are \['x'\]"):
        model.input_description["z"] = "nothing"
    with pytest.raises(KeyError, match="'z'"):
        model.input_description["z"]


def test_a_specification_with_its_weights_is_a_model_again(package: Path) -> None:
    model = MLModel(package)
    model.author = "Bea"
    again = MLModel(model.get_spec(), weights_dir=model.weights_dir)

    assert again.author == "Bea"
    assert weights_of(again) == constants_of(sample())
    assert again.weights_dir == model.weights_dir == str(package / "Data" / "com.apple.CoreML" / "weights")
    assert model.package_path == str(package)
    assert MLModel(again.package_path or "").author == "Bea"


def test_a_specification_whose_weights_are_missing_is_refused(package: Path) -> None:
    with pytest.raises(InvalidPackageError, match="no directory for them was found or given"):
        MLModel(MLModel(package).get_spec())


def test_the_specification_of_an_untouched_model_is_that_of_its_file(package: Path) -> None:
    assert MLModel(package).get_spec() == utils.load_spec(package)


def test_get_spec_is_a_copy(package: Path) -> None:
    model = MLModel(package)
    model.get_spec().description.metadata.author = "Eve"

    assert model.author == "Ada"


def test_a_model_with_another_program_is_independent(package: Path, tmp_path: Path) -> None:
    model = MLModel(package, compute_units=ComputeUnit.CPU_ONLY, optimization_hints={"hint": True})
    small = Program({"main": function({"w": Dense(ramp((16, 12)))})})
    other = model.with_program(small)
    other.author = "Bea"

    assert model.author == "Ada"
    assert weights_of(model) == constants_of(sample())
    assert other.compute_unit == ComputeUnit.CPU_ONLY
    assert other.optimization_hints == {"hint": True}
    assert weights_of(MLModel(other.get_spec(), weights_dir=other.weights_dir)) == weights_of(other)
    assert load(Path(other.package_path or "")).spec == other.get_spec().__class__.FromString(
        load(Path(other.package_path or "")).spec.SerializeToString()
    )
    other.save(package)  # over the package that the first one is mapped from
    assert weights_of(MLModel(package)) == weights_of(other)
    assert weights_of(model) == constants_of(sample())


def test_a_newer_opset_raises_the_version(package: Path) -> None:
    newer = MLModel(package).with_program(Program({"main": function({}, Opset.CoreML9)}))

    assert newer.get_spec().specificationVersion == 10


def test_what_is_a_model(package: Path) -> None:
    model = MLModel(package)
    assert as_mlmodel(model) is model
    for given in (package, str(package), load(package)):
        assert weights_of(as_mlmodel(given)) == weights_of(model)

    class Foreign:
        """Looks like coremltools' MLModel."""

        weights_dir = model.weights_dir

        def get_spec(self) -> Model:
            return model.get_spec()

    foreign = Foreign()
    assert weights_of(as_mlmodel(foreign)) == weights_of(model)
    for wrong in (None, 3, b"bytes", object(), [package]):
        with pytest.raises(TypeError, match=r"allowed: the path of a \.mlpackage"):
            as_mlmodel(wrong)  # type: ignore[arg-type]


def test_paths_may_start_at_home(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(package.parent))
    monkeypatch.setenv("USERPROFILE", str(package.parent))
    monkeypatch.setenv("MODELS", str(package.parent))
    MLModel("~/sample.mlpackage").save("$MODELS/again")

    assert (package.parent / "again.mlpackage").is_dir()


def test_compute_units_of_other_libraries_are_taken_by_name(package: Path) -> None:
    foreign = enum.Enum("ComputeUnit", ["CPU_AND_NE"])

    assert MLModel(package, compute_units=foreign.CPU_AND_NE).compute_unit == ComputeUnit.CPU_AND_NE  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"'ALL'; allowed: ComputeUnit\.ALL"):
        MLModel(package, compute_units="ALL")  # type: ignore[arg-type]


def multifunction(folder: Path) -> Path:
    model = model_file(Program({"one": function({}), "two": function({})}))
    for name in ("one", "two"):
        description = model.spec.description.functions.add(name=name)
        description.input.add(name=f"{name}_in")
        description.output.add(name=f"{name}_out")
    del model.spec.description.input[:]
    del model.spec.description.output[:]
    model.spec.description.defaultFunctionName = "one"
    return save(model, folder / "functions.mlpackage")


def test_functions_have_their_own_features(tmp_path: Path) -> None:
    package = multifunction(tmp_path)

    assert MLModel(package).function_name == "one"
    assert list(MLModel(package).input_description) == ["one_in"]
    assert list(MLModel(package, function_name="two").output_description) == ["two_out"]
    with pytest.raises(MlpressError, match=r"no function 'three'; it has \['one', 'two'\]"):
        MLModel(package, function_name="three")


def test_a_model_without_a_choice_has_only_main(package: Path) -> None:
    assert MLModel(package).function_name is None
    assert MLModel(package, function_name="main").function_name == "main"
    with pytest.raises(MlpressError, match=r"it has \['main'\]"):
        MLModel(package, function_name="other")


def test_single_files_have_no_weights(tmp_path: Path) -> None:
    path = save(model_file(Program({"main": function({})})), tmp_path / "m.mlmodel")
    model = MLModel(path)

    assert model.weights_dir is None
    assert model.package_path is None
    model.save(path)
    assert MLModel(model.get_spec()).author == "Ada"


def test_specs_of_any_type_are_loaded_and_saved(package: Path, tmp_path: Path) -> None:
    network = Model(specificationVersion=4, neuralNetwork=b"\x0a\x00")
    utils.save_spec(network, tmp_path / "nn")
    assert utils.load_spec(tmp_path / "nn.mlmodel") == network
    with pytest.raises(UnsupportedModelError, match="neuralNetwork"):
        MLModel(tmp_path / "nn.mlmodel")

    spec = utils.load_spec(package)
    spec.description.metadata.author = "Bea"
    utils.save_spec(spec, package, weights_dir=MLModel(package).weights_dir)
    assert MLModel(package).author == "Bea"
    assert weights_of(MLModel(package)) == constants_of(sample())

    spec.specificationVersion = 10
    utils.save_spec(
        spec, package, auto_set_specification_version=True, weights_dir=MLModel(package).weights_dir
    )
    assert utils.load_spec(package).specificationVersion == 9


def test_saving_a_specification_needs_the_directory_of_its_weights(package: Path) -> None:
    with pytest.raises(MlpressError, match="weights_dir"):
        utils.save_spec(utils.load_spec(package), package)
    with pytest.raises(InvalidPackageError, match="allowed"):
        utils.save_spec(utils.load_spec(package), "model.txt")
