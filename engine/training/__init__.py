"""Training: one loop, one description (`Spec`) per model; the descriptions live with the tasks."""

import importlib
from pathlib import Path

from engine.errors import InputError

# The module whose `specs(data)` describes the model: model name to a function that reads its data and gives its Spec.
_HOMES = {"restoration": "engine.tasks.restoration.training", "inpainting": "engine.tasks.inpainting.training",
          "flowers": "engine.training.flowers", "flowers_flow": "engine.training.flowers",
          "flowers_x4": "engine.tasks.inpainting.training", "ediffsr": "engine.tasks.superres.training",
          "ediffsr_regression": "engine.tasks.superres.training",
          **dict.fromkeys(("illumination", "illumination_concat"), "engine.tasks.superres.dark_training"),
          **dict.fromkeys(("flowers_slim", "flowers_slim_plain", "flowers_slim_nofreq"), "engine.training.slim"),
          **dict.fromkeys(("segmentation_nuclei", "segmentation_nuclei_unet", "segmentation_vessels",
                           "segmentation_vessels_unet", "segmentation_demo", "segmentation_demo_unet"),
                          "engine.tasks.segmentation.training"),
          **dict.fromkeys(("forecast_pressure", "forecast_temperature", "forecast_sphere", "forecast_sphere_crps"),
                          "engine.tasks.forecast.training"),
          **dict.fromkeys(("contrast_sub", "contrast_pc"), "engine.tasks.contrast.training"),
          **dict.fromkeys(("cloud_geometry", "cloud_pointwise", "cloud_colour"), "engine.tasks.pointcloud.training"),
          **dict.fromkeys(("style_autoencoder", "style"), "engine.tasks.style.training"),
          **dict.fromkeys(("teeth", "teeth_regressor"), "engine.tasks.teeth.training")}


def names() -> tuple[str, ...]:
    """Models that can be trained."""
    return tuple(_HOMES)


def train(task: str, data: str, minutes: float, resume: bool = False, folder: str | Path | None = None):
    """Train one of `names()` on the pictures under `data`; returns the model's card.

    folder: where weights, card and checkpoint go (default: ~/.cache/diffuscope/training/NAME).
    Raises InputError for an unknown name, a bad budget, or missing pictures.
    """
    from engine.training.loop import fit

    if task not in _HOMES:
        raise InputError(f"There is nothing to train named {task[:40]!r}.",
                         fix="Choose one of " + ", ".join(_HOMES) + ".", field="task")
    if not 0 < minutes <= 100_000:
        raise InputError(f"The budget is {minutes:g} minutes.", "It must be more than 0 and at most 100000.",
                         field="minutes")
    spec = importlib.import_module(_HOMES[task]).specs(Path(data))[task]()
    return fit(spec, minutes, Path(folder) if folder else home(task), resume)


def home(task: str) -> Path:
    """Where a trained model goes by default: weights, card, checkpoint."""
    return Path.home() / ".cache" / "diffuscope" / "training" / task
