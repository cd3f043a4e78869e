"""The known-answer world as a record: a simulated history of Rossby waves, and the linear model in its harmonics."""

import numpy as np

from engine.io.fields import Field
from engine.tasks.forecast.climate import Climate
from engine.tasks.forecast.data import Domain, Record, split
from engine.tasks.forecast.linear import LAGS, Linear, pairs
from engine.tasks.forecast.space import Space
from engine.tasks.forecast.sphere import STEP_HOURS, RossbyWaves

_FIRST = np.datetime64("2001-01-01", "s")
_TRAINED, _JUDGED = 5000, 1000
WORLD = RossbyWaves()
SPHERE = Domain("sphere", "Rossby waves on the sphere, an invented world", "", "wave", "1", STEP_HOURS, 40,
                (6, 24, 72, 120, 240), str(_FIRST + _TRAINED * np.timedelta64(STEP_HOURS * 3600, "s")),
                (WORLD.sphere.highest + 1) ** 2 - 1, 0.0, 0, False, 0.0)


def history(seed: int = 0) -> Record:
    """6000 steps of 6 h, the last 1000 for validation; climatology 0, the linear model of `in_harmonics`."""
    coefficients = WORLD.states(_TRAINED + _JUDGED, seed)
    times = _FIRST + np.arange(len(coefficients)) * np.timedelta64(STEP_HOURS * 3600, "s")
    values = WORLD.sphere.synthesis(coefficients).astype(np.float32)
    field = Field(values, times, WORLD.sphere.lat, WORLD.sphere.lon, SPHERE.unit, SPHERE.variable)
    training, judged = split(times, SPHERE)
    model, states = in_harmonics(coefficients, training)
    past, future, _ = pairs(states, training)
    return Record(SPHERE, field, training, judged, model, states, future - model.mean(past))


def in_harmonics(coefficients: np.ndarray, training: np.ndarray) -> tuple[Linear, np.ndarray]:
    """The linear inverse model with one complex factor per harmonic, and the states (T, K) of a history (T, l, m).

    On a sphere without coasts the law is the same at all longitudes, so that waves of different order cannot be
    coupled: the regression falls apart into harmonics. Degrees share one error variance.
    """
    size = coefficients.shape[-1]
    degree, order = np.tril_indices(size)
    kept = degree > 0
    degree, order = degree[kept], order[kept]
    series = coefficients[:, degree, order]
    then = np.flatnonzero(training[:-1] & training[1:])
    before, after = series[then], series[then + 1]
    power = (np.abs(before) ** 2).mean(0)
    factor = (after * before.conj()).mean(0) / power
    left = (np.abs(after - factor * before) ** 2).mean(0)

    def shared(variance: np.ndarray) -> np.ndarray:
        return np.array([variance[degree == n].mean() for n in range(size)[1:]])[degree - 1]

    parts = np.concatenate((np.arange(len(degree)), np.flatnonzero(order > 0)))
    imaginary = np.arange(len(parts)) >= len(degree)
    units = np.zeros((len(parts), size, size), complex)
    units[np.arange(len(parts)), degree[parts], order[parts]] = np.where(imaginary, 1j, 1)
    sphere = WORLD.sphere
    roots = np.repeat(np.sqrt(sphere.weights), sphere.columns)
    patterns = sphere.synthesis(units).reshape(len(parts), -1) * roots
    lengths = np.linalg.norm(patterns, axis=1)
    # A real coefficient (order 0) holds the whole power of its harmonic, the two parts of a complex one half each.
    share = np.where(order[parts] > 0, 0.5, 1.0)
    deviation = np.sqrt(shared(power)[parts] * share)
    space = Space(patterns / lengths[:, None], deviation * lengths, roots, (sphere.rows, sphere.columns))
    raw = np.where(imaginary, series[:, parts].imag, series[:, parts].real)
    transition = np.concatenate((_turns(factor, parts, imaginary), *[np.zeros((len(parts),) * 2)] * (LAGS - 1)))
    sizes = np.sqrt(shared(left)[parts] * share)
    order_of_noise = np.argsort(-sizes * lengths, kind="stable")
    noise = np.diag(sizes / deviation)[order_of_noise]
    climate = Climate(np.zeros((1, sphere.rows, sphere.columns)), np.zeros((2, sphere.rows, sphere.columns)), 0, False)
    return Linear(climate, space, transition, noise), raw / deviation


def _turns(factor: np.ndarray, parts: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    """(K, K) acting on rows of real and imaginary parts as the complex factors do on coefficients."""
    found = np.diag(factor[parts].real)
    sines = np.flatnonzero(imaginary)
    cosines = parts[sines]
    found[sines, cosines], found[cosines, sines] = -factor[cosines].imag, factor[cosines].imag
    return found
