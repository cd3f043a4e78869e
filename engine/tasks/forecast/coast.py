"""Coastlines of a region, from a file of the program's own (see assets/coastline/NOTE.md)."""

from functools import lru_cache
from pathlib import Path

import numpy as np

_FILE = Path(__file__).resolve().parents[3] / "assets" / "coastline" / "coastline.npz"
_UNIT_DEG = 0.01


@lru_cache(maxsize=1)
def _world() -> tuple[np.ndarray, ...]:
    """All lines (N, 2) of longitude and latitude in degrees, in [-180, 180]."""
    with np.load(_FILE) as stored:
        return tuple(np.split(stored["points"] * _UNIT_DEG, stored["starts"][1:]))


def lines(lat: np.ndarray, lon: np.ndarray) -> list[np.ndarray]:
    """Coastlines (N, 2) of longitude and latitude, within the box of a grid's latitudes and longitudes (degrees).

    Longitudes come in the grid's own turns around the earth; parts outside the box are left out.
    """
    low, high = np.array([np.min(lon), np.min(lat)]), np.array([np.max(lon), np.max(lat)])
    found: list[np.ndarray] = []
    for line in _world():
        for turn in (-360.0, 0.0, 360.0):
            moved = line + np.array([turn, 0.0])
            if (moved.max(0) >= low).all() and (moved.min(0) <= high).all():
                found += _inside(moved, low, high)
    return found


def _inside(line: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """The parts of a line between the corners, each cut where it crosses the edge."""
    first, step = line[:-1], np.diff(line, axis=0)
    enter, leave = _crossings(first, step, low, high)
    parts: list[list[np.ndarray]] = []
    for index in np.flatnonzero(enter <= leave):
        start, end = first[index] + enter[index] * step[index], first[index] + leave[index] * step[index]
        if parts and enter[index] == 0 and np.array_equal(parts[-1][-1], start):
            parts[-1].append(end)
        else:
            parts.append([start, end])
    return [np.array(part) for part in parts]


def _crossings(first: np.ndarray, step: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the way at which segments enter and leave a box (Liang and Barsky, 1984); enter > leave: never."""
    still = step == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.sort(np.stack([(low - first) / step, (high - first) / step]), 0)
    outside = (still & ((first < low) | (first > high))).any(1)
    enter = np.where(still, -np.inf, shares[0]).max(1).clip(0)
    leave = np.where(still, np.inf, shares[1]).min(1).clip(None, 1)
    return np.where(outside, 1.0, enter), np.where(outside, 0.0, leave)
