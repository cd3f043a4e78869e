"""How good posterior samples are: near the truth, sharp, true to the measurement, and honest about their spread."""

import math

import numpy as np
import torch
from torch import Tensor

from engine import metrics
from engine.steering.operators import Measurement

INTERVAL = 0.9


def figures(samples: Tensor, truth: Tensor | None, y: Tensor, measurement: Measurement, noise: float,
            weights: Tensor | None = None) -> dict[str, float]:
    """Figures of merit of samples (N, 3, H, W) in [-1, 1]; those of the truth (1, 3, H, W) only where it is known.

    consistency: of the first sample. weights: (N,) that add up to 1, of particles; equal ones without it.
    PSNR in dB and SSIM of the first sample (for particles the one that counts most) and of the mean; spectral_error of
    that sample; coverage: see `coverage`, for three samples and more. spread: mean standard deviation.
    """
    samples = samples.float().clamp(-1, 1)
    share = torch.full((len(samples),), 1 / len(samples)) if weights is None else weights.float()
    mean = torch.einsum("n,nchw->chw", share, samples)[None]
    best = int(share.argmax())
    found = {"consistency": consistency(samples[best:best + 1], y, measurement, noise)}
    if len(samples) > 1:
        variance = torch.einsum("n,nchw->chw", share, (samples - mean).square()) / max(1 - float(share @ share), 1e-9)
        found["spread"] = float(variance.sqrt().mean())
    if truth is None:
        return found
    one, average, known = (_pixels(value) for value in (samples[best:best + 1], mean, truth.clamp(-1, 1)))
    found |= {"psnr_db": metrics.psnr(one, known), "psnr_mean_db": metrics.psnr(average, known),
              "ssim": metrics.ssim(one, known), "ssim_mean": metrics.ssim(average, known),
              "spectral_error": metrics.spectral_error(one, known)}
    if len(samples) > 2:
        found["coverage"] = coverage(samples, truth, share)
    return found


def consistency(x: Tensor, y: Tensor, measurement: Measurement, noise: float) -> float:
    """With noise |y - H x| / (noise sqrt(m)), which should be near 1; without it |y - H x| / |y|, near 0."""
    missing = torch.linalg.vector_norm((y - measurement.H(x)).flatten(1), dim=1).mean()
    size = noise * math.sqrt(y[0].numel()) if noise > 0 else torch.linalg.vector_norm(y[:1])
    return float(missing / size)


def coverage(samples: Tensor, truth: Tensor, weights: Tensor | None = None) -> float:
    """Share of the pixels whose truth lies in the central 90 % interval of the samples; 0.9 is honest.

    samples: (N, *), N > 2; truth (1, *). Of few equal samples the interval is that of Student's t around their mean,
    which is honest for any number of normal samples; particles use their weighted mean and spread and effective number.
    """
    from scipy.stats import t as student

    share = torch.full((len(samples),), 1 / len(samples), dtype=torch.float64) if weights is None else weights.double()
    share = share / share.sum()
    effective = 1 / float(share @ share)
    if effective <= 1 + 1e-6:
        return float("nan")
    values = samples.double().flatten(1)
    mean = share @ values
    variance = share @ (values - mean).square() / (1 - 1 / effective)
    reach = student.ppf((1 + INTERVAL) / 2, max(effective - 1, 1e-3)) * math.sqrt(1 + 1 / effective)
    inside = (truth.double().flatten(1)[0] - mean).abs() <= reach * variance.sqrt()
    return float(inside.double().mean())


def _pixels(x: Tensor) -> np.ndarray:
    return ((x[0].permute(1, 2, 0).numpy() + 1) / 2).clip(0, 1)
