"""Denoisers of point sets whose answer does not depend on the order of the points.

`CloudGeometry`: a set transformer with latents (as Perceiver, Jaegle et al., 2021). A fixed number of latents hears the
sketch, the words and the noisy points, thinks, and tells every point its place: the cost grows with the number of
points only linearly, and any number may be given. `CloudPointwise`: the usual baseline, where points know of each other
only through the condition (Luo and Hu, "Diffusion probabilistic models for 3D point cloud generation", CVPR 2021).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.networks.blocks import TimeEmbedding
from engine.networks.sketch_text import CrossAttention, Fusion, SelfBlock


class Waves(nn.Module):
    """Coordinates (B, N, 3) with sines and cosines of them, wavelengths 8, 4, 2 ...: (B, N, size)."""

    def __init__(self, octaves: int = 5):
        super().__init__()
        self.size = 3 + 6 * octaves
        self.register_buffer("rates", 2 * math.pi / 8 * 2.0 ** torch.arange(octaves), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        angles = (x[..., None] * self.rates).flatten(-2)
        return torch.cat((x, angles.sin(), angles.cos()), dim=-1)


class Told(nn.Module):
    """LayerNorm whose scale and shift come from an embedding (B, E); starts as a plain LayerNorm."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.tell = nn.Linear(embedding, 2 * width)
        nn.init.zeros_(self.tell.weight)
        nn.init.zeros_(self.tell.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.tell(embedding)[:, None].chunk(2, dim=-1)
        return torch.addcmul(shift, self.norm(x), scale + 1)


class Round(nn.Module):
    """Latents read the points and think; points read the latents and think."""

    def __init__(self, width: int, latent: int, embedding: int):
        super().__init__()
        self.told_latents = Told(latent, embedding)
        self.read, self.think = CrossAttention(latent, width), SelfBlock(latent)
        self.told_points = Told(width, embedding)
        self.write = CrossAttention(width, latent, inner=width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, points: Tensor, latents: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        latents = latents + self.read(self.told_latents(latents, embedding), points)
        latents = self.think(latents)
        points = points + self.write(points, latents)
        return points + self.mlp(self.told_points(points, embedding)), latents


class CloudGeometry(nn.Module):
    """Predicts v of noisy points x (B, N, 3), of unit variance per axis, from a sketch and words.

    The last layer starts at zero, so an untrained network is the best linear denoiser of independent points. words: the
    vocabulary, in the order of its tokens (two more are padding and start).
    """

    def __init__(self, words: tuple[str, ...] | list[str], length: int = 40, width: int = 96, latent: int = 128,
                 latents: int = 48, rounds: int = 3, capsules: int = 24):
        super().__init__()
        self.words = tuple(words)
        self.context = Fusion(len(self.words) + 2, length, latent, capsules)
        self.time = TimeEmbedding(latent)
        self.waves = Waves()
        self.enter = nn.Linear(self.waves.size, width)
        self.start = nn.Parameter(0.5 * torch.randn(latents, latent))
        self.listen, self.settle = CrossAttention(latent, latent), SelfBlock(latent)
        self.rounds = nn.ModuleList(Round(width, latent, latent) for _ in range(rounds))
        self.leave = Told(width, latent)
        self.out = nn.Linear(width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None, *,
                sketch: Tensor, tokens: Tensor) -> Tensor:
        """v (B, N, 3). t (B,); sketch (B, 1, 64, 64) in [0, 1], blank for none; tokens (B, L), the start sign first."""
        context, known, joint = self.context(sketch, tokens)
        embedding = F.silu(self.time(t) + joint)
        latents = self.start.expand(len(x), -1, -1)
        latents = self.settle(latents + self.listen(latents, context, known))
        points = self.enter(self.waves(x))
        for step in self.rounds:
            points, latents = step(points, latents, embedding)
        return self.out(self.leave(points, embedding)).float()


class CloudPointwise(nn.Module):
    """The same task by a perceptron of each point, told the joint embedding of sketch and words at every layer.

    Layers are y = W x * sigmoid(W_g c) + W_b c with c of time and condition (ConcatSquash), wide enough for the same
    number of parameters as `CloudGeometry`.
    """

    def __init__(self, words: tuple[str, ...] | list[str], length: int = 40, latent: int = 128, capsules: int = 24,
                 widths: tuple[int, ...] = (256, 512, 512, 512, 256)):
        super().__init__()
        self.words = tuple(words)
        self.context = Fusion(len(self.words) + 2, length, latent, capsules)
        self.time = TimeEmbedding(latent)
        self.waves = Waves()
        sizes = (self.waves.size, *widths, 3)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.told = nn.ModuleList(nn.Linear(latent, 2 * size) for size in sizes[1:])
        for layer in (self.layers[-1], self.told[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None, *,
                sketch: Tensor, tokens: Tensor) -> Tensor:
        """See `CloudGeometry.forward`."""
        embedding = F.silu(self.time(t) + self.context(sketch, tokens)[2])
        h = self.waves(x)
        for i, (layer, told) in enumerate(zip(self.layers, self.told)):
            gate, shift = told(embedding)[:, None].chunk(2, dim=-1)
            h = torch.addcmul(shift, layer(F.leaky_relu(h, 0.1) if i else h), torch.sigmoid(gate))
        return h.float()
