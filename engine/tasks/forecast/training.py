"""Training of the forecast models: what the linear inverse model leaves over, one step ahead."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from engine.tasks.forecast import metrics, picture
from engine.tasks.forecast.baselines import linear_inverse
from engine.tasks.forecast.climate import phases
from engine.tasks.forecast.data import PRESSURE, TEMPERATURE, Record, prepare, read, starts, withheld
from engine.tasks.forecast.evaluate import ensemble
from engine.tasks.forecast.fading import Fading
from engine.tasks.forecast.linear import pairs
from engine.tasks.forecast.sampling import STEPS, Emulator
from engine.tasks.forecast.space import area_weights
from engine.training.objective import noised
from engine.training.spec import Batch, Spec

_TRUSTED = 1 / 4
"""Share of cases from withheld days, which teach how far the mean can be trusted, and nothing else of it."""
_JUDGED, _MEMBERS = 12, 10
_DOUBT = 0.05


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The forecast models, by name; the record is read and its linear model fitted when one of them is taken."""
    return {"forecast_pressure": partial(_pressure, data), "forecast_temperature": partial(_temperature, data),
            "forecast_sphere": _sphere, "forecast_sphere_crps": _sphere_crps}


def _pressure(data: Path) -> Spec:
    return spec(prepare(read(data, PRESSURE), PRESSURE), 64, width=64, depth=6,
                data="NCEP/NCAR Reanalysis 1, daily mean sea-level pressure, 30-70 N, 70 W-10 E, from 2001-01 on")


def _temperature(data: Path) -> Spec:
    return spec(prepare(read(data, TEMPERATURE), TEMPERATURE), 32, width=64, depth=6,
                data="NCEP/NCAR Reanalysis 1, 6-hourly air temperature near the ground, North America, from 2013-01 on")


def _sphere(steps: int = STEPS) -> Spec:
    from engine.tasks.forecast.world import history

    made = spec(history(), 24, data="A history that the program simulates itself", steps=steps, width=32, depth=4,
                wraps=True)
    return replace(made, licences="none", failures=("An invented world: its waves are no weather.",))


def _sphere_crps() -> Spec:
    """The same network as a generator of one call, taught by the CRPS of small ensembles."""
    from engine.tasks.forecast import ensemble_loss
    from engine.tasks.forecast.world import WORLD

    taught = partial(ensemble_loss.loss, ensemble_loss.Harmonics(WORLD.sphere), 4)
    return replace(_sphere(steps=1), name="forecast_sphere_crps", loss=taught, start_from="forecast_sphere",
                   note="Made for 1 step of the diffusion.")


def spec(record: Record, count: int, data: str, steps: int = STEPS, **size: int | bool) -> Spec:
    """The training of one record's model, in batches of `count`; steps: of each diffusion when it is judged.

    size: options of the network beyond the grid.
    """
    domain, climate = record.domain, record.model.climate
    rows, columns = record.field.values.shape[1:]
    last = record.field.times[record.training][-1].astype("datetime64[D]")
    options = {"rows": rows, "columns": columns, "components": domain.components, "waves": len(climate.mean),
               "annual": domain.annual, "hourly": domain.hourly, **size}
    cases = Cases.of(record)
    return Spec(
        name=f"forecast_{domain.name}", task="forecast", title=domain.title, kind="forecaster", options=options,
        schedule=("cosine", {}), prediction="v", resolution_px=columns, batch=partial(cases.batch, count), loss=loss,
        validate=partial(validate, record, options, steps), sheet=partial(sheet, record, options, steps),
        buffers=buffers(record),
        data=f"{data}; trained up to {last}", licences="NOAA PSL, public domain", learning_rate=1e-3, ema=0.998,
        failures=("A research demonstration; not for operational use.",
                  "Knows one field of one region: what enters from outside comes as a surprise.",
                  "Extremes beyond those of the training years are drawn towards them."))


def buffers(record: Record) -> dict[str, Tensor]:
    """Climatology, principal components, linear model and error law as the network stores them."""
    model, field = record.model, record.field
    noise = (model.noise * model.space.scales) @ model.space.patterns
    stored = {"climate_mean": model.climate.mean, "climate_season": model.climate.season,
              "patterns": model.space.patterns, "scales": model.space.scales, "roots": model.space.roots,
              "transition": model.transition, "noise": noise, "levels": np.linalg.norm(noise, axis=1),
              "lat": field.lat, "lon": field.lon, "fading": Fading().numbers()}
    return {name: torch.from_numpy(np.ravel(values).astype(np.float32)) for name, values in stored.items()}


