"""Estimating a model's statistics for DPM-Solver-v3, by forward-mode derivatives. Zheng et al. 2023, arXiv 2310.13268.

In y = x / alpha the rest that the solver extrapolates is f = (1 - l) y - x0, and along the probability-flow ODE
df/du = -l' y + (1 - l)(x0 - y) - dx0/du, u = log-SNR. Per element of the state: l = E[diag(sigma d eps/d x)], which is
1 - alpha E[diag(d x0/d x)], and (s, b) is the line of df/du on f by least squares (appendix A). All levels use the same
data, noise and probes: statistics that are noisy from level to level would spoil the order of the solver.

Derivatives are Jacobian-vector products. Beyond the paper, a network's dx0/du may be the change over a short stretch of
the ODE instead: networks tremble in time (sinusoids of a thousand radians), which can be most of their derivative and
means nothing to a step. Measured on an early 32-px flowers prior: at medium noise the derivative was up to three times
the change over a tenth, and its statistics (16 pictures) gave 1.4 to 1.9 times the error in 5 to 10 steps (4 samples).
"""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Generator, Tensor, float64

from engine.denoisers import Denoiser
from engine.errors import InputError
from engine.schedules import Schedule
from engine.solvers.statistics import FILE, PUSH_LIMIT, RATE_LIMIT, Statistics

Draw = Callable[[int, Generator], Tensor]
Progress = Callable[[int, int], None]

_SAMPLING_STEPS = 50
_BATCH = 32
_REACH = 0.1  # in log-SNR: far above a network's trembling, far below a step
_ROUNDING = 1e-12  # share of a variance below which its terms have cancelled


def levels(schedule: Schedule, cells: int = 120) -> Tensor:
    """cells + 1 even log-SNRs over the useful range of a schedule, rising, float64."""
    return torch.linspace(schedule.log_snr(schedule.t_max), schedule.log_snr(schedule.t_min), cells + 1, dtype=float64)


def estimate(denoise: Denoiser, schedule: Schedule, draw_data: Draw, *, grid: Tensor | None = None, count: int = 1024,
             seed: int = 0, batch: int = 256, reach: float = 0.0, model_sha256: str = "",
             on_progress: Progress | None = None) -> Statistics:
    """Statistics of a denoiser, on the processor, float64.

    denoise(x_t, t) -> x0 must be differentiable in x_t and t (B,): not the shared denoiser of a model, but its network.
    draw_data(count, generator) -> (count, *shape): clean data, on the denoiser's device. grid: even log-SNRs, rising,
    `levels(schedule)` unless given. count: data points. reach: see `derivatives`. Costs about five calls per level and
    data point. on_progress(levels done, levels). Raises InputError when the denoiser's answers are not finite.
    """
    grid = levels(schedule) if grid is None else grid.to("cpu", float64)
    generator = torch.Generator().manual_seed(seed)
    data = draw_data(count, generator)
    noise = torch.randn(data.shape, generator=generator, dtype=data.dtype).to(data.device)
    probes = (torch.randint(2, data.shape, generator=generator) * 2 - 1).to(data)
    parts = list(zip(data.split(batch), noise.split(batch), probes.split(batch), strict=True))
    found = []
    for i, log_snr in enumerate(grid.tolist()):
        found.append(_level(denoise, schedule, log_snr, parts, reach))
        if not all(bool(value.isfinite().all()) for value in found[-1]):
            raise InputError(f"The model's answers at log-SNR {log_snr:.2f} are not finite numbers.",
                             "Its statistics cannot be estimated.", "Choose another model.", "model")
        if on_progress:
            on_progress(i + 1, len(grid))
    own, means, products = (torch.stack(column) for column in zip(*found, strict=True))
    return _fitted(grid, own, means, products, model_sha256)


