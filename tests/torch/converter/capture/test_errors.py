"""What is said when a model cannot be captured, and what is put right with a warning."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlpress.converter.capture import CaptureError, DataDependentError, capture
from mlpress.errors import MlpressError
from tests.torch.converter.capture.checks import assert_equal
from tests.torch.converter.capture.networks import NETWORKS, made


def test_training_mode_is_left_with_a_warning_and_restored() -> None:
    module = made("residual").train()
    module.bn1.eval()
    with pytest.warns(UserWarning, match="the model is in training mode"):
        captured = capture(module, NETWORKS["residual"].inputs)
    assert module.training and not module.bn1.training
    assert_equal(captured, module.eval(), NETWORKS["residual"].inputs)
    assert not captured.states


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_in_training_mode_likewise() -> None:
    module = made("residual").train()
    script = torch.jit.script(module)
    with pytest.warns(UserWarning, match="the model is in training mode"):
        captured = capture(script, NETWORKS["residual"].inputs)
    assert script.training
    assert_equal(captured, module.eval(), NETWORKS["residual"].inputs)


@pytest.mark.filterwarnings("ignore:.*does not match the corresponding output:torch.jit.TracerWarning")
def test_a_trace_of_training_mode_likewise() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    module(torch.randn(4, 3, 8, 8))  # running statistics that differ from those of the next batch
    inputs = (torch.randn(2, 3, 8, 8),)
    trace = torch.jit.trace(module, inputs, check_trace=False)
    with pytest.warns(UserWarning, match="the model is in training mode"):
        captured = capture(trace, inputs)
    assert_equal(captured, module.eval(), inputs)
    assert not captured.states


def test_a_program_exported_in_training_mode_is_refused() -> None:
    program = torch.export.export(made("residual").train(), NETWORKS["residual"].inputs)
    with pytest.raises(
        CaptureError, match=r"training mode \(batch normalization in module 'bn1'.*call eval\(\)"
    ):
        capture(program)


def test_dropout_exported_in_training_mode_is_left_out() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
    program = torch.export.export(module, (torch.ones(1, 4),))
    with pytest.warns(UserWarning, match="dropout is left out"):
        captured = capture(program)
    assert_equal(captured, module.eval(), (torch.ones(1, 4),))


def test_example_inputs_are_asked_for() -> None:
    with pytest.raises(CaptureError, match="Residual has to be run once to be captured: give example inputs"):
        capture(made("residual"))


def test_inputs_that_do_not_fit_are_reported_with_the_signature() -> None:
    with pytest.raises(CaptureError, match=r"do not fit forward\(x: .*\).*: too many positional arguments"):
        capture(made("residual"), (torch.ones(1, 3, 8, 8), torch.ones(1)))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"a function is not a torch\.nn\.Module or an ExportedProgram"):
        capture(made)  # type: ignore[arg-type]


class DataDependent(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x
        return -x


def test_a_branch_on_values_is_reported_with_its_line() -> None:
    with pytest.raises(
        DataDependentError, match=r"depends on the values of a tensor at .*test_errors\.py:\d+"
    ):
        capture(DataDependent().eval(), torch.ones(2))


def test_a_wrong_shape_is_reported_with_its_line() -> None:
    class Wrong(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ torch.ones(5, 5)

    with pytest.raises(CaptureError, match=r"cannot capture the model at .*test_errors\.py:\d+"):
        capture(Wrong().eval(), torch.ones(2, 2))


def test_strings_cannot_be_outputs() -> None:
    class Named(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, str]:
            return x + 1, "name"

    with pytest.raises(MlpressError, match="returns the string 'name'"):
        capture(Named().eval(), torch.ones(2))


def test_a_failed_capture_leaves_the_module_as_it_was() -> None:
    class Breaking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.cache = self.layer(x)
            raise ValueError("broken")

    module = Breaking().train()
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(CaptureError, match="ValueError: broken"),
    ):
        capture(module, torch.ones(1, 2))
    assert module.training and module.layer.training
    assert not hasattr(module, "cache")
    assert isinstance(module.layer.weight, nn.Parameter)
    assert torch.backends.mha.get_fastpath_enabled()
