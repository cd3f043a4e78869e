"""What a finished forecast gives: members and what follows from them, skill, lows, and files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from engine.tasks.forecast import exports, skill, tracks
from engine.tasks.forecast.data import Domain
from engine.tasks.forecast.law import Law
from engine.tasks.forecast.start import Start
from engine.tasks.forecast.units import Unit

_MAPS = ("lead", "y", "x")


@dataclass(frozen=True)
class Drawn:
    """A finished ensemble. members (M, lead, lat, lon) float32, base unit, on the network's grid.

    precision (lead, lat, lon): see `engine.tasks.forecast.precision`; None where one step has nothing to compare.
    """

    members: np.ndarray
    start: Start
    domain: Domain
    network: Any
    precision: np.ndarray | None = None

    @property
    def lead_h(self) -> np.ndarray:
        """Hours from the start to each map (lead,)."""
        return np.arange(1, self.members.shape[1] + 1) * float(self.domain.step_hours)

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes, degrees."""
        return self.network.lat.double().numpy(), self.network.lon.double().numpy()

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation over the members (lead, lat, lon); 0 for a single one."""
        return self.members.std(0, ddof=1) if len(self.members) > 1 else np.zeros_like(self.members[0])


def result(drawn: Drawn, unit: Unit, options: Mapping[str, Any], recipe: Recipe, notes: tuple[str, ...]) -> Result:
    """The Result of a run.

    Arrays, in the shown unit where they are maps: members (sample, lead, y, x); lat (y,), lon (x,), lead_h (lead,),
    start (1,); mean, spread, probability above the threshold, climate, climate_spread (lead, y, x); past (time, y, x)
    with past_h (time,); predictability (y, x): the share of the climate's variance that the members leave out, mean
    over leads, where there are several; precision (lead, y, x): the share of places that the diffusion of that lead had
    settled less, where it took several steps. For pressure tracks (track, point, value) of member, hours, latitude,
    longitude and pressure in the shown unit, from the start on. Where the file goes on: truth (lead, y, x), NaN where
    it does not, skill (method, score, lead) with skill_methods and skill_scores, rank (bin,).
    Files: forecast.nc, animation.webp, and place.csv where a place was chosen.
    """
    lat, lon = drawn.grid
    threshold = float(options["threshold"]) or unit.threshold
    arrays = _maps(drawn, unit, threshold) | {
        "lat": Array(lat, ("y",), "degrees_north"), "lon": Array(lon, ("x",), "degrees_east"),
        "lead_h": Array(drawn.lead_h, ("lead",), "h"),
        "start": Array(np.array([str(drawn.start.time.astype("datetime64[m]"))]), ("one",))}
    metrics = _figures(drawn, unit)
    if drawn.domain.name == "pressure":
        arrays["tracks"] = _tracks(drawn, unit)
    if drawn.start.truth is not None:
        judged = skill.judged(drawn.members, drawn.start, drawn.network, drawn.domain)
        arrays |= _skill(judged, drawn, unit)
        metrics |= _scores(judged, drawn, unit)
    return Result(arrays, metrics, recipe, notes, _files(drawn, unit, arrays, options, threshold, recipe, notes))


def _maps(drawn: Drawn, unit: Unit, threshold: float) -> dict[str, Array]:
    law, start = Law.of(drawn.network), drawn.start
    times = start.time + (drawn.lead_h * 3600).astype("timedelta64[s]")
    usual = law.climate.swing(times) * law.usual
    members = unit.shown(drawn.members)

    def maps(values: np.ndarray) -> Array:
        return Array(values, _MAPS, unit.name)

    found = {"members": Array(members, ("sample", *_MAPS), unit.name),
             "mean": maps(members.mean(0)), "spread": maps(unit.apart(drawn.spread)),
             "probability": Array((members > threshold).mean(0, dtype=np.float32), _MAPS, "1"),
             "climate": maps(unit.shown(law.climate.mean_at(times))), "climate_spread": maps(unit.apart(usual)),
             "past": Array(unit.shown(start.past), ("time", "y", "x"), unit.name),
             "past_h": Array(start.hours, ("time",), "h")}
    if len(members) > 1:
        left = np.square(drawn.spread / usual).mean(0)
        found["predictability"] = Array(np.float32(np.clip(1 - left, 0, 1)), ("y", "x"), "1")
    if drawn.precision is not None:
        found["precision"] = Array(drawn.precision, _MAPS, "1")
    return found


def _tracks(drawn: Drawn, unit: Unit) -> Array:
    """Lows of every member from the start's own on."""
    first = np.broadcast_to(drawn.start.past[-1], (len(drawn.members), 1, *drawn.members.shape[2:]))
    maps, hours = np.concatenate((first, drawn.members), 1), np.concatenate(([0.0], drawn.lead_h))
    found = tracks.of_members(maps, hours, *drawn.grid)
    found[..., -1] = unit.shown(found[..., -1])
    return Array(found, ("track", "point", "value"), f"member, h, degrees_north, degrees_east, {unit.name}")


