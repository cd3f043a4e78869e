"""An ensemble forecast as one message that the page can work with alone: every member, every lead time.

From the members the page itself works out means, spreads, chances and quantiles, so that moving a threshold or choosing
a place asks nobody.
"""

import base64
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.tasks.base import Result
from ui.forecast import storms

MESSAGE_BYTES = 3_000_000
"""Most base64 of one message."""
LEVELS = 16_000
"""Steps from the smallest to the largest value: finer than a hundredth of a hPa or K."""
MISSING = -32768
_MAPS = ("climate", "climate_spread", "truth", "past", "predictability", "precision")
_THINNINGS = ((1, 1), (2, 1), (3, 1), (4, 1), (4, 2), (6, 2), (6, 3), (8, 4), (12, 6), (24, 12))
"""Every how manieth lead and grid point is kept, in the order in which they are tried."""

Message = dict[str, Any]


def packed(values: np.ndarray) -> Message:
    """Numbers (..., columns) in `LEVELS` equal steps: deflated int16, each row as differences from left to right, all
    low bytes before all high ones. What is not finite becomes `MISSING`.
    """
    whole = np.isfinite(values)
    low, high = (float(edge) for edge in (values[whole].min(), values[whole].max())) if whole.any() else (0.0, 0.0)
    step = (high - low) / LEVELS or 1.0
    with np.errstate(invalid="ignore"):
        levels = np.where(whole, np.round((values - low) / step), MISSING).astype(np.int16)
    rows = levels.copy()
    rows[..., 1:] = levels[..., 1:] - levels[..., :-1]
    planes = np.ascontiguousarray(rows.reshape(-1).astype("<i2")).view(np.uint8).reshape(-1, 2).T
    data = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()
    return {"shape": list(values.shape), "offset": low, "step": step, "data": data}


def unpacked(message: Mapping[str, Any]) -> np.ndarray:
    """What `packed` was given, to half a step; NaN where it was not finite."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(message["data"])), np.uint8).reshape(2, -1)
    rows = np.ascontiguousarray(planes.T).view("<i2").reshape(message["shape"])
    levels = np.cumsum(rows, -1, dtype=np.int16)
    return np.where(levels == MISSING, np.nan, message["offset"] + message["step"] * levels.astype(np.float64))


def message(result: Result) -> Message:
    """The value of the forecast view, at most `MESSAGE_BYTES`: where it would be more, lead times and then grid points
    are left out evenly, and "thinned" says so.
    """
    arrays = {name: array.values for name, array in result.arrays.items()}
    unit = result.arrays["members"].unit
    for leads, points in _THINNINGS:
        found = _maps(arrays, leads, points)
        if sum(len(entry["data"]) for entry in found.values() if isinstance(entry, dict)) <= MESSAGE_BYTES:
            break
    options = result.recipe.options
    return found | {"unit": unit, "start": _text(arrays.get("start")), "thinned": _thinned(leads, points),
                    "storms": _storms(arrays), "skill": _skill(arrays), "rank": _rank(arrays),
                    "threshold": _number(options.get("threshold")) or None}


def _maps(arrays: Mapping[str, np.ndarray], leads: int, points: int) -> Message:
    """The maps with latitudes and longitudes rising, with every `leads`-th lead time and every `points`-th place."""
    rows, columns = (np.argsort(arrays[axis])[::points] for axis in ("lat", "lon"))
    # The last lead is what people wait for, so counting starts there.
    kept = np.arange(len(arrays["lead_h"]))[::-1][::leads][::-1]

    def cut(name: str) -> np.ndarray:
        values = np.asarray(arrays[name], np.float32)[..., rows[:, None], columns]
        return values[..., kept, :, :] if values.ndim > 2 and name != "past" else values

    found: Message = {"lat": arrays["lat"][rows].tolist(), "lon": arrays["lon"][columns].tolist(),
                      "leads": [float(hours) for hours in arrays["lead_h"][kept]], "members": packed(cut("members")),
                      "past_h": [float(hours) for hours in arrays.get("past_h", ())]}
    return found | {name: packed(cut(name)) if name in arrays else None for name in _MAPS}


def _thinned(leads: int, points: int) -> str:
    words = [f"every {many}th {what}" for many, what in ((leads, "lead time"), (points, "grid point")) if many > 1]
    words = [text.replace("2th", "2nd").replace("3th", "3rd") for text in words]
    return f"Shown here: {' and '.join(words)}. The files hold all." if words else ""


def _storms(arrays: Mapping[str, np.ndarray]) -> Message | None:
    if "tracks" not in arrays or not len(arrays["tracks"]):
        return None
    found = [track[np.isfinite(track).all(-1)] for track in np.asarray(arrays["tracks"], float)]
    found = [track for track in found if len(track)]
    return {"tracks": [track.round(3).tolist() for track in found],
            "groups": [group.round(3).tolist() for group in storms.groups(found, arrays["members"].shape[0])]}


def _skill(arrays: Mapping[str, np.ndarray]) -> Message | None:
    if "skill" not in arrays:
        return None
    methods, scores = (list(map(str, arrays[f"skill_{axis}"])) for axis in ("methods", "scores"))
    curves = {score: {method: [_number(value) for value in arrays["skill"][m, s]] for m, method in enumerate(methods)}
              for s, score in enumerate(scores)}
    return {"leads": [float(hours) for hours in arrays["lead_h"]], "scores": curves}


def _rank(arrays: Mapping[str, np.ndarray]) -> list[float] | None:
    return [float(count) for count in arrays["rank"]] if "rank" in arrays else None


def _text(values: np.ndarray | None) -> str:
    return "" if values is None or not len(values) else str(values[0])


def _number(value: Any) -> float | None:
    """A finite number to six digits, else None, which JSON can carry."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        return None
    return float(f"{float(value):.6g}")
