"""Encoders of a sketch and of words, and their fusion by capsule attention (STPD, Wu et al., ICCV 2023).

A sketch is mostly empty, so attention works on two levels: over the pixels of the feature map, and from the capsules
found there (Sabour et al., "Dynamic routing between capsules", 2017) to a few sketch capsules. One pass of attention
takes the place of the iterated routing. The words then ask the sketch capsules.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CAPSULE = 16


def squash(vectors: Tensor) -> Tensor:
    """(|v|^2 / (1 + |v|^2)) v / |v| along the last axis: directions stay, lengths go to [0, 1)."""
    square = vectors.square().sum(-1, keepdim=True)
    return vectors * (square + 1e-8).sqrt() / (1 + square)


class CrossAttention(nn.Module):
    """Multi-head attention of x (B, N, width) to context (B, M, other), both normalised first; the bare answer.

    Written out, because the backward pass of PyTorch's own takes five times as long here (measured: one core, bfloat16,
    64 against 512 tokens, 98 against 18 ms).
    """

    def __init__(self, width: int, other: int, head: int = 64, inner: int = 0):
        super().__init__()
        self.inner = inner or min(width, other)
        self.heads = self.inner // head
        self.norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(other)
        self.ask = nn.Linear(width, self.inner, bias=False)
        self.tell = nn.Linear(other, 2 * self.inner, bias=False)
        self.out = nn.Linear(self.inner, width)

    def forward(self, x: Tensor, context: Tensor, known: Tensor | None = None) -> Tensor:
        """known (B, M) bool: which of the context counts; every row needs one."""
        q, (k, v) = self.ask(self.norm(x)), self.tell(self.context_norm(context)).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        match = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if known is not None:
            match = match.masked_fill(~known[:, None, None, :], float("-inf"))
        share = torch.softmax(match, dim=-1).to(v.dtype)
        return self.out((share @ v).transpose(1, 2).flatten(2))


class SelfBlock(nn.Module):
    """Self-attention and a perceptron, each beside a shortcut."""

    def __init__(self, width: int):
        super().__init__()
        self.attention = CrossAttention(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.GELU(),
                                 nn.Linear(3 * width, width))

    def forward(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        x = x + self.attention(x, x, known)
        return x + self.mlp(x)


class TextEncoder(nn.Module):
    """A small transformer over words. tokens (B, L) int64, 0 is padding and the first is always known."""

    def __init__(self, vocabulary: int, length: int, width: int, depth: int = 2):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(SelfBlock(width) for _ in range(depth))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded words (B, L, width), and which of them are words (B, L)."""
        known = tokens > 0
        longest = int(known.sum(1).max())
        known = known[:, :longest]
        x = self.words(tokens[:, :longest]) + self.place[:longest]
        for block in self.blocks:
            x = block(x, known)
        return x, known


class SketchEncoder(nn.Module):
    """Capsule attention over a sketch (B, 1, 64, 64) in [0, 1]: `capsules` tokens (B, K, width)."""

    def __init__(self, width: int, capsules: int = 24, channels: int = 128, size: int = 32):
        super().__init__()
        steps = ((3, 32), (32, 64), (64, channels))
        self.stem = nn.Sequential(*(layer for a, b in steps for layer in (
            nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(b // 16, b), nn.SiLU(),
            nn.Conv2d(b, b, 3, padding=1), nn.GroupNorm(b // 16, b), nn.SiLU())))
        self.place = nn.Parameter(0.02 * torch.randn(channels, 8, 8))
        self.pixels = nn.Conv2d(channels, 1, 1)
        self.norm = nn.LayerNorm(channels)
        self.transform = nn.Parameter(torch.randn(capsules, _CAPSULE, size) / _CAPSULE**0.5)
        self.queries = nn.Parameter(torch.randn(capsules, size))
        self.out = nn.Linear(size, width)
        self.own = nn.Parameter(0.02 * torch.randn(capsules, width))

    def forward(self, sketch: Tensor) -> Tensor:
        line = torch.linspace(-1, 1, sketch.shape[-1], device=sketch.device, dtype=sketch.dtype)
        y, x = torch.meshgrid(line, line, indexing="ij")
        places = torch.stack((x, y)).expand(len(sketch), -1, -1, -1)
        features = self.stem(torch.cat((sketch, places), dim=1)) + self.place
        attended = F.log_softmax(self.pixels(features).flatten(1).float(), dim=1)
        primary = squash(self.norm(features.flatten(2).transpose(1, 2)).unflatten(-1, (-1, _CAPSULE)).float())
        attended = attended[:, :, None].expand(-1, -1, primary.shape[2]).flatten(1)
        # A capsule's vote is linear in it, W_k u_i, so queries and weighted sums can be formed without the votes.
        primary = primary.flatten(1, 2)
        asked = torch.einsum("kde,ke->dk", self.transform, self.queries) / self.queries.shape[-1] ** 0.5
        share = torch.softmax((primary @ asked).float() + attended[..., None], dim=1).to(primary.dtype)
        agreed = torch.einsum("kbd,kde->bke", torch.einsum("bik,bid->kbd", share, primary), self.transform)
        return self.out(squash(agreed)) + self.own


class Fusion(nn.Module):
    """Sketch and words together: the words attend to the sketch capsules, f = LN(e + MHA(e, s, s)).

    Gives context tokens (B, M, width) of both, which of them count (B, M), and the joint embedding z (B, width). A
    blank sketch and empty text stand for "not given".
    """

    def __init__(self, vocabulary: int, length: int, width: int, capsules: int = 24):
        super().__init__()
        self.text = TextEncoder(vocabulary, length, width)
        self.sketch = SketchEncoder(width, capsules)
        self.none = nn.Parameter(0.02 * torch.randn(capsules, width))
        self.attention = CrossAttention(width, width)
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, sketch: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        words, known = self.text(tokens)
        given = sketch.flatten(1).amax(1) > 0
        capsules = torch.where(given[:, None, None], self.sketch(sketch), self.none)
        fused = self.norm(words + self.attention(words, capsules))
        share = known[..., None] / known.sum(1)[:, None, None]
        joint = self.pool(torch.cat(((fused * share).sum(1), capsules.mean(1)), dim=-1))
        both = torch.cat((known, known.new_ones(capsules.shape[:2])), dim=1)
        return torch.cat((fused, capsules.to(fused.dtype)), dim=1), both, joint
