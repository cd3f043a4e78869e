"""Samples as pictures for people, and figures of how good they are as a set."""

import math

import numpy as np
import torch
from torch import Tensor

from engine import metrics
from engine.exact import Mixture

SCATTER_PX = 160
_REACH = 3.0
_MOST_TILES = 16
_GAP_PX = 2
_PATCH_PX, _PICTURE_PX = 32, 64
_POINT = np.array([0.05, 0.20, 0.45])
_INK = np.array([0.90, 0.62, 0.0])


def scatter(x: Tensor, law: Mixture) -> np.ndarray:
    """Points (B, 2) over the density of their law, in the square [-3, 3]^2; points outside are not drawn."""
    centres = (torch.arange(SCATTER_PX, dtype=torch.float64) + 0.5) / SCATTER_PX * 2 * _REACH - _REACH
    places = torch.stack(torch.meshgrid(centres.flip(0), centres, indexing="ij")[::-1], -1).reshape(-1, 2)
    density = law.log_density(places).exp().reshape(SCATTER_PX, SCATTER_PX).numpy()
    picture = 1 - (1 - _INK) * (density / density.max())[..., None] * 0.6
    columns, rows = np.floor((x.double().numpy() * [1, -1] + _REACH) / (2 * _REACH) * SCATTER_PX).astype(int).T
    inside = (rows >= 0) & (rows < SCATTER_PX - 1) & (columns >= 0) & (columns < SCATTER_PX - 1)
    for down in (0, 1):
        for right in (0, 1):
            picture[rows[inside] + down, columns[inside] + right] = _POINT
    return np.uint8(picture * 255 + 0.5)


def grey_tiles(x: Tensor) -> np.ndarray:
    """Up to 16 grey pictures (B, H, W), enlarged; black is 2 below the mean and white 2 above."""
    grey = x.float().div(4).add(0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return _tiles(grey[..., None].expand(*grey.shape, 3).numpy(), _PATCH_PX)


def colour_tiles(x: Tensor) -> np.ndarray:
    """Up to 16 pictures (B, C, H, W) in [-1, 1], one or three channels."""
    return _tiles(pixels(x), _PICTURE_PX)


def pixels(x: Tensor) -> np.ndarray:
    """Pictures (B, C, H, W) in [-1, 1] as (B, H, W, 3) uint8."""
    shown = x.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return shown.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()


def _tiles(pictures: np.ndarray, least_px: int) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 side by side on white, as nearly a square as they fit, each enlarged to least_px."""
    pictures = pictures[:_MOST_TILES]
    factor = max(1, math.ceil(least_px / pictures.shape[1]))
    pictures = pictures.repeat(factor, 1).repeat(factor, 2)
    count, height, width, _ = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + _GAP_PX) - _GAP_PX, columns * (width + _GAP_PX) - _GAP_PX, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + _GAP_PX), i % columns * (width + _GAP_PX)
        sheet[top:top + height, left:left + width] = picture
    return sheet


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of two sets (B, d) and (C, d), without bias; 0 for the same law.

    Székely and Rizzo, "Energy statistics" (2013). It can be a little below 0 by chance.
    """
    x, y = x.double(), y.double()
    return float(2 * torch.cdist(x, y).mean() - _mean_gap(x) - _mean_gap(y))


def _mean_gap(x: Tensor) -> Tensor:
    return torch.cdist(x, x).sum() / max(len(x) * (len(x) - 1), 1)


def spectral_error(x: Tensor, reference: Tensor) -> float:
    """Mean over the pictures (B, C, H, W) of `metrics.spectral_error` against the reference's."""
    return float(np.mean([metrics.spectral_error(a, b) for a, b in zip(pixels(x), pixels(reference))]))
