"""From pictures of any size to what the style network works on, and back."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.networks.style import PATCH

_MULTIPLE = 4 * PATCH
LEAST_PX = 64
_SOFT_PX = 2.0
FADES = ("even", "left to right", "top to bottom", "from the middle")


def fitted(pixels: np.ndarray, longest_px: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 brought to that length of its longer side, with sides of at least 64 px."""
    import cv2

    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    size = (max(LEAST_PX, round(width * scale)), max(LEAST_PX, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=way)


def padded(pixels: np.ndarray) -> Tensor:
    """(1, 3, H', W') in [-1, 1], the sides rounded up to multiples of 32 by repeating the border."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1
    return F.pad(x, (0, -x.shape[-1] % _MULTIPLE, 0, -x.shape[-2] % _MULTIPLE), mode="replicate")


def faded(shape: tuple[int, int], how: str) -> Tensor:
    """A map (1, 1, h, w) from 0 to 1: how much of the style each place takes. how: one of `FADES`."""
    down, across = (torch.linspace(0, 1, n) for n in shape)
    maps = {"even": torch.ones(shape), "left to right": across.expand(shape),
            "top to bottom": down[:, None].expand(shape),
            "from the middle": 1 - ((down[:, None] * 2 - 1) ** 2 + (across * 2 - 1) ** 2).sqrt().clamp(max=1)}
    return maps[how][None, None]


def cover(mask: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The share (1, 1, H, W) of a mask (H, W) bool in each pixel of a picture of that size, soft-edged."""
    import cv2

    soft = cv2.resize(np.float32(mask), size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(cv2.GaussianBlur(soft, (0, 0), _SOFT_PX))[None, None].clamp(0, 1)


def with_colours_of(picture: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The lightness of one picture and the colours of the other, both (H, W, 3) uint8."""
    import cv2

    mine, theirs = (cv2.cvtColor(v, cv2.COLOR_RGB2YCrCb) for v in (picture, content))
    return cv2.cvtColor(np.dstack((mine[..., :1], theirs[..., 1:])), cv2.COLOR_YCrCb2RGB)
