"""Colours and parts of a given cloud (STPD's second stage; Wu et al., ICCV 2023): the geometry is seen, never moved.

All that depends on geometry and words only is done once: which part each point is of, and features. A step of diffusion
then is cheap: points of a part pool their noisy colours, the parts talk to the words and to each other, and tell their
points. So parts get one colour, whether the text names it or not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import TimeEmbedding
from engine.networks.pointcloud import Round, Waves
from engine.networks.sketch_text import CrossAttention, SelfBlock, TextEncoder

_PART_SCALE = 2.0


class PartNetwork(nn.Module):
    """Logits of the parts and features for each point, from the cloud alone: words never change what a part is."""

    def __init__(self, parts: int, features: int, width: int, latent: int, latents: int, rounds: int):
        super().__init__()
        self.waves = Waves(6)
        self.enter = nn.Linear(self.waves.size, width)
        self.start = nn.Parameter(0.5 * torch.randn(latents, latent))
        self.rounds = nn.ModuleList(Round(width, latent, latent) for _ in range(rounds))
        self.plain = nn.Parameter(torch.zeros(1, latent))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, parts + features))

    def forward(self, points: Tensor, t: Tensor | None = None) -> Tensor:
        """(B, N, parts + features) float32. points (B, N, 3) in [-1, 1]; t is ignored."""
        h, latents = self.enter(self.waves(_PART_SCALE * points)), self.start.expand(len(points), -1, -1)
        embedding = self.plain.expand(len(points), -1)
        for step in self.rounds:
            h, latents = step(h, latents, embedding)
        return self.out(h).float()


class CloudColour(nn.Module):
    """Predicts v of noisy colours x (B, N, 3) in [-1, 1], given the cloud and words. Order of the points is free.

    words: the vocabulary, in the order of its tokens. The last layer starts at zero.
    """

    def __init__(self, words: tuple[str, ...] | list[str], parts: int, length: int = 40, features: int = 32,
                 width: int = 128, latent: int = 128, latents: int = 48, rounds: int = 3):
        super().__init__()
        self.words, self.parts, self.features = tuple(words), parts, features
        self.schedule = schedules.cosine()
        self.part = PartNetwork(parts, features, width, latent, latents, rounds)
        self.text = TextEncoder(len(self.words) + 2, length, latent)
        self.time = TimeEmbedding(latent)
        self.slots = nn.Parameter(torch.randn(parts, latent))
        self.gather = nn.Linear(3 + 1 + 8, latent)
        self.squeeze = nn.Linear(features, 8)
        self.listen = CrossAttention(latent, latent)
        self.think = nn.ModuleList(SelfBlock(latent) for _ in range(2))
        self.enter = nn.Linear(3 + features, width)
        self.tell = nn.Linear(latent, width)
        self.told = nn.Linear(latent, 2 * width)
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.out = nn.Linear(width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def encode(self, points: Tensor) -> Tensor:
        """Part logits and features (B, N, parts + features) of a cloud: give it as `encoded` in all steps."""
        return self.part(points)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None, *, tokens: Tensor,
                points: Tensor | None = None, encoded: Tensor | None = None) -> Tensor:
        """v (B, N, 3). t (B,); tokens (B, L), the start sign first; points (B, N, 3) in [-1, 1], or encoded ones.

        x (B, N, 3 + parts) also takes noisy one-hot labels in {-1, 1}: their v is that of the posterior mean 2 p - 1,
        so every solver ends at the part of each point.
        """
        logits, features = (self.encode(points) if encoded is None else encoded).split([self.parts, self.features], -1)
        share = torch.softmax(logits.float(), dim=-1)
        weight = share.sum(1)[..., None]
        x, labels = x.split([3, x.shape[-1] - 3], dim=-1)
        seen = torch.cat((x.float(), self.squeeze(features).float()), dim=-1)
        mean = share.transpose(1, 2) @ seen / (weight + 1e-3)
        embedding = F.silu(self.time(t))
        slots = self.slots + self.gather(torch.cat((mean, weight / x.shape[1]), dim=-1)) + embedding[:, None]
        words, known = self.text(tokens)
        slots = slots + self.listen(slots, words, known)
        present = weight[..., 0] > 0.002 * x.shape[1]
        present = present | (weight[..., 0] == weight[..., 0].amax(1, keepdim=True))
        for block in self.think:
            slots = block(slots, present)
        h = self.enter(torch.cat((x, features), dim=-1)) + share.to(x.dtype) @ self.tell(slots).to(x.dtype)
        scale, shift = self.told(embedding)[:, None].chunk(2, dim=-1)
        v = self.out(self.leave(torch.addcmul(shift, h, scale + 1))).float()
        return v if not labels.shape[-1] else torch.cat((v, self._toward(2 * share - 1, labels, t)), dim=-1)

    def _toward(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The v that means this x0."""
        alpha, sigma = (value.float()[:, None, None] for value in self.schedule(t.clamp(min=self.schedule.t_min)))
        return (alpha * x_t - x0) / sigma
