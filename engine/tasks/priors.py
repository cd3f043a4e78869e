"""A generative model as the prior of a steering sampler: guided, limited, differentiable where one asks for it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from engine import grids, guidance, samplers, steering
from engine.adjoint import differentiable
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.runtime import device as devices
from engine.steering.operators import Measurement
from engine.step import Step
from engine.tasks.base import Setting

LIMITS = {"clip": guidance.clipped, "dynamic": guidance.dynamic_threshold, "none": lambda denoise: denoise}
SETTINGS = (
    Setting("limit", "Limit of the estimate", "What keeps each estimate in the range of a picture. The dynamic "
            "threshold suits strong guidance.", "clip", tuple(LIMITS), ("Clip", "Dynamic threshold", "None"),
            advanced=True),
    Setting("rescale", "Guidance rescale", "How much of the contrast that guidance adds is taken back.", 0.0,
            minimum=0.0, maximum=1.0, step=0.05, advanced=True),
)
"""Settings of every task with a steered prior; the second has an effect where there is guidance."""


def steered(model: Model, recipe: Recipe, label: int | None, y: Tensor, measurement: Measurement, rng: Rng,
            noise: float = 0.0) -> Iterator[Step]:
    """The steps of the recipe's steering sampler with this model as the prior, one sample per stream of `rng`.

    label: the class that guidance goes towards, None for any. y, noise: as in `engine.steering.steer`.
    """
    schedule, side = model.schedule, model.card.resolution_px
    times = grids.make(recipe.spacing, schedule, recipe.steps)
    start = rng.normal(3, side, side) * schedule(schedule.start)[1]
    yield from steering.steer(recipe.solver, denoiser(model, recipe, label), start, times, schedule, y=y,
                              operator=measurement, noise=noise, rng=rng, **samplers.options(recipe))


def denoiser(model: Model, recipe: Recipe, label: int | None = None):
    """denoise(x_t, t) -> x0 with the recipe's guidance and limit; gradients flow through it where its sampler needs."""
    denoise = model.denoiser
    if steering.row(recipe.solver).backprop:
        denoise, _ = differentiable(model.network, model.schedule, model.card.prediction, device=devices.choose())
    if classes := len(model.card.classes):
        none = torch.tensor([classes])
        told = none if label is None else torch.tensor([label])
        weight = 1.0 if label is None else recipe.guidance
        denoise = guidance.classifier_free(denoise, {"label": told}, {"label": none}, weight,
                                           float(recipe.options.get("rescale", 0.0)))
    return LIMITS[recipe.options.get("limit", "clip")](denoise)
