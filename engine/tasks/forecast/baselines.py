"""What a forecast has to beat: climatology, persistence, damped persistence, analogs, and the linear inverse model.

Each gives members (N, M, lat, lon), in the field's unit, `lead` steps after the starts (N,), which index the record.
All are fitted on the training part alone.
"""

from collections.abc import Iterator

import numpy as np

from engine.tasks.forecast.climate import phases
from engine.tasks.forecast.data import Record
from engine.tasks.forecast.linear import LAGS, pairs

_SEASON_DAYS = 45
_LEADING = 20
"""Components that analogs are compared in; further ones are noise to that purpose."""


def climatology(record: Record, starts: np.ndarray, lead: int, members: int, rng: np.random.Generator) -> np.ndarray:
    """Anomalies of training times within 45 days of the season, around the climatological mean."""
    anomalies, times = _anomalies(record), record.field.times
    pool = np.flatnonzero(record.training)
    return _fields(record, np.stack([anomalies[rng.choice(pool[_near(times[pool], times[start + lead])], members)]
                                     for start in starts]), starts + lead)


def persistence(record: Record, starts: np.ndarray, lead: int) -> np.ndarray:
    """The map of the start itself, as one member."""
    return record.field.values[starts][:, None]


def damped_persistence(record: Record, starts: np.ndarray, lead: int, members: int,
                       rng: np.random.Generator) -> np.ndarray:
    """Each place's anomaly times its lag regression, with whole maps of training errors as spread."""
    anomalies, training = _anomalies(record), record.training
    then = np.flatnonzero(training[:-lead] & training[lead:])
    kept = (anomalies[then] * anomalies[then + lead]).mean(0) / (anomalies[then] ** 2).mean(0)
    errors = anomalies[then + lead] - kept * anomalies[then]
    drawn = errors[rng.integers(len(errors), size=(len(starts), members))]
    return _fields(record, kept * anomalies[starts][:, None] + drawn, starts + lead)


def analogs(record: Record, starts: np.ndarray, lead: int, members: int) -> np.ndarray:
    """What followed the training states nearest to the last two, within 45 days of the season."""
    anomalies, times = _anomalies(record), record.field.times
    weighted = (record.states * record.model.space.scales)[:, :_LEADING]
    past, _, now = pairs(weighted, record.training, lead)
    found = []
    for start in starts:
        wanted = np.stack([weighted[start - lag] for lag in range(LAGS)])
        distance = ((past - wanted) ** 2).sum((1, 2))
        distance[~_near(times[now], times[start])] = np.inf
        found.append(anomalies[now[np.argpartition(distance, members)[:members]] + lead])
    return _fields(record, np.stack(found), starts + lead)


def linear_inverse(record: Record, starts: np.ndarray, steps: int, members: int,
                   rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The linear inverse model, iterated with its own noise: members at 1, 2, ... `steps` steps in turn."""
    model, states = record.model, record.states
    past = np.stack([states[starts - lag] for lag in range(LAGS)], 1)[:, None].repeat(members, 1)
    for step in range(1, steps + 1):
        state = model.mean(past)
        state = state + rng.standard_normal(state.shape) @ model.noise
        past = np.concatenate((state[..., None, :], past[..., :-1, :]), axis=-2)
        yield _fields(record, model.space.anomalies(state), starts + step)


def _anomalies(record: Record) -> np.ndarray:
    return record.model.climate.anomalies(record.field.values, record.field.times)


def _fields(record: Record, anomalies: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N, M, lat, lon) in the field's unit from anomalies at the N times."""
    climate, times = record.model.climate, record.field.times[at]
    return (anomalies * climate.swing(times)[:, None] + climate.mean_at(times)[:, None]).astype(np.float32)


def _near(times: np.ndarray, wanted: np.datetime64) -> np.ndarray:
    """Which times lie within 45 days of the wanted time's season, and at its hour."""
    year, day = phases(times)
    wanted_year, wanted_day = phases(np.asarray(wanted))
    apart = np.abs((year - wanted_year + np.pi) % (2 * np.pi) - np.pi)
    return (apart <= 2 * np.pi * _SEASON_DAYS / 365.2425) & (np.abs(day - wanted_day) < 1e-6)
