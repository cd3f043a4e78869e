"""From a file's grid to the model's: the same points, averages over larger cells, or linear interpolation."""

import numpy as np

from engine.errors import InputError
from engine.io.fields import Field

_SLACK_DEG = 0.01
"""Files store coordinates with a few digits."""
_COARSER = 1.5
"""From this ratio of spacings on, values are averaged: points between would leave most of the file unused."""


def onto(field: Field, values: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Maps (time, lat, lon) of a field on another regular grid, float64, and what was done.

    lat, lon: rising, degrees. Raises InputError with both domains where the field does not cover the grid.
    """
    columns, turned = _around(field.lon, lon)
    check_covered(field, lat, lon)
    by_row, how = _weights(field.lat, lat, np.sin)
    by_column, how_too = _weights(field.lon[columns] + turned, lon, lambda angle: angle)
    found = np.einsum("Rr,trc,Cc->tRC", by_row, values[:, :, columns].astype(np.float64), by_column, optimize=True)
    done = {how, how_too} - {"kept"}
    words = "averaged" if "averaged" in done else "interpolated"
    step, to = (f"{np.diff(axis).mean():.3g}" for axis in (field.lat, lat))
    notes = (f"The file's grid of {step} degrees was {words} to the model's of {to} degrees.",) if done else ()
    return found, notes


def check_covered(field: Field, lat: np.ndarray, lon: np.ndarray) -> None:
    """Raises InputError with both domains where the field does not cover the grid."""
    columns, turned = _around(field.lon, lon)
    axes = ((field.lat, lat), (field.lon[columns] + turned, lon))
    if any(np.min(to) < np.min(at) - _SLACK_DEG or np.max(to) > np.max(at) + _SLACK_DEG for at, to in axes):
        raise InputError(f"The field covers {region(field.lat, field.lon)}.", f"The model needs {region(lat, lon)}.",
                         "Give a field that covers all of it.", field="field")


def region(lat: np.ndarray, lon: np.ndarray) -> str:
    """A domain in words: "30 to 70 N, 70 W to 10 E"."""
    south, north = (f"{abs(edge):g} {'N' if edge >= 0 else 'S'}" for edge in (np.min(lat), np.max(lat)))
    west, east = (f"{abs(edge):g} {'E' if edge >= 0 else 'W'}"
                  for edge in ((np.array([lon[0], lon[-1]]) + 180) % 360 - 180))
    if np.ptp(lon) + np.diff(lon).max() > 360 - _SLACK_DEG:
        return f"{south} to {north}, all longitudes"
    return f"{south} to {north}, {west} to {east}"


def _around(at: np.ndarray, to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of columns, and whole turns to add to their longitudes, that run through the wanted longitudes.

    A field that goes around the earth goes on at both of its ends.
    """
    index = np.arange(len(at))
    middle = (to[0] + to[-1]) / 2
    if np.ptp(at) + np.diff(at).max() > 360 - _SLACK_DEG:
        index, turns = np.tile(index, 3), np.repeat([-360.0, 0.0, 360.0], len(at))
        places = at[index] + turns
        shift = 360 * np.round((middle - places.mean()) / 360)
        near = np.abs(places + shift - middle) < 270
        return index[near], turns[near] + shift
    return index, np.full(len(at), 360 * np.round((middle - (at[0] + at[-1]) / 2) / 360))


def _weights(at: np.ndarray, to: np.ndarray, measure) -> tuple[np.ndarray, str]:
    """(targets, sources), rows of sum 1, and what they do. measure: of an angle (radians), grows with the area."""
    if np.diff(to).mean() < _COARSER * np.diff(at).mean():
        nearest = np.abs(at[None] - to[:, None]).argmin(1)
        if np.abs(at[nearest] - to).max() <= _SLACK_DEG:
            return np.eye(len(at))[nearest], "kept"
        return np.stack([np.interp(to, at, unit) for unit in np.eye(len(at))], 1), "interpolated"
    low, high = (measure(np.deg2rad(edge)) for edge in _edges(at))
    wanted_low, wanted_high = (measure(np.deg2rad(edge)) for edge in _edges(to))
    shared = np.minimum(high[None], wanted_high[:, None]) - np.maximum(low[None], wanted_low[:, None])
    shared = shared.clip(0)
    return shared / shared.sum(1, keepdims=True), "averaged"


def _edges(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edges of the cells around rising centres, half way to their neighbours, in degrees."""
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate(([first], middle)), np.concatenate((middle, [last]))
