"""Denoiser of tooth arrangements (after TADPM, Lei et al., CAGD 2024): what each of 32 teeth does, all at once.

A tooth is a token. Its crown's samples pass through a small PointNet, the patches of its mesh through a small encoder
after MeshMAE's, the samples of all teeth together through another PointNet (the jaw encoder); a transformer lets the
teeth see each other, once without and once with the noisy state. Differences to the paper: few facets in place of a
remeshed crown, without pre-training; motions as residuals; time by adaptive norms.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import TimeEmbedding

SLOTS, STATE = 32, 9
_REACH_MM = 6.0
_JAW_MM = 20.0
_FACET = 10
_PATCHES = 12


class PointNet(nn.Module):
    """Samples (..., P, features) to one vector (..., out): a shared perceptron, then their maximum and mean."""

    def __init__(self, features: int, width: int, out: int):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, 2 * width))
        self.outer = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, out))

    def forward(self, samples: Tensor) -> Tensor:
        h = self.inner(samples)
        return self.outer(torch.cat((h.amax(-2), h.mean(-2)), -1).float())


class PatchNet(nn.Module):
    """Facets (..., F, 10) of `engine.tasks.teeth.facets` to one vector (..., out); zero for crowns without any.

    A facet belongs to the nearest of the first twelve, which are spread evenly. Each is embedded with its place in its
    patch, a patch is the mean of its facets and its own place, a crown the maximum and mean of its patches.
    """

    def __init__(self, width: int, out: int):
        super().__init__()
        self.facet = nn.Sequential(nn.Linear(_FACET + 3, width), nn.GELU(), nn.Linear(width, 2 * width))
        self.patch = nn.Sequential(nn.Linear(2 * width + 3, 4 * width), nn.GELU())
        self.outer = nn.Sequential(nn.LayerNorm(8 * width), nn.Linear(8 * width, out))

    def forward(self, facets: Tensor) -> Tensor:
        centre, exists = facets[..., :3], facets[..., 6:7] > 0
        middle = centre[..., :_PATCHES, :]
        with torch.no_grad():
            nearest = torch.cdist(centre, middle).argmin(-1, keepdim=True)
            member = torch.zeros(*centre.shape[:-1], middle.shape[-2], device=centre.device)
            member = member.scatter_(-1, nearest, 1.0) * exists
            share = (member / member.sum(-2, keepdim=True).clamp_min(1)).transpose(-1, -2)
        place = (centre - middle.gather(-2, nearest.expand_as(centre))) / _REACH_MM
        h = self.facet(torch.cat((centre / _REACH_MM, facets[..., 3:], place), -1))
        h = self.patch(torch.cat((share.to(h.dtype) @ h, (middle / _REACH_MM).to(h.dtype)), -1))
        return self.outer(torch.cat((h.amax(-2), h.mean(-2)), -1).float()) * exists.any(-2)


class Block(nn.Module):
    """Attention among the teeth and a perceptron per tooth, both scaled, shifted and gated by an embedding."""

    def __init__(self, width: int, heads: int, embedding: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(embedding, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        for last in (self.out, self.narrow):
            nn.init.normal_(last.weight, std=0.02)
            nn.init.zeros_(last.bias)

    def forward(self, h: Tensor, seen: Tensor, embedding: Tensor) -> Tensor:
        """h (B, T, width); seen (B, 1, 1, T) bool: which teeth exist; embedding (B, embedding)."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(embedding)[:, None].chunk(6, -1)
        y = torch.addcmul(shift1, self.norm1(h), 1 + scale1)
        q, k, v = self.qkv(y).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)
        h = torch.addcmul(h, self.out(y), 1 + gate1)
        y = torch.addcmul(shift2, self.norm2(h), 1 + scale2)
        return torch.addcmul(h, self.narrow(F.gelu(self.wide(y))), 1 + gate2)


