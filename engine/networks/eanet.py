"""EDiffSR's network (Xiao et al., TGRS 2024, arXiv 2310.19288): a U of activation-free blocks, cheap per pixel.

The blocks are those of NAFNet (Chen et al., 2022, arXiv 2204.04676) with a scale and shift from the time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import PixelNorm, TimeEmbedding
from engine.networks.haar import from_bands, to_bands

# Variance of what a bicubic reduction by four takes away, as it shows in what is left: a share of the local energy of
# the enlarged picture's gradient, and the rounding to 8 bits. Fitted by likelihood to EuroSAT pictures in [-1, 1].
_SHARE, _FLOOR = 6.0, 5e-5
_NEIGHBOURHOOD_PX = 9
_SURROUNDINGS_PX = 17


def gate(x: Tensor) -> Tensor:
    """Simple gate: one half of the channels times the other."""
    first, second = x.chunk(2, dim=1)
    return first * second


class Block(nn.Module):
    """Depthwise convolution, simple gate and simplified channel attention, then a gated perceptron of each pixel.

    Both parts are normalised per pixel, modulated by the embedding and added through a learnt factor per channel that
    starts at zero, so that a new block is the identity.
    """

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.norm1, self.norm2 = PixelNorm(channels), PixelNorm(channels)
        self.modulation = nn.Linear(embedding // 2, 4 * channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.spread = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.attend = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.perceptron = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.beta, self.gamma = (nn.Parameter(torch.zeros(channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale1, shift1, scale2, shift2 = self.modulation(gate(embedding))[..., None, None].chunk(4, dim=1)
        h = gate(self.spread(self.widen(torch.addcmul(shift1, self.norm1(x), scale1 + 1))))
        h = self.mix(h * self.attend(h.mean(dim=(2, 3), keepdim=True)))
        x = torch.addcmul(x, h, self.beta)
        h = self.project(gate(self.perceptron(torch.addcmul(shift2, self.norm2(x), scale2 + 1))))
        return torch.addcmul(x, h, self.gamma)


class PriorEnhancement(nn.Module):
    """Conditional prior enhancement: x + RCAB(x), a residual block with squeezed attention (Zhang et al., 2018)."""

    def __init__(self, channels: int, squeeze: int = 16):
        super().__init__()
        hidden = max(channels // squeeze, 4)
        self.convolve = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
                                      nn.Conv2d(channels, channels, 3, padding=1))
        self.attend = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(),
                                    nn.Conv2d(hidden, channels, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        h = self.convolve(x)
        return 2 * x + h * self.attend(h)


class Trunk(nn.Module):
    """The U: (B, inputs, H, W) of any size and times (B,) to (B, outputs, H, W). A new trunk gives zeros.

    stem: work on the sub-bands of a one-level Haar transform, at half the side.
    """

    def __init__(self, inputs: int, outputs: int, width: int, encoder: tuple[int, ...], middle: int,
                 decoder: tuple[int, ...], stem: bool):
        super().__init__()
        self.stem, bands = stem, 4 if stem else 1
        self.multiple = (2 if stem else 1) * 2 ** len(encoder)
        embedding = 4 * width
        self.time = TimeEmbedding(embedding)
        self.enter = nn.Conv2d(bands * inputs, width, 3, padding=1)
        self.enhance = PriorEnhancement(width)

        def blocks(count: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(Block(channels, embedding) for _ in range(count))

        widths = [width * 2**level for level in range(len(encoder) + 1)]
        self.down = nn.ModuleList(blocks(count, c) for count, c in zip(encoder, widths))
        self.shrink = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in widths[:-1])
        self.middle = blocks(middle, widths[-1])
        self.grow = nn.ModuleList(nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2))
                                  for c in reversed(widths[1:]))
        self.up = nn.ModuleList(blocks(count, c) for count, c in zip(decoder, reversed(widths[:-1])))
        self.leave = nn.Conv2d(width, bands * outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        pad = -width % self.multiple, -height % self.multiple
        if any(pad):
            x = F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        embedding = self.time(t)
        h = self.enhance(self.enter(to_bands(x) if self.stem else x))
        skips = []
        for level, shrink in zip(self.down, self.shrink):
            for block in level:
                h = block(h, embedding)
            skips.append(h)
            h = shrink(h)
        for block in self.middle:
            h = block(h, embedding)
        for grow, level in zip(self.grow, self.up):
            h = grow(h) + skips.pop()
            for block in level:
                h = block(h, embedding)
        h = self.leave(h)
        return (from_bands(h) if self.stem else h)[..., :height, :width]


def local_spread(mu: Tensor) -> Tensor:
    """Standard deviation to expect of (clean - mu), (B, 1, H, W), from the detail in mu (B, C, H, W) around a pixel."""
    down = F.pad(mu.diff(dim=-2), (0, 0, 0, 1), mode="replicate").square()
    right = F.pad(mu.diff(dim=-1), (0, 1, 0, 0), mode="replicate").square()
    edge = _NEIGHBOURHOOD_PX // 2
    energy = F.pad((down + right).mean(dim=1, keepdim=True), (edge,) * 4, mode="replicate")
    return (_SHARE * F.avg_pool2d(energy, _NEIGHBOURHOOD_PX, stride=1) + _FLOOR).sqrt()


def standardised(mu: Tensor, spread: Tensor) -> Tensor:
    """Detail of mu (B, C, H, W), its surroundings taken off, in units of twice the expected `spread`; about unit size.

    The norm in each block works per pixel, so the faint detail of a sea or a meadow would vanish beside its colour.
    """
    edge = _SURROUNDINGS_PX // 2
    around = F.avg_pool2d(F.pad(mu, (edge,) * 4, mode="replicate"), _SURROUNDINGS_PX, stride=1)
    return (mu - around) / (2 * spread)


def reverting_base(u: Tensor, alpha: Tensor, sigma: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Best linear guess of the noise eps in u = x_t - mu = alpha r + sigma eps, and the deviation of what is left.

    With r = clean - mu ~ N(0, spread^2) the conditional mean is sigma u / (alpha^2 spread^2 + sigma^2). What is left
    vanishes with the signal, so the clean picture that follows is known to about `spread` even where alpha is 0.005.
    """
    variance = (alpha * spread).square() + sigma.square()
    return u * (sigma / variance), alpha * spread / variance.sqrt()


