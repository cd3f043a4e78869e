"""DDNM: keep the null space of the estimate, take the range space from the measurement."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Measurement
from engine.steering.registry import require, steering
from engine.step import Step

ETA = Option("eta", "Noise per step (eta)", 0.85, "1 draws all noise afresh in each step, 0 keeps the noise.", 0.0, 1.0)
JUMP = Option("jump", "Jump length (steps)", 1, "How many steps each jump back goes.", 1, 50)
REPEATS = Option("repeats", "Passes", 1, "How often each stretch is walked; 1 means no jumps.", 1, 20)


def calls(steps: int, jump: int = JUMP.default, repeats: int = REPEATS.default, **_options) -> int:
    """Denoiser calls of a run."""
    return moves.calls(steps, jump, repeats)


@steering("ddnm", title="DDNM", paper="Wang et al. 2023, arXiv 2212.00490", calls=calls, noisy=True,
          steps=(10, 20, 250),
          hint="Corrects each estimate so that it explains what was seen exactly. Fast; also for super-resolution.",
          cost="1 network call per step, times the passes", options=(ETA, JUMP, REPEATS))
def ddnm(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Measurement, noise: float = 0.0, rng=None,
         eta: float = ETA.default, jump: int = JUMP.default, repeats: int = REPEATS.default) -> Iterator[Step]:
    """Wang et al. 2023, arXiv 2212.00490: DDNM (algorithm 1), and DDNM+ (section 3.3, appendix) when noise > 0.

    x0n = x0 + P(y - H x0), then DDIM-like with fresh noise of share eta; jumps are its "time travel". Without noise the
    last state satisfies H x = y, also for measurements with a pseudo-inverse that are not linear (JPEG); with noise H
    must be linear with known singular values. First order, one call per step, stochastic for eta > 0. Step.x0 is x0n.

        for step in steer("ddnm", denoise, x, times, schedule, y=y, operator=AveragePool(4), rng=Rng(0, 1)): ...
    """
    if noise > 0:
        require("svd", "DDNM", operator, noise)
    update = _corrected(y, operator, noise, eta, rng)
    return moves.descend(denoise, x, times, schedule, update, rng, jump, repeats)


def _corrected(y: Tensor, operator: Measurement, noise: float, eta: float, rng) -> moves.Update:
    explained = operator.pinv(y)
    persists = math.sqrt(1 - eta ** 2)

    def clean(x: Tensor, x0: Tensor, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        x0n = x0 + explained - operator.pinv(operator.H(x0))
        out = there.alpha * x0n
        if there.sigma > 0:
            out = out + there.sigma * persists * moves.noise_in(x, x0, here)
            if eta > 0:
                out = out + there.sigma * eta * rng.normal_like(x)
        return out, x0n

    def noisy(x: Tensor, x0: Tensor, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        """Along every direction the noise adds up to the level's: what pinv(y) brings, what is kept, what is drawn."""

        def trust(s: Tensor) -> Tensor:
            brought = moves.inherited(s, noise, there)
            return torch.where(brought <= there.sigma, 1.0, there.sigma * persists / brought)

        def kept(s: Tensor) -> Tensor:
            return there.sigma * persists * (s == 0).double()

        def fresh(s: Tensor) -> Tensor:
            brought = moves.inherited(s, noise, there)
            return torch.where(brought <= there.sigma, moves.missing(brought, there), there.sigma * eta)

        x0n = x0 + operator.by_singular_value(explained - x0, trust)
        out = there.alpha * x0n
        if there.sigma > 0:
            out = out + operator.by_singular_value(moves.noise_in(x, x0, here), kept)
            out = out + operator.by_singular_value(rng.normal_like(x), fresh)
        return out, x0n

    return noisy if noise > 0 else clean
