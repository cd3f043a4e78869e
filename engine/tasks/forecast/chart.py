"""Weather maps as pictures: colours that everybody can tell apart, contour lines and coastlines."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from engine.tasks.forecast import coast

_FINE = 3
"""Coastlines are drawn this many times larger and averaged, so that they are smooth."""
_LINE = np.int16(256)
"""Shades from here on are those below contour lines."""
_CONTOUR, _INK = 0.45, 0.8
"""How much of the picture contour lines and coastlines hide."""


class Chart:
    """Maps of one grid as pictures of one size, north up. Sides are in proportion as they are at the middle latitude.

    lat, lon: rising, degrees; longest_px: the longer side; earth: with coastlines.
    """

    def __init__(self, lat: np.ndarray, lon: np.ndarray, longest_px: int = 384, earth: bool = True):
        wide, high = np.ptp(lon) * np.cos(np.deg2rad(lat.mean())), np.ptp(lat)
        scale = longest_px / max(wide, high)
        self.size = max(8, round(high * scale)), max(8, round(wide * scale))
        self._coast = _coast(tuple(lat), tuple(lon), self.size) if earth else None

    def draw(self, values: np.ndarray, low: float, high: float, contour: float = 0.0,
             colours: str = "viridis") -> np.ndarray:
        """Pictures (*, H, W, 3) uint8 of maps (*, lat, lon), south first; `low` to `high` is the scale from end to end.

        contour: between lines, 0 for none. colours: "viridis" or "cividis".
        """
        flat = torch.from_numpy(np.ascontiguousarray(values, np.float32)).reshape(-1, 1, *values.shape[-2:])
        fine = F.interpolate(flat, self.size, mode="bicubic", align_corners=True)[:, 0].flip(1).numpy()
        shades = np.int16(np.clip((fine - low) * (255 / max(high - low, 1e-9)) + 0.5, 0, 255))
        if contour > 0:
            shades += _LINE * _lines(fine, contour)
        shown = _scale(colours)[shades].reshape(len(fine), -1, 3)
        if self._coast is not None:
            places, kept, added = self._coast
            shown[:, places] = np.uint8(shown[:, places] * kept + added)
        return shown.reshape(*values.shape[:-2], *self.size, 3)


def _lines(values: np.ndarray, contour: float) -> np.ndarray:
    """Where a map (*, H, W) crosses a multiple of `contour` towards the next pixel to the right or below; bool."""
    level = np.int16(np.floor(values * (1 / contour)))
    found = np.zeros(values.shape, bool)
    found[..., :, :-1] = level[..., :, 1:] != level[..., :, :-1]
    found[..., :-1, :] |= level[..., 1:, :] != level[..., :-1, :]
    return found


def legend_bar(colours: str, wide: int, high: int) -> np.ndarray:
    """A scale from its lowest to its highest colour, (high, wide, 3) uint8."""
    return np.repeat(_scale(colours)[np.linspace(0, 255, wide).round().astype(int)][None], high, 0)


@lru_cache(maxsize=4)
def _scale(name: str) -> np.ndarray:
    """(512, 3) uint8: a perceptually uniform scale that the colour-blind can read, and the same below contour lines."""
    import cv2

    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None],
                              {"viridis": cv2.COLORMAP_VIRIDIS, "cividis": cv2.COLORMAP_CIVIDIS}[name])
    plain = table[:, 0, ::-1]
    return np.concatenate((plain, np.uint8(plain * (1 - _CONTOUR))))


@lru_cache(maxsize=8)
def _coast(lat: Sequence[float], lon: Sequence[float],
           size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (N,) that coastlines touch, and what is kept of a colour and added to it there (N, 1).

    Lines are dark with a light edge, so that they stand out from dark and from light colours.
    """
    import cv2

    high, wide = (side * _FINE for side in size)
    canvas = [np.zeros((high, wide), np.uint8) for _ in range(2)]
    for line in coast.lines(np.array(lat), np.array(lon)):
        x = (line[:, 0] - lon[0]) / (lon[-1] - lon[0]) * (wide - 1)
        y = (lat[-1] - line[:, 1]) / (lat[-1] - lat[0]) * (high - 1)
        points = np.int32(np.round(np.stack([x, y], 1)))[:, None]
        for picture, thickness in zip(canvas, (3 * _FINE, _FINE)):
            cv2.polylines(picture, [points], False, 1, thickness)
    edge, ink = (_INK * picture.reshape(size[0], _FINE, size[1], _FINE).mean((1, 3)) for picture in canvas)
    kept, added = (1 - edge / 2) * (1 - ink), 255 * edge / 2 * (1 - ink)
    places = np.flatnonzero(edge)
    return places, *(np.float32(share.ravel()[places, None]) for share in (kept, added))
