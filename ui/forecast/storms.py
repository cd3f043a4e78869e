"""Which tracks of the members belong to the same low: mean way and spread of each."""

from collections.abc import Sequence

import numpy as np

from engine.tasks.forecast.tracks import EARTH_KM, distance_km

NEAR_KM = 600.0
"""Lows of two members this close when they are first seen at the same time are the same one."""
LEAST_SHARE = 0.3
"""Of the members that must have a low before its mean way is shown."""
MEMBER, LEAD, LAT, LON, PRESSURE = range(5)


def groups(tracks: Sequence[np.ndarray], members: int) -> list[np.ndarray]:
    """The mean ways of lows that many members share.

    tracks: each (point, value) of member, lead (h), latitude, longitude (degrees), pressure, by rising lead. Gives for
    each low (lead, value): lead (h), mean latitude and longitude, mean pressure, the number of members, and the
    ellipse of one standard deviation: half axes (km) and the angle of the longer one (degrees, from east to north).
    """
    found: list[list[np.ndarray]] = []
    for track in sorted(tracks, key=lambda track: (track[0, LEAD], -len(track))):
        group = _nearest(track, found)
        if group is None:
            found.append([track])
        else:
            group.append(track)
    ways = [_way(group, max(2, round(LEAST_SHARE * members))) for group in found]
    return sorted((way for way in ways if len(way)), key=lambda way: -way[:, 4].sum())


def _nearest(track: np.ndarray, found: Sequence[list[np.ndarray]]) -> list[np.ndarray] | None:
    """The group of other members whose mean lies nearest where the track begins, None when none is near."""
    best, nearest = None, NEAR_KM
    for group in found:
        if any(other[0, MEMBER] == track[0, MEMBER] for other in group):
            continue
        there = np.concatenate([other[other[:, LEAD] == track[0, LEAD]] for other in group])
        if len(there):
            apart = float(distance_km(track[0, LAT], track[0, LON], there[:, LAT].mean(), _middle(there[:, LON])))
            if apart < nearest:
                best, nearest = group, apart
    return best


def _way(group: Sequence[np.ndarray], least: int) -> np.ndarray:
    points, rows = np.concatenate(group), []
    for lead in np.unique(points[:, LEAD]):
        here = points[points[:, LEAD] == lead]
        if len(here) >= least:
            rows.append([lead, here[:, LAT].mean(), _middle(here[:, LON]), here[:, PRESSURE].mean(), len(here),
                         *_ellipse(here)])
    return np.array(rows).reshape(len(rows), 8)


def _ellipse(points: np.ndarray) -> tuple[float, float, float]:
    """Half axes (km), the longer first, and its angle (degrees) of the scatter around the mean place."""
    lat, lon = points[:, LAT].mean(), _middle(points[:, LON])
    east = np.deg2rad(_turn(points[:, LON] - lon)) * np.cos(np.deg2rad(lat))
    north = np.deg2rad(points[:, LAT] - lat)
    sizes, axes = np.linalg.eigh(np.cov(EARTH_KM * np.stack([east, north])))
    small, large = np.sqrt(sizes.clip(0))
    return float(large), float(small), float(np.rad2deg(np.arctan2(axes[1, 1], axes[0, 1])))


def _middle(lon: np.ndarray) -> float:
    """The mean longitude near the first one, so that lows on the date line do not end up on the other side."""
    return float(lon[0] + _turn(lon - lon[0]).mean())


def _turn(difference: np.ndarray) -> np.ndarray:
    return (difference + 180) % 360 - 180
