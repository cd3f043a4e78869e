"""Classical guesses of the slice after contrast, each fitted on the patients that are learned from.

All take the slice before contrast, float (H, W) in [0, BRIGHTEST], and give one after contrast of the same kind.
"""

from collections.abc import Callable, Sequence

import numpy as np

from engine.tasks.contrast.data import BRIGHTEST, Case

Guess = Callable[[np.ndarray], np.ndarray]

_GAMMAS = np.linspace(0.5, 2.0, 31)
_SIGMAS_PX = (1.0, 2.0, 4.0, 8.0)
_RIDGE = 1e-3
_EVERY = 7
"""Share of the pixels that is fitted to, one in so many: neighbours tell the same."""


def identity(before: np.ndarray) -> np.ndarray:
    """No enhancement anywhere."""
    return before


def gamma(train: Sequence[Case]) -> Guess:
    """a v^g + b within the head, least squares over a, b and 31 exponents g."""
    before, after = _pixels(train, lambda values: values[..., None])
    fits = [_fit(np.column_stack((before[:, 0] ** g, np.ones(len(before)))), after, 0.0) for g in _GAMMAS]
    best = int(np.argmin([error for _, error in fits]))
    (slope, offset), exponent = fits[best][0], _GAMMAS[best]
    return lambda values: _within(values, slope * values ** exponent + offset)


def regression(train: Sequence[Case]) -> Guess:
    """Ridge regression per pixel on `features`, standardised."""
    values, after = _pixels(train, features)
    mean, deviation = values.mean(0), values.std(0) + 1e-9

    def design(found: np.ndarray) -> np.ndarray:
        standard = (found - mean) / deviation
        return np.concatenate((standard, np.ones_like(standard[..., :1])), axis=-1)

    weights, _ = _fit(design(values), after, _RIDGE)
    return lambda before: _within(before, design(features(before)) @ weights)


def features(before: np.ndarray) -> np.ndarray:
    """(H, W, 11) of a slice: v, v^2, local means and deviations at 1, 2, 4 and 8 px, and the slope at 1 px."""
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    means = [gaussian_filter(before, sigma) for sigma in _SIGMAS_PX]
    squares = [gaussian_filter(before ** 2, sigma) for sigma in _SIGMAS_PX]
    deviations = [np.sqrt(np.maximum(square - mean ** 2, 0)) for square, mean in zip(squares, means)]
    return np.stack([before, before ** 2, *means, *deviations, gaussian_gradient_magnitude(before, 1.0)], axis=-1)


def fitted(train: Sequence[Case]) -> dict[str, Guess]:
    """All of them by name."""
    return {"no change": identity, "affine and gamma": gamma(train), "ridge per pixel": regression(train)}


def _pixels(train: Sequence[Case], of: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, F) and values after contrast (N,), float64, of every seventh pixel of the heads."""
    parts = [(of(np.float64(case.before))[case.before > 0][::_EVERY], case.after[case.before > 0][::_EVERY])
             for case in train]
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts]).astype(np.float64)


def _fit(design: np.ndarray, wanted: np.ndarray, ridge: float) -> tuple[np.ndarray, float]:
    """Weights of least squares with a ridge (relative to the number of rows), and the mean squared error."""
    normal = design.T @ design + ridge * len(design) * np.eye(design.shape[1])
    weights = np.linalg.solve(normal, design.T @ wanted)
    return weights, float(np.mean((design @ weights - wanted) ** 2))


def _within(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Outside of the head nothing changes."""
    return np.float32(np.where(before > 0, np.clip(after, 0, BRIGHTEST), before))
