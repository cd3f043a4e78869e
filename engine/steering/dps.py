"""DPS: after each step, walk down the misfit between the measurement and the estimate, through the network."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.differentiated import Estimate, differentiated
from engine.steering.operators import Measurement
from engine.steering.registry import steering
from engine.step import Step

ZETA = Option("zeta", "Step size (zeta)", 0.5,
              "How far each step goes towards the measurement, for a run of 1000 steps; shorter runs take longer "
              "steps, up to ten times. 0.3 for super-resolution and blur, 0.5 for holes, 1 for phase retrieval.",
              0.0, 1.0)
ETA = Option("eta", "Noise per step (eta)", 1.0, "1 draws fresh noise in each step, 0 adds none.", 0.0, 1.0)
USUAL_STEPS = 1000
LONGEST = 10.0


@steering("dps", title="DPS", paper="Chung et al. 2023, arXiv 2209.14687", needs="gradient", noisy=True, backprop=True,
          hint="Follows the gradient of the misfit through the network. Takes any measurement with a gradient; needs "
               "many steps.", steps=(50, 100, 1000), options=(ZETA, ETA),
          cost="1 network call per step and its gradient, about 3 calls' time", tags=("soft",))
def dps(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Measurement, noise: float = 0.0, rng=None,
        zeta: float = ZETA.default, eta: float = ETA.default) -> Iterator[Step]:
    """Chung et al. 2023, arXiv 2209.14687, algorithm 1, with DDIM(eta) as the step: x_s = x' - zeta_N d|y - H x0|/dx_t.

    The norm is not squared and is taken per sample, so that the step has nearly the same length from start to end and
    the noise of the measurement does not enter. zeta_N = zeta min(1000 / steps, 10). It acts in variance-preserving
    coordinates x / sqrt(alpha^2 + sigma^2), so that a schedule's scale does not matter. First order, one call per step
    and one gradient; stochastic for eta > 0. Step.x0 is the denoiser's own estimate. The result only comes near y; on
    the Gaussian of the card a zeta_N of 0.5 in 100 steps is right in the mean and too wide where y was measured.
    denoise: as `differentiated` says.

        for step in steer("dps", denoise, x, times, schedule, y=y, operator=PhaseRetrieval(), noise=0.05, rng=rng): ...
    """
    length = zeta * min(USUAL_STEPS / (len(times) - 1), LONGEST)

    def update(x: Tensor, estimate: Estimate, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        uphill = estimate.pull(ascent(estimate.x0, y, operator))
        scale = math.hypot(here.alpha, here.sigma) * math.hypot(there.alpha, there.sigma)
        return moves.ancestral(x, estimate.x0, here, there, eta, rng) - length * scale * uphill, estimate.x0

    return moves.descend(differentiated(denoise), x, times, schedule, update, rng)


def ascent(x0: Tensor, y: Tensor, operator: Measurement) -> Tensor:
    """The gradient of |y - H x0| with respect to x0, each sample (B, *) for itself; 0 where y is met exactly."""
    with torch.enable_grad():
        x0 = x0.detach().requires_grad_()
        misfit = torch.linalg.vector_norm((y - operator.H(x0)).flatten(1), dim=1)
        found, = torch.autograd.grad(misfit.sum(), x0)
    return found
