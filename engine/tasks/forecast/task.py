"""Forecast maps: ensembles of weather from two states, one step in time after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import models, samplers
from engine.errors import InputError
from engine.io.fields import Field
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.forecast import exports, outcome, precision, sampling, units
from engine.tasks.forecast import start as starting
from engine.tasks.forecast.chart import Chart
from engine.tasks.forecast.data import DOMAINS, Domain
from engine.tasks.forecast.law import Law
from engine.tasks.forecast.start import Start
from engine.tasks.forecast.world import SPHERE

_SHOWN = 4
"""Members in the live view."""
_VIEW_PX = 256
_OPTIONS = {name: sampling.OPTIONS[name] for name in ("diffusion", "last_step")}
"""Those that only this solver has: other solvers know other variants, and would be given this one's."""
_BROAD = 2.2
"""Standard deviations of the climate that the live view's colours reach to."""
_SETTINGS = (
    Setting("days", "Length", "The temperature model reaches 5 days.", 5.0, minimum=1.0, maximum=10.0, step=1.0,
            unit="days"),
    Setting("start", "Start", "A time of the file, such as 2008-07-01. Empty takes the last one.", ""),
    Setting("unit", "Unit", "Of maps, tables and files.", "auto", ("auto", *units.NAMES),
            ("hPa or °C", "hPa", "Pa", "°C", "K", "°F")),
    Setting("threshold", "Threshold", "For probabilities, in the unit shown. 0 takes 1000 hPa or freezing.", 0.0,
            minimum=-500.0, maximum=120_000.0, step=0.1, advanced=True),
    Setting("attention", "Attention to the unsure",
            "Adds to the guidance at places where the diffusion's own estimates agree least (CogDPM). 0 is off.",
            0.0, minimum=0.0, maximum=2.0, step=0.1, advanced=True),
    Setting("place_lat", "Place: latitude", "Of a place whose table is wanted, in degrees north.", "",
            advanced=True),
    Setting("place_lon", "Place: longitude", "In degrees east.", "", advanced=True),
)
"""All but the model."""
_TITLES = {"pressure": "Pressure, North Atlantic", "temperature": "Temperature, North America",
           "sphere": "Waves on a sphere, whose answer is known"}


