"""Best tracks of tropical cyclones, and how far forecasts' lows are from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.tasks.forecast.data import Record, starts
from engine.tasks.forecast.tracks import centres, distance_km, joined

FOLDER, FILE = "cyclone_tracks", "hurdat2_6h.npz"
_SAME_KM = 400.0
"""A low of the start this near to a storm is taken for it; the grid's step is 280 km."""
_EPOCH = np.datetime64("1970-01-01", "s")


@dataclass(frozen=True)
class Storm:
    """One storm's best track. times (N,) datetime64[s], usually every 6 h; lat, lon (N,): degrees."""

    key: str
    times: np.ndarray
    lat: np.ndarray
    lon: np.ndarray

    def during(self, start: np.datetime64, hours: int) -> tuple[float, float] | None:
        """Its mean place in these hours, as maps of daily means show it; None where it has none."""
        seen = (self.times >= start) & (self.times < start + np.timedelta64(hours * 3600, "s"))
        return (float(self.lat[seen].mean()), float(self.lon[seen].mean())) if seen.any() else None


def read(data: str | Path) -> list[Storm]:
    """The storms in the folder `cyclone_tracks` of `data`; none where it is not there."""
    path = Path(data) / FOLDER / FILE
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as stored:
        key, hours, lat, lon = (stored[name] for name in ("key", "time_h", "lat", "lon"))
    times = _EPOCH + hours.astype("int64") * np.timedelta64(3600, "s")
    order = np.lexsort((times, key))
    edges = np.flatnonzero(key[order][1:] != key[order][:-1]) + 1
    return [Storm(str(key[part[0]]), times[part], lat[part].astype(np.float64), lon[part].astype(np.float64))
            for part in np.split(order, edges) if len(part)]


def places(storm: Storm, start: np.datetime64, step_hours: int, leads: int) -> np.ndarray:
    """(leads + 1, 2) of latitude and longitude at the start and at each lead, NaN where the storm has ended."""
    step = np.timedelta64(step_hours * 3600, "s")
    found = [storm.during(start + lead * step, step_hours) for lead in range(leads + 1)]
    return np.array([place or (np.nan, np.nan) for place in found])


def cases(record: Record, found: Sequence[Storm], leads: int) -> list[tuple[int, np.ndarray]]:
    """(index of the start, places) of each storm at each validation start at which its low is on the map."""
    field, kept = record.field, []
    seen = [storm for storm in found if storm.times[-1] >= field.times[0] and storm.times[0] <= field.times[-1]]
    for now in starts(record, leads):
        for storm in seen:
            way = places(storm, field.times[now], record.domain.step_hours, leads)
            if np.isfinite(way[:2]).all() and inside(way[0], field.lat, field.lon):
                lows = np.array(centres(field.values[now:now + 1], field.lat, field.lon)[0]).reshape(-1, 3)
                if (distance_km(lows[:, 0], lows[:, 1], *way[0]) <= _SAME_KM).any():
                    kept.append((int(now), way))
    return kept


def rows(record: Record, found: Sequence[tuple[int, np.ndarray]],
         ensembles: Mapping[str, Sequence[np.ndarray]]) -> list[dict[str, Any]]:
    """One row per lead and method: mean distance of members' lows from the storms, and the share that still has one.

    ensembles: by method, members (cases, M, lat, lon) at 1, 2, ... steps. Of "no motion" the low stays where it was.
    """
    field, step_h = record.field, record.domain.step_hours
    leads = min(map(len, ensembles.values()))
    hours = np.arange(leads + 1) * float(step_h)
    distances = {"no motion": np.stack([distance_km(*way[0], *way.T) for _, way in found])[:, None, :leads + 1]}
    for name, series in ensembles.items():
        maps = np.stack(series, 2)
        distances[name] = np.stack([
            errors_km(np.concatenate((np.broadcast_to(field.values[now], (len(drawn), 1, *drawn.shape[2:])), drawn), 1),
                      hours, field.lat, field.lon, way) for (now, way), drawn in zip(found, maps)])
    made = []
    for lead in range(1, leads + 1):
        lasting = [number for number, (_, way) in enumerate(found) if np.isfinite(way[lead]).all()]
        for name, apart in distances.items():
            here = apart[lasting, :, lead]
            if np.isfinite(here).any():
                made.append({"record": "cyclones", "lead_h": lead * step_h, "method": name, "unit": "km",
                             "track_error": round(float(np.nanmean(here)), 1),
                             "followed": round(float(np.isfinite(here).mean()), 3), "starts": len(lasting)})
    return made


def inside(place: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> bool:
    """Whether a low could be found there: two grid steps or more from the edge."""
    return bool(lat[2] <= place[0] <= lat[-3] and lon[2] <= place[1] <= lon[-3])


def errors_km(maps: np.ndarray, hours: np.ndarray, lat: np.ndarray, lon: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Distance (member, time) of each member's low from the storm, NaN where the member has lost it.

    maps (member, time, lat, lon) in hPa, the first one at the start; way (time, 2): the storm's places.
    """
    found = np.full(maps.shape[:2], np.nan)
    for member, series in enumerate(maps):
        track = _from(joined(centres(series, lat, lon), hours), hours[0], way[0])
        if track is not None:
            at = np.searchsorted(hours, track[:, 0])
            found[member, at] = distance_km(track[:, 1], track[:, 2], way[at, 0], way[at, 1])
    return found


def _from(tracks: list[np.ndarray], hour: float, place: np.ndarray) -> np.ndarray | None:
    """The track that begins at this place, the nearest of those near enough."""
    near = [(float(distance_km(track[0, 1], track[0, 2], *place)), number)
            for number, track in enumerate(tracks) if track[0, 0] == hour]
    return tracks[min(near)[1]] if near and min(near)[0] <= _SAME_KM else None
