"""Colours and parts of a given cloud (STPD's second stage; Wu et al., ICCV 2023): the geometry is seen, never moved.

What needs no learning is in closed form. A part has one of the palette's colours, a little tinted, with chances that
the words give; its points have that colour and some grain. The posterior mean of the colours under this law, given
noisy ones, is the base; networks tell parts and chances, let the parts of a shape agree, and correct the rest.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import schedules
from engine.networks.blocks import TimeEmbedding
from engine.networks.cloud_parts import PartNetwork
from engine.networks.colour_words import ColourWords
from engine.networks.sketch_text import SelfBlock

TINT, GRAIN, ANY = 0.06, 0.045, 0.7
"""Standard deviations, colours in [-1, 1]: of a part about its name's colour, of points about their part's, of any."""

TEXTURE, PLAIN = 0.5, -6.0
"""Most that texture adds to the variance of points, and the bias of its logit."""


class CloudColour(nn.Module):
    """Predicts v of noisy colours x (B, N, 3) in [-1, 1], given the cloud and words. Order of the points is free.

    words: the vocabulary, in the order of its tokens; palette: see `ColourWords`. The corrections start at zero.
    """

    def __init__(self, words: Sequence[str], parts: int, palette: Sequence[tuple[str, Sequence[float]]] = (),
                 length: int = 40, features: int = 32, width: int = 128, latent: int = 128, latents: int = 48,
                 rounds: int = 3):
        super().__init__()
        self.words, self.parts, self.features = tuple(words), parts, features
        self.schedule = schedules.cosine()
        self.part = PartNetwork(parts, features, width, latent, latents, rounds)
        self.text = ColourWords(self.words, parts, palette, length, latent)
        self.time = TimeEmbedding(latent)
        colours = len(self.text.colours) + 1
        self.gather = nn.Linear(colours + 5, latent)
        self.think = nn.ModuleList(SelfBlock(latent) for _ in range(2))
        self.agree = nn.Linear(latent, colours)
        self.enter = nn.Linear(6 + features, width)
        self.tell = nn.Linear(latent, width)
        self.told = nn.Linear(latent, 2 * width)
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.out = nn.Linear(width, 3)
        for last in (self.agree, self.out):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        means, spreads = F.pad(self.text.colours, (0, 0, 0, 1)), torch.full((colours,), TINT)
        spreads[-1] = ANY
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("variances", spreads.square(), persistent=False)

    def encode(self, points: Tensor) -> Tensor:
        """Part logits and features (B, N, parts + features) of a cloud: give it as `encoded` in all steps."""
        return self.part(points)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None, cond: Tensor | None = None, *, tokens: Tensor,
                points: Tensor | None = None, encoded: Tensor | None = None) -> Tensor:
        """v (B, N, 3). t (B,); tokens (B, L), the start sign first; points (B, N, 3) in [-1, 1], or encoded ones.

        x (B, N, 3 + parts) also takes noisy one-hot labels in {-1, 1}: their v is that of the posterior mean 2 p - 1,
        so every solver ends at the part of each point.
        """
        encoded = self.encode(points) if encoded is None else encoded
        return self.coloured(x, t, encoded, *self.text(tokens))

    def coloured(self, x: Tensor, t: Tensor, encoded: Tensor, chances: Tensor, slots: Tensor) -> Tensor:
        """v, from what `ColourWords` says of the words."""
        logits, features = encoded.split([self.parts, self.features], dim=-1)
        share = torch.softmax(logits.float(), dim=-1)
        x, labels = x.split([3, x.shape[-1] - 3], dim=-1)
        levels = self.schedule(t.clamp(min=self.schedule.t_min))
        alpha, sigma = (level.float()[:, None, None].to(x.device) for level in levels)
        embedding = F.silu(self.time(t))
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            grain = GRAIN**2 + TEXTURE * torch.sigmoid(features[..., :1].float() + PLAIN)
            seen = self._seen(x, share, grain, alpha, sigma)
            logits = chances.float() + self._evidence(*seen, alpha)
            first = self._parts(logits, *seen, alpha)
        slots = self._agreed(slots, logits, first, share, embedding)
        logits = logits + self.agree(slots).float()
        with torch.autocast(x.device.type, enabled=False):
            mean, doubt = self._parts(logits, *seen, alpha)
            base = self._points(x, share, grain, mean, doubt, alpha, sigma)
        h = self.enter(torch.cat((x, base, features), dim=-1)) + share.to(slots.dtype) @ self.tell(slots)
        scale, shift = self.told(embedding)[:, None].chunk(2, dim=-1)
        correction = self.out(self.leave(torch.addcmul(shift, h, scale + 1))).float()
        x0 = base + correction * ANY * sigma / (alpha.square() * ANY**2 + sigma.square()).sqrt()
        v = (alpha * x - x0) / sigma
        return v if not labels.shape[-1] else torch.cat((v, (alpha * labels - 2 * share + 1) / sigma), dim=-1)

    def _seen(self, x: Tensor, share: Tensor, grain: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Mean noisy colour of each part (B, parts, 3), and its variance (B, parts, 1) about alpha times the part's.

        Where points are not surely of the part, colours of others blur the mean.
        """
        weights = share.transpose(1, 2)
        total, square = weights.sum(-1, keepdim=True).clamp(min=1e-6), weights.square()
        each = alpha.square() * grain + sigma.square()
        blur = alpha.square() * ANY**2 * (1 - square.sum(-1, keepdim=True) / total).square()
        return weights @ x / total, square @ each / total.square() + blur + 1e-8

    def _evidence(self, seen: Tensor, variance: Tensor, alpha: Tensor) -> Tensor:
        """Logarithm of the likelihood (B, parts, colours + 1) of what was seen, for each colour."""
        total = alpha.square() * self.variances + variance
        distance = (seen[:, :, None] - alpha[..., None] * self.means).square().sum(-1)
        return -0.5 * distance / total - 1.5 * total.log()

    def _parts(self, logits: Tensor, seen: Tensor, variance: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, parts, 3) and variance (B, parts, 1) of the parts' colours: a mixture of normal posteriors."""
        chance = torch.softmax(logits, dim=-1)[..., None]
        gain = alpha * self.variances / (alpha.square() * self.variances + variance)
        each = self.means + gain[..., None] * (seen[:, :, None] - alpha[..., None] * self.means)
        mean = (chance * each).sum(2)
        left = self.variances * (1 - alpha * gain)
        return mean, (chance * (left[..., None] + (each - mean[:, :, None]).square())).sum(2).mean(-1, keepdim=True)

    def _agreed(self, slots: Tensor, logits: Tensor, first: tuple[Tensor, Tensor], share: Tensor, embedding: Tensor
                ) -> Tensor:
        """The parts' vectors after each was told what all others look like so far."""
        size = share.mean(1)[..., None]
        state = torch.cat((torch.softmax(logits, dim=-1), first[0], first[1].sqrt(), size), dim=-1)
        slots = slots + self.gather(state) + embedding[:, None]
        present = (size > 0.002) | (size == size.amax(1, keepdim=True))
        for block in self.think:
            slots = block(slots, present[..., 0])
        return slots

    @staticmethod
    def _points(x: Tensor, share: Tensor, grain: Tensor, mean: Tensor, doubt: Tensor, alpha: Tensor, sigma: Tensor
                ) -> Tensor:
        """Posterior mean (B, N, 3) of the points' colours: a noisy colour, too, tells which part its point is of."""
        total = alpha.square() * (grain + doubt.transpose(1, 2)) + sigma.square()
        apart = (x.square().sum(-1, keepdim=True) - 2 * alpha * x @ mean.transpose(1, 2)
                 + alpha.square() * mean.square().sum(-1)[:, None])
        which = torch.softmax((share + 1e-6).log() - 0.5 * apart / total - 1.5 * total.log(), dim=-1)
        theirs = which @ mean
        return theirs + alpha * grain / (alpha.square() * grain + sigma.square()) * (x - alpha * theirs)
