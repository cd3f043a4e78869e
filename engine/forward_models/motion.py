"""Where a thing may move, learned from pairs of pictures: the motion itself is never seen.

The signal of a picture is a few motions, each with a share, (B, K, 3): dx, dy in px per unit of time, share. A view is
a time (B, 1); the picture at that time is the mixture of the moved pictures. At high noise several motions share the
estimate, as the posterior mean is a blur of them; at low noise one is left.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.forward_models.rendered import Render, Seen, Triple, loss

SIDE, REACH, WIDTH = 12, 3.0, 1.2
"""Pictures, the length of a motion and the radius of the thing that moves, in px."""
_EARLIEST = 0.4
_FURTHEST = 4.0


def moving(picture: Tensor) -> Render:
    """The rendering of motions of these pictures (B, C, H, W); -1 enters at the borders."""

    def render(signal: Tensor, time: Tensor) -> Tensor:
        count, (height, width) = signal.shape[1], picture.shape[-2:]
        shift = -2 * (signal[..., :2] * time[..., None]).flatten(0, 1) / torch.tensor([width, height]).to(signal)
        turn = torch.eye(2).to(signal).expand(len(shift), 2, 2)
        places = F.affine_grid(torch.cat([turn, shift[..., None]], 2), (len(shift), 1, height, width),
                               align_corners=False)
        moved = F.grid_sample(picture.repeat_interleave(count, 0) + 1, places, align_corners=False) - 1
        return (signal[..., 2, None, None, None] * moved.unflatten(0, (-1, count))).sum(1)

    return render


def scenes(count: int, generator: torch.Generator) -> Triple:
    """Pictures of a blob at rest, and at two times after it has set out to the right, left, bottom or top."""
    motion = ways()[torch.randint(4, (count,), generator=generator)]
    start = (SIDE - 1) / 2 + 2 * torch.rand(count, 2, generator=generator) - 1
    times = _EARLIEST + (1 - _EARLIEST) * torch.rand(2, count, 1, generator=generator)
    rest = Seen(blob(start), torch.zeros(count, 1))
    return Triple(rest, *(Seen(blob(start + time * motion), time) for time in times))


def ways() -> Tensor:
    """The four motions (4, 2) of `scenes`, in px per unit of time: to the right, bottom, left and top."""
    turn = math.pi / 2 * torch.arange(4)
    return REACH * torch.stack([turn.cos(), turn.sin()], 1)


def blob(centre: Tensor) -> Tensor:
    """Pictures (B, 1, SIDE, SIDE) in [-1, 1] of a soft spot at x, y (B, 2) in px."""
    place = torch.arange(SIDE, dtype=centre.dtype)
    x, y = (torch.exp(-(place - c[:, None]) ** 2 / (2 * WIDTH ** 2)) for c in centre.unbind(1))
    return 2 * (y[:, :, None] * x[:, None, :])[:, None] - 1


class Mover(nn.Module):
    """An `Estimate` of the motions of `scenes` by a small perceptron."""

    def __init__(self, motions: int = 4, width: int = 192):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * SIDE ** 2 + 3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                  nn.Linear(width, 3 * motions))

    def forward(self, context: Seen, x: Tensor, alpha: Tensor, sigma: Tensor, view: Tensor) -> Tensor:
        known = [(context.observation + 1).flatten(1), x.flatten(1), alpha[:, None], sigma[:, None], view]
        motion, share = self.body(torch.cat(known, 1)).unflatten(1, (-1, 3)).split([2, 1], 2)
        return torch.cat([_FURTHEST * motion.tanh(), share.softmax(1)], 2)


def train(network: nn.Module, source: Callable[[int, torch.Generator], Triple], schedule, rounds: int = 1500,
          batch: int = 128, rate: float = 2e-3, seed: int = 0) -> list[float]:
    """Fit a network to triples of pictures, such as `scenes`; the losses."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
    losses = []
    for _ in range(rounds):
        given = source(batch, generator)
        noise = torch.randn(given.target.observation.shape, generator=generator)
        t = torch.rand(batch, generator=generator)
        error = loss(network, moving(given.context.observation), schedule, given, t, noise)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        decay.step()
        losses.append(error.item())
    return losses
