"""Fitting the transport map of DPM-OT: semi-discrete optimal transport from N(0, I) to diffused samples.

Li et al. 2023 (DPM-OT, ICCV), on the convex formulation of Gu et al. 2013 and An et al. 2020 (AE-OT). The energy
E(h) = E_x[max_i (<x, y_i> + h_i)] - mean(h) is convex in the heights, its gradient is (mass of cell i) - 1/n, and
masses are counted on drawn noise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine import grids
from engine.errors import InputError
from engine.rng import Rng
from engine.solvers import solve
from engine.solvers.transport import FILE, Transport

Progress = Callable[[int, int], None]
"""Called with (finished, total) now and then."""

LOG_SNR = -1.0
"""Default level of the targets. Higher means fewer steps and results that stay nearer to the targets."""

_FIRST_RATE, _LAST_RATE = 0.1, 1e-4
_BLOCK = 64
# Streams far from those of runs, which begin at 0: targets must not know the noise that is mapped onto them.
_SAMPLE_STREAMS, _DIFFUSE_STREAMS = 2**32, 2**33


@dataclass(frozen=True, eq=False)
class Fit:
    """Heights and how good they are on fresh noise. heights, masses: (n,), the masses' goal is 1/n each.

    gradient: length of (masses - 1/n). floor: what that length is for perfect heights, from counting alone. empty:
    cells that were never hit. angles: smallest and largest angle in radians between the two best planes.
    """

    heights: Tensor
    masses: Tensor
    gradient: float
    floor: float
    empty: int
    angles: tuple[float, float]


def fit(targets: Tensor, *, iterations: int = 1500, batch: int = 0, seed: int = 0,
        on_progress: Progress | None = None) -> Fit:
    """Heights that give all targets (n, *shape) the same share of N(0, I).

    Adam on the counted gradient; its rate falls along a cosine from .1 to 1e-4 of the targets' spread, because the
    count's own noise leaves empty cells at a constant rate. batch: draws per iteration, 0 means max(4000, 10 n).
    """
    points, scale = coordinates(targets)
    count = len(points)
    batch = batch or max(4000, 10 * count)
    generator = torch.Generator().manual_seed(seed)
    heights = torch.zeros(count, dtype=points.dtype, requires_grad=True)
    adam = torch.optim.Adam([heights], lr=_FIRST_RATE)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations, eta_min=_LAST_RATE)
    for i in range(iterations):
        heights.grad = masses(points, heights.detach(), batch, generator) - 1 / count
        adam.step()
        fall.step()
        heights.data -= heights.data.mean()
        if on_progress and (i + 1) % 25 == 0:
            on_progress(i + 1, iterations)
    return _judged(targets, heights.detach(), points, scale, 10 * batch, generator)


def coordinates(targets: Tensor) -> tuple[Tensor, float]:
    """The targets as (n, r) points with r <= n, and the length by which they were divided.

    A common shift adds one linear function to all planes and moves no wall, so the mean is taken off. Only the span of
    the points matters then, and N(0, I) projected on it is N(0, I) again: noise has to be drawn in r dimensions only.
    """
    flat = targets.reshape(len(targets), -1)
    centred = flat - flat.mean(0)
    if centred.shape[1] > len(centred):
        left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
        centred = left * singular
    scale = float(centred.norm(dim=1).square().mean().sqrt())
    return centred / max(scale, 1e-12), max(scale, 1e-12)


def masses(points: Tensor, heights: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """(n,) share of `draws` samples of N(0, I) in each cell; points (n, r), heights (n,)."""
    hits = torch.zeros(len(points), dtype=points.dtype)
    for part in _parts(draws, len(points)):
        noise = torch.randn(part, points.shape[1], generator=generator, dtype=points.dtype)
        hits += torch.bincount(torch.addmm(heights, noise, points.T).argmax(1), minlength=len(points))
    return hits / draws


def energy(noise: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    """E(h) on the given noise (B, r): the mean of the potential minus the mean height. Convex in heights (n,)."""
    return torch.addmm(heights, noise, points.T).max(1).values.mean() - heights.mean()


def _parts(draws: int, count: int) -> Iterator[int]:
    """Sizes of blocks whose plane values stay below 32 million numbers."""
    most = max(1, 2**25 // count)
    for first in range(0, draws, most):
        yield min(most, draws - first)


def _judged(targets: Tensor, heights: Tensor, points: Tensor, scale: float, draws: int,
            generator: torch.Generator) -> Fit:
    count = len(points)
    found = masses(points, heights, draws, generator)
    probe = Transport(targets, heights * scale, 1.0, 1.0, (0.0, math.pi))
    noise = torch.randn(256, *targets.shape[1:], generator=generator, dtype=targets.dtype)
    angle = probe.locate(noise).angle * math.pi
    return Fit(probe.heights, found, float((found - 1 / count).norm()), math.sqrt((1 - 1 / count) / draws),
               int((found == 0).sum()), (float(angle.min()), float(angle.max())))


def diffuse(samples: Tensor, schedule, log_snr: float, seed: int = 0) -> Tensor:
    """alpha x_i + sigma z_i at that log-SNR on this schedule, with one noise stream per sample; (n, *shape)."""
    alpha, sigma = schedule(float(schedule.time_at(log_snr)))
    return alpha * samples + sigma * Rng(seed, len(samples), first=_DIFFUSE_STREAMS).normal_like(samples)


def prepare(denoise: Callable[..., Tensor], schedule, shape: tuple[int, ...], *, count: int = 512,
            log_snr: float = LOG_SNR, data: Tensor | None = None, steps: int = 50, seed: int = 0,
            iterations: int = 1500, model_sha256: str = "",
            on_progress: Progress | None = None) -> tuple[Transport, Fit]:
    """A transport for a model, and how well it was fitted.

    By default the targets are the model's own samples (`count` of them, DPM-Solver++ 2M with `steps` steps, from other
    noise than any run's), diffused to `log_snr`: what is stored shows no training picture that the model itself would
    not show. data: (n, *shape) takes given pictures instead, which the file then holds under that noise.
    """
    samples = data if data is not None else _drawn(denoise, schedule, shape, count, steps, seed, on_progress)
    # The file keeps 16 bits, so that is what the heights must fit.
    targets = diffuse(samples, schedule, log_snr, seed).half().float()
    found = fit(targets, iterations=iterations, seed=seed, on_progress=on_progress)
    alpha, sigma = schedule(float(schedule.time_at(log_snr)))
    return Transport(targets, found.heights, alpha, sigma, found.angles, model_sha256,
                     "model" if data is None else "data"), found


def _drawn(denoise, schedule, shape: tuple[int, ...], count: int, steps: int, seed: int,
           on_progress: Progress | None) -> Tensor:
    """The model's own samples, (count, *shape)."""
    times = grids.make("log_snr", schedule, steps)
    parts = []
    for first in range(0, count, _BLOCK):
        noise = Rng(seed, min(_BLOCK, count - first), first=_SAMPLE_STREAMS + first).normal(*shape)
        with torch.no_grad():
            *_, last = solve("dpmpp_2m", denoise, noise * schedule(float(times[0]))[1], times, schedule)
        parts.append(last.x)
        if on_progress:
            on_progress(min(first + _BLOCK, count), count)
    return torch.cat(parts)


