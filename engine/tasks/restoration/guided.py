"""Restoring what lies over a whole picture, such as haze, at the size the model knows, and carrying it to full size.

What was done to the small picture is told as a linear change of colour that varies slowly over the picture, and that
change is made to the large one: the fast guided filter (He and Sun, 2015, arXiv 1505.00996).
"""

import torch.nn.functional as F
from torch import Tensor

KINDS = frozenset({"haze"})
"""What is restored so: of haze, low light and shadow, photographs that scikit-image ships gained with haze alone."""
SIDE_PX = 160
_RADIUS_PX = 16
_FLAT = 1e-3
"""Variance, of pictures in [-1, 1], below which a window counts as flat and is shifted rather than stretched."""


def small(picture: Tensor, side_px: int = SIDE_PX) -> Tensor:
    """The picture (B, 3, H, W) with its longer side shrunk to `side_px` by area averages; smaller ones as they are."""
    height, width = picture.shape[-2:]
    scale = side_px / max(height, width)
    if scale >= 1:
        return picture
    return F.interpolate(picture, (max(16, round(height * scale)), max(16, round(width * scale))), mode="area")


def carried(before: Tensor, after: Tensor, picture: Tensor, radius_px: int = _RADIUS_PX) -> Tensor:
    """`picture` (B, 3, H, W) changed as the small picture `before` (B, 3, h, w) was changed to `after`.

    In each window after = a before + b by least squares, per channel; a and b are averaged and enlarged. Where nothing
    changed nothing changes, and a change that is linear in colour is carried over exactly.
    """
    if before.shape == picture.shape:
        return after
    mean, wanted = _mean(before, radius_px), _mean(after, radius_px)
    variance = _mean(before.square(), radius_px) - mean.square()
    together = _mean(before * after, radius_px) - mean * wanted
    # A flat window is only shifted: its stretch is drawn towards 1.
    stretch = (together + _FLAT) / (variance + _FLAT)
    shift = wanted - stretch * mean
    size = picture.shape[-2:]
    stretch, shift = (F.interpolate(_mean(v, radius_px), size, mode="bilinear", align_corners=False)
                      for v in (stretch, shift))
    return stretch * picture + shift


def _mean(x: Tensor, radius_px: int) -> Tensor:
    """Mean over the part of each window of 2 radius + 1 pixels that lies in the picture."""
    return F.avg_pool2d(x, 2 * radius_px + 1, 1, radius_px, count_include_pad=False)
