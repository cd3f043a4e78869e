"""The smallest tomography: points in the plane of which only shadows on lines are seen, one number each.

A view is the angle (B, 1) of the line; a point is determined by two shadows. From pairs and triples of shadows the
network learns where points lie together, without ever seeing one.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.exact import Mixture
from engine.forward_models.rendered import Estimate, Seen, Triple, loss

LEAST_ANGLE = math.pi / 6
"""Between context and target: shadows on nearly the same line tell nearly the same."""


def render(points: Tensor, angle: Tensor) -> Tensor:
    """Where the shadows of points (B, 2) fall on lines at these angles (B, 1), as (B, 1)."""
    return (points * direction(angle)).sum(1, keepdim=True)


def direction(angle: Tensor) -> Tensor:
    """Unit vectors (B, 2)."""
    return torch.cat([angle.cos(), angle.sin()], 1)


def triple(points: Tensor, generator: torch.Generator) -> Triple:
    """Shadows of each point on three lines: any one, one at least `LEAST_ANGLE` from it, and any one."""
    first, turn, third = torch.rand(3, len(points), 1, generator=generator, dtype=torch.float64).to(points)
    first, third = math.pi * first, math.pi * third
    second = first + LEAST_ANGLE + (math.pi - 2 * LEAST_ANGLE) * turn
    return Triple(*(Seen(render(points, angle), angle) for angle in (first, second, third)))


def exact(law: Mixture) -> Estimate:
    """The estimate to which training tends: the mean of all points of the law with that context and that noisy target.

    The context is exact, so that the points of one component lie on a line, normal across the target's direction.
    """

    def estimate(context: Seen, x: Tensor, alpha: Tensor, sigma: Tensor, view: Tensor) -> Tensor:
        rows = torch.stack([direction(context.view), direction(view)], 1).double()  # (B, 2, 2)
        error = (sigma / alpha).double() ** 2
        noise = torch.diag_embed(torch.stack([torch.zeros_like(error), error], 1))[:, None]
        variances = law.variances.to(x.device)[:, None, None]
        spread = variances * (rows @ rows.mT)[:, None] + noise  # (B, K, 2, 2)
        seen = torch.cat([context.observation, x / alpha[:, None]], 1).double()
        gaps = (seen[:, None] - torch.einsum("bij,kj->bki", rows, law.means.to(x.device)))[..., None]
        weighed = torch.linalg.solve(spread, gaps)  # (B, K, 2, 1)
        logs = law.weights.to(x.device).log() - torch.logdet(spread) / 2 - (gaps * weighed).sum((2, 3)) / 2
        moved = law.means.to(x.device) + (variances * (rows.mT[:, None] @ weighed))[..., 0]
        return (logs.softmax(1)[..., None] * moved).sum(1).to(x)

    return estimate


class Guesser(nn.Module):
    """An `Estimate` by a small perceptron.

    It corrects the point that follows for the law N(0, size^2 I), by as much as that leaves open at this noise level,
    in coordinates along and across the line of the context.
    """

    def __init__(self, width: int = 128, size: float = 1.0):
        super().__init__()
        self.size = size
        self.body = nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                  nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, context: Seen, x: Tensor, alpha: Tensor, sigma: Tensor, view: Tensor) -> Tensor:
        along, turn = context.observation, view - context.view
        # x = alpha (along cos(turn) + across sin(turn)) + sigma eps
        gain = alpha[:, None] * turn.sin()
        left = sigma[:, None] / (sigma[:, None] ** 2 + (self.size * gain) ** 2).sqrt()
        missing = x - alpha[:, None] * along * turn.cos()
        across = self.size ** 2 * gain / (sigma[:, None] ** 2 + (self.size * gain) ** 2) * missing
        angle = torch.cat([k(n * context.view) for n in (1, 2) for k in (torch.cos, torch.sin)], 1)
        known = torch.cat([along / self.size, across / self.size, left, left.clamp(min=1e-4).log(), angle], 1)
        coordinates = torch.cat([along, across], 1) + self.size * left * self.body(known)
        u = direction(context.view)
        return coordinates[:, :1] * u + coordinates[:, 1:] * torch.stack([-u[:, 1], u[:, 0]], 1)


def train(network: nn.Module, shadows: Callable[[int, torch.Generator], Triple], schedule, rounds: int = 2000,
          batch: int = 256, rate: float = 5e-3, other: float = 1.0, seed: int = 0) -> list[float]:
    """Fit a network to triples of shadows; the losses. shadows(count, generator): a fresh batch of them."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
    losses = []
    for _ in range(rounds):
        given = shadows(batch, generator)
        noise = torch.randn(given.target.observation.shape, generator=generator)
        error = loss(network, render, schedule, given, torch.rand(batch, generator=generator), noise, other)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        decay.step()
        losses.append(error.item())
    return losses