class EANet(nn.Module):
    """Predicts the noise of the mean-reverting process from (x_t, t, mu), mu the enlarged picture; of any size.

    The trunk sees x_t - mu, scaled to unit variance, mu and its `standardised` detail; it corrects `reverting_base` in
    units of what that leaves over. channels: of the pictures; width: of the first level, doubled at each further one;
    encoder, middle, decoder: blocks per level, most of them in the first. The published network (width 64, encoder 14,
    1, 1, 1) has no stem; with it a call costs half as much at a larger width. Time passes SiLU layers before the
    blocks' gates.
    """

    def __init__(self, channels: int = 3, width: int = 48, encoder: tuple[int, ...] = (6, 2), middle: int = 2,
                 decoder: tuple[int, ...] = (2, 1), stem: bool = True):
        super().__init__()
        self.schedule = schedules.mean_reverting()
        self.correction = Trunk(3 * channels, channels, width, encoder, middle, decoder, stem)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """The noise in x (B, C, H, W), pictures in [-1, 1]; t (B,) in [0, 1]; cond (B, C, H, W): mu; no label."""
        alpha, sigma = (v.to(x.dtype)[:, None, None, None] for v in self.schedule(t))
        spread, u = local_spread(cond), x - cond
        guess, left = reverting_base(u, alpha, sigma, spread)
        scaled = u / ((alpha * spread).square() + sigma.square()).sqrt()
        seen = torch.cat((scaled, cond, standardised(cond, spread)), dim=1)
        return guess + left * self.correction(seen, t).to(x.dtype)
