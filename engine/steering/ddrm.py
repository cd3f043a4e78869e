"""DDRM: denoise each direction that the measurement sees at its own noise level."""

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Operator
from engine.steering.registry import steering
from engine.step import Step

ETA = Option("eta", "Noise per step (eta)", 0.85, "1 draws all noise afresh in each step, 0 keeps the noise.", 0.0, 1.0)
TRUST = Option("eta_b", "Trust in the measurement (eta_b)", 1.0,
               "1 takes what was seen from the measurement, lower values mix the model's estimate in.", 0.0, 1.0)


@steering("ddrm", title="DDRM", paper="Kawar et al. 2022, arXiv 2201.11793", options=(ETA, TRUST), needs="svd",
          noisy=True, steps=(10, 20, 100), 
          hint="Treats each direction by how loud the noise is in it. Very fast; results are on the smooth side.")
def ddrm(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Operator, noise: float = 0.0, rng=None,
         eta: float = ETA.default, eta_b: float = TRUST.default) -> Iterator[Step]:
    """Kawar et al. 2022, arXiv 2201.11793, equations 7 and 8, on any grid and schedule; first order, one call per step.

    Along a direction of singular value s the measurement brings the noise alpha noise / s into the state. Where that
    is less than the level's sigma, the direction is put at eta_b P y + (1 - eta_b) x0 and noised up to sigma; where it
    is more, the estimate moves towards P y as far as the level's noise allows; directions that H does not see take a
    DDIM(eta) step. The start is drawn by the same rule, from x where nothing was seen. Without noise and with eta_b = 1
    the result satisfies H x = y; with noise the last step is the denoiser's own estimate. Stochastic, also for eta = 0.
    Step.x0 is the estimate with P y mixed in.

        for step in steer("ddrm", denoise, x, times, schedule, y=y, operator=GaussianBlur(2), noise=0.02, rng=rng): ...
    """
    explained = operator.pinv(y)
    first = times[0].item()
    x = started(x, explained, operator, noise, moves.Level(first, *schedule(first)), rng)
    return moves.descend(denoise, x, times, schedule, spectral(explained, operator, noise, eta, eta_b, rng), rng)


def started(x: Tensor, explained: Tensor, operator: Operator, noise: float, at: moves.Level, rng) -> Tensor:
    """x, with the measurement noised to the level in the directions where that is clearer than the level."""

    def clearer(s: Tensor) -> Tensor:
        return (moves.inherited(s, noise, at) <= at.sigma).double()

    def drawn(s: Tensor) -> Tensor:
        return clearer(s) * moves.missing(moves.inherited(s, noise, at), at)

    x = x + operator.by_singular_value(at.alpha * explained - x, clearer)
    return x + operator.by_singular_value(rng.normal_like(x), drawn)


def spectral(explained: Tensor, operator: Operator, noise: float, eta: float, eta_b: float, rng) -> moves.Update:
    """One step of DDRM; explained: P y. In every direction the noise adds up to that of the level reached."""
    persists = (1 - eta ** 2) ** 0.5

    def update(x: Tensor, x0: Tensor, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        def mixed(s: Tensor) -> Tensor:
            brought = moves.inherited(s, noise, there)
            return torch.where(brought <= there.sigma, eta_b, there.sigma * persists / brought)

        def kept(s: Tensor) -> Tensor:
            return there.sigma * persists * (s == 0).double()

        def drawn(s: Tensor) -> Tensor:
            brought = moves.inherited(s, noise, there)
            left = moves.missing(eta_b * brought.clamp(max=there.sigma), there)
            return torch.where(brought <= there.sigma, left, there.sigma * eta)

        x0n = x0 + operator.by_singular_value(explained - x0, mixed)
        out = there.alpha * x0n
        if there.sigma > 0:
            out = out + operator.by_singular_value(moves.noise_in(x, x0, here), kept)
            out = out + operator.by_singular_value(rng.normal_like(x), drawn)
        return out, x0n

    return update
