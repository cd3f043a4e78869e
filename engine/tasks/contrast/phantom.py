"""A made-up head before contrast, for the examples and tests: skull-stripped brain, ventricles, folds, a lesion.

Tissue from thresholded random fields, a lesion that may hardly be seen, vessels, one bias field, Rician noise; uptake
is added where the lesion's rim and the vessels are.
"""

import numpy as np
from numpy.random import Generator

_WHITE, _GREY, _FLUID, _LESION = 0.92, 0.72, 0.30, 0.58
_VESSEL = 0.55
_UPTAKE_LESION, _UPTAKE_VESSEL = 0.45, 0.5
_NOISE = 0.012


def head(side: int, seed: int, lesion: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(before, after, lesion) of one axial slice (side, side): brightness with white matter near 0.9; lesion bool.

    The same seed gives the same head.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float64) * 2 / (side - 1) - 1
    pixel = 2 / side
    outline = np.hypot(x / 0.62, (y + 0.02) / 0.76) + _smooth(side, 0.3, rng) * 0.025
    brain = outline < 1
    folds = abs(_smooth(side, 0.045, rng)) + 4 * np.clip(0.7 - outline, 0, 1)
    sulci = folds < 0.14
    tissue = np.where((folds < 0.55) | (outline > 0.95), _GREY, _WHITE)
    tissue = np.where(np.hypot((abs(x) - 0.19) / 0.10, (y - 0.02) / 0.2) < 1, _GREY, tissue)
    tissue = np.where(_ventricles(x, y) | sulci, _FLUID, tissue)
    midline = (abs(x + 0.008 * np.sin(9 * y)) < 0.7 * pixel) & (abs(y) > 0.3)
    tissue = np.where(midline & brain, _FLUID + 0.1, tissue)
    shape, rim = _lesion(x, y, side, rng) if lesion else (np.zeros_like(brain), np.zeros_like(x))
    tissue = np.where(shape, _LESION + 0.1 * rim, tissue)
    vessels = _vessels(x, y, pixel) & brain
    tissue = np.where(vessels, _VESSEL, tissue)
    uptake = _UPTAKE_LESION * rim * shape + _UPTAKE_VESSEL * (vessels | (midline & brain))
    field = 1 + 0.08 * _smooth(side, 0.5, rng)
    before, after = (_seen(gaussian_filter(v * brain, 0.004 * side) * field, rng) * brain
                     for v in (tissue, tissue + uptake))
    return before, after, shape & binary_erosion(brain)


def _ventricles(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two horns that bend outward at both ends, and the slit between the thalami."""
    bend = 0.07 + 0.16 * (y - 0.02) ** 2 / 0.16
    horns = (abs(abs(x) - bend) < 0.045 * np.sqrt(np.clip(1 - ((y - 0.02) / 0.36) ** 2, 0, 1))) & (abs(y - 0.02) < 0.36)
    return horns | ((abs(x) < 0.012) & (abs(y - 0.02) < 0.16))


def _lesion(x: np.ndarray, y: np.ndarray, side: int, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """A blob with an uneven border, and how much of its rim each pixel is, in [0, 1]."""
    middle = np.array([rng.choice([-1, 1]) * rng.uniform(0.25, 0.36), rng.uniform(-0.32, 0.32)])
    radius = rng.uniform(0.10, 0.17)
    distance = np.hypot(x - middle[0], y - middle[1]) / radius + 0.18 * _smooth(side, 0.04, rng)
    return distance < 1, np.exp(-((distance - 0.8) / 0.22) ** 2)


def _vessels(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """The sagittal sinus in front and behind, and the veins of the basal ganglia."""
    sinus = (np.hypot(x / 0.035, (y - 0.70) / 0.05) < 1) | (np.hypot(x / 0.03, (y + 0.74) / 0.03) < 1)
    veins = (abs(abs(x) - 0.02 - 0.1 * (0.2 - y)) < 0.8 * pixel) & (abs(y - 0.13) < 0.07)
    return sinus | veins


def _smooth(side: int, width: float, rng: Generator) -> np.ndarray:
    """A random field of unit variance, (side, side), smooth over `width` (in half sides of the picture)."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=(side, side)), width * side / 2, mode="wrap")
    return (field - field.mean()) / field.std()


def _seen(signal: np.ndarray, rng: Generator) -> np.ndarray:
    """The magnitude of the signal with noise in both of its parts: Rician."""
    real, imaginary = rng.normal(scale=_NOISE, size=(2, *signal.shape))
    return np.hypot(signal + real, imaginary)
