"""Replacement: after each step, what was seen is put in place of what was sampled, noised to the level reached."""

from collections.abc import Iterator

from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Operator
from engine.steering.registry import steering
from engine.step import Step

ETA = Option("eta", "Noise per step (eta)", 1.0, "1 draws fresh noise in each step, 0 adds none.", 0.0, 1.0)


@steering("replacement", title="Replacement", paper="Song et al. 2021, arXiv 2011.13456, appendix I.2", noisy=True,
          hint="Pastes the known part at each noise level. Fast; the filled part may not match its surroundings.",
          options=(ETA,), needs="svd")
def replacement(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Operator, noise: float = 0.0,
                rng=None, eta: float = ETA.default) -> Iterator[Step]:
    """Song et al. 2021, arXiv 2011.13456, appendix I.2, with DDIM(eta) as the step; first order, one call per step.

    Works for any linear operator with known singular values (for averages it is ILVR, arXiv 2108.02938). Step.x0 is the
    denoiser's own estimate, which the known part has not replaced.

        for step in steer("replacement", denoise, x, times, schedule, y=y, operator=Inpaint(~hole), rng=Rng(0, 1)): ...
    """
    return moves.descend(denoise, x, times, schedule, replaced(y, operator, noise, eta, rng), rng)


def replaced(y: Tensor, operator: Operator, noise: float, eta: float, rng) -> moves.Update:
    """One DDIM(eta) step, then the measured part of the state is exchanged for the measurement at that level.

    The measurement's own noise counts towards the level's: where it fills it, the state holds exactly y, a valid noisy
    state, and from there on the measured part is sampled freely, which removes the noise.
    """
    explained = operator.pinv(y)

    def update(x: Tensor, x0: Tensor, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        def pasted(s: Tensor) -> Tensor:
            return (moves.inherited(s, noise, there) <= there.sigma).double()

        def fresh(s: Tensor) -> Tensor:
            return pasted(s) * moves.missing(moves.inherited(s, noise, there), there)

        sampled = moves.ancestral(x, x0, here, there, eta, rng)
        out = sampled + operator.by_singular_value(there.alpha * explained - sampled, pasted)
        if there.sigma > 0:
            out = out + operator.by_singular_value(rng.normal_like(x), fresh)
        return out, x0

    return update
