"""A denoiser around a denoiser that works on overlapping tiles, so that a picture of any size fits in memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.denoisers import Denoiser, Level


def tiled(denoise: Denoiser, tile_px: int = 384, overlap_px: int = 48, at_once: bool = False) -> Denoiser:
    """The same denoiser for pictures (B, C, H, W) of any size. A picture that fits in one tile passes unchanged.

    All tiles have the same size; the last of a row and column end at the border. Where tiles overlap, their answers are
    mixed with weights that fall to zero towards a tile's inner edges, so no seam is visible. Conditions with the
    picture's height and width are cut the same way. One call per tile, or at_once: one for all tiles, as a larger batch
    (small tiles and one time t only, no other conditions than pictures).
    """
    assert tile_px > 2 * overlap_px

    def by_tiles(x: Tensor, t: Level, **cond: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height <= tile_px and width <= tile_px:
            return denoise(x, t, **cond)
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        corners = [(top, left) for top in _starts(height, tile_px, overlap_px)
                   for left in _starts(width, tile_px, overlap_px)]
        places = [(..., slice(top, min(top + tile_px, height)), slice(left, min(left + tile_px, width)))
                  for top, left in corners]

        def cut(some: Sequence[tuple]) -> dict[str, Tensor]:
            return {name: torch.cat([value[place] for place in some]) if _is_picture(value, height, width) else value
                    for name, value in cond.items()}

        groups = [places] if at_once else [[place] for place in places]
        parts = (part for some in groups for part in
                 denoise(torch.cat([x[place] for place in some]).contiguous(), t, **cut(some)).split(len(x)))
        for (top, left), place, part in zip(corners, places, parts):
            window = _window(part.shape[-2], top, height, overlap_px, x)[:, None] * _window(
                part.shape[-1], left, width, overlap_px, x)
            total[place] += part * window
            weights[place] += window
        return total / weights

    return by_tiles


def count(height: int, width: int, tile_px: int = 384, overlap_px: int = 48) -> int:
    """Tiles that `tiled` makes of a picture of this size."""
    return len(_starts(height, tile_px, overlap_px)) * len(_starts(width, tile_px, overlap_px))


def _starts(length: int, tile_px: int, overlap_px: int) -> list[int]:
    if length <= tile_px:
        return [0]
    return [*range(0, length - tile_px, tile_px - overlap_px), length - tile_px]


def _window(length: int, start: int, whole: int, overlap_px: int, like: Tensor) -> Tensor:
    """1 in the middle, falling linearly to nearly 0 over the overlap at edges that lie inside the picture."""
    ramp = (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) / overlap_px
    window = torch.ones_like(ramp)
    if start > 0:
        window = torch.minimum(window, ramp)
    if start + length < whole:
        window = torch.minimum(window, ramp.flip(0))
    return window


def _is_picture(value: object, height: int, width: int) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4 and value.shape[-2:] == (height, width)
