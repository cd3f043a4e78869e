"""Lows and their ways: centres of low pressure found on each map, and joined over time, member by member.

After the tracker of LaDCast (2025): from the last centre on, the nearest minimum of sea-level pressure within reach is
the same low. Steps of a day are long, so that the search is centred where the low was heading.
"""

from collections.abc import Sequence

import numpy as np

EARTH_KM = 6371.0
DEPTH_HPA = 2.0
"""A low is at least this much deeper than the mean of the places two grid steps around it."""
REACH_KM_H = 45.0
"""How far from where it is expected a low may be found, per hour since it was seen."""
_HELD = 0.75
"""Share of its last way that a low is expected to go again."""
_LEAST = 2
"""Fewest points of a track."""

Centre = tuple[float, float, float]
"""Latitude, longitude (degrees), pressure."""


def centres(maps: np.ndarray, lat: np.ndarray, lon: np.ndarray, depth: float = DEPTH_HPA) -> list[list[Centre]]:
    """The lows of each map (N, lat, lon), places on the edge left out; between grid points by a parabola."""
    from scipy.ndimage import minimum_filter, uniform_filter

    lowest = maps == minimum_filter(maps, size=(1, 3, 3), mode="nearest")
    # The mean of the ring of 16 places around the inner nine.
    ring = (25 * uniform_filter(maps.astype(np.float64), (0, 5, 5), mode="nearest")
            - 9 * uniform_filter(maps.astype(np.float64), (0, 3, 3), mode="nearest")) / 16
    found = lowest & (ring - maps >= depth)
    found[:, [0, -1]] = found[:, :, [0, -1]] = False
    lows: list[list[Centre]] = [[] for _ in maps]
    for number, row, column in np.argwhere(found):
        lows[number].append(_refined(maps[number], row, column, lat, lon))
    return lows


def _refined(values: np.ndarray, row: int, column: int, lat: np.ndarray, lon: np.ndarray) -> Centre:
    """The lowest point of the parabolas through a minimum and its neighbours along both axes."""
    place, pressure = [], float(values[row, column])
    for before, after, axis, index in ((values[row - 1, column], values[row + 1, column], lat, row),
                                       (values[row, column - 1], values[row, column + 1], lon, column)):
        slope, bend = (float(after) - float(before)) / 2, float(after) + float(before) - 2 * float(values[row, column])
        offset = float(np.clip(-slope / bend, -0.5, 0.5)) if bend > 0 else 0.0
        pressure += slope * offset + bend * offset**2 / 2
        place.append(float(np.interp(index + offset, np.arange(len(axis)), axis)))
    return place[0], place[1], pressure


def distance_km(lat: np.ndarray, lon: np.ndarray, other_lat: np.ndarray, other_lon: np.ndarray) -> np.ndarray:
    """Great-circle distance by the haversine formula; degrees, of any shapes that fit."""
    a, b = np.deg2rad(lat), np.deg2rad(other_lat)
    half = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.deg2rad(np.subtract(other_lon, lon)) / 2) ** 2
    return 2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(half, 1)))


def joined(lows: Sequence[Sequence[Centre]], hours: np.ndarray) -> list[np.ndarray]:
    """Tracks (point, 4) of hours, latitude, longitude, pressure from the lows of successive maps, at these hours."""
    active: list[list[tuple[float, ...]]] = []
    finished: list[list[tuple[float, ...]]] = []
    for number, hour in enumerate(hours):
        pairs = _nearest(active, lows[number], hour)
        for track, low in pairs.items():
            active[track].append((float(hour), *lows[number][low]))
        finished += [track for index, track in enumerate(active) if index not in pairs]
        active = [track for index, track in enumerate(active) if index in pairs]
        active += [[(float(hour), *low)] for index, low in enumerate(lows[number]) if index not in pairs.values()]
    return [np.array(track) for track in (*finished, *active) if len(track) >= _LEAST]


def _nearest(active: list[list[tuple[float, ...]]], lows: Sequence[Centre], hour: float) -> dict[int, int]:
    """Which track each low goes on with: the nearest pairs first, within reach."""
    if not active or not lows:
        return {}
    expected = np.array([_expected(track, hour) for track in active])
    found = np.array(lows)
    apart = distance_km(expected[:, :1], expected[:, 1:2], found[None, :, 0], found[None, :, 1])
    reach = REACH_KM_H * (hour - np.array([track[-1][0] for track in active]))
    pairs: dict[int, int] = {}
    for flat in np.argsort(apart, axis=None):
        track, low = divmod(int(flat), len(lows))
        if apart[track, low] <= reach[track] and track not in pairs and low not in pairs.values():
            pairs[track] = low
    return pairs


def _expected(track: list[tuple[float, ...]], hour: float) -> tuple[float, float]:
    """Where a low is looked for: most of its last way further on, or where it was if it was seen once."""
    _, lat, lon, _ = track[-1]
    if len(track) == 1:
        return lat, lon
    before, lat_before, lon_before, _ = track[-2]
    share = _HELD * (hour - track[-1][0]) / (track[-1][0] - before)
    return float(np.clip(lat + share * (lat - lat_before), -90, 90)), lon + share * (lon - lon_before)


def of_members(maps: np.ndarray, hours: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Tracks (track, point, value) of member, hours, latitude, longitude, pressure, NaN behind a track's end.

    maps (member, time, lat, lon) in hPa, at these hours.
    """
    found = []
    for member, series in enumerate(maps):
        for track in joined(centres(series, lat, lon), hours):
            found.append(np.column_stack([np.full(len(track), float(member)), track]))
    longest = max(map(len, found), default=0)
    padded = np.full((len(found), longest, 5), np.nan)
    for number, track in enumerate(found):
        padded[number, :len(track)] = track
    return padded
