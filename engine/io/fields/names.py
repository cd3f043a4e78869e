"""What axes and variables are called in files of many origins: CF names, and what else is in use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.io.fields.field import base_unit_name


@dataclass(frozen=True)
class Quantity:
    """Something that maps can show. unit: that of `Field`; standard: CF standard names; short: names of variables."""

    name: str
    unit: str
    standard: frozenset[str]
    short: frozenset[str]


QUANTITIES = (
    Quantity("pressure", "hPa", frozenset({"air_pressure_at_mean_sea_level", "air_pressure_at_sea_level"}),
             frozenset({"slp", "mslp", "msl", "psl", "prmsl", "pmsl", "mslet", "mslma", "pressure_msl"})),
    Quantity("temperature", "K", frozenset({"air_temperature"}),
             frozenset({"air", "t2m", "2t", "tas", "t995", "tmp", "tmp2m", "temp", "t", "temperature", "temperature_2m",
                        "air_temperature", "t_2m"})))

_OTHERS = frozenset({
    "sp", "ps", "pres", "surface_air_pressure", "air_pressure", "sst", "tos", "analysed_sst", "skt", "ts", "d2m", "2d",
    "tdps", "mx2t", "mn2t", "tasmax", "tasmin", "stl1", "sea_surface_temperature", "surface_temperature",
    "dew_point_temperature", "soil_temperature"})
"""Pressures that are not at sea level, and temperatures that are not of the air or not of the moment."""

_AXES = {"time": ("time", "valid_time", "t"), "lat": ("lat", "latitude", "nav_lat", "y"),
         "lon": ("lon", "longitude", "nav_lon", "x")}
_STANDARD = {"time": ("time",), "lat": ("latitude",), "lon": ("longitude",)}
_LETTERS = {"time": "T", "lat": "Y", "lon": "X"}
_DEGREES = {"degrees_north": "lat", "degree_north": "lat", "degrees_n": "lat", "degrees_east": "lon",
            "degree_east": "lon", "degrees_e": "lon"}


def _text(attributes: Mapping[str, Any], name: str) -> str:
    return str(attributes.get(name, "")).strip().lower()


def role(name: str, attributes: Mapping[str, Any]) -> str | None:
    """"time", "lat" or "lon", told from an axis's standard name, unit, CF letter or name; None for another axis."""
    for found, names in _STANDARD.items():
        if _text(attributes, "standard_name") in names:
            return found
    units = _text(attributes, "units")
    if units in _DEGREES:
        return _DEGREES[units]
    for found, letter in _LETTERS.items():
        if _text(attributes, "axis") == letter.lower() or name.lower() in _AXES[found]:
            return found
    return None


def quantity(name: str, attributes: Mapping[str, Any]) -> tuple[Quantity, int] | None:
    """What a variable shows, and how sure that is (3: standard name, 2: usual name, 1: unit); None for another one."""
    standard, short = _text(attributes, "standard_name"), name.lower()
    if standard in _OTHERS or short in _OTHERS:
        return None
    unit = base_unit_name(_text(attributes, "units"))
    for found in QUANTITIES:
        if unit not in (found.unit, ""):
            continue
        if standard in found.standard:
            return found, 3
        if short in found.short:
            return found, 2
        if unit and not standard and not any(short in other.short for other in QUANTITIES):
            return found, 1
    return None


def fitting(variables: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Of (name, attributes), the variable that fits each quantity best, by the quantity's name; the first of equals."""
    best: dict[str, tuple[int, str]] = {}
    for name, attributes in variables:
        found = quantity(name, attributes)
        if found is not None and found[1] > best.get(found[0].name, (0, ""))[0]:
            best[found[0].name] = found[1], name
    return {kind: name for kind, (_, name) in best.items()}
