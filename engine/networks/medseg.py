"""MedSegDiff's two networks (Wu et al., 2022, arXiv 2211.00611): one sees the picture once, one denoises the mask.

All that is costly and does not depend on the noisy mask is done by the picture's network; its answer, the encoded
picture, serves all denoising steps and all samples. The mask's network is small and runs at every step.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import Attention, PixelNorm, PlainBlock, ResidualBlock, TimeEmbedding, norm
from engine.networks.haar import GatedDown, GatedUp, from_bands, to_bands
from engine.networks.spectral import FrequencyFilter


class PictureNetwork(nn.Module):
    """U-Net behind a Haar stem, from a picture to the logits of its mask and features for the mask's network.

    widths: channels per level; depth: blocks per level on the way down (one on the way up); emitted: channels of the
    features that the second, third ... level gives, multiples of 16, 64 ... (none: logits only).
    """

    def __init__(self, channels: int, widths: tuple[int, ...], depth: int, emitted: tuple[int, ...] = ()):
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.enter = nn.Conv2d(4 * channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        for before, width in pairwise((widths[0], *widths)):
            self.down.append(nn.Sequential(PlainBlock(before, width, "group"),
                                           *(PlainBlock(width, width, "group") for _ in range(depth - 1))))
        self.shrink = nn.ModuleList(GatedDown(width) for width in widths[:-1])
        self.middle = nn.Sequential(Attention(widths[-1], "group"), PlainBlock(widths[-1], widths[-1], "group"))
        self.grow = nn.ModuleList(GatedUp(below, width) for width, below in pairwise(widths))
        self.up = nn.ModuleList(PlainBlock(width, width, "group") for width in widths)
        self.emit = nn.ModuleList(nn.Conv2d(width, out, 1) for width, out in zip(widths[1:], emitted))
        self.leave_norm = norm("group", widths[0])
        self.leave = nn.Conv2d(widths[0], 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, picture: Tensor, t: Tensor | None = None) -> Tensor:
        """The encoded picture (B, 1 + E, H', W'), float32; H', W' are H, W rounded up to `multiple`.

        Channel 0 holds the logits of the mask, the others the features of all levels, each spread over the pixels that
        it belongs to. picture (B, channels, H, W) in [-1, 1]. t is ignored, so that whatever runs networks runs this.
        """
        h = self.enter(to_bands(_padded(picture, *_rounded(picture, self.multiple))))
        skips = []
        for level, blocks in enumerate(self.down):
            h = blocks(h)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.middle(h)
        features = []
        for level in reversed(range(len(self.up))):
            h = self.up[level](h + skips[level])
            if 0 < level <= len(self.emit):
                features.insert(0, F.pixel_shuffle(self.emit[level - 1](h), 2 ** (level + 1)))
            if level:
                h = self.grow[level - 1](h)
        logits = from_bands(self.leave(F.silu(self.leave_norm(h))).float())
        return torch.cat((logits, *(feature.float() for feature in features)), dim=1)


class DynamicEncoding(nn.Module):
    """Joins the picture's features m_I with the mask's m_x: m_x + m_I + (LN(m_I) * LN(filtered m_x)) * m_I.

    The product (eq. 3 of the paper, element by element) weighs the picture's features by their agreement with the mask
    of this step. Both (B, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.filter = FrequencyFilter(channels)
        self.picture_norm, self.mask_norm = PixelNorm(channels), PixelNorm(channels)

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        affinity = self.picture_norm(picture) * self.mask_norm(self.filter(mask))
        return torch.addcmul(mask + picture, affinity, picture)


class MaskNetwork(nn.Module):
    """Small U-Net behind two Haar stems over the noisy mask, told at each level what the picture shows there."""

    def __init__(self, channels: int, widths: tuple[int, ...], embedding: int):
        super().__init__()
        self.time = TimeEmbedding(embedding)
        self.enter = nn.Conv2d(16 * channels, widths[0], 3, padding=1)
        self.widen = nn.ModuleList(nn.Conv2d(before, width, 1) for before, width in pairwise(widths))
        self.join = nn.ModuleList(DynamicEncoding(width) for width in widths)
        self.down = nn.ModuleList(ResidualBlock(width, width, embedding, "group") for width in widths)
        self.shrink = nn.ModuleList(GatedDown(width) for width in widths[:-1])
        self.grow = nn.ModuleList(GatedUp(below, width) for width, below in pairwise(widths))
        self.up = nn.ModuleList(ResidualBlock(width, width, embedding, "group") for width in widths)
        self.leave_norm = norm("group", widths[0])
        self.leave = nn.Conv2d(widths[0], 16, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, features: list[Tensor]) -> Tensor:
        embedding = F.silu(self.time(t))
        h = self.enter(to_bands(to_bands(x)))
        skips = []
        for level, block in enumerate(self.down):
            h = block(self.join[level](features[level], h), embedding)
            skips.append(h)
            if level < len(self.shrink):
                h = self.widen[level](self.shrink[level](h))
        for level in reversed(range(len(self.up))):
            h = self.up[level](h + skips[level], embedding)
            if level:
                h = self.grow[level - 1](h)
        return from_bands(from_bands(self.leave(F.silu(self.leave_norm(h))).float()))


def evidence(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a noisy pixel says about its own mask value: log N(x; alpha, sigma^2) - log N(x; -alpha, sigma^2).

    The posterior logit of a pixel in {-1, 1} with prior logit p is exactly p + 2 alpha x / sigma^2.
    """
    return 2 * alpha * x / sigma.square()


class MedSeg(nn.Module):
    """Logits of the posterior P(mask = 1 | x_t, picture), for masks in {-1, 1} on the schedule `vp_linear`.

    The mask's network corrects the closed-form posterior of independent pixels, whose prior is the picture network's
    answer and whose evidence is `evidence`: it has to learn only what the other pixels of x_t tell. At t = 1 they tell
    nothing. channels: of the picture; widths, depth: see `PictureNetwork`; mask_widths: of the mask's network.
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (32, 64, 128, 192), depth: int = 2,
                 mask_widths: tuple[int, ...] = (64, 128), embedding: int = 128):
        super().__init__()
        self.channels, self.mask_widths = channels, tuple(mask_widths)
        self.shares = [width // 4 ** level for level, width in enumerate(mask_widths, 2)]
        assert len(mask_widths) < len(widths) and 1 + sum(self.shares) != channels
        self.schedule = schedules.vp_linear()
        self.picture = PictureNetwork(channels, widths, depth, self.mask_widths)
        self.mask = MaskNetwork(2, self.mask_widths, embedding)

    def encode(self, picture: Tensor) -> Tensor:
        """The encoded picture (see `PictureNetwork.forward`): give it as `cond` in place of the picture."""
        return self.picture(picture)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H, W), float32. x (B, 1, H, W), t (B,), no label; cond: a picture, or an encoded one.

        A picture is (B, channels, H, W) in [-1, 1]; it costs far more than an encoded one.
        """
        height, width = x.shape[-2:]
        encoded = self.encode(cond) if cond.shape[1] == self.channels else cond
        x = _padded(x.float(), *encoded.shape[-2:])
        alpha, sigma = (v.float()[:, None, None, None] for v in self.schedule(t.clamp(min=self.schedule.t_min)))
        prior, *packed = encoded.split([1, *self.shares], dim=1)
        features = [F.pixel_unshuffle(part, 2**level).contiguous(memory_format=torch.channels_last)
                    for level, part in enumerate(packed, 2)]
        base = prior + evidence(x, alpha, sigma)
        correction = self.mask(torch.cat((x, torch.tanh(base / 2)), dim=1), t, features)
        return (base + correction)[..., :height, :width]


class MaskUNet(nn.Module):
    """A plain U-Net from picture to mask, for comparison: the picture's network of `MedSeg` by itself.

    Takes x_t and t like `MedSeg` and ignores them.
    """

    def __init__(self, channels: int = 3, widths: tuple[int, ...] = (32, 64, 128, 224), depth: int = 2):
        super().__init__()
        self.picture = PictureNetwork(channels, widths, depth)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H, W) of the picture cond (B, channels, H, W) in [-1, 1]."""
        return self.picture(cond)[..., :x.shape[-2], :x.shape[-1]]


def _rounded(x: Tensor, multiple: int) -> tuple[int, int]:
    height, width = x.shape[-2:]
    return height + -height % multiple, width + -width % multiple


def _padded(x: Tensor, height: int, width: int) -> Tensor:
    pad = width - x.shape[-1], height - x.shape[-2]
    return F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate") if any(pad) else x
