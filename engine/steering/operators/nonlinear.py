"""Measurements that are not linear: JPEG, magnitudes of the Fourier transform, and a camera that is too bright."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import InputError
from engine.steering.operators.base import Measurement
from engine.steering.operators.sampling import check_multiple


class HDR(Measurement):
    """Twice the brightness of a picture in [-1, 1], cut off at -1 and 1. Values up to 1/2 survive."""

    title = "HDR reconstruction"
    offers = Measurement.offers | {"pinv"}

    def H(self, x: Tensor) -> Tensor:
        return (2 * x).clamp(-1, 1)

    def pinv(self, y: Tensor) -> Tensor:
        return y / 2


class PhaseRetrieval(Measurement):
    """Magnitudes of the (orthonormal) Fourier transform of (B, C, H, W), after padding with zeros on all sides.

    oversample: how many times larger each side becomes, from 1; below 2 the picture is not determined. Even then it is
    only up to a shift and a half turn within the padding. There is no pseudo-inverse: the phases are lost.
    """

    title = "phase retrieval"

    def __init__(self, oversample: float = 2.0):
        if not 1 <= oversample <= 8:
            raise InputError(f"The oversampling is {oversample!r}.", "It must be from 1 to 8.", field="oversample")
        self.oversample = oversample

    def H(self, x: Tensor) -> Tensor:
        rows, columns = (round((self.oversample - 1) * side / 2) for side in x.shape[-2:])
        return torch.fft.fft2(F.pad(x, (columns, columns, rows, rows)), norm="ortho").abs()


# Annex K of ITU-T T.81: how coarsely each frequency of an 8 x 8 block is stored, by rows.
LUMINANCE = (16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
             14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
             18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
             49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99)
CHROMINANCE = (17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
               24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99) + (99,) * 32


class JPEG(Measurement):
    """What a JPEG file of this quality (1 to 100) keeps of a picture (B, 3, H, W) in [-1, 1].

    Colour is stored at half the resolution and copied back, so H and W are multiples of 16. Where the file rounds,
    gradients pass straight through. A stored picture is stored again unchanged where no colour had to be cut off, so it
    is its own pseudo-inverse.
    Raises InputError for another quality.
    """

    title = "JPEG repair"
    offers = frozenset({"pinv", "gradient"})

    def __init__(self, quality: int):
        if isinstance(quality, bool) or not (1 <= quality <= 100 and quality == int(quality)):
            raise InputError(f"The JPEG quality is {quality!r}.", "It must be a whole number from 1 to 100.",
                             field="quality")
        self.quality = int(quality)
        self._luminance, self._chrominance = (_steps(table, self.quality) for table in (LUMINANCE, CHROMINANCE))

    def check(self, shape: Sequence[int]) -> None:
        check_multiple(shape, 16, "picture")
        if shape[1] != 3:
            raise InputError(f"The picture has {shape[1]} channels.", "JPEG needs red, green and blue.")

    def H(self, x: Tensor) -> Tensor:
        """The picture that comes back out of the file, (B, 3, H, W) in [-1, 1]."""
        brightness, colour = _to_ycc((x.clamp(-1, 1) + 1) * 127.5)
        brightness = _stored(brightness, self._luminance)
        colour = _stored(F.avg_pool2d(colour, 2), self._chrominance)
        colour = colour.repeat_interleave(2, -2).repeat_interleave(2, -1)
        return (_to_rgb(brightness, colour) / 127.5 - 1).clamp(-1, 1)

    def pinv(self, y: Tensor) -> Tensor:
        return y


def _steps(table: Sequence[int], quality: int) -> Tensor:
    """The quantisation steps (8, 8) of a quality, as the reference implementation scales them."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = (torch.tensor(table, dtype=torch.float64) * scale + 50).div(100, rounding_mode="floor")
    return steps.clamp(1, 255).reshape(8, 8)


def _stored(x: Tensor, steps: Tensor) -> Tensor:
    """Cosine transform of 8 x 8 blocks of (B, C, H, W), coefficients rounded to multiples of the steps, and back."""
    cosines, steps = _cosines().to(x), steps.to(x)
    blocks = x.unflatten(-2, (-1, 8)).unflatten(-1, (-1, 8)).transpose(-2, -3)
    stored = _rounded(cosines @ blocks @ cosines.T / steps) * steps
    return (cosines.T @ stored @ cosines).transpose(-2, -3).flatten(-2).flatten(-3, -2)


def _cosines() -> Tensor:
    """The orthonormal cosine transform of 8 numbers, (8, 8)."""
    k = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(torch.outer(k, 2 * k + 1) * math.pi / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves


def _rounded(x: Tensor) -> Tensor:
    """Rounding whose gradient is that of x."""
    return x + (x.round() - x).detach()


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness (B, 1, H, W) and blue and red differences (B, 2, H, W), all around 0, of RGB in 0 .. 255."""
    red, green, blue = rgb.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma[:, None] - 128, torch.stack(((blue - luma) / 1.772, (red - luma) / 1.402), 1)


def _to_rgb(brightness: Tensor, colour: Tensor) -> Tensor:
    """The inverse of `_to_ycc`."""
    luma = brightness[:, 0] + 128
    blue, red = luma + 1.772 * colour[:, 0], luma + 1.402 * colour[:, 1]
    return torch.stack((red, (luma - 0.299 * red - 0.114 * blue) / 0.587, blue), 1)
