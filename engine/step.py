"""What a solver says after each step."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """State of a run after one finished step. Tensors and numbers only; never pixels, text or paths.

    index: 1 for the first finished step, `total` for the last. t, sigma: time and noise level that `x` is now at.
    x: the state, (B, *). x0: the estimate of the clean result that this step used, same shape.
    nfe: denoiser calls made so far.
    """

    index: int
    total: int
    t: float
    sigma: float
    x: Tensor
    x0: Tensor
    nfe: int
