"""A generative model as the prior of a steering sampler: guided, limited, differentiable where one asks for it."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from engine import circuits, grids, guidance, samplers, steering
from engine.adjoint import differentiable
from engine.circuits import Circuit
from engine.models import shelf
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
                              operator=measurement, noise=noise, rng=rng, **samplers.options(recipe),
                              **learned(model, recipe.solver))


def held(model: Model) -> frozenset[str]:
    """What was learned for a model beside its weights, of all that steering samplers need (`SteeringRow.learned`)."""
    return frozenset({"circuit"} if _circuit_file(model) else ())


def learned(model: Model, sampler: str) -> dict[str, Circuit]:
    """The keyword arguments that a steering sampler needs beside its options, as far as they are there.

    Raises InputError for a damaged file, and one that was learned from other data than the model.
    """
    path = _circuit_file(model)
    if steering.row(sampler).learned != "circuit" or path is None:
        return {}
    return {"circuit": _circuit(path, path.stat().st_mtime_ns, circuits.data_digest(model.card))}


def _circuit_file(model: Model) -> Path | None:
    """Only shipped models have one: a person's own model says nothing of its data."""
    path = shelf.ROOT / model.name / circuits.FILE if model.name in shelf.names() else None
    return path if path is not None and path.is_file() else None


@lru_cache(maxsize=4)
def _circuit(path: Path, changed_ns: int, data_sha256: str) -> Circuit:
    return circuits.read(path, data_sha256)


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
