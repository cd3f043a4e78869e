"""What the picture tasks share: from a recipe to a solver's run, and from samples to a result."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from engine import grids, metrics, samplers, solvers
from engine.errors import InputError
from engine.models.model import Model
from engine.recipe import Recipe, libraries
from engine.rng import Rng
from engine.runtime import device as devices
from engine.runtime.settings import limits
from engine.step import Step
from engine.tasks.base import Array

AXES = ("sample", "y", "x", "channel")


def solve(recipe: Recipe, denoise, x: Tensor, schedule, rng: Rng) -> Iterator[Step]:
    """Run the recipe's solver on its time grid from `x`, with those of its options that the solver takes."""
    times = grids.make(recipe.spacing, schedule, recipe.steps)
    return solvers.solve(recipe.solver, denoise, x, times, schedule, rng=rng, **samplers.options(recipe))


def solver_names() -> tuple[str, ...]:
    """Solvers that need nothing of their own and that can start where a residual schedule does, without any signal."""
    return tuple(entry.name for entry in solvers.self_sufficient() if not entry.tags & {"adaptive", "shifted"})


def unshifted_solver_names() -> tuple[str, ...]:
    """Solvers that need nothing of their own, but Resfusion's, which has a schedule of its own."""
    return tuple(entry.name for entry in solvers.self_sufficient() if "residual" not in entry.tags)


def completed(recipe: Recipe, model: Model, size: tuple[int, int]) -> Recipe:
    """The recipe with what the run itself decides: weights, size, versions, device and precision."""
    device = devices.choose()
    dtype = str(devices.precision(device)).removeprefix("torch.")
    return recipe.replace(model=model.name, model_sha256=model.card.sha256, size=size, libraries=libraries(),
                          device=device.type, dtype=dtype)


def fits(samples: int, size: tuple[int, int]) -> None:
    """Raises InputError when so many samples of this size (height, width) are more than a run may hold."""
    pixels, most = samples * size[0] * size[1], limits().image_pixels
    if pixels > most:
        raise InputError(f"{samples} samples of {size[1]} x {size[0]} px are {pixels / 1e6:.1f} million pixels.",
                         f"The limit is {most / 1e6:.1f} million.", "Please take fewer samples or shrink the picture.",
                         field="samples")


def arrays(samples: np.ndarray, **others: np.ndarray) -> dict[str, Array]:
    """The result's pictures. samples (N, H, W, 3) uint8; with several also their mean and their spread.

    others: further pictures (H, W, 3) uint8 by name. The spread is the standard deviation over the samples, averaged
    over the channels, in grey levels of 255.
    """
    found = {"samples": Array(samples, AXES)}
    if len(samples) > 1:
        floats = samples.astype(np.float32)
        found["mean"] = Array(np.uint8(floats.mean(0) + 0.5), AXES[1:])
        found["spread"] = Array(floats.std(0, ddof=1).mean(-1), AXES[1:3], "grey levels of 255")
    return found | {name: Array(picture, AXES[1:]) for name, picture in others.items()}


def scores(found: Mapping[str, Array], truth: np.ndarray, before: np.ndarray,
           where: np.ndarray | None = None) -> dict[str, Any]:
    """PSNR and SSIM against a known truth, of the input, of the first sample, and of the mean where there is one."""
    rows = {"input": before, "result": found["samples"].values[0]}
    if "mean" in found:
        rows["mean"] = found["mean"].values
    measured = {}
    for name, picture in rows.items():
        measured[f"PSNR of the {name} (dB)"] = round(metrics.psnr(picture, truth, where), 2)
        measured[f"SSIM of the {name}"] = round(metrics.ssim(picture, truth, where), 4)
    return measured
