"""Blocks that the slim networks share: norms, residual block, self-attention, embeddings."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PixelNorm(nn.Module):
    """Normalises the channels of every pixel by itself, so that a tile sees what the whole picture sees."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.weight, self.bias)
        return y.permute(0, 3, 1, 2)


def norm(kind: str, channels: int) -> nn.Module:
    """kind: "pixel" (independent of the picture's size) or "group" (groups of 16 channels over the picture)."""
    return PixelNorm(channels) if kind == "pixel" else nn.GroupNorm(max(channels // 16, 1), channels)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a scale and shift from the embedding between them; starts as the identity."""

    def __init__(self, channels: int, out: int, embedding: int, norm_kind: str):
        super().__init__()
        self.norm1, self.norm2 = norm(norm_kind, channels), norm(norm_kind, out)
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * out)
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = torch.addcmul(shift, self.norm2(h), scale + 1)
        return self.skip(x) + self.conv2(F.silu(h))


class PlainBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, without any embedding; starts as the shortcut."""

    def __init__(self, channels: int, out: int, norm_kind: str):
        super().__init__()
        self.norm1, self.norm2 = norm(norm_kind, channels), norm(norm_kind, out)
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Multi-head self-attention over the pixels of a small feature map; starts as the identity."""

    def __init__(self, channels: int, norm_kind: str, head: int = 32):
        super().__init__()
        self.heads = channels // head
        self.norm = norm(norm_kind, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))


class PlainUp(nn.Sequential):
    """Doubling without wavelets, (B, C, H, W) to (B, out, 2H, 2W): repeated pixels, then a 1 x 1 convolution."""

    def __init__(self, channels: int, out: int):
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(channels, out, 1))


class TimeEmbedding(nn.Module):
    """Sinusoids of t in [0, 1] (frequencies 1 to 1000, geometric) through a two-layer perceptron."""

    def __init__(self, width: int, features: int = 64):
        super().__init__()
        frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), features // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        angles = t.float()[:, None] * self.frequencies
        return self.mlp(torch.cat((angles.sin(), angles.cos()), dim=1))