def prepare_model(name: str, folder: Path | None = None, on_progress: Progress | None = None) -> tuple[Path, Fit]:
    """Fit the transport of a shipped model to its own samples, without its condition, and store it beside its weights.

    folder: where the file goes, the model's own by default. Raises InputError for an unknown model, or one that needs a
    degraded picture.
    """
    from engine import models
    from engine.models import shelf

    model = models.load(name)
    if model.card.prediction == "resnoise":
        raise InputError(f"The model {name} restores pictures.", "Its transport differs for every degraded picture.",
                         "Give a model that generates pictures from noise alone.", "model")
    side = model.card.resolution_px
    found, quality = prepare(model.denoiser, model.schedule, (3, side, side), model_sha256=model.card.sha256,
                             on_progress=on_progress)
    return found.write((shelf.folder(name) if folder is None else folder) / FILE), quality


@dataclass(frozen=True, eq=False)
class Nearest:
    """How near samples come to known pictures. distance: (B,) root mean square difference to the nearest one.

    index: (B,) which one. usual: the median of the same distance among the known pictures themselves. copies: (B,)
    bool, nearer than half of `usual`.
    """

    distance: Tensor
    index: Tensor
    usual: float

    @property
    def copies(self) -> Tensor:
        return self.distance < self.usual / 2


def nearest(samples: Tensor, known: Tensor) -> Nearest:
    """Nearest-neighbour report against memorisation: samples (B, *shape), known (n, *shape), n > 1, in the same units.

    known: the pictures behind the targets, or the training pictures. A method that only returns them has distance 0;
    one that makes new ones is as far from them as they are from each other.
    """
    a, b = samples.reshape(len(samples), -1), known.reshape(len(known), -1).to(samples)
    root = math.sqrt(a.shape[1])
    distance, index = torch.cdist(a, b).min(1)
    among = torch.cdist(b, b).fill_diagonal_(math.inf).min(1).values
    return Nearest(distance / root, index, float(among.median()) / root)
