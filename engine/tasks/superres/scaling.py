"""Shrinking by four and the way back, the same in training, in a run and in an evaluation."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

FACTOR = 4


def cropped(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) without the last rows and columns beyond a multiple of four."""
    height, width = (side // FACTOR * FACTOR for side in pixels.shape[:2])
    return pixels[:height, :width]


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3), sides multiples of four, to a quarter of each side: antialiased bicubic, rounded to 8 bits."""
    from PIL import Image

    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((width // FACTOR, height // FACTOR), Image.Resampling.BICUBIC)
    return np.asarray(small)


def enlarged(low: Tensor) -> Tensor:
    """(B, C, H, W) in [-1, 1] to four times each side: bicubic with Pillow's kernel, clipped to [-1, 1].

    It is the degraded picture mu of the mean-reverting process: where a run starts, and what the network is told.
    """
    return F.interpolate(low, scale_factor=FACTOR, mode="bicubic", antialias=True).clamp(-1, 1)
