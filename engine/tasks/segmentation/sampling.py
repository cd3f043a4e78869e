"""Masks drawn from a mask diffusion model."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from engine import grids, schedules
from engine.rng import Rng
from engine.schedules import Schedule
from engine.solvers import solve

TILE_PX, OVERLAP_PX = 128, 32
"""Tiles that large pictures are cut into: the side of the training pictures."""
MULTIPLE = 16
"""Sides of pictures are brought to multiples of this, so that tiles and features fall on the same pixels."""


def encoder(model) -> Callable[[Tensor], Tensor]:
    """encode(pictures (B, 3, H, W) in [-1, 1]) -> encoded pictures, to be given as `cond` for all steps and samples.

    model: an `engine.models.Model` whose network is a MedSeg. Cut pictures into tiles first, or give the encoded
    picture of a small one; channel 0 holds the logits of the picture alone.
    """
    return _encoder(model)


@lru_cache(maxsize=4)
def _encoder(model) -> Callable[[Tensor], Tensor]:
    from engine.models.model import Runner
    from engine.runtime import device as devices

    device = devices.choose()
    run = Runner(model.network.picture, device, devices.precision(device))

    @torch.no_grad()
    def encode(picture: Tensor) -> Tensor:
        return run(picture, torch.zeros(len(picture)))

    return encode


def encoded_by_tiles(encode: Callable[[Tensor], Tensor], picture: Tensor) -> Tensor:
    """The encoded picture (B, E, H, W) of a picture of any size whose sides are multiples of `MULTIPLE`.

    Tiles see what they saw in training; where they overlap, their features are mixed like the denoiser's answers.
    """
    from engine.tiles import tiled

    channels = encode(picture[:1, :, :MULTIPLE, :MULTIPLE]).shape[1]
    empty = torch.zeros(len(picture), channels, *picture.shape[-2:])
    return tiled(lambda x, t, cond: encode(cond), TILE_PX, OVERLAP_PX)(empty, 0.0, cond=picture)


def draw(denoise: Callable[..., Tensor], cond: Tensor, samples: int, steps: int, seed: int = 0,
         solver: str = "dpmpp_2m", spacing: str = "uniform", schedule: Schedule | None = None, **options) -> Tensor:
    """Soft masks (samples, B, H, W) in [0, 1]: `samples` independent ones for each of the B pictures in cond.

    denoise: of a mask model; cond (B, C, H, W): pictures in [-1, 1] or encoded ones. Above 1/2 is mask.
    """
    schedule = schedule or schedules.vp_linear()
    count, (height, width) = len(cond), cond.shape[-2:]
    x = Rng(seed, samples * count).normal(1, height, width) * schedule(schedule.start)[1]
    told = cond.repeat(samples, 1, 1, 1)
    times = grids.make(spacing, schedule, steps)
    rng = Rng(seed, samples * count, first=samples * count)
    *_, last = solve(solver, lambda y, t: denoise(y, t, cond=told), x, times, schedule, rng=rng, **options)
    return (last.x.clamp(-1, 1).reshape(samples, count, height, width) + 1) / 2
