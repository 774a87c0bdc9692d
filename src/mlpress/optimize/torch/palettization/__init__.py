"""Palettization: weights become indices into look-up tables."""

from mlpress.optimize.torch.palettization.fake_palettize import FakePalettize
from mlpress.optimize.torch.palettization.palettization_config import (
    DKMPalettizerConfig,
    ModuleDKMPalettizerConfig,
)
from mlpress.optimize.torch.palettization.palettizer import DKMPalettizer
from mlpress.optimize.torch.palettization.post_training_palettization import (
    ModulePostTrainingPalettizerConfig,
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)
from mlpress.optimize.torch.palettization.sensitive_k_means import (
    ModuleSKMPalettizerConfig,
    SKMPalettizer,
    SKMPalettizerConfig,
)

__all__ = [
    "DKMPalettizer",
    "DKMPalettizerConfig",
    "FakePalettize",
    "ModuleDKMPalettizerConfig",
    "ModulePostTrainingPalettizerConfig",
    "ModuleSKMPalettizerConfig",
    "PostTrainingPalettizer",
    "PostTrainingPalettizerConfig",
    "SKMPalettizer",
    "SKMPalettizerConfig",
]
