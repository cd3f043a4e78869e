"""Maps as small pictures, for sheets."""

from collections.abc import Sequence

import numpy as np

_BELOW, _MIDDLE, _ABOVE = np.array([[33, 102, 172], [247, 247, 247], [178, 24, 43]], np.float32)
_ZOOM, _EDGE = 6, 4


def anomalies(rows: Sequence[Sequence[np.ndarray]], limit: float) -> np.ndarray:
    """Rows of maps (lat, lon), south first, as one picture (H, W, 3) uint8, north up: blue -limit, red +limit."""
    return np.concatenate([np.concatenate([_coloured(values / limit) for values in row], 1) for row in rows])


def _coloured(values: np.ndarray) -> np.ndarray:
    share = np.clip(values[::-1], -1, 1)[..., None]
    colours = _MIDDLE + np.where(share < 0, (_MIDDLE - _BELOW) * share, (_ABOVE - _MIDDLE) * share)
    large = colours.repeat(_ZOOM, 0).repeat(_ZOOM, 1)
    return np.pad(np.uint8(large + 0.5), ((0, _EDGE), (0, _EDGE), (0, 0)), constant_values=255)