class Cases:
    """One-step cases of the training part. past (N, 2, K); eta (N, K): the linear model's held-out errors, whitened."""

    def __init__(self, past: np.ndarray, eta: np.ndarray, when: np.ndarray, withheld: np.ndarray):
        self._past, self._eta, self._when = (torch.from_numpy(v).float() for v in (past, eta, when))
        self._withheld, self._taught = np.flatnonzero(withheld), np.flatnonzero(~withheld)

    @classmethod
    def of(cls, record: Record) -> "Cases":
        """From a record; see `data.withheld` for the days that are withheld from the mean."""
        past, _, now = pairs(record.states, record.training)
        when = np.stack(phases(record.field.times[now]), 1)
        return cls(past, np.linalg.solve(record.model.noise.T, record.errors.T).T, when,
                   withheld(record.field, record.domain)[now])

    def batch(self, count: int, rng: Generator, progress: float) -> Batch:
        """Taught cases, then withheld ones; x0 is eta (count, K)."""
        trusted = round(count * _TRUSTED)
        chosen = np.concatenate((rng.choice(self._taught, count - trusted), rng.choice(self._withheld, trusted)))
        withheld = torch.arange(count) >= count - trusted
        return Batch(self._eta[chosen], conditions={"past": self._past[chosen], "when": self._when[chosen],
                                                    "withheld": withheld[:, None]})


def loss(network: nn.Module, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """Squared error of the mean, likelihood of the deviation that it leaves, and squared error of v given both.

    The mean is learned on taught days alone, where what it leaves becomes too small as it learns them by heart; an
    ensemble made from that would be too sure. So withheld days teach how far to trust the mean and how much it leaves,
    and for v the remainders of taught days are enlarged to that size. Errors along the noise patterns count by their
    share in the physical error, plus a little for the many weak ones. The reader learns from the mean alone.
    """
    past, when, withheld = (batch.conditions[name] for name in ("past", "when", "withheld"))
    power = network.levels.square() / network.levels.square().mean()
    weight = (power + _DOUBT) / (1 + _DOUBT)
    shift, features = network.read(past, when)
    trusted = network.trusted(shift.detach())
    left = batch.x0 - torch.where(withheld, trusted, shift)
    breadth = torch.where(withheld, network.log_breadth(), network.log_breadth(taught=True))
    likelihood = (breadth + left.detach().square() * (-2 * breadth).exp() / 2).mean()
    enlarged = torch.where(withheld, 0, network.log_breadth() - breadth).exp() * left
    drawn = replace(batch, x0=(trusted + enlarged).detach())
    x_t, t, target = noised(drawn, schedule, prediction, generator)
    v = network(x_t, t, cond=features.detach(), shift=trusted.detach())
    return (weight * left.square()).mean() + likelihood + (weight * (v.float() - target).square()).mean()


def _emulator(record: Record, options: dict, steps: int, denoise: Callable) -> Emulator:
    """A rollout by a denoiser alone: in place of shift and features it is given time and past, and reads them."""
    from engine import networks, schedules

    network = networks.build("forecaster", **options)
    network.load_state_dict(buffers(record), strict=False)
    schedule = schedules.cosine()

    def read(past: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        return when, past

    def told(x: Tensor, t, cond: Tensor, shift: Tensor) -> Tensor:
        return denoise(x, t, past=cond, when=shift)

    return Emulator(network.eval(), read, told, schedule, steps=steps)


def _leads(record: Record) -> list[int]:
    return [hours // record.domain.step_hours for hours in record.domain.report_hours[:3:2]]


def validate(record: Record, options: dict, steps: int, denoise: Callable) -> dict[str, float]:
    """Small ensembles from 12 starts of the validation part: CRPS and spread, beside the linear inverse model's."""
    at = starts(record, record.domain.steps, _JUDGED)
    weights, found = area_weights(record.field.lat), {}
    leads = _leads(record)
    runs = {"linear": linear_inverse(record, at, max(leads), _MEMBERS, np.random.default_rng(0)),
            "ours": ensemble(_emulator(record, options, steps, denoise), record, at, max(leads), _MEMBERS)}
    for name, series in runs.items():
        for lead, members in enumerate(series, 1):
            if lead in leads:
                truth, hours = record.field.values[at + lead], lead * record.domain.step_hours
                found[f"{name}, {hours} h, CRPS {record.domain.unit}"] = metrics.fair_crps(members, truth, weights)
                found[f"{name}, {hours} h, spread/error"] = metrics.spread_skill(members, truth, weights)
    return {name: round(value, 4) for name, value in found.items()}


def sheet(record: Record, options: dict, steps: int, denoise: Callable) -> np.ndarray:
    """One row per lead from a validation start: truth, mean, spread, two members; anomalies, blue below red above."""
    at = starts(record, record.domain.steps, 3)[1:2]
    leads = _leads(record)
    series = ensemble(_emulator(record, options, steps, denoise), record, at, max(leads), 4)
    rows = []
    for lead, members in enumerate(series, 1):
        if lead in leads:
            climate, time = record.model.climate, record.field.times[at + lead]
            anomalies = members[0] - climate.mean_at(time)
            truth = record.field.values[at + lead] - climate.mean_at(time)
            rows.append([truth[0], anomalies.mean(0), anomalies.std(0, ddof=1), anomalies[0], anomalies[1]])
    usual = float(np.linalg.norm(record.model.space.scales)) / record.field.values[0].size ** 0.5
    return picture.anomalies(rows, 3 * usual)
