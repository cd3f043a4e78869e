"""Every limit of a deployment in one frozen object. Needs no torch."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from engine.errors import InputError

PREFIX = "DIFFUSCOPE_"


@dataclass(frozen=True)
class Limits:
    """Defaults for a small machine. The environment variable DIFFUSCOPE_NAME replaces the value called `name`.

    A name ends in its unit: _bytes, _pixels (total), _px (length of a side), _s (seconds); the rest are counts.
    """

    image_bytes: int = 20_000_000
    """Largest picture file."""
    image_pixels: int = 16_800_000
    """Largest picture, height x width."""
    min_side_px: int = 8
    max_side_px: int = 4096
    scan_bytes: int = 512_000_000
    """Largest volume, in memory and as an upload."""
    scan_files: int = 500
    """Most files of one DICOM series, and most pictures of one stack."""
    field_bytes: int = 200_000_000
    """Largest file of weather maps, and most that a zipped store unpacks to."""
    field_values: int = 50_000_000
    """Most values of one series of maps, places x times."""
    mesh_bytes: int = 50_000_000
    """Largest file of a mesh or a point cloud."""
    mesh_faces: int = 1_000_000
    """Most triangles of a mesh."""
    cloud_points: int = 200_000
    """Most points of a cloud; more are thinned."""
    request_bytes: int = 550_000_000
    """Largest request body of an upload: a volume and its overhead fit."""
    workers: int = 4
    """Runs that compute at the same time."""
    queue: int = 16
    """Runs that may wait behind them; one more is told that the program is busy."""
    preview_s: float = 0.15
    """Least time between two live previews."""
    preview_px: int = 256
    """Longest side of a live preview."""
    preview_quality: int = 80
    """JPEG quality of a live preview."""
    preview_frames: int = 32
    """Previews kept for the step slider."""
    batch: int = 64
    """Most samples in one network call."""
    batch_bytes: int = 2_000_000_000
    """Most working memory of one network call, by the estimate of `engine.runtime.sharing`."""
    gather_s: float = 0.002
    """Longest wait of a network call for the other runs that are between two calls."""
    state_bound: float = 1e4
    """A state with a larger absolute value means that the run diverged."""
    device: str = ""
    """"cpu", "cuda", "cuda:1", "mps"; empty chooses."""
    precision: str = ""
    """"float32" or "bfloat16"; empty chooses."""


@lru_cache(maxsize=1)
def limits() -> Limits:
    """The limits of this process, read from the environment once.

    Raises InputError naming the variable whose value cannot be used. `limits.cache_clear()` reads anew.
    """
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Limits:
    """Limits with the values that `environment` replaces. Raises InputError naming the variable."""
    changed = {}
    for entry in fields(Limits):
        name = PREFIX + entry.name.upper()
        text = environment.get(name, "").strip()
        if text:
            changed[entry.name] = _parse(name, text, type(entry.default))
    return Limits(**changed)


def _parse(name: str, text: str, kind: Callable[[str], int | float | str]) -> int | float | str:
    if kind is str:
        return text
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        number = "a whole number" if kind is int else "a number"
        raise InputError(f"{name} is {text[:40]!r}.", f"It must be {number} above 0.",
                         "Please change or remove this environment variable.", field=name)
    return value
