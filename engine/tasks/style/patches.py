"""The law of pictures whose every patch is from a style picture, as a denoiser: strokes as they are, no training."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 5
"""Side of a patch, in pixels of its level."""
_STRIDE = 3
_MOST, _DIRECTIONS = 5000, (20, 8, 8)
"""How many patches of a style are known, and on how many directions per colour they are compared."""
_NOISE_OF_FINEST = 1.0
"""Up to this noise over signal patches are of the finest level; four times as much takes patches twice as large."""
_FLOOR = 0.002
"""Variance that is added to the noise, so that the last step is defined."""
_DOUBT, _COLOUR = 0.125, 0.2
"""How far a patch may be from the photograph's at content 1, and the trust in colours over that in lightness."""
_LEAST = 0.1
_AT_ONCE = 1 << 25
OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
OPPONENT = OPPONENT / OPPONENT.norm(dim=1, keepdim=True)
"""Rows: lightness, red against blue, green against magenta. Orthonormal, so that white noise stays white."""


@dataclass(frozen=True)
class Level:
    """A style picture's patches at one scale. scale: pixels of the picture per pixel of the level.

    windows (3, h, w, P, P): a view of all whole patches in opponent colours, P = scale * PATCH; places (N, 2): row and
    column of those that are known. basis: per colour the principal directions (PATCH**2, D) of the shrunk patches,
    keys: where those lie on them (N, D).
    """

    scale: int
    windows: Tensor
    places: Tensor
    basis: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]

    @classmethod
    def of(cls, picture: Tensor, scale: int) -> "Level":
        """picture (3, H, W) in opponent colours, at least PATCH * scale pixels a side."""
        side = scale * PATCH
        windows = picture.unfold(1, side, 1).unfold(2, side, 1)
        stride = max(1, round((windows.shape[1] * windows.shape[2] / _MOST) ** 0.5))
        places = torch.cartesian_prod(*(torch.arange(0, n, stride) for n in windows.shape[1:3]))
        shrunk = F.avg_pool2d(picture[None], scale, stride=1)
        small = F.unfold(shrunk, PATCH, dilation=scale, stride=stride)[0].T.unflatten(1, (3, PATCH**2))
        basis = tuple(_principal(small[:, c], most) for c, most in enumerate(_DIRECTIONS))
        return cls(scale, windows, places, basis, tuple(small[:, c] @ b for c, b in enumerate(basis)))

    def patches(self, index: Tensor) -> Tensor:
        """Whole patches (N, 3 P P) by their numbers (N,)."""
        rows, columns = self.places[index].T
        return self.windows[:, rows, columns].transpose(0, 1).flatten(1)

    def nearest(self, wanted: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """For patches `wanted` (N, 3, PATCH**2): which of ours is nearest, and half the squared distance but for what
        is the same for all. precision (3,): of each colour."""
        weight = precision.sqrt()
        asked = torch.cat([w * (wanted[:, c] @ b) for c, (w, b) in enumerate(zip(weight, self.basis))], 1)
        keys = torch.cat([w * k for w, k in zip(weight, self.keys)], 1)
        half = 0.5 * keys.square().sum(1)
        found = [torch.addmm(half, part, keys.T, alpha=-1).min(1)
                 for part in asked.split(max(1, _AT_ONCE // len(keys)))]
        return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])


def _principal(rows: Tensor, most: int) -> Tensor:
    """Directions (D, most) of largest second moment: distances to rows change little on them."""
    return torch.linalg.eigh(rows.T @ rows).eigenvectors.flip(1)[:, :most].contiguous()


@dataclass(frozen=True)
class Hand:
    """One style. picture (3, H, W); target (3, h, w): the photograph in its colours; both in opponent colours.

    finest: pixels of the picture per pixel of the finest level, the same for all hands of a law; what is copied is
    PATCH times as large.
    """

    picture: Tensor
    target: Tensor
    finest: int = 1

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """From the finest on, while a patch is at most a third of both pictures."""
        room = min(*self.picture.shape[1:], *self.target.shape[1:]) // (3 * PATCH * self.finest)
        return tuple(Level.of(self.picture, self.finest << k) for k in range(max(1, room.bit_length())))


@dataclass(frozen=True)
class PatchLaw:
    """Denoiser of x = (1 - style) photograph + style u, where u is a picture in the hand of others.

    u's patches are patches of the style pictures (the local score machine of Kamb and Ganguli, 2024, arXiv 2412.20292),
    observed twice: in the noisy picture, and in the photograph's structure in the style's colours, with the deviation
    0.125 / content. Both observations are Gaussian, so they are one with the sum of their precisions. The most
    probable patch stands for the mean of all; `grain`, drawn once with the deviation of the second observation, makes
    it one of the probable patches (perturb and MAP, Papandreou and Yuille, 2011), so that even places are not tiled.
    Overlapping patches are averaged. Patches are large while noise is strong.

    photograph (1, 3, H, W) in [-1, 1]; grain (B, 3, H, W), unit noise; shares: of the patches that each hand draws.
    """

    photograph: Tensor
    grain: Tensor
    hands: tuple[Hand, ...]
    shares: tuple[float, ...] = (1.0,)

    @torch.no_grad()
    def denoise(self, x_t: Tensor, alpha: float, sigma: float, content: Tensor, style: Tensor) -> Tensor:
        """x0 (B, 3, H, W) of x_t = alpha x0 + sigma noise. content (B,); style (B, 1, H or 1, W or 1) from 0 on."""
        return torch.cat([self._one(x / alpha, sigma / alpha, grain, float(c), s) for x, grain, c, s in
                          zip(x_t[:, None], self.grain[:, None], content, style[:, None])])

    def _one(self, y: Tensor, noise: float, grain: Tensor, content: float, style: Tensor) -> Tensor:
        share = style.clamp_min(_LEAST)
        seen = in_opponents((y - (1 - share) * self.photograph) / share)
        drawn = self._drawn(seen, noise / float(share.mean()), grain, content)
        return self.photograph + style * (torch.einsum("oc,bohw->bchw", OPPONENT, drawn) - self.photograph)

    def _drawn(self, seen: Tensor, noise: float, grain: Tensor, content: float) -> Tensor:
        level = min(_level(noise), *(len(hand.levels) - 1 for hand in self.hands))
        scale = self.hands[0].finest << level
        variance = (noise / scale) ** 2 + _FLOOR
        doubt = _DOUBT / max(content, _LEAST)
        trust = torch.tensor([1.0, _COLOUR**2, _COLOUR**2]) / doubt**2
        precision = 1 / variance + trust
        window = Windows(seen.shape[-2:], scale, seed=int(1e6 * noise))
        found = []
        for hand in self.hands:
            observed = hand.target + scale * doubt * grain
            both = (seen / variance + trust[:, None, None] * observed) / precision[:, None, None]
            found.append(hand.levels[level].nearest(window.patches(both), precision))
        whose = divided([distance for _, distance in found], self.shares)
        pasted = torch.stack([hand.levels[level].patches(index) for hand, (index, _) in zip(self.hands, found)])
        return window.joined(pasted[whose, torch.arange(len(whose))])


def _level(noise: float) -> int:
    return max(0, math.ceil(math.log2(max(noise, _FLOOR) / _NOISE_OF_FINEST) / 2))


def divided(distances: list[Tensor], shares: tuple[float, ...]) -> Tensor:
    """Which hand (N,) draws each patch: the nearer one, after distances were shifted so that each gets its share.

    distances: one (N,) for each of one or two hands; shares sum to 1.
    """
    if len(distances) == 1:
        return torch.zeros(len(distances[0]), dtype=torch.long)
    rank = (distances[1] - distances[0]).argsort().argsort()
    return (rank < round(shares[1] * len(rank))).long()


def in_opponents(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) from RGB to the colours of `OPPONENT`."""
    return torch.einsum("oc,bchw->bohw", OPPONENT, pictures)


class Windows:
    """The overlapping patches of a picture at one scale, and the picture that patches make."""

    def __init__(self, size: tuple[int, int], scale: int, seed: int):
        """seed: of the place of the first patch, which moves so that borders of patches do not add up."""
        self.size, self.scale, self.side, self.step = size, scale, scale * PATCH, scale * _STRIDE
        spare = torch.randint(self.step, (2,), generator=torch.Generator().manual_seed(seed)).tolist()
        self.near = [self.side // 2 + extra for extra in spare]
        self.far = [self.side // 2 + -(n + near + self.side // 2 - self.side) % self.step
                    for n, near in zip(size, self.near)]
        ramp = torch.hann_window(self.side + 2, periodic=False)[1:-1]
        self.window = (ramp[:, None] * ramp).square().flatten()

    def patches(self, picture: Tensor) -> Tensor:
        """(N, 3, PATCH**2) of a picture (1, 3, H, W), shrunk."""
        (above, left), (below, right) = self.near, self.far
        small = F.avg_pool2d(F.pad(picture, (left, right, above, below), mode="replicate"), self.scale)
        return F.unfold(small, PATCH, stride=_STRIDE)[0].T.unflatten(1, (3, PATCH**2))

    def joined(self, patches: Tensor) -> Tensor:
        """The picture (1, 3, H, W) of whole patches (N, 3 P P), averaged where they overlap, mostly their middles."""
        grown = [near + n + far for near, n, far in zip(self.near, self.size, self.far)]
        weighted = patches.unflatten(1, (3, -1)) * self.window
        total = F.fold(weighted.flatten(1).T[None], grown, self.side, stride=self.step)
        weight = F.fold(self.window.expand(len(patches), -1).T[None], grown, self.side, stride=self.step)
        rows, columns = (slice(near, near + n) for near, n in zip(self.near, self.size))
        return (total / weight)[..., rows, columns]
