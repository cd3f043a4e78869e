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
Weight = float | Tensor


@dataclass(frozen=True)
class Told:
    """Conditions of B pictures, as the network takes them, but for how finely the structure is told.

    grey: latents (B, C, h, w) of the contents without colour. style: "style" and "statistics" of one style picture
    each, or "embedded" (B, E), a mixture.
    """

    grey: Tensor
    style: dict[str, Tensor]


def told(codec: nn.Module, contents: Tensor, styles: Tensor) -> Told:
    """Contents (B, 3, H, W) and style pictures (B, 3, H', W') in [-1, 1], sides multiples of 8."""
    return Told(codec.encode(grey(contents)), described(codec, styles))


def described(codec: nn.Module, styles: Tensor) -> dict[str, Tensor]:
    """What the network is told of style pictures (B, 3, H, W) in [-1, 1]."""
    return {"style": codec.encode(styles), "statistics": torch.from_numpy(statistics.describe(_bytes(styles)))}


def mixed(network: nn.Module, styles: Sequence[dict[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """One style between several: the weighted mean of what the network makes of each."""
    each = torch.stack([network.style_of(**one) for one in styles])
    share = torch.tensor(weights, dtype=each.dtype) / sum(weights)
    return {"embedded": (share[:, None, None] * each).sum(0)}


def _bytes(x: Tensor) -> np.ndarray:
    return np.uint8((x.permute(0, 2, 3, 1).numpy() * 127.5 + 128).clip(0, 255))


def two_scales(denoise: Denoiser, cond: dict[str, Tensor], content: Weight, style: Weight) -> Denoiser:
    """ArtFusion's guidance: x0 = x_cs + (content - 1) (x_cs - x_0s) + (style - 1) (x_cs - x_c0).

    x_0s is not told the structure, x_c0 not the style; all three are one network call of as many samples. content,
    style: numbers, or maps that go with x0 of how much each place follows.
    """
    without = {"has_structure": content, "has_style": style}
    needed = [name for name, weight in without.items() if isinstance(weight, Tensor) or weight != 1]

    def guided(x_t: Tensor, t, **more) -> Tensor:
        count, times = len(x_t), 1 + len(needed)
        repeated = {name: value.repeat(times, *(1,) * (value.dim() - 1)) for name, value in cond.items()}
        for place, name in enumerate(needed, 1):
            repeated[name][place * count:(place + 1) * count] = 0
        time = t.repeat(times) if isinstance(t, Tensor) and t.dim() else t
        full, *others = denoise(x_t.repeat(times, 1, 1, 1), time, **repeated, **more).chunk(times)
        return full + sum((without[name] - 1) * (full - other) for name, other in zip(needed, others))

    return guided


def steps_of(denoise: Denoiser, what: Told, start: Tensor, rng: Rng, solver: str = SOLVER, steps: int = STEPS,
             spacing: str = "uniform", content: Weight = CONTENT, style: Weight = STYLE, detail: float = DETAIL,
             kept: Callable[[Tensor], Tensor] = lambda x0: x0, **options) -> Iterator[Step]:
    """A solver's steps over latents (B, C, h, w) from unit noise `start`. kept: what every estimate is passed through,
    such as the latents of what stays outside a mask."""
    finely = torch.full((len(start),), float(detail))
    cond = {"structure": structure(what.grey, finely), "detail": finely, **what.style,
            "has_structure": torch.ones(len(start)), "has_style": torch.ones(len(start))}
    schedule = schedules.vp_linear()
    guided = two_scales(denoise, cond, content, style)
    yield from solve(solver, lambda x, t: kept(guided(x, t)), start * schedule(schedule.start)[1],
                     grids.make(spacing, schedule, steps), schedule, rng=rng, **options)


def draw(denoise: Denoiser, what: Told, seed: int = 0, **how) -> Tensor:
    """The finished latents of `steps_of`, each picture from noise of its own."""
    rng = Rng(seed, len(what.grey))
    *_, last = steps_of(denoise, what, rng.normal(*what.grey.shape[1:]), rng, **how)
    return last.x
