"""Fits the `Fading` of a trained model, on the days of the training years that its network's mean never learned from.

The linear model is fitted once more without these days, so that neither half of the forecasts has seen what they are
judged by. Validation years are not touched.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from engine.errors import InputError
from engine.networks.forecaster import Forecaster
from engine.tasks.forecast import metrics, training
from engine.tasks.forecast.data import DOMAINS, Record, prepare, read, withheld
from engine.tasks.forecast.evaluate import ensemble
from engine.tasks.forecast.fading import Fading
from engine.tasks.forecast.linear import LAGS
from engine.tasks.forecast.sampling import Emulator, plain_emulator
from engine.tasks.forecast.space import area_weights
from engine.tasks.forecast.task import weighed

_STARTS, _MEMBERS = 40, 8
_THINNING = 2
"""Every second row and column counts: neighbours say the same."""
_TRIES = 120
_FIRST = (0.01, 0.005, 1.0, 1.0)


@dataclass(frozen=True)
class Cases:
    """What `Fading.applied` joins, at some leads, as anomalies: each time member and twin (N, M, y, x) and linear
    (N, 1, y, x), with the truth (N, y, x); weights (y,) of the area.
    """

    hours: list[int]
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    truth: list[np.ndarray]
    weights: np.ndarray

    def crps(self, fading: Fading) -> np.ndarray:
        """Of the faded ensembles, by lead."""
        return np.array([metrics.fair_crps(fading.applied(*parts, hours), truth, self.weights)
                         for hours, parts, truth in zip(self.hours, self.parts, self.truth)])


def fitted(cases: Cases) -> tuple[Fading, float]:
    """The numbers of the smallest CRPS, and its share of the CRPS without them; each lead counts as much."""
    from scipy.optimize import minimize

    plain, reach = cases.crps(Fading()), float(cases.hours[-1])

    def made(numbers: np.ndarray) -> Fading:
        network, mean, near, far = (float(number) for number in numbers)
        return Fading(abs(network), abs(mean), near, far, reach)

    found = minimize(lambda numbers: (cases.crps(made(numbers)) / plain).mean(), _FIRST, method="Nelder-Mead",
                     options={"maxfev": _TRIES, "initial_simplex": _simplex(_FIRST)})
    return (made(found.x), float(found.fun)) if found.fun < 1 else (Fading(), 1.0)


def _simplex(first: tuple[float, ...]) -> np.ndarray:
    corners = np.tile(first, (len(first) + 1, 1))
    corners[1:] += np.diag([0.01, 0.005, 0.1, 0.1])
    return corners


def cases(record: Record, days: np.ndarray, network: Forecaster, schedule: Any) -> Cases:
    """Forecasts that lie within the days (T,) bool from their past to their end, by the record's linear model and the
    network's weights; up to 40, evenly spaced.
    """
    domain, climate, field = record.domain, record.model.climate, record.field
    now = np.flatnonzero(sliding_window_view(days, domain.steps + LAGS).all(1)) + LAGS - 1
    at = now[np.unique(np.round(np.linspace(0, len(now) - 1, _STARTS)).astype(int))]
    network = copy.deepcopy(network)
    network.load_state_dict(training.buffers(record), strict=False)
    leads = [hours // domain.step_hours for hours in domain.report_hours]
    means = [climate.mean_at(field.times[at + lead]) for lead in leads]
    found = []
    for emulator, members in _halves(plain_emulator(network, schedule)):
        maps = list(ensemble(emulator, record, at, max(leads), members))
        found.append([_thinned(maps[lead - 1] - mean[:, None]) for lead, mean in zip(leads, means)])
    truth = [_thinned(field.values[at + lead] - mean) for lead, mean in zip(leads, means)]
    weights = area_weights(field.lat)[::_THINNING]
    return Cases(list(domain.report_hours), list(zip(*found)), truth, weights / weights.mean())


def _thinned(maps: np.ndarray) -> np.ndarray:
    return maps[..., ::_THINNING, ::_THINNING].astype(np.float32)


def _halves(model: Emulator) -> Iterator[tuple[Emulator, int]]:
    """What makes x, y and l of `Fading`, and with how many members. The latter two need no network."""
    yield model, _MEMBERS

    def read(past: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(past[:, 0]), past

    plain = replace(model, read=read, denoise=weighed(model.denoise, model.schedule, 0.0))
    yield plain, _MEMBERS
    still = copy.deepcopy(model.network)
    still.fading.copy_(Fading(near=0, far=0).numbers())
    yield replace(plain, network=still), 1


def prepare_model(name: str, data: str | Path,
                  on_progress: Callable[[str], None] = lambda words: None) -> tuple[Path, str]:
    """Fit a shipped model's fading to a data folder and store it with its weights; gives the folder, the card's note.

    Raises InputError for models that have none, and without data.
    """
    from engine import models

    domains = {f"forecast_{domain.name}": domain for domain in DOMAINS.values()}
    if name not in domains:
        raise InputError(f"The model {name[:40]!r} has no fading.", fix="Choose one of " + ", ".join(domains) + ".",
                         field="model")
    model, domain = models.load(name), domains[name]
    field = read(data, domain)
    on_progress("linear model without the withheld days")
    days = withheld(field, domain)
    record = prepare(field, domain, left_out=days)
    on_progress("forecasts of the withheld days")
    found = cases(record, days, model.network, model.schedule)
    on_progress("fading")
    fading, left = fitted(found)
    network = copy.deepcopy(model.network)
    network.fading.copy_(fading.numbers())
    card = model.card.model_copy(update={"note": _note(fading, left)})
    folder = models.shelf.folder(name)
    return folder, models.save(network, card, folder).note


def _note(fading: Fading, left: float) -> str:
    network, mean, spread = fading.weights(np.array([24.0, 120.0]))
    return (f"With lead the network, the mean and the spread are weighted: by {network[0]:.2f}, {mean[0]:.2f} and "
            f"{spread[0]:.2f} after 1 day, {network[1]:.2f}, {mean[1]:.2f} and {spread[1]:.2f} after 5. Fitted to "
            f"withheld days of the training years, on which the CRPS fell by {100 * (1 - left):.1f} %.")