@dataclass(frozen=True)
class Forecast:
    """LaDCast's way (2025), at the size of two short records: one step in time is one diffusion, and so on from there.

    What is diffused is what a linear inverse model leaves over, in the coordinates of its own errors, so that a network
    which answers nothing is that model's ensemble. Members differ by their noise alone.
    domains: the models' records; load: gives a model by its name.
    """

    domains: Mapping[str, Domain]
    load: Callable[[str], Model]

    name = "forecast"
    title = "Forecast maps"
    summary = "Makes ensembles of weather maps from two states, and shows their spread and their skill."
    warning = "Research demonstration, not a weather warning and not for operational use."
    inputs = (InputSpec("field", "Weather field", "field",
                        "NetCDF, a zipped Zarr store or GRIB with sea-level pressure of the North Atlantic or air "
                        "temperature of North America. Without one, the start is invented.", required=False),)
    defaults = Recipe(task="forecast", model="forecast_pressure", solver=sampling.SOLVER, steps=sampling.STEPS,
                      spacing="uniform", guidance=1.0, samples=20, options={"domain": "auto", **_OPTIONS})
    guidance_range = (0.0, 2.0)
    steps_range = (1, 50)
    samples_range = (1, 50)
    samplers = pictures.unshifted_solver_names()

    @property
    def offered(self) -> tuple[str, ...]:
        """Domains whose models are there: the invented world's may be missing."""
        return tuple(name for name in self.domains if name != "sphere" or "forecast_sphere" in models.names())

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(f"forecast_{name}" for name in self.offered)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The choice of the model, and all others."""
        return (Setting("domain", "Model", "Which one makes the forecast.", "auto", ("auto", *self.offered),
                        ("By the file", *(_TITLES.get(name, name) for name in self.offered))), *_SETTINGS)

    @property
    def examples(self) -> tuple[Example, ...]:
        """An invented start of each model."""
        return tuple(Example(f"{_TITLES.get(name, name)}, invented start", dict, {"domain": name})
                     for name in self.offered)

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule."""
        return self.samplers

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Settings that have an effect: the invented world has one unit, its own."""
        bare = self._bare(options.get("domain", "auto"))
        return tuple(setting.name for setting in self.settings if setting.name != "unit" or not bare)

    def _bare(self, domain: str) -> bool:
        """Whether the maps of the domain of this name have no physical unit."""
        return domain in self.domains and not units.unit(self.domains[domain].unit, "auto").earth

    def calls(self, recipe: Recipe) -> int:
        """Network calls for all members together, from the settings alone: "auto" counts like pressure."""
        name = recipe.options.get("domain", "auto")
        domain = self.domains.get(name) or next(iter(self.domains.values()))
        return _leads(domain, float(recipe.options.get("days", 5.0))) * row(recipe.solver).calls(recipe.steps)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield a Step per step of each diffusion, then the Result of `engine.tasks.forecast.outcome`.

        inputs: perhaps "field", an `engine.io.fields.Field`. x and x0 of the steps are maps (B, 3, H, W) of the first
        members at the lead that is being made. Raises InputError.
        """
        recipe = base.check(self, recipe)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        domain, field = starting.chosen(inputs.get("field"), options["domain"], dict(self.domains))
        model = self._model(recipe, domain)
        # A unit that was chosen for another model is hidden here, so nobody could take it back.
        unit = units.unit(domain.unit, "auto" if self._bare(domain.name) else options["unit"])
        exports.place(options["place_lat"], options["place_lon"], *_grid(model.network))
        leads = _leads(domain, options["days"])
        start, notes = _started(field, options["start"], model.network, domain, leads, recipe.seed)
        maps, sure = [], []
        for step, made in _rollout(model, recipe, options["attention"], start, domain, leads):
            if made is not None:
                maps.append(made.members)
                sure.append(made.precision)
            yield step
        drawn = outcome.Drawn(np.stack(maps, 1), start, domain, model.network,
                              None if sure[0] is None else np.stack(sure))
        if leads * domain.step_hours < options["days"] * 24:
            notes += (f"The model reaches {leads * domain.step_hours / 24:g} days.",)
        recipe = pictures.completed(recipe, model, model.network.shape)
        yield outcome.result(drawn, unit, options, recipe, notes)

    def _model(self, recipe: Recipe, domain: Domain) -> Model:
        own = recipe.model not in ("", *self.models)
        model = self.load(recipe.model if own else f"forecast_{domain.name}")
        if model.card.architecture.kind != "forecaster":
            raise InputError(f"The model is a {model.card.architecture.kind[:40]!r}.",
                             "Forecasts need a forecaster of this domain.", "Leave the model empty.", field="model")
        return model

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per record, lead and method; see `engine.tasks.forecast.evaluate`."""
        from engine.tasks.forecast import evaluate

        return evaluate.evaluate(data, limit)


def _leads(domain: Domain, days: float) -> int:
    return max(1, min(domain.steps, int(days * 24 / domain.step_hours)))


def _grid(network: Any) -> tuple[np.ndarray, np.ndarray]:
    return network.lat.double().numpy(), network.lon.double().numpy()


def _started(field: Field | None, text: str, network: Any, domain: Domain, leads: int,
             seed: int) -> tuple[Start, tuple[str, ...]]:
    if field is None:
        start = (starting.simulated(domain, leads, seed) if domain is SPHERE
                 else starting.invented(network, domain, leads, seed))
        return start, start.notes
    start = starting.given(field, text, network, domain, leads)
    return start, (*field.notes, *start.notes)


@dataclass(frozen=True)
class _Made:
    """One lead: members (M, lat, lon) float32 in the base unit, and the precision (lat, lon) of its diffusion."""

    members: np.ndarray
    precision: np.ndarray | None


def _rollout(model: Model, recipe: Recipe, attention: float, start: Start, domain: Domain,
             leads: int) -> Iterator[tuple[Step, _Made | None]]:
    """Steps with maps to look at, and what each lead has at its end."""
    network, members = model.network, recipe.samples
    emulator = sampling.emulator(model)
    denoise = weighed(emulator.denoise, model.schedule, recipe.guidance)
    if attention:
        denoise = precision.Attentive(emulator.denoise, model.schedule, network, recipe.guidance, attention)
    emulator, estimates = replace(emulator, denoise=denoise, weight=recipe.guidance), []
    pace = np.timedelta64(domain.step_hours * 3600, "s")
    past = starting.states(start, network, pace).expand(members, -1, -1)
    view, each = _View(network, start, domain), row(recipe.solver).calls(recipe.steps)
    chosen = samplers.options(recipe)
    options = sampling.OPTIONS | chosen if recipe.solver == sampling.SOLVER else chosen
    moments = emulator.run(past, np.full(members, start.time), domain.step_hours, leads, Rng(recipe.seed, members),
                           recipe.solver, recipe.steps, recipe.spacing, options)
    for moment in moments:
        step, before = moment.step, (moment.lead - 1)
        shown = replace(step, index=before * step.total + step.index, total=leads * step.total,
                        nfe=before * each + step.nfe, x=view.of(moment.past, step.x, moment.lead),
                        x0=view.of(moment.past, step.x0, moment.lead))
        estimates.append(step.x0)
        made = None
        if moment.state is not None:
            maps = view.maps(moment.state, moment.lead).astype(np.float32)
            made, estimates = _Made(maps, precision.of_members(estimates, network)), []
        yield shown, made


def weighed(denoise: Callable[..., Tensor], schedule: Any, weight: float) -> Callable[..., Tensor]:
    """x0 = x0_linear + weight (x0 - x0_linear): 0 is the linear inverse model alone, 1 the network in full.

    Classifier-free guidance (Ho and Salimans, 2022) whose other half is known: for white noise x0_linear = alpha x_t.
    """
    if weight == 1:
        return denoise

    def guided(x: Tensor, t: Any, **cond: Tensor) -> Tensor:
        alpha = schedule(t)[0]
        linear = x * (alpha.to(x).reshape(-1, 1) if isinstance(alpha, Tensor) and alpha.dim() else float(alpha))
        return linear + weight * (denoise(x, t, **cond) - linear) if weight else linear

    return guided


class _View:
    """Maps of states, and pictures of maps, for one start."""

    def __init__(self, network: Any, start: Start, domain: Domain):
        self._network, self._start = network, start
        self._pace = np.timedelta64(domain.step_hours * 3600, "s")
        self._climate, self._space = sampling.climate_of(network), sampling.space_of(network)
        self._unit = units.unit(domain.unit, "auto")
        mean, usual = self._climate.mean_at(start.time), _BROAD * Law.of(network).usual
        self._bounds = exports.bounds(self._unit.shown(np.stack([mean - usual, mean + usual])), self._unit)
        self._chart = Chart(*_grid(network), _VIEW_PX, self._unit.earth)

    def maps(self, states: Tensor, lead: int) -> np.ndarray:
        """(B, lat, lon) in the base unit, of states (B, K) `lead` steps after the start."""
        times = np.full(len(states), self._start.time + lead * self._pace)
        return self._climate.fields(self._space.anomalies(states.double().numpy()), times)

    def of(self, past: Tensor, eta: Tensor, lead: int) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] of the first members' next state, for errors eta (M, K)."""
        with torch.no_grad():
            states = self._network.linear(past[:_SHOWN]) + self._network.coloured(eta[:_SHOWN].float())
        drawn = self._chart.draw(self._unit.shown(self.maps(states, lead)), *self._bounds, self._unit.contour)
        return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1


TASK = Forecast(DOMAINS | {"sphere": SPHERE}, models.load)
