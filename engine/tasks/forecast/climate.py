"""The climatology: what a field is like at a time of the year and an hour of the day, before any forecast."""

from dataclasses import dataclass

import numpy as np

_YEAR_DAYS = 365.2425


def phases(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time of the year and of the day of datetime64 times (any shape), UTC, as angles in [0, 2 pi)."""
    days = (times - times.astype("datetime64[Y]")) / np.timedelta64(1, "s") / 86400
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "s") / 3600
    return 2 * np.pi * days / _YEAR_DAYS, 2 * np.pi * hours / 24


def harmonics(times: np.ndarray, annual: int, hourly: bool) -> np.ndarray:
    """(N, F): 1, sines and cosines of `annual` harmonics of the year; hourly: also of two of the day, by season.

    The second harmonic of the day has its cosine alone: at four times a day its sine is zero.
    """
    year, day = phases(times)
    waves = [np.ones_like(year)] + [wave(k * year) for k in range(1, annual + 1) for wave in (np.sin, np.cos)]
    if hourly:
        season = waves[0], np.sin(year), np.cos(year)
        waves += [first * second for first in (np.sin(day), np.cos(day), np.cos(2 * day)) for second in season]
    return np.stack(waves, axis=-1)


@dataclass(frozen=True)
class Climate:
    """Smooth climatology of a field, in its unit.

    mean (F, lat, lon): coefficients of `harmonics`; season (2, lat, lon): sine and cosine of the year in the logarithm
    of the anomalies' standard deviation, so that winter storms and summer calm become comparable.
    """

    mean: np.ndarray
    season: np.ndarray
    annual: int
    hourly: bool

    @classmethod
    def fit(cls, values: np.ndarray, times: np.ndarray, annual: int, hourly: bool, trust: float) -> "Climate":
        """Least squares on values (N, lat, lon). trust: share of the estimated seasonal change of spread that is used.

        The seasonal spread is estimated from the logarithms of squared anomalies; short records exaggerate it.
        """
        flat = values.reshape(len(values), -1).astype(np.float64)
        waves = harmonics(times, annual, hourly)
        mean = np.linalg.lstsq(waves, flat, rcond=None)[0]
        squares = (flat - waves @ mean) ** 2
        # A thousandth of the mean variance keeps zeros out of the logarithm.
        logs = np.log(squares + 1e-3 * squares.mean(0))
        season = np.linalg.lstsq(harmonics(times, 1, False), logs, rcond=None)[0][1:]
        shape = values.shape[1:]
        return cls(mean.reshape(-1, *shape), (trust * season / 2).reshape(2, *shape), annual, hourly)

    def mean_at(self, times: np.ndarray) -> np.ndarray:
        """Climatological mean (*times, lat, lon)."""
        return np.tensordot(harmonics(times, self.annual, self.hourly), self.mean, 1)

    def swing(self, times: np.ndarray) -> np.ndarray:
        """Spread relative to that of the whole year (*times, lat, lon), about 1."""
        return np.exp(np.tensordot(harmonics(times, 1, False)[..., 1:], self.season, 1))

    def anomalies(self, values: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Values (*times, lat, lon) less the mean, over the swing: anomalies as of an average season, same unit."""
        return (values - self.mean_at(times)) / self.swing(times)

    def fields(self, anomalies: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The inverse of `anomalies`."""
        return anomalies * self.swing(times) + self.mean_at(times)
