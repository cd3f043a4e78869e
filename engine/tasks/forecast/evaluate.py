"""The models beside the classical methods, in one run: all fitted on training years, judged on later ones."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from engine.rng import Rng
from engine.tasks.forecast import baselines, metrics, storms, world
from engine.tasks.forecast.data import DOMAINS, Domain, Record, prepare, read, starts
from engine.tasks.forecast.linear import LAGS
from engine.tasks.forecast.sampling import Emulator, climate_of, emulator, space_of
from engine.tasks.forecast.space import area_weights

MEMBERS = 20
_ROWS = 200
"""Members of all starts that are computed at once: what the processor's cache likes."""
_STARTS = 100
_STORM_LEADS = 3


def evaluate(data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Rows per record (two of weather, and the known-answer world), lead and method.

    Up to `limit` starts (100 without it) are taken, evenly spaced over the validation part.

    rmse of the mean and fair crps, in hPa or K; spread_skill (1 is calibrated); outer_ranks: how often the truth lies
    outside all members, over what it should be; energy: energy score; spectrum: power of members in short waves over
    the truth's; seconds: for all members of one start up to the longest lead. Where the folder has best tracks of
    storms, also track_error in km, and followed: the share of members whose low is still there. A model that is not
    shipped has one row that says so.
    """
    from engine import models

    rows = []
    for make in (*(partial(_read, data, domain) for domain in DOMAINS.values()), world.history):
        record = make()
        name = f"forecast_{record.domain.name}"
        ours = emulator(models.load(name)) if name in models.names() else None
        at = starts(record, record.domain.steps, _STARTS if limit is None else limit)
        rows += judged(record, at, ours)
        if ours is None:
            rows.append({"record": record.domain.name, "method": "ours: the model is not shipped"})
        if record.domain.name == "pressure":
            rows += _cyclones(record, data, ours)
        if record.domain is world.SPHERE:
            rows += [_optimal(lead // record.domain.step_hours, len(at)) for lead in record.domain.report_hours]
    return rows


def _read(data: str | Path, domain: Domain) -> Record:
    return prepare(read(data, domain), domain)


def _cyclones(record: Record, data: str | Path, ours: Emulator | None) -> list[dict[str, Any]]:
    """Rows of storms that were on the map at the start; see `storms.rows`."""
    found = storms.cases(record, storms.read(data), _STORM_LEADS)
    if not found:
        return []
    at, rng = np.array([now for now, _ in found]), np.random.default_rng(0)
    ensembles = {"linear inverse model": list(baselines.linear_inverse(record, at, _STORM_LEADS, MEMBERS, rng))}
    if ours is not None:
        ensembles["ours"] = list(ensemble(ours, record, at, _STORM_LEADS, MEMBERS))
    return storms.rows(record, found, ensembles)


def _optimal(lead: int, count: int) -> dict[str, Any]:
    """The row of the forecast that cannot be beaten, in closed form."""
    return {"record": world.SPHERE.name, "lead_h": lead * world.SPHERE.step_hours, "method": "optimal (closed form)",
            "unit": world.SPHERE.unit, "rmse": round(world.WORLD.optimal_rmse(lead), 4),
            "crps": round(world.WORLD.optimal_crps(lead), 4), "spread_skill": 1.0, "outer_ranks": 1.0, "spectrum": 1.0,
            "starts": count}


def judged(record: Record, at: np.ndarray, ours: Emulator | None) -> list[dict[str, Any]]:
    """One row per lead and method for forecasts from the times with indices `at` (N,)."""
    domain, rng = record.domain, np.random.default_rng(0)
    weights = area_weights(record.field.lat)
    leads = [hours // domain.step_hours for hours in domain.report_hours]
    iterated = {"linear inverse model": dict(_timed(baselines.linear_inverse(record, at, max(leads), MEMBERS, rng)))}
    if ours is not None:
        iterated["ours"] = dict(_timed(ensemble(ours, record, at, max(leads), MEMBERS)))
    rows = []
    for lead in leads:
        methods = {"climatology": lambda lead=lead: baselines.climatology(record, at, lead, MEMBERS, rng),
                   "persistence": lambda lead=lead: baselines.persistence(record, at, lead),
                   "damped persistence": lambda lead=lead: baselines.damped_persistence(record, at, lead, MEMBERS, rng),
                   "analogs": lambda lead=lead: baselines.analogs(record, at, lead, MEMBERS)}
        truth = record.field.values[at + lead]
        for name, make in methods.items():
            began = perf_counter()
            members = make()
            rows.append(_row(domain, lead, name, members, truth, weights, (perf_counter() - began) / len(at)))
        for name, found in iterated.items():
            members, seconds = found[lead]
            rows.append(_row(domain, lead, name, members, truth, weights, seconds / len(at)))
    return rows


def _timed(series: Iterator[np.ndarray]) -> Iterator[tuple[int, tuple[np.ndarray, float]]]:
    began = perf_counter()
    for lead, members in enumerate(series, 1):
        yield lead, (members, perf_counter() - began)


def _row(domain: Domain, lead: int, method: str, members: np.ndarray, truth: np.ndarray, weights: np.ndarray,
         seconds: float) -> dict[str, Any]:
    figures = metrics.scores(members, truth, weights) | {"seconds": seconds}
    return {"record": domain.name, "lead_h": lead * domain.step_hours, "method": method, "unit": domain.unit} | {
        name: round(value, 4) for name, value in figures.items()} | {"starts": len(truth)}


def ensemble(model: Emulator, record: Record, at: Sequence[int], steps: int, members: int,
             seed: int = 0) -> Iterator[np.ndarray]:
    """Members (N, M, lat, lon) of a model from N starts, at 1, 2, ... `steps` steps in turn."""
    at = np.asarray(at)
    parts = [_part(model, record, part, steps, members, seed + first)
             for first, part in _parts(at, max(1, _ROWS // members))]
    for step in range(steps):
        yield np.concatenate([part[step] for part in parts])


def _parts(at: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(at), size):
        yield first, at[first:first + size]


def _part(model: Emulator, record: Record, at: np.ndarray, steps: int, members: int, seed: int) -> list[np.ndarray]:
    climate, space = climate_of(model.network), space_of(model.network)
    values, times, hours = record.field.values, record.field.times, record.domain.step_hours
    newest = np.stack([at - lag for lag in range(LAGS)], 1)
    states = space.states(climate.anomalies(values[newest], times[newest]))
    past = torch.from_numpy(states).float().repeat_interleave(members, 0)
    rng, found = Rng(seed, len(past)), []
    for moment in model.run(past, times[at].repeat(members), hours, steps, rng):
        if moment.state is not None:
            anomalies = space.anomalies(moment.state.double().numpy()).reshape(len(at), members, *space.shape)
            then = times[at] + np.timedelta64(moment.lead * hours * 3600, "s")
            fields = anomalies * climate.swing(then)[:, None] + climate.mean_at(then)[:, None]
            found.append(fields.astype(np.float32))
    return found
