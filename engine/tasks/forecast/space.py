"""Empirical orthogonal functions: maps as a few uncorrelated numbers of unit variance."""

from dataclasses import dataclass

import numpy as np


def area_weights(lat: np.ndarray) -> np.ndarray:
    """Weight of each latitude (lat,), mean 1: the cosine, which suits a region (cell areas reach to the poles)."""
    weights = np.cos(np.deg2rad(lat))
    return weights / weights.mean()


@dataclass(frozen=True)
class Space:
    """Leading principal components of anomalies.

    patterns (K, P): orthonormal; scales (K,): standard deviation of each component; roots (P,): what anomalies are
    multiplied with before they are projected, the root of the area weights over a power of the local deviation.
    """

    patterns: np.ndarray
    scales: np.ndarray
    roots: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def fit(cls, anomalies: np.ndarray, lat: np.ndarray, components: int, levelling: float = 0.0) -> "Space":
        """Of anomalies (N, lat, lon), N > components.

        levelling: power of the local standard deviation that is divided out, 0 to 1. With 0 the components hold most
        of the variance, and next to nothing of places where little happens: ensembles are too sure there.
        """
        shape = anomalies.shape[1:]
        local = anomalies.reshape(len(anomalies), -1).std(0)
        roots = np.repeat(np.sqrt(area_weights(lat)), shape[1]) * (local / local.mean()) ** -levelling
        weighted = anomalies.reshape(len(anomalies), -1) * roots
        _, values, patterns = np.linalg.svd(weighted, full_matrices=False)
        return cls(patterns[:components], values[:components] / np.sqrt(len(anomalies)), roots, shape)

    def states(self, anomalies: np.ndarray) -> np.ndarray:
        """(*, lat, lon) -> (*, K), unit variance over the fitted record."""
        flat = anomalies.reshape(*anomalies.shape[:-2], -1)
        return (flat * self.roots) @ self.patterns.T / self.scales

    def anomalies(self, states: np.ndarray) -> np.ndarray:
        """(*, K) -> (*, lat, lon); what the patterns do not span is lost."""
        flat = (states * self.scales) @ self.patterns / self.roots
        return flat.reshape(*states.shape[:-1], *self.shape)
