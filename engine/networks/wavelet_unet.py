"""The slim wavelet U-Net that serves the picture tasks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.networks.blocks import Attention, PlainUp, ResidualBlock, TimeEmbedding, norm
from engine.networks.haar import GatedDown, GatedUp, from_bands, to_bands


class WaveletUNet(nn.Module):
    """U-Net with wavelet-gated down- and up-sampling behind a one-level Haar stem.

    Spectral Diffusion (Yang et al., CVPR 2023) for the gates. The stem and its inverse at the end halve the side at
    which the first level works, at no loss of information. stem=False works at full resolution (small pictures).
    channels: pictures' channels; cond_channels: of the conditioning picture (0: none); classes: number of labels
    (0: none; label `classes` means "none"); widths: channels per level; depth: residual blocks per level on the way
    down (one more on the way up); attention: number of lowest levels with self-attention. gated: False averages and
    repeats pixels between the levels in place of the wavelet gates, at the same cost.
    """

    def __init__(self, channels: int = 3, cond_channels: int = 0, classes: int = 0,
                 widths: tuple[int, ...] = (64, 128, 192), depth: int = 2, attention: int = 1,
                 norm_kind: str = "group", stem: bool = True, embedding: int = 256, gated: bool = True):
        super().__init__()
        self.classes, self.cond_channels, self.stem = classes, cond_channels, stem
        self.multiple = (2 if stem else 1) * 2 ** (len(widths) - 1)
        bands = 4 if stem else 1
        self.time = TimeEmbedding(embedding)
        self.label = nn.Embedding(classes + 1, embedding) if classes else None
        self.enter = nn.Conv2d(bands * (channels + cond_channels), widths[0], 3, padding=1)

        def block(i: int, o: int) -> ResidualBlock:
            return ResidualBlock(i, o, embedding, norm_kind)

        self.down, self.shrink, self.up, self.grow = (nn.ModuleList() for _ in range(4))
        self.down_attention, self.up_attention = nn.ModuleList(), nn.ModuleList()
        previous = widths[0]
        for level, width in enumerate(widths):
            attend = level >= len(widths) - attention
            self.down.append(nn.ModuleList([block(previous, width)] + [block(width, width) for _ in range(depth - 1)]))
            self.down_attention.append(Attention(width, norm_kind) if attend else nn.Identity())
            self.up.append(nn.ModuleList([block(2 * width, width)] + [block(width, width) for _ in range(depth - 1)]))
            self.up_attention.append(Attention(width, norm_kind) if attend else nn.Identity())
            previous = width
            if level + 1 < len(widths):
                self.shrink.append(GatedDown(width) if gated else nn.AvgPool2d(2))
                self.grow.append((GatedUp if gated else PlainUp)(widths[level + 1], width))
        self.middle = block(widths[-1], widths[-1])
        self.leave_norm = norm(norm_kind, widths[0])
        self.leave = nn.Conv2d(widths[0], bands * channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None,
                further: Tensor | None = None) -> Tensor:
        """The prediction, of x's shape.

        x (B, C, H, W) of any size, t (B,) in [0, 1], label (B,) int64, cond (B, cond_channels, H, W); further
        (B, embedding): what else it is told, beside the time.
        """
        height, width = x.shape[-2:]
        if self.cond_channels:
            x = torch.cat((x, cond), dim=1)
        pad = -width % self.multiple, -height % self.multiple
        if any(pad):
            x = F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        embedding = self.time(t)
        if self.label is not None:
            none = torch.full_like(t, self.classes, dtype=torch.long) if label is None else label
            embedding = embedding + self.label(none)
        if further is not None:
            embedding = embedding + further
        embedding = F.silu(embedding)
        h = self.enter(to_bands(x) if self.stem else x)
        skips = []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                h = block(h, embedding)
            h = self.down_attention[level](h)
            skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
        h = self.middle(h, embedding)
        for level in reversed(range(len(self.up))):
            h = torch.cat((h, skips[level]), dim=1)
            for block in self.up[level]:
                h = block(h, embedding)
            h = self.up_attention[level](h)
            if level:
                h = self.grow[level - 1](h)
        h = self.leave(F.silu(self.leave_norm(h)))
        return (from_bands(h) if self.stem else h)[..., :height, :width]
