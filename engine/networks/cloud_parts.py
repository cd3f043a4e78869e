"""Which part each point of a cloud is of: a set transformer with latents that also sees how the surface lies near."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.networks.pointcloud import Round, Waves

_PART_SCALE = 2.0
_SCALES = (0.4, 0.2, 0.1)
"""Standard deviations of the Gaussian neighbourhoods, shapes being in [-1, 1]; each is half of the one before."""

_AROUND = 512
"""Points that stand for the surroundings, spread over the order of the cloud: more of them tell little more."""

_SELF, _SAME = 1e-3, 1e-6
"""Weight of a point among its surroundings, and the squared distance up to which a point is the same one."""

_LEAST, _NEVER = 0.0025, 30.0
"""Share of the points that a part has at least, and what is taken from the logits of those with less."""


class Neighbourhood(nn.Module):
    """How the points lie around each one, at three scales: it does not depend on how many points a cloud has."""

    size = 10 * len(_SCALES)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor, slice]:
        """Moments (B, N, 30), kernels (B, 3, N, M), the sums of their rows (B, 3, N, 1), and which points the M are.

        The moments of a scale h: offset of the mean / h, covariance / h^2, logarithm of the mean kernel.
        """
        others = slice(None, None, max(1, points.shape[1] // _AROUND))
        around = points[:, others]
        first, second = torch.triu_indices(3, 3, device=points.device)
        kernels = self._kernels(points, around)
        told = torch.cat((around, around[..., first] * around[..., second], torch.ones_like(around[..., :1])), dim=-1)
        own = torch.cat((points, points[..., first] * points[..., second], torch.ones_like(points[..., :1])), dim=-1)
        mean, product, density = (kernels @ told[:, None] / around.shape[1] + _SELF * own[:, None]).split([3, 6, 1], -1)
        mean = mean / density
        covariance = product / density - mean[..., first] * mean[..., second]
        widths = points.new_tensor(_SCALES)[None, :, None, None]
        covariance = covariance / widths.square()
        moments = torch.cat(((mean - points[:, None]) / widths, covariance, density.log() / 4), dim=-1)
        return moments.transpose(1, 2).flatten(2), kernels, density * around.shape[1], others

    @staticmethod
    def _kernels(points: Tensor, around: Tensor) -> Tensor:
        """Gaussian kernels of the distances at each scale, 0 for a point and itself."""
        square = torch.cdist(points, around).square()
        widest = torch.exp(square / (-2 * _SCALES[0] ** 2)).masked_fill(square < _SAME, 0)
        # exp(-d / 2 (h / 2)^2) is the fourth power of that of h: much cheaper than to take exponentials anew.
        middle = widest.square().square()
        return torch.stack((widest, middle, middle.square().square()), dim=1)


class Hear(nn.Module):
    """Points take up what those around them say, at each scale, and think."""

    def __init__(self, width: int, voice: int = 32):
        super().__init__()
        self.norm, self.speak = nn.LayerNorm(width), nn.Linear(width, voice * len(_SCALES))
        heard = width + voice * len(_SCALES)
        self.think = nn.Sequential(nn.Linear(heard, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, h: Tensor, kernels: Tensor, sums: Tensor, others: slice) -> Tensor:
        normed = self.norm(h)
        said = self.speak(normed[:, others]).unflatten(-1, (len(_SCALES), -1)).transpose(1, 2)
        heard = ((kernels @ said) / sums).transpose(1, 2).flatten(2)
        return h + self.think(torch.cat((normed.to(heard.dtype), heard), dim=-1))


class PartNetwork(nn.Module):
    """Logits of the parts and features for each point, from the cloud alone: words never change what a part is."""

    def __init__(self, parts: int, features: int, width: int, latent: int, latents: int, rounds: int):
        super().__init__()
        self.parts = parts
        self.waves, self.near = Waves(6), Neighbourhood()
        self.enter = nn.Linear(self.waves.size + self.near.size, width)
        self.start = nn.Parameter(0.5 * torch.randn(latents, latent))
        self.hear = nn.ModuleList(Hear(width) for _ in range(rounds))
        self.rounds = nn.ModuleList(Round(width, latent, latent) for _ in range(rounds))
        self.plain = nn.Parameter(torch.zeros(1, latent))
        self.present = nn.Sequential(nn.LayerNorm(latent), nn.Linear(latent, parts))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, parts + features))

    def forward(self, points: Tensor, t: Tensor | None = None) -> Tensor:
        """(B, N, parts + features) float32. points (B, N, 3) in [-1, 1]; t is ignored.

        Parts of hardly any points are left to the others: a few doubtful points are no part.
        """
        out, _ = self.whole(points)
        size = torch.softmax(out[..., :self.parts], dim=-1).mean(1, keepdim=True)
        stray = (size < _LEAST) & (size < size.amax(-1, keepdim=True))
        return out - _NEVER * F.pad(stray.float(), (0, out.shape[-1] - self.parts))

    def whole(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The same with all parts, and the logits (B, parts) that a cloud has a part, which those of points contain."""
        with torch.autocast(points.device.type, enabled=False):
            moments, kernels, sums, others = self.near(points.float())
        h = self.enter(torch.cat((self.waves(_PART_SCALE * points), moments), dim=-1))
        kernels, sums = kernels.to(h.dtype), sums.to(h.dtype)
        latents, embedding = self.start.expand(len(points), -1, -1), self.plain.expand(len(points), -1)
        for near, far in zip(self.hear, self.rounds):
            h, latents = far(near(h, kernels, sums, others), latents, embedding)
        present = self.present(latents.mean(1)).float()
        out = self.out(h).float()
        chance = F.pad(F.logsigmoid(present), (0, out.shape[-1] - self.parts))
        return out + chance[:, None], present
