"""A checked cloud, and how any set of points becomes one."""

from dataclasses import dataclass, replace

import numpy as np

from engine.errors import InputError
from engine.runtime.settings import limits

LEAST_POINTS = 16
_FAR = 20.0


@dataclass(frozen=True, eq=False)
class CloudFile:
    """A checked cloud. points (N, 3) float32, brought to a box around 0 whose longest side goes from -1 to 1.

    colours (N, 3) uint8 sRGB or None. notes: what was changed, a sentence each. A point in the file's own coordinates
    is centre + half * point; centre (3,) float64, half a length in the file's unit.
    """

    points: np.ndarray
    colours: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    centre: np.ndarray | None = None
    half: float = 1.0

    def turned(self, rotation: np.ndarray) -> "CloudFile":
        """The same with its points p turned to p R, rotation R (3, 3); centre and half stay those before the turn."""
        return replace(self, points=np.ascontiguousarray(self.points @ np.float32(rotation)))


def cleaned(points: np.ndarray, colours: np.ndarray | None, notes: list[str]) -> CloudFile:
    """Points (N, 3) of any numbers without those that are none or lie far out, thinned, centred and scaled.

    colours: (N, 3) uint8 or None. Raises InputError for fewer than 16 points, or all in one place.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    kept = np.isfinite(points).all(1)
    if not kept.all():
        notes.append(f"{_points(int((~kept).sum()))} whose coordinates are no numbers "
                     f"{'was' if (~kept).sum() == 1 else 'were'} left out.")
    kept &= _near(points, kept, notes)
    if kept.sum() < LEAST_POINTS:
        raise InputError(f"The file holds {_points(int(kept.sum()))} to work on." if kept.any() else
                         "The file holds no point.", f"At least {LEAST_POINTS} are needed.",
                         "Give a cloud of a whole object.")
    places = np.flatnonzero(kept)
    most = limits().cloud_points
    if len(places) > most:
        notes.append(f"The cloud of {len(places)} points was thinned to {most}.")
        places = np.sort(np.random.default_rng(0).permutation(len(places))[:most])
        places = np.flatnonzero(kept)[places]
    points = points[places]
    low, high = points.min(0), points.max(0)
    # Halves, so that the difference of two huge numbers stays finite.
    half = float((high / 2 - low / 2).max())
    if half == 0:
        raise InputError(f"All {len(points)} points lie in one place.", "They have no shape.",
                         "Give a cloud of a whole object.")
    centre = low / 2 + high / 2
    shown = np.float32((points - centre) / half)
    return CloudFile(shown, None if colours is None else colours[places], tuple(notes), centre, half)


def _near(points: np.ndarray, finite: np.ndarray, notes: list[str]) -> np.ndarray:
    """Which points lie within 20 times the distance from the middle that nine in ten keep to."""
    if not finite.any():
        return finite
    middle = np.median(points[finite], axis=0)
    apart = np.abs(points / 2 - middle / 2).max(1)
    usual = float(np.quantile(apart[finite], 0.9))
    far = finite & (apart > _FAR * usual) if usual > 0 else np.zeros_like(finite)
    if far.any():
        notes.append(f"{_points(int(far.sum()))} more than {_FAR:.0f} times as far out as nine in ten of the others "
                     f"{'was' if far.sum() == 1 else 'were'} left out.")
    return ~far


def _points(count: int) -> str:
    return f"{count} point{'' if count == 1 else 's'}"