class TeethNetwork(nn.Module):
    """x0 of the state (B, 32, 9) of `engine.tasks.teeth.state`, on the schedule `vp_linear`.

    The base is exact for teeth that are independent and normal, with the mean `gain * base + offset` and the deviation
    `left`, where `base` is the geometric arch fit; what the transformer adds starts at zero. The buffers axes, centres,
    mean and spread are the `state.Frame` that the weights belong to. regress: ignore x and t and give the one answer
    that fits best, for comparison.
    """

    def __init__(self, width: int = 192, heads: int = 6, seeing: int = 2, depth: int = 4, points: int = 48,
                 embedding: int = 128, regress: bool = False):
        super().__init__()
        self.width, self.embedding, self.regress = width, embedding, regress
        self.schedule = schedules.vp_linear()
        self.crown = PointNet(6, points, width)
        self.mesh = PatchNet(points, width)
        self.jaw = PointNet(3, points, width)
        self.slot = nn.Parameter(0.02 * torch.randn(SLOTS, width))
        self.place = nn.Linear(3 + STATE, width)
        self.seeing = nn.ModuleList(Block(width, heads, embedding) for _ in range(seeing))
        self.time = TimeEmbedding(embedding)
        self.state = nn.Linear(2 * STATE, width)
        self.blocks = nn.ModuleList(Block(width, heads, embedding) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, STATE)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("axes", torch.eye(3).repeat(SLOTS, 1, 1))
        self.register_buffer("centres", torch.zeros(SLOTS, 3))
        self.register_buffer("mean", torch.zeros(SLOTS, STATE))
        self.register_buffer("spread", torch.ones(SLOTS, STATE))
        self.register_buffer("gain", torch.ones(SLOTS, STATE))
        self.register_buffer("offset", torch.zeros(SLOTS, STATE))
        self.register_buffer("left", torch.ones(SLOTS, STATE))

    def encode(self, points: Tensor, normals: Tensor, centres: Tensor, base: Tensor, present: Tensor,
               facets: Tensor | None = None) -> Tensor:
        """What does not depend on the noisy state, (B, 32, width + 10): give it as `cond` to all steps and samples.

        points (B, 32, P, 3) mm from the tooth's centre, normals, and centres (B, 32, 3) mm from the slot's average
        place, all in the slot's average axes; base (B, 32, 9): the arch fit as a state; present (B, 32) bool or 0 / 1.
        facets (B, 32, F, 10): of the crowns' meshes, in the same axes from the tooth's centre, where there are any.
        """
        present = present.float()[..., None]
        crown = self.crown(torch.cat((points / _REACH_MM, normals), -1))
        # Added, which is what a linear layer makes of both side by side; a crown without mesh is told by its points.
        crown = crown if facets is None else crown + self.mesh(facets)
        h = crown + self.slot + self.place(torch.cat((centres / _REACH_MM, base), -1))
        every = (points[:, :, ::8] + centres[:, :, None]).flatten(1, 2) / _JAW_MM
        h = (h + self.jaw(every)[:, None]) * present
        seen, still = self._seen(present), torch.zeros(len(h), self.embedding, device=h.device)
        for block in self.seeing:
            h = block(h, seen, still)
        prior = self.gain * base + self.offset
        return torch.cat((h.float(), prior.float(), present), -1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None,
                **teeth: Tensor) -> Tensor:
        """x0 (B, 32, 9), zero for absent teeth. x (B, 32, 9), t (B,); cond: from `encode`, or its arguments by name."""
        cond = self.encode(**teeth) if cond is None else cond
        h, prior, present = cond.split([self.width, STATE, 1], -1)
        if self.regress:
            x, t = torch.zeros_like(x), torch.ones_like(t)
        mean, doubt = self.posterior(x.float(), t, prior)
        embedding = F.silu(self.time(t))
        h = h + self.state(torch.cat((x, mean), -1))
        seen = self._seen(present)
        for block in self.blocks:
            h = block(h, seen, embedding)
        return (mean + doubt * self.last(self.last_norm(h)).float()) * present

    def posterior(self, x: Tensor, t: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (B, 32, 9) of x0 given x_t, if x0 is normal about `prior` with the deviation `left`."""
        if self.regress:
            return prior, self.left.expand_as(prior)
        alpha, sigma = (v.float()[:, None, None] for v in self.schedule(t.clamp(min=self.schedule.t_min)))
        precision = alpha.square() / sigma.square() + 1 / self.left.square()
        return (alpha * x / sigma.square() + prior / self.left.square()) / precision, precision.rsqrt()

    @staticmethod
    def _seen(present: Tensor) -> Tensor:
        return (present[..., 0] > 0)[:, None, None, :]
