"""Masks without any learning: Otsu's threshold for nuclei, Frangi's filter for vessels."""

from collections.abc import Sequence

import numpy as np

from engine.tasks.segmentation import metrics
from engine.tasks.segmentation.data import Case

_SIGMAS = (1, 1.5, 2, 2.5, 3)
_LEVELS = np.linspace(0.02, 0.6, 30)


def otsu(case: Case) -> np.ndarray:
    """Mask (H, W) bool: Otsu's threshold (1979) on brightness; the side that the border has less of is taken."""
    from skimage.filters import threshold_otsu

    grey = case.picture.mean(-1)
    bright = grey > threshold_otsu(grey)
    border = np.concatenate((bright[0], bright[-1], bright[:, 0], bright[:, -1]))
    return ~bright if border.mean() > 0.5 else bright


def vesselness(case: Case) -> np.ndarray:
    """Frangi's measure (1998) of dark tubes in the green channel, (H, W), 1 at its 99th percentile in the view."""
    from skimage.filters import frangi

    green = case.picture[..., 1]
    view = np.ones(green.shape, bool) if case.counted is None else case.counted
    filled = np.where(view, green, np.median(green[view]))
    found = frangi(filled, _SIGMAS, black_ridges=True) * _inside(view)
    return found / max(np.percentile(found[view], 99), 1e-12)


def frangi_level(cases: Sequence[Case]) -> float:
    """The level of `vesselness` above which the Dice coefficient of these cases is best."""
    found = [vesselness(case) for case in cases]
    scores = [np.mean([metrics.dice(v > level, c.masks[0], c.counted) for v, c in zip(found, cases)])
              for level in _LEVELS]
    return float(_LEVELS[int(np.argmax(scores))])


def _inside(view: np.ndarray) -> np.ndarray:
    """The view without the rim, whose edge is no vessel."""
    from scipy.ndimage import binary_erosion

    return binary_erosion(view, iterations=4)
