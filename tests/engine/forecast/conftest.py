"""A small invented record: damped waves on a small grid with a seasonal cycle, so that every law is known."""

import numpy as np
import pytest

from engine.io.fields import Field
from engine.tasks.forecast.data import Domain, prepare

DOMAIN = Domain("invented", "Invented waves", "invented", "air", "K", 24, 3, (24, 48, 72), "2006-01-01", 12,
                1e-3, 1, False, 1.0)


def _field(days: int = 2200, seed: int = 0) -> Field:
    """Six standing and travelling waves, an autoregression of order two each, over a seasonal mean; (days, 8, 12) K."""
    rng = np.random.default_rng(seed)
    lat, lon = np.linspace(30, 65, 8), np.linspace(-60, -5, 12)
    y, x = np.meshgrid(np.arange(8), np.arange(12), indexing="ij")
    waves = [f(2 * np.pi * (k * x / 12 + n * y / 16)) for k in (1, 2, 3) for n in (1, 2) for f in (np.sin, np.cos)]
    numbers = np.zeros((days, len(waves)))
    for day in range(2, days):
        numbers[day] = 1.2 * numbers[day - 1] - 0.45 * numbers[day - 2] + rng.standard_normal(len(waves))
    times = np.datetime64("2001-01-01", "s") + np.arange(days) * np.timedelta64(86400, "s")
    year = 2 * np.pi * np.arange(days) / 365.2425
    values = 280 - 10 * np.cos(year)[:, None, None] + np.tensordot(numbers, np.stack(waves), 1)
    return Field(values.astype(np.float32), times, lat, lon, "K", "air")


@pytest.fixture(scope="session")
def record():
    return prepare(_field(), DOMAIN)