def _skill(judged: skill.Skill, drawn: Drawn, unit: Unit) -> dict[str, Array]:
    return {"truth": Array(unit.shown(drawn.start.truth), _MAPS, unit.name),
            "skill": Array(unit.apart(judged.values), ("method", "score", "lead"), unit.name),
            "skill_methods": Array(np.array(judged.methods), ("method",)),
            "skill_scores": Array(np.array(skill.SCORES), ("score",)),
            "rank": Array(judged.rank, ("bin",), "places")}


def _figures(drawn: Drawn, unit: Unit) -> dict[str, float]:
    days = drawn.lead_h[-1] / 24
    found = {f"Mean spread after {days:g} d ({unit.sign})": float(unit.apart(drawn.spread[-1].mean()))}
    if drawn.domain.name == "pressure":
        found[f"Lowest pressure in a member ({unit.sign})"] = float(unit.shown(drawn.members.min()))
    return {name: round(value, 2) for name, value in found.items()}


def _scores(judged: skill.Skill, drawn: Drawn, unit: Unit) -> dict[str, float]:
    """CRPS of the first and the last judged lead, ours and the best other one's."""
    found, seen = {}, np.flatnonzero(drawn.start.seen)
    if drawn.precision is not None:
        found["Surer places err less (rank correlation)"] = _agreement(drawn, seen[0])
    for lead in dict.fromkeys((seen[0], seen[-1])):
        ours, *others = unit.apart(judged.values[:, 0, lead])
        best = int(np.argmin(others))
        hours = f"{drawn.lead_h[lead]:g} h ({unit.sign})"
        found |= {f"CRPS at {hours}": ours, f"CRPS of {judged.methods[best + 1]} at {hours}": others[best]}
    return {name: round(float(value), 3) for name, value in found.items()}


def _agreement(drawn: Drawn, lead: int) -> float:
    """Spearman's correlation of the precision with the nearness of mean and truth at a lead: 1 is the best."""
    from scipy.stats import spearmanr

    error = np.abs(drawn.members[:, lead].mean(0) - drawn.start.truth[lead])
    return float(np.nan_to_num(spearmanr(drawn.precision[lead].ravel(), -error.ravel()).statistic))


def _files(drawn: Drawn, unit: Unit, arrays: Mapping[str, Array], options: Mapping[str, Any], threshold: float,
           recipe: Recipe, notes: tuple[str, ...]) -> dict[str, bytes]:
    (lat, lon), start = drawn.grid, drawn.start.time
    members, mean, spread = (arrays[name].values for name in ("members", "mean", "spread"))
    files = {"forecast.nc": exports.netcdf(members, unit, lat, lon, drawn.lead_h, start, drawn.domain, recipe, notes),
             "animation.webp": exports.animation(mean, spread, lat, lon, drawn.lead_h, start, unit)}
    where = exports.place(options["place_lat"], options["place_lon"], lat, lon)
    if where is not None:
        series = {name: exports.at_place(arrays[name].values, where, lat, lon)
                  for name in ("members", "climate", "truth") if name in arrays}
        files["place.csv"] = exports.place_csv(series, drawn.lead_h, start, unit, threshold)
    return files
