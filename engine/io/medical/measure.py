"""How large, how many, how wide: numbers of a segmentation, each with its interval over the samples."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_LEVELS = (5, 50, 95)


@dataclass(frozen=True)
class Measurement:
    """One quantity over the samples: median and the 5th and 95th percentile, None where no sample has it.

    samples: how many samples have it. With one sample all three numbers are equal, which says nothing about certainty.
    """

    quantity: str
    unit: str
    median: float | None
    low: float | None
    high: float | None
    samples: int

    def row(self) -> dict[str, str | float | int | None]:
        """For a table."""
        return {"quantity": self.quantity, "unit": self.unit, "median": self.median, "5th percentile": self.low,
                "95th percentile": self.high, "samples": self.samples}


def measured(masks: np.ndarray, labels: np.ndarray | None = None,
             spacing_mm: tuple[float, float, float] | None = None, counted: bool = True) -> tuple[Measurement, ...]:
    """What can be measured in the masks of S samples.

    masks: (S, D, H, W) bool. labels: (S, D, H, W) whole numbers, 0 outside, one number per instance; None takes the
    connected parts of each mask (diagonal neighbours belong together). spacing_mm: (z, y, x), None when unknown.
    counted: whether the number of instances and their diameter say anything; without it they are left out.

    Gives the area (of the slice where it is largest), for D > 1 the volume, the number of instances and their mean
    equivalent diameter: that of the disc, or for D > 1 the ball, of the same size. In px (voxels), and in mm, mm2, mm3
    where the spacing is known; a diameter in px of voxels that are no cubes is that of a ball of as many voxels.
    """
    extent = _extent(masks, spacing_mm)
    if not counted:
        return extent
    sizes = [_sizes(_parts(mask) if labels is None else labels[sample]) for sample, mask in enumerate(masks)]
    return extent + _instances(sizes, masks.shape[1] > 1, spacing_mm)


def _extent(masks: np.ndarray, spacing_mm: tuple[float, float, float] | None) -> tuple[Measurement, ...]:
    areas = masks.sum((2, 3)).max(1).astype(float)
    volumes = masks.sum((1, 2, 3)).astype(float)
    z, y, x = spacing_mm or (0, 0, 0)
    found = [_over_samples("area", "px", areas), _over_samples("area", "mm2", areas * y * x)]
    if masks.shape[1] > 1:
        found += [_over_samples("volume", "voxels", volumes), _over_samples("volume", "mm3", volumes * z * y * x)]
    return tuple(found if spacing_mm else found[::2])


def _instances(sizes: list[np.ndarray], solid: bool,
               spacing_mm: tuple[float, float, float] | None) -> tuple[Measurement, ...]:
    across = _ball if solid else _disc
    # A count between two whole numbers is that of no sample.
    found = [_over_samples("count", "", np.array([len(size) for size in sizes], float), "closest_observation"),
             _over_samples("mean equivalent diameter", "px", _means(sizes, across))]
    if spacing_mm:
        z, y, x = spacing_mm
        found.append(_over_samples("mean equivalent diameter", "mm",
                                   _means([size * y * x * (z if solid else 1) for size in sizes], across)))
    return tuple(found)


def _parts(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label

    return label(mask)


def _sizes(labels: np.ndarray) -> np.ndarray:
    """Number of voxels of each instance."""
    return np.unique(labels[labels > 0], return_counts=True)[1].astype(float)


def _disc(area: np.ndarray) -> np.ndarray:
    return np.sqrt(4 * area / np.pi)


def _ball(volume: np.ndarray) -> np.ndarray:
    return np.cbrt(6 * volume / np.pi)


def _means(sizes: list[np.ndarray], across: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Mean diameter of each sample that has an instance."""
    return np.array([across(size).mean() for size in sizes if len(size)])


def _over_samples(quantity: str, unit: str, values: np.ndarray, method: str = "linear") -> Measurement:
    if not len(values):
        return Measurement(quantity, unit, None, None, None, 0)
    low, median, high = (float(v) for v in np.percentile(values, _LEVELS, method=method))
    return Measurement(quantity, unit, median, low, high, len(values))
