"""A sequence of maps in one fixed form, whatever the file looked like."""

from dataclasses import dataclass

import numpy as np

from engine.errors import InputError

_TO_KELVIN = {"k": (1.0, 0.0), "kelvin": (1.0, 0.0), "degc": (1.0, 273.15), "celsius": (1.0, 273.15),
              "degrees_celsius": (1.0, 273.15), "degree_celsius": (1.0, 273.15), "c": (1.0, 273.15),
              "degrees_c": (1.0, 273.15), "°c": (1.0, 273.15), "deg c": (1.0, 273.15),
              "degk": (1.0, 0.0), "kelvins": (1.0, 0.0), "degf": (5 / 9, 273.15 - 160 / 9),
              "f": (5 / 9, 273.15 - 160 / 9), "fahrenheit": (5 / 9, 273.15 - 160 / 9)}
_TO_HECTOPASCAL = {"pa": (0.01, 0.0), "pascal": (0.01, 0.0), "pascals": (0.01, 0.0), "hpa": (1.0, 0.0),
                   "kpa": (10.0, 0.0), "mbar": (1.0, 0.0), "mb": (1.0, 0.0), "millibar": (1.0, 0.0),
                   "millibars": (1.0, 0.0)}
_UNITS = ({unit: ("K", *rule) for unit, rule in _TO_KELVIN.items()}
          | {unit: ("hPa", *rule) for unit, rule in _TO_HECTOPASCAL.items()})


@dataclass(frozen=True)
class Field:
    """Maps in time order. values (time, lat, lon) float32 in `unit`; times datetime64[s], UTC, strictly rising.

    lat, lon: degrees, both rising; longitudes run through the domain without a jump, from [-180, 180) on. others: maps
    of other quantities that the same file holds.
    """

    values: np.ndarray
    times: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    unit: str
    name: str = ""
    notes: tuple[str, ...] = ()
    others: "tuple[Field, ...]" = ()


def base_unit_name(unit: str) -> str:
    """"K" or "hPa" for a known unit of temperature or pressure, "" for none, another unit as it is."""
    return _UNITS[unit.strip().lower()][0] if unit.strip().lower() in _UNITS else unit.strip()


def base_unit(values: np.ndarray, unit: str) -> tuple[np.ndarray, str]:
    """Temperatures in K and pressures in hPa; other units stay as they are."""
    known = _UNITS.get(unit.strip().lower())
    if known is None:
        return values, unit
    name, factor, offset = known
    return values * factor + offset, name


def arranged(values: np.ndarray, times: np.ndarray, lat: np.ndarray, lon: np.ndarray, unit: str, name: str) -> Field:
    """A `Field` from arrays (time, lat, lon) in any order of latitude, longitude and time, in any known unit.

    Raises InputError for values that are missing and for times that come twice.
    """
    lon = _continuous(np.asarray(lon, np.float64))
    rows, columns, order = np.argsort(lat), np.argsort(lon), np.argsort(times, kind="stable")
    times = np.asarray(times, "datetime64[s]")[order]
    twice = int((np.diff(times) == np.timedelta64(0, "s")).sum())
    if twice:
        raise InputError(f"{twice} times of the field come twice.", "Each map needs a time of its own.",
                         "Remove the copies.", field="field")
    values, unit = base_unit(np.asarray(values, np.float64)[np.ix_(order, rows, columns)], unit)
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise InputError(f"{missing} of {values.size} values of the field are missing.", "Every place needs a value.",
                         "Choose a region or time without gaps.", field="field")
    return Field(values.astype(np.float32), times, np.asarray(lat, np.float64)[rows], lon[columns], unit, name)


def _continuous(lon: np.ndarray) -> np.ndarray:
    """Longitudes moved by whole turns: into [-180, 180), or into [0, 360) where the domain crosses the date line."""
    around = (lon + 180) % 360 - 180
    turned = lon % 360
    return around if _widest_gap(around) <= _widest_gap(turned) else turned


def _widest_gap(lon: np.ndarray) -> float:
    return float(np.diff(np.sort(lon)).max(initial=0.0))
