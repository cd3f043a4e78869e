"""The one-level orthonormal Haar transform, its inverse, and the wavelet gates built on it."""

import torch
from torch import Tensor, nn


def analyse(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sub-bands LL, LH, HL, HH of x (B, C, H, W) with even H and W, each (B, C, H/2, W/2).

    Every 2x2 block (p q; r s) becomes LL = (p+q+r+s)/2, LH = (p+q-r-s)/2, HL = (p-q+r-s)/2, HH = (p-q-r+s)/2.
    """
    top, bottom = x[..., 0::2, :], x[..., 1::2, :]
    total, difference = top + bottom, top - bottom
    left, right = total[..., 0::2], total[..., 1::2]
    up, down = difference[..., 0::2], difference[..., 1::2]
    return (left + right) * 0.5, (up + down) * 0.5, (left - right) * 0.5, (up - down) * 0.5


def synthesise(ll: Tensor, lh: Tensor, hl: Tensor, hh: Tensor) -> Tensor:
    """The inverse of `analyse`: four (B, C, H, W) sub-bands to one (B, C, 2H, 2W)."""
    left, right = (ll + hl) * 0.5, (ll - hl) * 0.5
    up, down = (lh + hh) * 0.5, (lh - hh) * 0.5
    top = torch.stack((left + up, right + down), dim=-1).flatten(-2)
    bottom = torch.stack((left - up, right - down), dim=-1).flatten(-2)
    return torch.stack((top, bottom), dim=-2).flatten(-3, -2)


def to_bands(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, 4C, H/2, W/2), the sub-bands one after another along the channels."""
    return torch.cat(analyse(x), dim=1)


def from_bands(x: Tensor) -> Tensor:
    """The inverse of `to_bands`."""
    return synthesise(*x.chunk(4, dim=1))


class _Gate(nn.Module):
    """Four gates in (0, 1) per channel from the spatial mean; starts near average pooling (LL open, the rest half)."""

    def __init__(self, channels: int, gated: int):
        super().__init__()
        hidden = max(channels // 4, 8)
        self.rule = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, 4 * gated))
        nn.init.zeros_(self.rule[-1].weight)
        nn.init.zeros_(self.rule[-1].bias)
        nn.init.constant_(self.rule[-1].bias[:gated], 2.0)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.sigmoid(self.rule(x.mean(dim=(2, 3))))[..., None, None].chunk(4, dim=1)


class GatedDown(nn.Module):
    """Wavelet-gated halving, (B, C, H, W) to (B, C, H/2, W/2): the gated sum of the sub-bands.

    Spectral Diffusion (Yang et al., CVPR 2023), section 4: every denoising step re-weights the frequencies.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gate = _Gate(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return sum(gate * band for gate, band in zip(self.gate(x), analyse(x)))


class GatedUp(nn.Module):
    """Wavelet-gated doubling, (B, C, H, W) to (B, out, 2H, 2W): four gated sub-bands, then the inverse transform."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.spread = nn.Conv2d(channels, 4 * out, 1)
        self.gate = _Gate(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        bands = self.spread(x).chunk(4, dim=1)
        return synthesise(*(gate * band for gate, band in zip(self.gate(x), bands)))
