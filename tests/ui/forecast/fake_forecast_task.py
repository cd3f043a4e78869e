"""A forecast without weights: travelling waves around an invented climate, on the grids of the two shipped models."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.recipe import Recipe
from engine.step import Step
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from tests.ui.fake_task import Fake

GRIDS = {"pressure": (np.linspace(20, 60, 17), np.linspace(-80, 0, 33), 24, "hPa"),
         "temperature": (np.linspace(15, 75, 25), np.linspace(-160, -30, 53), 6, "K")}
"""Latitudes, longitudes, hours between maps and unit of each model."""
SHOWN = {"hPa": (1, 0), "Pa": (100, 0), "K": (1, 0), "C": (1, -273.15), "F": (1.8, -459.67)}
METHODS = ("this forecast", "climatology", "persistence", "damped persistence", "linear inverse model")
SCORES = ("crps", "rmse", "spread")


def climate(domain: str) -> np.ndarray:
    """(lat, lon) of the mean state: highs around 32° N, or cold in the north."""
    lat, lon, _, unit = GRIDS[domain]
    y, x = np.meshgrid(lat, lon, indexing="ij")
    if unit == "hPa":
        return 1012 + 10 * np.exp(-((y - 33) / 9) ** 2 - ((x + 35) / 30) ** 2) - 0.35 * (y - 45).clip(0)
    return 303 - 0.75 * (y - 15) + 4 * np.cos(np.deg2rad(3 * x))


def weather(domain: str, leads_h: np.ndarray, seed: int, doubt: float) -> np.ndarray:
    """(lead, lat, lon): the climate, a low (or cold air) that moves to the north-east, and waves that differ by seed.

    doubt: how fast a seed's waves grow.
    """
    lat, lon, _, unit = GRIDS[domain]
    y, x = np.meshgrid(lat, lon, indexing="ij")
    rng, days = np.random.default_rng(seed), leads_h / 24
    turns, place = rng.normal(0, 1, (4, 2)), rng.normal(0, 1.6, 2)
    found = []
    for day in days:
        centre = lat[0] + 14 + 2.2 * day + place[0] * doubt * day / 2, lon[0] + 18 + 6 * day + place[1] * doubt * day
        eddy = np.exp(-((y - centre[0]) / 7) ** 2 - ((x - centre[1]) / 10) ** 2)
        waves = sum(strength * np.sin(0.06 * (k + 1) * x + 0.1 * y * (-1) ** k - 0.5 * day + phase)
                    for k, (strength, phase) in enumerate(turns))
        found.append(climate(domain) - (34 if unit == "hPa" else 14) * eddy + doubt * np.sqrt(max(day, 0.02)) * waves)
    return np.float32(found)


@dataclass
class FakeForecastTask(Fake):
    """Members of `weather`. With a field the verifying state is there, without one it is not."""

    name: str = "forecast"
    title: str = "Forecast maps"
    summary: str = "Makes ensembles of maps from invented waves."
    warning: str = "Experimental, not a weather warning."
    samples_range: tuple[int, int] = (1, 50)

    inputs = (InputSpec("field", "Weather field", "field", "Maps of pressure or temperature over time.", False),)
    settings = (
        Setting("domain", "Model", "Which one makes the forecast.", "auto", ("auto", "pressure", "temperature"),
                ("By the file", "Pressure, North Atlantic", "Temperature, North America")),
        Setting("days", "Length", "Of the forecast.", 10.0, minimum=1.0, maximum=10.0, step=1.0, unit="days"),
        Setting("start", "Start", "A date of the file.", ""),
        Setting("unit", "Unit", "Of maps and files.", "auto", ("auto", "hPa", "Pa", "C", "K", "F")),
        Setting("threshold", "Threshold", "For probabilities.", 1000.0, advanced=True),
        Setting("place_lat", "Place: latitude", "Of a place.", "", advanced=True),
        Setting("place_lon", "Place: longitude", "Of a place.", "", advanced=True),
    )

    @property
    def examples(self) -> tuple[Example, ...]:
        return (Example("North Atlantic", dict, {"domain": "pressure"}),
                Example("North America", dict, {"domain": "temperature"}))

    @property
    def defaults(self) -> Recipe:
        return super().defaults.replace(samples=20)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        import torch

        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        domain = "temperature" if options["domain"] == "temperature" else "pressure"
        _, _, step_h, unit = GRIDS[domain]
        days = options["days"] if domain == "pressure" else min(options["days"], 5)
        leads = np.arange(1, int(days * 24 / step_h) + 1) * step_h
        members = np.stack([weather(domain, leads, recipe.seed + k + 1, 1.0) for k in range(recipe.samples)])
        for index in range(1, recipe.steps + 1):
            self._call()
            x0 = torch.from_numpy(members[:, -1, ::-1].copy())[:, None].expand(-1, 3, -1, -1)
            x0 = (x0 - x0.mean()) / (2 * x0.std())
            noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(index))
            share = index / recipe.steps
            yield Step(index, recipe.steps, 1 - share, 1 - share, x0 * share + noise * (1 - share), x0 * share, index)
        shown = unit if options["unit"] == "auto" else options["unit"]
        yield result(domain, members, leads, recipe, shown, "field" in inputs)


def result(domain: str, members: np.ndarray, leads: np.ndarray, recipe: Recipe, unit: str, judged: bool) -> Result:
    """All arrays that a forecast has. judged: with the verifying field and its scores."""
    factor, offset = SHOWN[unit]
    lat, lon, step_h, _ = GRIDS[domain]
    axes, size = ("lead", "y", "x"), (len(leads), len(lat), len(lon))

    def array(values: np.ndarray, axes: tuple[str, ...] = axes, difference: bool = False) -> Array:
        return Array(np.float32(values * factor + (0 if difference else offset)), axes, unit)

    past = weather(domain, np.array([-step_h, 0]), recipe.seed, 0.0)
    arrays = {"members": array(members, ("sample", *axes)), "lat": Array(lat, ("y",), "degrees"),
              "lon": Array(lon, ("x",), "degrees"), "lead_h": Array(leads, ("lead",), "h"),
              "start": Array(np.array(["2008-07-01T00:00"]), ("one",)), "mean": array(members.mean(0)),
              "spread": array(members.std(0, ddof=1) if len(members) > 1 else 0 * members[0], difference=True),
              "climate": array(np.broadcast_to(climate(domain), size)), "past": array(past, ("time", "y", "x")),
              "past_h": Array(np.array([-step_h, 0.0]), ("time",), "h"),
              "climate_spread": array(np.full(size, 6.0), difference=True),
              "precision": Array(np.float32(np.linspace(0, 1, np.prod(size)).reshape(size)), axes)}
    if domain == "pressure":
        arrays["tracks"] = Array(lows(members, leads, lat, lon) * [1, 1, 1, 1, factor], ("track", "point", "value"))
    if judged:
        truth = weather(domain, leads, recipe.seed + 1000, 1.0)
        grow = np.sqrt(leads / 24)
        skill = np.stack([[0.5 * grow * level, 0.9 * grow * level, 0.9 * grow] for level in (1, 1.8, 1.5, 1.3, 1.1)])
        skill[1:, 2] = np.nan
        ranks = (members < truth).sum(0)
        arrays |= {"truth": array(truth), "skill": array(skill, ("method", "score", "lead"), difference=True),
                   "skill_methods": Array(np.array(METHODS), ("method",)),
                   "skill_scores": Array(np.array(SCORES), ("score",)),
                   "rank": Array(np.bincount(ranks.ravel(), minlength=len(members) + 1), ("bin",))}
    files = {"forecast.nc": b"CDF\x01 invented"}
    return Result(arrays, {"Mean spread on the last day": float(arrays["spread"].values[-1].mean())}, recipe,
                  ("This is a test double.",), files)


def lows(members: np.ndarray, leads: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """(member, lead, value): the deepest point of each member and lead."""
    flat = members.reshape(*members.shape[:2], -1)
    deepest = flat.argmin(-1)
    number = np.broadcast_to(np.arange(len(members))[:, None], deepest.shape)
    hours = np.broadcast_to(leads, deepest.shape)
    return np.stack([number, hours, lat[deepest // len(lon)], lon[deepest % len(lon)], flat.min(-1)], -1)
