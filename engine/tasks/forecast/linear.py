"""The linear inverse model: a lag regression of the next state on two successive ones, and the law of its errors."""

from dataclasses import dataclass

import numpy as np

from engine.tasks.forecast.climate import Climate
from engine.tasks.forecast.space import Space

LAGS = 2
_FOLDS = 8


@dataclass(frozen=True)
class Linear:
    """z(t+1) = [z(t), z(t-1)] transition + eta noise, eta ~ N(0, I) (Penland and Sardeshmukh, 1995, with two lags).

    transition (2K, K). noise (K, K): row k is the k-th principal pattern of the one-step error, largest first in the
    unit of the field, times its standard deviation.
    """

    climate: Climate
    space: Space
    transition: np.ndarray
    noise: np.ndarray

    def mean(self, past: np.ndarray) -> np.ndarray:
        """Expected next state (*, K) from past (*, 2, K), the newest state first."""
        return past.reshape(*past.shape[:-2], -1) @ self.transition


def pairs(states: np.ndarray, whole: np.ndarray, lead: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Past states (N, 2, K), the newest first, the states `lead` steps later (N, K), and the index of the newest.

    whole (T,) bool: times that may be used; a case is used when its past and its future are.
    """
    now = np.arange(LAGS - 1, len(states) - lead)
    used = whole[now + lead]
    for lag in range(LAGS):
        used &= whole[now - lag]
    now = now[used]
    return np.stack([states[now - lag] for lag in range(LAGS)], axis=1), states[now + lead], now


def regress(past: np.ndarray, future: np.ndarray, scales: np.ndarray, ridge: float) -> np.ndarray:
    """Transition (2K, K) by ridge regression that is drawn towards each component's own damped persistence.

    A Bayesian vector autoregression with a Minnesota prior (Litterman, 1986): the prior mean is the regression of each
    component on its own two past values; the prior variance of a coefficient is proportional to the variance of the
    component that it multiplies, so that the many small ones cannot fit noise.
    """
    count, _, components = past.shape
    own = np.zeros((LAGS * components, components))
    gram = np.einsum("nik,njk->kij", past, past)
    told = np.einsum("nik,nk->ki", past, future)
    index = np.arange(components)
    for lag, coefficients in enumerate(np.linalg.solve(gram, told[..., None])[..., 0].T):
        own[lag * components + index, index] = coefficients
    flat = past.reshape(count, -1)
    penalty = ridge * count * np.tile((scales[0] / scales) ** 2, LAGS)
    return own + np.linalg.solve(flat.T @ flat + np.diag(penalty), flat.T @ (future - flat @ own))


def held_out_errors(past: np.ndarray, future: np.ndarray, scales: np.ndarray, ridge: float) -> np.ndarray:
    """One-step errors (N, K) of models that did not see the case: eight contiguous parts of the record in turn.

    Errors on the fitted cases are too small, and an ensemble made from them would be too sure.
    """
    errors = np.empty_like(future)
    for part in np.array_split(np.arange(len(past)), _FOLDS):
        seen = np.ones(len(past), bool)
        # Neighbours in time are nearly copies of the part's ends.
        seen[max(part[0] - LAGS * 4, 0):part[-1] + 1 + LAGS * 4] = False
        transition = regress(past[seen], future[seen], scales, ridge)
        errors[part] = future[part] - past[part].reshape(len(part), -1) @ transition
    return errors


def noise_patterns(errors: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(K, K) such that eta @ patterns, eta ~ N(0, I), has the covariance of the errors (N, K); see `Linear.noise`."""
    physical = errors * scales
    variances, vectors = np.linalg.eigh(physical.T @ physical / len(errors))
    order = np.argsort(variances)[::-1]
    return np.sqrt(variances[order].clip(0))[:, None] * vectors[:, order].T / scales


def fit(values: np.ndarray, times: np.ndarray, lat: np.ndarray, whole: np.ndarray, *, components: int, ridge: float,
        annual: int, hourly: bool, trust: float, levelling: float = 0.0) -> tuple[Linear, np.ndarray, np.ndarray]:
    """The model of a record (T, lat, lon), fitted where `whole`; the states (T, K) of all; held-out errors (N, K).

    The errors belong to the cases of `pairs(states, whole)`. components, levelling: see `Space.fit`; ridge: `regress`;
    annual, hourly, trust: `Climate.fit`.
    """
    climate = Climate.fit(values[whole], times[whole], annual, hourly, trust)
    anomalies = climate.anomalies(values, times)
    space = Space.fit(anomalies[whole], lat, components, levelling)
    states = space.states(anomalies)
    past, future, _ = pairs(states, whole)
    errors = held_out_errors(past, future, space.scales, ridge)
    noise = noise_patterns(errors, space.scales)
    return Linear(climate, space, regress(past, future, space.scales, ridge), noise), states, errors