def derivatives(denoise: Denoiser, schedule: Schedule, x: Tensor, log_snr: float, probe: Tensor,
                reach: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """x0; its derivative with respect to x along `probe`; and dx0/du along the probability-flow ODE, all like x (B, *).

    reach: 0 takes the derivative itself, by a second Jacobian-vector product through x and time; above 0 the change of
    x0 from `reach` before to `reach` after, inside the schedule's useful range, per unit of log-SNR.
    """
    alpha, _ = schedule(schedule.time_at(log_snr))
    times = _times(schedule, log_snr, x)
    x0, along = torch.func.jvp(denoise, (x, times), (probe, torch.zeros_like(times)))
    y = x / alpha
    rate = (_change(denoise, schedule, y, x0, log_snr, reach) if reach else
            _slope(denoise, schedule, y, x0, log_snr))
    return x0, along, rate


def _slope(denoise: Denoiser, schedule: Schedule, y: Tensor, x0: Tensor, log_snr: float) -> Tensor:
    """dx0/du at y, by dx/du = (d log alpha / du) x + alpha (x0 - y) and the pace of time, dt/du."""
    t = schedule.time_at(log_snr)
    (alpha, sigma), (alpha_rate, sigma_rate) = schedule(t), schedule.rates(t)
    pace = 1 / (alpha_rate / alpha - sigma_rate / sigma)
    flow = alpha_rate * pace * y + alpha * (x0 - y)
    times = _times(schedule, log_snr, y)
    return torch.func.jvp(denoise, (alpha * y, times), (flow, torch.full_like(times, pace)))[1]


def _change(denoise: Denoiser, schedule: Schedule, y: Tensor, x0: Tensor, log_snr: float, reach: float) -> Tensor:
    """The change of x0 per unit of log-SNR between the two ends of a stretch of the ODE's tangent."""
    before = max(log_snr - reach, min(log_snr, schedule.log_snr(schedule.t_max)))
    after = min(log_snr + reach, max(log_snr, schedule.log_snr(schedule.t_min)))

    def estimate_at(there: float) -> Tensor:
        alpha, _ = schedule(schedule.time_at(there))
        with torch.no_grad():
            return denoise(alpha * (y + (there - log_snr) * (x0 - y)), _times(schedule, there, y))

    return (estimate_at(after) - estimate_at(before)) / (after - before)


def _times(schedule: Schedule, log_snr: float, like: Tensor) -> Tensor:
    """The time of this log-SNR for every sample, (B,), as exact as the device allows."""
    exact = float64 if like.device.type != "mps" else torch.float32
    return torch.full((len(like),), schedule.time_at(log_snr), dtype=exact, device=like.device)


def _level(denoise: Denoiser, schedule: Schedule, log_snr: float, parts: list[tuple[Tensor, ...]],
           reach: float) -> tuple[Tensor, ...]:
    """Means over the data at one level: alpha v * J v for the probes v, (*shape); z = (y, x0, dx0/du), (3, *shape); and
    their products z_i z_j, (3, 3, *shape)."""
    alpha, sigma = schedule(schedule.time_at(log_snr))
    found = []
    for data, noise, probe in parts:
        x = alpha * data + sigma * noise
        x0, along, rate = derivatives(denoise, schedule, x, log_snr, probe, reach)
        z = torch.stack([x / alpha, x0, rate]).cpu().double()
        own = (alpha * probe * along).cpu().double()
        found.append((own.sum(0), z.sum(1), torch.einsum("ib...,jb...->ij...", z, z)))
    count = sum(len(data) for data, *_ in parts)
    return tuple(sum(column) / count for column in zip(*found, strict=True))


def _fitted(grid: Tensor, own: Tensor, means: Tensor, products: Tensor, model_sha256: str) -> Statistics:
    """l from the mean of alpha v * J v, s and b by least squares, all clamped to what a solver survives.

    f and df/du are linear in z = (y, x0, dx0/du), so that the moments of z are enough, whatever l and its slope are.
    An element that never changes has no variance; its slope is then 0.
    """
    covariances = products - means[:, :, None] * means[:, None]
    l = (1 - own).clamp(0, 1)  # noqa: E741 (the paper's letter)
    slope, = torch.gradient(l, spacing=(float(grid[1] - grid[0]),), dim=0, edge_order=2)
    rest = torch.stack([1 - l, -torch.ones_like(l), torch.zeros_like(l)], 1)
    change = torch.stack([l - 1 - slope, 1 - l, -torch.ones_like(l)], 1)

    def covariance(left: Tensor, right: Tensor) -> Tensor:
        return torch.einsum("gi...,gij...,gj...->g...", left, covariances, right)

    scale = torch.einsum("gi...,gii...->g...", rest.square(), covariances)
    variance = torch.maximum(covariance(rest, rest), _ROUNDING * scale).clamp_min(torch.finfo(float64).tiny)
    s = (covariance(rest, change) / variance).clamp(-RATE_LIMIT, RATE_LIMIT)
    b = (change * means).sum(1) - s * (rest * means).sum(1)
    return Statistics(grid, l, s, b.clamp(-PUSH_LIMIT, PUSH_LIMIT), model_sha256)


def prepare(name: str, data: Path | None = None, folder: Path | None = None, *, count: int = 128, cells: int = 50,
            seed: int = 0, on_progress: Progress | None = None) -> Path:
    """Estimate the statistics of a shipped picture model without its condition, and store them beside its weights.

    data: folder of pictures like those that it was trained on; without, the model's own samples serve. folder: where
    the file goes, the model's own by default. count: pictures. cells: levels less one. Gives the file's path.
    Raises InputError for an unknown model, one that needs a degraded picture, or a folder without pictures.
    """
    from engine import models
    from engine.models import shelf

    model = models.load(name)
    if model.card.prediction == "resnoise":
        raise InputError(f"The model {name} restores pictures.", "Its statistics differ for every degraded picture.",
                         "Give a model that generates pictures from noise alone.", "model")
    place = shelf.folder(name) if folder is None else folder

    def draw(number: int, generator: Generator) -> Tensor:
        return (_own_samples(model, number, seed) if data is None
                else _pictures(data, model.card.resolution_px, number, generator))

    found = of_model(model, draw, cells=cells, count=count, seed=seed, on_progress=on_progress)
    path = place / FILE
    found.write(path)
    return path


def stored(name: str) -> Statistics | None:
    """The statistics that `prepare` stored beside a shipped model; None when there are none.

    Raises InputError when they are damaged or those of other weights.
    """
    from engine.models import shelf

    path = shelf.folder(name) / FILE
    return Statistics.read(path, shelf.card(name).sha256) if path.is_file() else None


def of_model(model, draw_data: Draw, *, cells: int = 50, count: int = 128, seed: int = 0,
             on_progress: Progress | None = None) -> Statistics:
    """Statistics of a loaded model, a class-conditional one with its label left out. draw_data: pictures (B, C, H, W).

    A copy of the network runs in 32 bits on the best device: 16 bits would leave only noise in the derivatives.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from engine.models.model import adapter
    from engine.runtime import device as devices

    device = devices.choose()
    network = copy.deepcopy(model.network).requires_grad_(False).eval().to(device)
    denoise = adapter(model.card.prediction)(network, model.schedule)
    # Of the attention kernels only the one made of plain operations has forward derivatives. torch itself uses its own
    # deprecated functions for them, which a person on the command line can do nothing about.
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        return estimate(denoise, model.schedule, lambda number, rng: draw_data(number, rng).to(device),
                        grid=levels(model.schedule, cells), count=count, seed=seed, batch=_BATCH, reach=_REACH,
                        model_sha256=model.card.sha256, on_progress=on_progress)


def _own_samples(model, count: int, seed: int) -> Tensor:
    """(count, 3, H, W) unconditional samples of the model, 50 steps of DPM-Solver++ 2M, made in batches."""
    from engine import grids
    from engine.rng import Rng
    from engine.solvers import solve

    times = grids.make("log_snr", model.schedule, _SAMPLING_STEPS)
    _, sigma = model.schedule(times[0].item())
    side, made = model.card.resolution_px, []
    for first in range(0, count, _BATCH):
        size = min(_BATCH, count - first)
        noise = sigma * Rng(seed, size, first).normal(3, side, side)
        *_, last = solve("dpmpp_2m", model.denoiser, noise, times, model.schedule)
        made.append(last.x)
    return torch.cat(made)


def _pictures(folder: Path, side: int, count: int, generator: Generator) -> Tensor:
    """(count, 3, side, side) in [-1, 1]: the shrunk middles of pictures under `folder`, again from the first when they
    are too few. Those that validation keeps for itself are left out."""
    import cv2
    import numpy as np

    from engine.training import pictures

    paths = [path for path in pictures.files(folder, (".",)) if not pictures.held_out(path)]
    order = torch.randperm(len(paths), generator=generator).tolist()
    chosen = [paths[order[i % len(paths)]] for i in range(count)]
    squares = (pictures.centre(picture, min(picture.shape[:2])) for picture in pictures.read(chosen))
    small = np.stack([cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA) for square in squares])
    return torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1
