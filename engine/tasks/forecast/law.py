"""What the linear inverse model that is stored with the weights knows in closed form: means, spreads, memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engine.tasks.forecast.climate import Climate
from engine.tasks.forecast.sampling import climate_of, space_of
from engine.tasks.forecast.space import Space

_DOUBLINGS = 14
"""The stationary covariance is summed over 2**14 steps; models forget within hundreds."""


@dataclass(frozen=True)
class Law:
    """z(t+1) = [z(t), z(t-1)] transition + eta noise, eta ~ N(0, I), and what states mean on maps.

    transition (2K, K), noise (K, K). Maps are anomalies of an average season, in the field's unit.
    """

    climate: Climate
    space: Space
    transition: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, network: Any) -> "Law":
        """The law that a `Forecaster` holds."""
        space = space_of(network)
        transition, noise = (getattr(network, name).double().numpy().reshape(-1, width)
                             for name, width in (("transition", network.components), ("noise", len(space.roots))))
        return cls(climate_of(network), space, transition, noise @ space.patterns.T / space.scales)

    @cached_property
    def _maps(self) -> np.ndarray:
        """(K, P): what one unit of each component is on the map."""
        return self.space.scales[:, None] * self.space.patterns / self.space.roots

    @cached_property
    def usual(self) -> np.ndarray:
        """Standard deviation (lat, lon) of anomalies over the fitted record, whose components are uncorrelated."""
        return self._shaped(np.sqrt(np.square(self._maps).sum(0)))

    def _shaped(self, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(*flat.shape[:-1], *self.space.shape)

    def series(self, eta: np.ndarray) -> np.ndarray:
        """States (T, K) that white noise eta (T, K) makes, from the mean on."""
        components = eta.shape[1]
        past, found = np.zeros(2 * components), []
        for shock in eta @ self.noise:
            state = past @ self.transition + shock
            past = np.concatenate((state, past[:components]))
            found.append(state)
        return np.stack(found)

    def forecast(self, past: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Mean and standard deviation (lat, lon) of the anomalies 1, 2, ... steps after past (2, K), newest first."""
        components = past.shape[1]
        flat, responses = past.reshape(-1), [np.zeros((components,) * 2), self.noise]
        variance = np.zeros(self._maps.shape[1])
        while True:
            state = flat @ self.transition
            flat = np.concatenate((state, flat[:components]))
            variance = variance + np.square(responses[-1] @ self._maps).sum(0)
            yield self._shaped(state @ self._maps), self._shaped(np.sqrt(variance))
            responses = [responses[-1], np.concatenate((responses[-1], responses[-2]), 1) @ self.transition]

    def memory(self) -> Iterator[np.ndarray]:
        """Correlation (lat, lon) of each place with itself 1, 2, ... steps later, in the stationary law."""
        components = len(self.noise)
        step = np.zeros((2 * components,) * 2)
        step[:, :components] = self.transition
        step[:components, components:] = np.eye(components)
        pushed = np.zeros_like(step)
        pushed[:components, :components] = self.noise.T @ self.noise
        covariance, power = pushed, step
        for _ in range(_DOUBLINGS):
            covariance = covariance + power.T @ covariance @ power
            power = power @ power
            if np.abs(power).max() < 1e-9:
                break
        lagged = covariance[:components]
        variance = self._local(lagged[:, :components])
        while True:
            lagged = lagged @ step
            yield self._shaped(np.clip(self._local(lagged[:, :components]) / variance, 0, 1))

    def _local(self, covariance: np.ndarray) -> np.ndarray:
        return (self._maps * (covariance @ self._maps)).sum(0)
