"""Verification of ensembles of maps, weighted by area: accuracy, calibration and structure.

Shapes: members (N, M, lat, lon) and truth (N, lat, lon) for N forecasts of one lead; weights (lat,), mean 1.
"""

import numpy as np


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights[:, None]).mean(dtype=np.float64))


def rmse(mean: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Root of the mean squared error over forecasts and area, the root taken last; mean (N, lat, lon)."""
    return _mean((mean - truth) ** 2, weights) ** 0.5


def fair_crps(members: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Continuous ranked probability score, unbiased for any number of members (Ferro, 2014); one member gives the MAE.

    mean |x_m - y| - sum_k (2k - M - 1) x_(k) / (M (M - 1)), with x_(k) in rising order.
    """
    error = np.abs(members - truth[:, None]).mean(1)
    count = members.shape[1]
    if count > 1:
        ranks = (2 * np.arange(1, count + 1) - count - 1) / (count * (count - 1))
        error = error - np.tensordot(np.sort(members, 1), ranks, (1, 0))
    return _mean(error, weights)


def gaussian_crps(mean: np.ndarray, spread: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """CRPS of N(mean, spread^2) at each place, in closed form."""
    from scipy.stats import norm

    z = (truth - mean) / spread
    return spread * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - np.pi**-0.5)


def spread_skill(members: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Spread over the error of the mean, corrected for M members: 1 when calibrated, below when too sure."""
    count = members.shape[1]
    spread = _mean(members.var(1, ddof=1), weights) ** 0.5
    return ((count + 1) / count) ** 0.5 * spread / rmse(members.mean(1), truth, weights)


def rank_histogram(members: np.ndarray, truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """Share (M + 1,) of places and forecasts with 0, 1, ... M members below the truth, ties at random; flat is good."""
    ties = (members == truth[:, None]).sum(1)
    ranks = (members < truth[:, None]).sum(1) + np.random.default_rng(seed).integers(0, ties + 1)
    return np.bincount(ranks.ravel(), minlength=members.shape[1] + 1) / ranks.size


def outer_ranks(members: np.ndarray, truth: np.ndarray) -> float:
    """How often the truth lies outside all members, over the 2 / (M + 1) of a calibrated ensemble."""
    histogram = rank_histogram(members, truth)
    return float((histogram[0] + histogram[-1]) * len(histogram) / 2)


def energy_score(members: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Fair energy score of whole maps (Gneiting and Raftery, 2007): distances are area-weighted root mean squares."""
    count, scores = members.shape[1], []
    roots = np.sqrt(weights / weights.sum() / truth.shape[-1])[:, None]
    for ensemble, real in zip(members * roots, truth * roots):
        flat = ensemble.reshape(count, -1).astype(np.float64)
        score = np.linalg.norm(flat - real.reshape(-1), axis=1).mean()
        if count > 1:
            squares = (flat**2).sum(1)
            apart = np.sqrt((squares[:, None] + squares - 2 * flat @ flat.T).clip(0))
            np.fill_diagonal(apart, 0)
            score -= apart.sum() / (2 * count * (count - 1))
        scores.append(score)
    return float(np.mean(scores))


def zonal_power(maps: np.ndarray) -> np.ndarray:
    """Mean power (wavenumbers,) of maps (*, lat, lon) along latitude circles, without the mean; ends are tapered."""
    taper = np.hanning(maps.shape[-1] + 2)[1:-1]
    centred = maps - maps.mean(-1, keepdims=True)
    power = np.abs(np.fft.rfft(centred * taper)) ** 2
    return power.reshape(-1, power.shape[-1]).mean(0)[1:]


def spectrum_ratio(members: np.ndarray, truth: np.ndarray) -> float:
    """Power of single members over the truth's in the shorter half of the waves: below 1 is too smooth."""
    ours, real = zonal_power(members), zonal_power(truth)
    short = slice(len(real) // 2, None)
    return float(ours[short].sum() / real[short].sum())


def scores(members: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """All of the above for one lead. A single member has no spread and no ranks."""
    found = {"rmse": rmse(members.mean(1), truth, weights), "crps": fair_crps(members, truth, weights)}
    if members.shape[1] > 1:
        found |= {"spread_skill": spread_skill(members, truth, weights), "outer_ranks": outer_ranks(members, truth)}
    return found | {"energy": energy_score(members, truth, weights), "spectrum": spectrum_ratio(members, truth)}
