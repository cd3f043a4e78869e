"""A denoiser with its derivative, for the methods that backpropagate through the network."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.runtime import computing


class Estimate(NamedTuple):
    """x0: the denoiser's estimate (B, *), without a graph.

    pull(direction, again=False): the transpose of the Jacobian dx0/dx_t times a direction (B, *). The graph is gone
    after the first pull unless again=True.
    """

    x0: Tensor
    pull: Callable[..., Tensor]


def differentiated(denoise: Callable[..., Tensor]) -> Callable[[Tensor, float], Estimate]:
    """The denoiser with its derivative, one call each, in a caller that runs without gradients too (torch.no_grad).

    Both are computed where all networks are (`engine.runtime.computing`).

    Gradients must flow from x0 to x_t through `denoise`. Build it from a model with `engine.adjoint.differentiable`,
    which computes in float32: at high noise the Jacobian is a small difference of large numbers, and the consistent
    form of PiGDM multiplies it by sigma^2 / alpha. A shared denoiser works as well, with the precision of its device.
    Where a wrapper clips x0 the Jacobian is 0, so clipping mutes the measurement there.
    """

    def forwards(x: Tensor, t: float) -> Tensor:
        with torch.enable_grad():
            return denoise(x, t)

    def estimate(x: Tensor, t: float) -> Estimate:
        x = x.detach().requires_grad_()
        x0 = computing.compute(forwards, x, t)
        assert x0.requires_grad, "no gradient flows through this denoiser"

        def pull(direction: Tensor, again: bool = False) -> Tensor:
            return computing.compute(lambda: torch.autograd.grad(x0, x, direction, retain_graph=again)[0])

        return Estimate(x0.detach(), pull)

    return estimate
