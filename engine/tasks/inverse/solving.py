"""One inverse problem: a picture, what was measured of it, and samples that fit the measurement."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError
from engine.io.pictures import Picture
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering.operators import Measurement
from engine.step import Step
from engine.tasks import priors
from engine.tasks.inverse import measurements
from engine.training.pictures import centre

_NOISE_STREAM = 2**33
"""Far from the streams of the samples, which begin at 0."""


@dataclass(frozen=True, eq=False)
class Case:
    """y (1, *): what was measured, with noise of this standard deviation (pictures in [-1, 1]). truth: (1, 3, H, W)."""

    measurement: Measurement
    y: Tensor
    noise: float
    truth: Tensor


def square(picture: Picture, side: int) -> Tensor:
    """The picture's central square, made small: (1, 3, side, side) in [-1, 1]."""
    import cv2

    inner = centre(picture.pixels, min(picture.size))
    return Picture(cv2.resize(inner, (side, side), interpolation=cv2.INTER_AREA)).tensor()


def measured(truth: Tensor, kind: str, seed: int, noise: float | None = None) -> Case:
    """Measure a square picture (1, 3, side, side) in [-1, 1]. noise: None takes what is usual for the kind.

    Raises InputError for an unknown kind, negative noise, or a picture that cannot be measured so.
    """
    row = measurements.kind(kind)
    noise = row.noise if noise is None else noise
    if not 0 <= noise <= 2:
        raise InputError(f"The measurement noise is {noise:g}.", "It must be from 0 to 2; pictures go from -1 to 1.",
                         field="noise")
    measurement = row.make(truth.shape[-1])
    measurement.check(truth.shape)
    with torch.no_grad():
        y = measurement.H(truth)
    return Case(measurement, y + noise * Rng(seed, 1, _NOISE_STREAM).normal_like(y), noise, truth)


def solve(case: Case, model: Model, recipe: Recipe, label: int | None = None) -> Iterator[Step]:
    """The steps of the recipe's steering sampler; the last x holds the samples (recipe.samples, 3, H, W)."""
    return priors.steered(model, recipe, label, case.y, case.measurement, Rng(recipe.seed, recipe.samples), case.noise)
