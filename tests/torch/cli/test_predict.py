from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlpress.models import MLModel
from tests.torch.models.packages import (
    WEIGHT,
    classifier_model,
    counting_model,
    image_model,
    linear_model,
    scalar_model,
    two_functions,
)
from tests.unit.cli.conftest import Run

X = np.arange(6, dtype=np.float32).reshape(2, 3)
Y = X @ WEIGHT.T


def saved(model: MLModel, folder: Path) -> Path:
    path = folder / "model.mlpackage"
    model.save(path)
    return path


def rows(out: str) -> list[list[str]]:
    """The words of each line that is not empty."""
    return [line.split() for line in out.splitlines() if line]


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return saved(linear_model(), tmp_path)


@pytest.mark.parametrize("form", ["x.npy", "one.npz", "two.npz:other"])
def test_arrays_come_from_files(run: Run, linear: Path, tmp_path: Path, form: str) -> None:
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "one.npz", x=X)
    np.savez(tmp_path / "two.npz", x=np.zeros(1), other=X)
    outcome = run("predict", linear, "--input", f"x={tmp_path / form}", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == {
        "outputs": {
            "y": {
                "type": "float32",
                "shape": [2, 4],
                "min": float(Y.min()),
                "max": float(Y.max()),
                "mean": pytest.approx(Y.mean()),
                "std": pytest.approx(Y.std()),
                "not_finite": 0,
            }
        }
    }


def test_a_table_shows_what_the_outputs_hold(run: Run, linear: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    outcome = run("predict", linear, "-i", f"x={tmp_path / 'x.npy'}")
    statistics = [f"{number:.5g}" for number in (Y.min(), Y.max(), Y.mean(), Y.std())]
    assert rows(outcome.out)[-1] == ["y", "float32", "2x4", *statistics]
    assert outcome.err == ""


def test_states_start_with_zeros(run: Run, tmp_path: Path) -> None:
    path = saved(counting_model(3), tmp_path)
    np.save(tmp_path / "x.npy", np.arange(3))
    found = json.loads(run("predict", path, "-i", f"x={tmp_path / 'x.npy'}", "--json").out)
    assert found["outputs"]["y"]["max"] == 3


def test_what_is_not_finite_is_counted_and_left_out_of_the_statistics(
    run: Run, linear: Path, tmp_path: Path
) -> None:
    x = X.copy()
    x[0] = np.nan
    np.save(tmp_path / "x.npy", x)
    arguments = ("predict", linear, "--input", f"x={tmp_path / 'x.npy'}")
    found = json.loads(run(*arguments, "--json").out)["outputs"]["y"]
    assert (found["not_finite"], found["max"]) == (4, Y[1].max())
    assert rows(run(*arguments).out)[-1][-1] == "4"


def test_outputs_go_to_a_file(run: Run, linear: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    run("predict", linear, "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["y"], Y, strict=True)


@pytest.mark.parametrize("text", ["3", "3.0", "-1.5e1"])
def test_numbers_are_written_as_they_are(run: Run, tmp_path: Path, text: str) -> None:
    outcome = run("predict", saved(scalar_model(), tmp_path), "--input", f"x={text}", "--json")
    assert json.loads(outcome.out)["outputs"]["y"]["max"] == 2 * float(text)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_images_are_converted_to_the_models_colours(run: Run, tmp_path: Path, mode: str) -> None:
    file = tmp_path / "image.png"
    Image.new("RGB", (4, 3), (7, 7, 7)).convert(mode, palette=Image.Palette.ADAPTIVE).save(file)
    outcome = run("predict", saved(image_model(), tmp_path), "--input", f"x={file}", "--json")
    assert json.loads(outcome.out)["outputs"]["y"]["min"] == 777


def test_images_are_not_resized(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    Image.new("RGB", (8, 6)).save(file)
    outcome = run("predict", saved(image_model(), tmp_path), "--input", f"x={file}")
    assert outcome.code == 1
    assert outcome.err == (
        "mlpress: input 'x' is 6 × 8; the model takes a PIL image of mode 'RGB', 3 × 4 (height × width)\n"
    )


@pytest.mark.parametrize("labels", [list("abcdefg"), list(range(10, 17))])
def test_a_classifier_shows_its_label_and_the_five_most_probable(
    run: Run, tmp_path: Path, labels: list[str] | list[int]
) -> None:
    probabilities = np.array([[1, 5, 2, 4, 3, 7, 6]], np.float32) / 28
    np.save(tmp_path / "x.npy", probabilities)
    path = saved(classifier_model(labels), tmp_path)
    arguments = ("predict", path, "--input", f"x={tmp_path / 'x.npy'}")

    lines = rows(run(*arguments).out)
    assert lines[0] == ["label:", str(labels[5])]
    assert [line[0] for line in lines[-5:]] == [str(labels[place]) for place in (5, 6, 1, 3, 4)]
    assert lines[-5][1] == "0.2500"

    found = json.loads(run(*arguments, "--json", "--output", tmp_path / "out.npz").out)["outputs"]
    assert found["label"] == labels[5]
    assert found["probs"] == {
        str(label): pytest.approx(value) for label, value in zip(labels, probabilities[0], strict=True)
    }
    with np.load(tmp_path / "out.npz") as saved_outputs:
        assert saved_outputs["label"] == labels[5]
        assert saved_outputs["probs_labels"].tolist() == labels
        np.testing.assert_allclose(saved_outputs["probs"], probabilities[0])


def test_the_function_may_be_chosen(run: Run, tmp_path: Path) -> None:
    path = saved(two_functions(), tmp_path)
    for name, expected in (("relu", 0), ("square", 4)):
        found = json.loads(run("predict", path, "--input", "x=-2", "--function", name, "--json").out)
        assert found["outputs"]["y"]["max"] == expected
    outcome = run("predict", path, "--input", "x=1", "--function", "cube")
    assert (outcome.code, outcome.err) == (
        1,
        "mlpress: the model has no function 'cube'; it has ['relu', 'square']\n",
    )


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["x"], "--input x is not of the form NAME=VALUE"),
        (["x="], "--input x= is not of the form NAME=VALUE"),
        (["=3"], "--input =3 is not of the form NAME=VALUE"),
        (["x=1", "x=2"], "--input x is given twice"),
        (["x=photo.png"], "--input x=photo.png: allowed are FILE.npy"),
    ],
)
def test_arguments_that_cannot_be_read_are_wrong_usage(
    run: Run, linear: Path, arguments: list[str], problem: str
) -> None:
    outcome = run("predict", linear, *(part for one in arguments for part in ("--input", one)))
    assert outcome.code == 2
    assert problem in " ".join(outcome.err.split())


def test_failures_say_why(run: Run, linear: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=X, b=X)
    (tmp_path / "damaged.npy").write_bytes(b"no array")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for value, problem in (
        (tmp_path / "two.npz", "two.npz has no array 'x'; it has ['a', 'b']"),
        (f"{tmp_path / 'two.npz'}:c", "two.npz has no array 'c'; it has ['a', 'b']"),
        (tmp_path / "damaged.npy", "damaged.npy holds no arrays that can be read"),
        (tmp_path / "objects.npy", "objects.npy holds no arrays that can be read"),
        (tmp_path / "missing.npy", "missing.npy: No such file or directory"),
        ("3", "input 'x' has shape (); the model takes (1 to 8) × 3"),
    ):
        outcome = run("predict", linear, "--input", f"x={value}")
        assert outcome.code == 1
        assert outcome.err.startswith("mlpress: ")
        assert problem in outcome.err


def test_missing_and_unknown_inputs_are_named(run: Run, linear: Path) -> None:
    outcome = run("predict", linear)
    assert outcome.code == 1
    wanted = "the model takes 'x': an array of float32, (1 to 8) × 3"
    assert outcome.err == f"mlpress: input 'x' is missing; {wanted}\n"
    assert f"there is no input 'z'; {wanted}" in run("predict", linear, "--input", "z=1").err


def test_a_file_that_is_no_image_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"no image")
    outcome = run("predict", saved(image_model(), tmp_path), "--input", f"x={tmp_path / 'image.png'}")
    assert outcome.code == 1
    assert "cannot identify image file" in outcome.err


def test_nothing_runs_if_the_output_cannot_be_written(run: Run, linear: Path, tmp_path: Path) -> None:
    outcome = run("predict", linear, "--input", "x=1", "--output", tmp_path / "missing" / "out.npz")
    assert outcome.code == 1
    assert "can't be written" in outcome.err
