"""The ways from a square with a hole to its filling: each is one solver run (or two) and yields its steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine import grids, guidance, steering
from engine.denoisers import residual_shift
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering.operators import Inpaint
from engine.step import Step
from engine.tasks import pictures, priors
from engine.tasks.inpainting.fill import smooth_fill

FACTOR = 4
UPSAMPLER_STEPS = 8
DIVERSITY = 0.5
"""Share of the start noise by default. Seen on held-out crops: at 1 large holes turn grainy, at 0 they stay smooth."""


class Path(Protocol):
    """model: the one the recipe names. size: the side of the squares that it works on, in pixels.

    diverse: whether samples differ.
    """

    model: Model
    size: int
    diverse: bool

    def steps(self, clean: Tensor, known: Tensor, rng: Rng) -> Iterator[Step]:
        """The steps of a run, whose last x is the filling.

        clean (B, 3, size, size) in [-1, 1], 0 where unknown; known (B, 1, size, size) of 0 and 1.
        """


def condition(picture: Tensor, known: Tensor) -> Tensor:
    """What the mask-conditioned model is told: the smooth fill and the hole, (B, 4, H, W)."""
    return torch.cat((smooth_fill(picture, known), 1 - 2 * known), dim=1)


def enlarged(coarse: Tensor) -> Tensor:
    """What the upsampler is told: the coarse picture, four times as large, bicubic."""
    return F.interpolate(coarse, scale_factor=FACTOR, mode="bicubic", align_corners=False).clamp(-1, 1)


@dataclass
class General:
    """Any solver on the mask-conditioned model, whose residual schedule starts from the smooth fill."""

    model: Model
    recipe: Recipe

    @property
    def size(self) -> int:
        return self.model.card.resolution_px

    @property
    def diverse(self) -> bool:
        return self._diversity > 0

    @property
    def _diversity(self) -> float:
        return float(self.recipe.options.get("diversity", DIVERSITY))

    def steps(self, clean: Tensor, known: Tensor, rng: Rng) -> Iterator[Step]:
        cond, schedule = condition(clean, known), self.model.schedule
        denoise = guidance.clipped(partial(self.model.denoiser, cond=cond))
        start = rng.normal_like(clean) * schedule(schedule.start)[1] * self._diversity
        for step in pictures.solve(self.recipe, denoise, start, schedule, rng):
            yield replace(step, x=step.x + residual_shift(cond[:, :3], step.t, schedule))


@dataclass
class Steered:
    """A sampler of `engine.steering` with any unconditional picture model as the prior."""

    model: Model
    recipe: Recipe
    label: int | None = None
    diverse = True

    @property
    def size(self) -> int:
        return self.model.card.resolution_px

    def steps(self, clean: Tensor, known: Tensor, rng: Rng) -> Iterator[Step]:
        if (clean == clean[:1]).all() and (known == known[:1]).all():
            clean, known = clean[:1], known[:1]  # one measurement for all samples, which is all that particles take
        yield from priors.steered(self.model, self.recipe, self.label, clean * known, Inpaint(known > 0), rng)


@dataclass
class Cascade:
    """The flowers prior at 32 px, steered by the cells that are wholly known; then the upsampler, by the pixels."""

    model: Model
    upsampler: Model
    recipe: Recipe
    label: int | None = None
    diverse = True

    @property
    def size(self) -> int:
        return self.model.card.resolution_px * FACTOR

    def steps(self, clean: Tensor, known: Tensor, rng: Rng) -> Iterator[Step]:
        coarse = Steered(self.model, self.recipe, self.label)
        few_known = (F.avg_pool2d(known, FACTOR) == 1).float()
        few = F.avg_pool2d(clean, FACTOR) * few_known
        step = None
        for step in coarse.steps(few, few_known, rng):
            yield replace(step, total=step.total + UPSAMPLER_STEPS, x=enlarged(step.x), x0=enlarged(step.x0))
        before = step.total
        cond = enlarged(torch.where(few_known > 0, few, step.x.clamp(-1, 1)))
        schedule = self.upsampler.schedule
        times = grids.make("uniform", schedule, UPSAMPLER_STEPS)
        start = rng.normal_like(clean) * schedule(schedule.start)[1]
        denoise = guidance.clipped(partial(self.upsampler.denoiser, cond=cond))
        fine = steering.steer("replacement", denoise, start, times, schedule, y=clean * known,
                              operator=Inpaint(known > 0), rng=rng)
        for step in fine:
            yield replace(step, index=step.index + before, total=step.total + before, nfe=step.nfe + before,
                          x=step.x + residual_shift(cond, step.t, schedule))
