"""Pictures in another hand: what the network is told, two-scale guidance, and the run over the solver's steps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engine import grids, schedules
from engine.rng import Rng
from engine.solvers import solve
from engine.step import Step
from engine.tasks.style import statistics
from engine.tasks.style.structure import grey, structure

SOLVER, STEPS = "dpmpp_2m", 20
CONTENT, STYLE, DETAIL = 1.0, 1.5, 0.7
Denoiser = Callable[..., Tensor]


@dataclass(frozen=True)
class Told:
    """Conditions of B pictures. grey: latents (B, C, h, w) of the grey contents; styles: (latents (B, C, h', w'),
    statistics (B, S)) of each style picture."""

    grey: Tensor
    styles: Sequence[tuple[Tensor, Tensor]]


def told(codec: nn.Module, contents: Tensor, styles: Sequence[Tensor]) -> Told:
    """Contents (B, 3, H, W) and style pictures (B, 3, H', W') in [-1, 1], sides multiples of 8."""
    described = [(codec.encode(x), torch.from_numpy(statistics.describe(_bytes(x)))) for x in styles]
    return Told(codec.encode(grey(contents)), described)


def _bytes(x: Tensor) -> np.ndarray:
    return np.uint8((x.permute(0, 2, 3, 1).numpy() * 127.5 + 128).clip(0, 255))


def two_scales(denoise: Denoiser, both: dict[str, Tensor], content: float | Tensor, style: float | Tensor) -> Denoiser:
    """ArtFusion's guidance: x0 = x_cs + (content - 1) (x_cs - x_0s) + (style - 1) (x_cs - x_c0).

    One network call for all three, of as many samples. content, style: numbers, or maps (1, 1, h, w) of how much each
    place follows.
    """
    def guided(x_t: Tensor, t, **more) -> Tensor:
        count = len(x_t)
        cond = {name: value.repeat(3, *(1,) * (value.dim() - 1)) for name, value in both.items()}
        cond["has_structure"][count:2 * count] = 0
        cond["has_style"][2 * count:] = 0
        time = t.repeat(3) if isinstance(t, Tensor) and t.dim() else t
        all_three = denoise(x_t.repeat(3, 1, 1, 1), time, **cond, **more)
        told_both, no_content, no_style = all_three.chunk(3)
        return told_both + (content - 1) * (told_both - no_content) + (style - 1) * (told_both - no_style)

    return guided


def steps_of(denoise: Denoiser, what: Told, rng: Rng, solver: str = SOLVER, steps: int = STEPS,
             spacing: str = "uniform", content: float | Tensor = CONTENT, style: float | Tensor = STYLE,
             detail: float = DETAIL, **options) -> Iterator[Step]:
    """A solver's steps over latents (B, C, h, w), of the first style picture."""
    (latents, numbers), count = what.styles[0], len(what.grey)
    finely = torch.full((count,), float(detail))
    cond = {"structure": structure(what.grey, finely), "detail": finely, "style": latents, "statistics": numbers,
            "has_structure": torch.ones(count), "has_style": torch.ones(count)}
    schedule = schedules.vp_linear()
    times = grids.make(spacing, schedule, steps)
    x = rng.normal(*what.grey.shape[1:]) * schedule(schedule.start)[1]
    yield from solve(solver, two_scales(denoise, cond, content, style), x, times, schedule, rng=rng, **options)


def draw(denoise: Denoiser, what: Told, rng: Rng, **how) -> Tensor:
    """The finished latents of `steps_of`."""
    *_, last = steps_of(denoise, what, rng, **how)
    return last.x
