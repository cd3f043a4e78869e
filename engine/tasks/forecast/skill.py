"""How good one forecast was, beside what is known without a network, where the file has what came later.

The others are laws, not ensembles: their scores are those of normal distributions, which any number of members drawn
from them approaches.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from engine.tasks.forecast import metrics
from engine.tasks.forecast.data import Domain
from engine.tasks.forecast.law import Law
from engine.tasks.forecast.linear import LAGS
from engine.tasks.forecast.space import area_weights
from engine.tasks.forecast.start import Start

METHODS = ("this forecast", "linear inverse model", "damped persistence", "persistence", "climatology")
SCORES = ("crps", "rmse", "spread")
BEST = "best possible"
"""In the known-answer world alone."""


@dataclass(frozen=True)
class Skill:
    """values (method, score, lead) by `methods` and SCORES, NaN where nothing is known; rank (members + 1,): counts.

    Scores are weighted by area: fair CRPS, RMSE of the mean, and spread (root of the mean variance), in the base unit.
    """

    values: np.ndarray
    rank: np.ndarray
    methods: tuple[str, ...] = METHODS


def judged(members: np.ndarray, start: Start, network: Any, domain: Domain) -> Skill:
    """members (M, lead, lat, lon) beside the start's truth, which must be there."""
    weights = area_weights(network.lat.double().numpy())
    laws = _laws(start, network, domain, members.shape[1])
    methods = (METHODS[0], *laws)
    values = np.full((len(methods), len(SCORES), members.shape[1]), np.nan)
    ranks = np.zeros(len(members) + 1)
    for lead in np.flatnonzero(start.seen):
        truth, ensemble = start.truth[lead], members[:, lead].astype(np.float64)
        values[0, :, lead] = (metrics.fair_crps(ensemble[None], truth[None], weights),
                              metrics.rmse(ensemble.mean(0)[None], truth[None], weights), _spread(ensemble, weights))
        shares = metrics.rank_histogram(ensemble[None], truth[None], int(lead))
        ranks += np.round(shares * truth.size)
        for number, name in enumerate(laws, 1):
            mean, spread = laws[name][lead]
            values[number, :, lead] = _of_law(mean, spread, truth, weights)
    return Skill(values, ranks, methods)


def _spread(ensemble: np.ndarray, weights: np.ndarray) -> float:
    if len(ensemble) < 2:
        return np.nan
    return float(np.sqrt((ensemble.var(0, ddof=1) * weights[:, None]).mean()))


def _of_law(mean: np.ndarray, spread: np.ndarray | None, truth: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    rmse = metrics.rmse(mean[None], truth[None], weights)
    if spread is None:
        return float((np.abs(mean - truth) * weights[:, None]).mean()), rmse, np.nan
    crps = metrics.gaussian_crps(mean, np.maximum(spread, 1e-6), truth)
    return float((crps * weights[:, None]).mean()), rmse, float(np.sqrt((spread**2 * weights[:, None]).mean()))


def _laws(start: Start, network: Any, domain: Domain,
          leads: int) -> dict[str, list[tuple[np.ndarray, np.ndarray | None]]]:
    """Mean and standard deviation (lat, lon) of each method at each lead; persistence has no spread."""
    law = Law.of(network)
    pace = np.timedelta64(domain.step_hours * 3600, "s")
    times = start.time + np.arange(1, leads + 1) * pace
    before = law.climate.anomalies(start.past[-LAGS:], np.array([start.time - pace, start.time]))
    past = law.space.states(before)[::-1]
    means, swings = law.climate.mean_at(times), law.climate.swing(times)
    forecast, kept = islice(law.forecast(past), leads), islice(law.memory(), leads)
    found: dict[str, list] = {name: [] for name in METHODS[1:]}
    for mean, swing, (ahead, doubt), held in zip(means, swings, forecast, kept):
        found["linear inverse model"].append((mean + swing * ahead, swing * doubt))
        found["damped persistence"].append((mean + swing * held * before[-1],
                                            swing * law.usual * np.sqrt(1 - held**2)))
        found["persistence"].append((start.past[-1], None))
        found["climatology"].append((mean, swing * law.usual))
    return found | ({BEST: _best(start.past[-1], leads)} if domain.name == "sphere" else {})


def _best(now: np.ndarray, leads: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The true law of the known-answer world after the map `now`."""
    from engine.tasks.forecast.world import WORLD

    state = WORLD.sphere.analysis(now)
    return [(WORLD.sphere.synthesis(WORLD.forecast(state, lead)), np.full(now.shape, WORLD.optimal_rmse(lead)))
            for lead in range(1, leads + 1)]
