"""Power spectra of pictures, and how much of each frequency the best linear denoiser recovers at each noise level.

A power spectrum is a function of the radial frequency in cycles per pixel. Powers are normalised so that white noise of
variance v has power v at every frequency. Wiener's filter is the reading of denoising networks in Spectral Diffusion
(Yang et al., CVPR 2023, arXiv 2211.17106): with x_t = alpha x0 + sigma eps and power S it passes
alpha S / (alpha^2 S + sigma^2) of x_t, so what is weak in pictures, their fine detail, comes last.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor


def radial_power(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (K,) in cycles per pixel and the mean power (..., K) at each of them, of fields (..., H, W).

    The mean is taken off, a Hann window applied, and the power averaged over rings one cycle per shorter side wide,
    from one cycle up to half a cycle per pixel. The mean takes a part of the first ring with it.
    """
    height, width = field.shape[-2:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    mean = np.sum(window * field, (-2, -1), keepdims=True) / window.sum()
    power = np.abs(np.fft.fft2(window * (field - mean))) ** 2 / np.sum(window**2)
    shorter = min(height, width)
    ring = np.rint(shorter * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    edges = np.searchsorted(ring[order], np.arange(1, shorter // 2 + 2))
    sums = np.add.reduceat(power.reshape(*field.shape[:-2], -1)[..., order], np.minimum(edges, ring.size - 1), -1)
    return np.arange(1, shorter // 2 + 1) / shorter, sums[..., :-1] / np.diff(edges)


def brightness(pictures: Tensor) -> np.ndarray:
    """The channels of pictures (B, C, H, W) added with equal weights 1 / sqrt(C), (B, H, W) float64.

    The weights have length 1, so that noise of variance v per channel has power v here as well.
    """
    return pictures.detach().cpu().double().sum(1).numpy() / pictures.shape[1] ** 0.5


def mean_power(pictures: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (K,) and the power (K,) of the brightness, mean over pictures (B, C, H, W)."""
    frequency, power = radial_power(brightness(pictures))
    return frequency, power.mean(0)


def gaussian_power(directions: Tensor, variances: Tensor, rest: float,
                   shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (K,) and the expected power (K,) of a Gaussian law of pictures (C, H, W) = shape about its mean.

    directions (C H W, N): orthonormal principal components of variances (N,); rest: the variance of every other
    direction. Where the mean takes a part of the first ring, the rest's share in that part is not taken off.
    """
    weight = (variances.double() - rest).clamp(min=0).sqrt()
    frequency, power = radial_power(brightness((directions.double() * weight).T.reshape(-1, *shape)))
    return frequency, power.sum(0) + rest


def wiener_gain(power: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """What the best linear denoiser multiplies each frequency of x_t with: alpha S / (alpha^2 S + sigma^2)."""
    return alpha * power / (alpha**2 * power + sigma**2)


def recovered_share(power: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """Share of the clean power that the best linear estimate has, 0 to 1: alpha^2 S / (alpha^2 S + sigma^2).

    Any posterior mean, linear or not, has 1 minus its relative squared error of it.
    """
    return alpha * wiener_gain(power, alpha, sigma)


def recovered_up_to(frequency: np.ndarray, share: np.ndarray, least: float = 0.5) -> float | None:
    """The frequency below which the share (K,) is never under `least`, linear between the logarithms of two rings.

    None when the first ring has less, the last frequency when every ring has as much.
    """
    below = np.flatnonzero(~(share >= least))
    if not below.size:
        return float(frequency[-1])
    after = int(below[0])
    if after == 0:
        return None
    high, low = share[after - 1], share[after]
    part = (high - least) / (high - low)
    return float(frequency[after - 1] * (frequency[after] / frequency[after - 1]) ** part)


def power_error(first: np.ndarray, second: np.ndarray, frequency: np.ndarray, high_only: bool = False) -> float:
    """Mean over frequencies of |log10 first - log10 second| of two powers (K,); 0.3 is a factor of two.

    high_only: the top third of the frequencies alone.
    """
    gap = np.abs(np.log10(first) - np.log10(second))
    return float(gap[frequency > 1 / 3].mean() if high_only else gap.mean())
