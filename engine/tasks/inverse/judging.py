"""How good posterior samples are: near the truth, sharp, true to the measurement, and honest about their spread."""

import math

import numpy as np
import torch
from torch import Tensor

from engine import metrics
from engine.steering import particles
from engine.steering.operators import Inpaint, Measurement
from engine.steering.particles import ParticleStep
from engine.step import Step
from engine.tasks.inverse.solving import Case

INTERVAL = 0.9
_SPANNING = round(2 / (1 - INTERVAL)) - 1
"""So many equal samples have their outermost ones at the ends of the interval."""


def of(step: Step, case: Case) -> dict[str, float]:
    """`figures` of a run on a case after its last step; particles count by their weights."""
    log_weights = step.log_weights if isinstance(step, ParticleStep) else None
    weights = None if log_weights is None else log_weights.softmax(0)
    return figures(step.x, case.truth, case.y, case.measurement, case.noise, weights)


def figures(samples: Tensor, truth: Tensor | None, y: Tensor, measurement: Measurement, noise: float,
            weights: Tensor | None = None) -> dict[str, float]:
    """Figures of merit of samples (N, 3, H, W) in [-1, 1]; those of the truth (1, 3, H, W) only where it is known.

    consistency: of the first sample. weights: (N,) that add up to 1, of particles; equal ones without it.
    PSNR in dB and SSIM of the first sample (for particles the one that counts most) and of the mean; spectral_error of
    that sample; coverage: see `coverage`, for three samples and more, of what is `open_to_doubt`. spread: mean
    standard deviation.
    """
    samples = samples.float().clamp(-1, 1)
    log_weights = torch.zeros(len(samples), dtype=torch.float64) if weights is None else weights.double().log()
    one, mean = particles.best(samples, log_weights)[None], particles.mean(samples, log_weights)[None]
    found = {"consistency": consistency(one, y, measurement, noise)}
    if len(samples) > 1:
        found["spread"] = float(particles.spread(samples, log_weights).mean())
    if truth is None:
        return found
    one, mean, known = (_pixels(value) for value in (one, mean, truth.clamp(-1, 1)))
    found |= {"psnr_db": metrics.psnr(one, known), "psnr_mean_db": metrics.psnr(mean, known),
              "ssim": metrics.ssim(one, known), "ssim_mean": metrics.ssim(mean, known),
              "spectral_error": metrics.spectral_error(one, known)}
    unknown = open_to_doubt(measurement, noise, truth)
    if len(samples) > 2 and unknown.any():
        found["coverage"] = coverage(samples[:, unknown[0]], truth[:, unknown[0]], weights)
    return found


def open_to_doubt(measurement: Measurement, noise: float, truth: Tensor) -> Tensor:
    """The numbers of a picture that are not given away, (1, 3, H, W): all but pixels known without noise."""
    if isinstance(measurement, Inpaint) and noise == 0:
        return (measurement.known == 0).expand_as(truth)
    return torch.ones_like(truth, dtype=torch.bool)


def consistency(x: Tensor, y: Tensor, measurement: Measurement, noise: float) -> float:
    """With noise |y - H x| / (noise sqrt(m)), which should be near 1; without it |y - H x| / |y|, near 0."""
    missing = torch.linalg.vector_norm((y - measurement.H(x)).flatten(1), dim=1).mean()
    size = noise * math.sqrt(y[0].numel()) if noise > 0 else torch.linalg.vector_norm(y[:1])
    return float(missing / size)


def coverage(samples: Tensor, truth: Tensor, weights: Tensor | None = None) -> float:
    """Share of the pixels whose truth lies in the central 90 % interval of the samples; 0.9 is honest.

    samples: (N, *), N > 2; truth (1, *). weights: as in `figures`. Where enough samples count to span the interval, it
    lies between their weighted quantiles (`particles.interval`), whatever their law. Of fewer it is that of Student's t
    around their weighted mean with their effective number, which is honest for normal samples however few. NaN where
    not even two count.
    """
    count = len(samples)
    log_weights = torch.zeros(count, dtype=torch.float64) if weights is None else weights.double().log()
    effective = particles.effective_size(log_weights)
    if effective < particles.FEW:
        return float("nan")
    values, known = samples.double().flatten(1), truth.double().flatten(1)[0]
    if effective >= _SPANNING:
        low, high = particles.interval(values, log_weights, INTERVAL)
    else:
        low, high = _normal_interval(values, log_weights, effective)
    return float(((low <= known) & (known <= high)).double().mean())


def _normal_interval(values: Tensor, log_weights: Tensor, effective: float) -> tuple[Tensor, Tensor]:
    from scipy.stats import t as student

    reach = student.ppf((1 + INTERVAL) / 2, max(effective - 1, 1e-3)) * math.sqrt(1 + 1 / effective)
    mean, spread = particles.mean(values, log_weights), particles.spread(values, log_weights)
    return mean - reach * spread, mean + reach * spread


def _pixels(x: Tensor) -> np.ndarray:
    return ((x[0].permute(1, 2, 0).numpy() + 1) / 2).clip(0, 1)
