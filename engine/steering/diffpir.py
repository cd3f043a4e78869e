"""DiffPIR: between the steps of the denoiser, move to the nearest picture that fits the measurement well enough."""

import math
from collections.abc import Iterator

from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Operator
from engine.steering.registry import steering
from engine.step import Step

PRIOR = Option("prior", "Trust in the model (λ)", 3.0,
               "More stays nearer to the model's estimate and farther from a noisy measurement. "
               "Without noise it changes nothing.", 0.1, 25.0)
FRESH = Option("fresh", "Fresh noise (ζ)", 1.0,
               "Share of each step's noise that is drawn anew. Less keeps to the path; holes then fit less well.",
               0.0, 1.0)


@steering("diffpir", title="DiffPIR", paper="Zhu et al. 2023, arXiv 2305.08995", options=(PRIOR, FRESH), needs="linear",
          noisy=True, steps=(20, 50, 100),
          hint="Corrects each estimate as far as the measurement's noise allows. Fast; good for deblurring and holes.")
def diffpir(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Operator, noise: float = 0.0, rng=None,
            prior: float = PRIOR.default, fresh: float = FRESH.default) -> Iterator[Step]:
    """Zhu et al. 2023, arXiv 2305.08995, algorithm 1, on any grid and schedule; first order, one call per step.

    x0n = argmin |y - H x|^2 + rho |x - x0|^2 with rho = prior (noise alpha / sigma)^2, then the noise that x0n implies
    in the state, of which the share `fresh` of the variance is drawn anew. Stochastic for fresh > 0. The correction is
    also made after the last call, which the released code leaves out: without noise the result satisfies H x = y. The
    paper's steps are dense near the clean end, as the "quadratic" spacing is. Step.x0 is x0n.

        for step in steer("diffpir", denoise, x, times, schedule, y=y, operator=GaussianBlur(2), rng=Rng(0, 1)): ...
    """
    kept, drawn = math.sqrt(1 - fresh), math.sqrt(fresh)

    def update(x: Tensor, x0: Tensor, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        x0n = nearest(x0, y, operator, prior * (noise * here.alpha / here.sigma) ** 2)
        out = there.alpha * x0n
        if there.sigma > 0:
            out = out + there.sigma * kept * moves.noise_in(x, x0n, here)
            if fresh > 0:
                out = out + there.sigma * drawn * rng.normal_like(x)
        return out, x0n

    return moves.descend(denoise, x, times, schedule, update, rng)


def nearest(x0: Tensor, y: Tensor, operator: Operator, weight: float) -> Tensor:
    """argmin over x of |y - H x|^2 + weight |x - x0|^2, (B, *); for weight 0 the x nearest to x0 that explains y.

    The correction lies in the row space of H and is computed there. (H'H + weight I)^-1 applied to all directions would
    blow rounding errors up by 1 / weight in those that H does not see, and the weight starts near 0.
    """
    if weight == 0:
        return x0 + operator.pinv(y - operator.H(x0))
    if "svd" not in operator.offers:
        return x0 + operator.solve(operator.adjoint(y - operator.H(x0)), weight)
    return x0 + operator.by_singular_value(operator.pinv(y - operator.H(x0)), lambda s: s ** 2 / (s ** 2 + weight))
