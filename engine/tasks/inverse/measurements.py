"""Measurements of a small picture from which it is to be found again, by name, for pages, evaluation and tests."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError
from engine.steering import operators
from engine.steering.operators import Inpaint, Measurement


@dataclass(frozen=True)
class Kind:
    """make(side): the measurement of squares of `side` px. noise: its usual standard deviation, pictures in [-1, 1]."""

    name: str
    title: str
    make: Callable[[int], Measurement]
    noise: float = 0.0


def names() -> tuple[str, ...]:
    """Names of all kinds, in the order of the menus."""
    return tuple(_KINDS)


def kind(name: str) -> Kind:
    """The kind of that name. Raises InputError with the known names."""
    if name not in _KINDS:
        raise InputError(f"There is no measurement named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_KINDS) + ".", field="measurement")
    return _KINDS[name]


def box(side: int) -> Inpaint:
    """All but the central square of half the side."""
    known = torch.ones(1, 1, side, side, dtype=torch.bool)
    inner = slice(side // 4, side - side // 4)
    known[..., inner, inner] = False
    return Inpaint(known)


def scattered(side: int, share: float = 0.2) -> Inpaint:
    """A fifth of the pixels, at places that are always the same."""
    drawn = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    return Inpaint(drawn < share)


def shown(measurement: Measurement, y: Tensor) -> Tensor:
    """A measurement as a picture (B, 3, H, W): what the pseudo-inverse makes of it, or grey where there is none."""
    if "pinv" in measurement.offers:
        return measurement.pinv(y).clamp(-1, 1)
    if y.ndim == 4 and y.shape[1] == 3:
        return y.clamp(-1, 1)
    brightness = y.flatten(1).abs().sqrt()
    side = int(brightness.shape[1] ** 0.5)
    picture = brightness[:, :side * side].reshape(len(y), 1, side, side)
    return (2 * picture / picture.amax((1, 2, 3), keepdim=True).clamp(min=1e-9) - 1).expand(-1, 3, -1, -1)


_KINDS = {row.name: row for row in (
    Kind("box", "A box is missing", box),
    Kind("scattered", "Four pixels of five are missing", scattered),
    Kind("small2", "Averages of 2 x 2 pixels", lambda side: operators.AveragePool(2)),
    Kind("small4", "Averages of 4 x 4 pixels", lambda side: operators.AveragePool(4)),
    Kind("bicubic4", "Bicubic reduction, four times", lambda side: operators.Bicubic(4)),
    Kind("blur", "Gaussian blur with noise", lambda side: operators.GaussianBlur(side / 32 * 1.5), 0.04),
    Kind("motion", "Motion blur with noise", lambda side: operators.MotionBlur(side / 32 * 7, 30.0), 0.04),
    Kind("noise", "Noise", lambda side: operators.Identity(), 0.4),
    Kind("grey", "Colours are missing", lambda side: operators.Grey()),
    Kind("sensing", "Compressed sensing, a quarter of the numbers",
         lambda side: operators.CompressedSensing(0.25, block=min(side, 32))),
    Kind("jpeg", "JPEG of quality 10", lambda side: operators.JPEG(10)),
    Kind("hdr", "Overexposed twice", lambda side: operators.HDR()),
    Kind("phase", "Phase retrieval with noise", lambda side: operators.PhaseRetrieval(), 0.05),
)}
