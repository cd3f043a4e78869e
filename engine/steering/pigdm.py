"""PiGDM: the score of the measurement, with a Gaussian guess of what the estimate leaves open."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from engine.errors import InputError
from engine.options import Option
from engine.steering import moves
from engine.steering.differentiated import Estimate, differentiated
from engine.steering.operators import Measurement, Operator
from engine.steering.operators.linear_algebra import inner
from engine.steering.registry import steering
from engine.step import Step

FORM = Option("form", "Form", "consistent",
              "consistent adds the measurement's score; damped is the gentler published update; covariance asks the "
              "network how sure it is of each pixel, which is slower and the most exact.",
              choices=("consistent", "damped", "covariance"))
PULL = Option("pull", "Pull", 1.0, "Multiplies the pull of the measurement; 1 is what the theory says.", 0.0, 2.0)
ETA = Option("eta", "Noise per step (eta)", 1.0, "1 draws fresh noise in each step, 0 adds none.", 0.0, 1.0)
ROUNDS = Option("rounds", "Rounds of the covariance", 3,
                "Conjugate-gradient rounds of the form covariance; each costs one more gradient per step.", 1, 20)
EXACT = Option("exact", "Explain the measurement exactly", True,
               "Without noise, put what was seen into each estimate. Only for linear measurements.")
JITTER = 0.02


@steering("pigdm", title="PiGDM", paper="Song et al. 2023, openreview 9_gsMA8MRKQ", noisy=True, backprop=True,
          hint="Pulls each estimate towards the measurement through the network, with the right strength at each noise "
               "level. For linear measurements and JPEG.", steps=(20, 50, 100), 
          options=(FORM, PULL, ETA, ROUNDS, EXACT),
          cost="1 network call per step and its gradient, about 3 calls' time; covariance: 2 more per round")
def pigdm(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Measurement, noise: float = 0.0,
          rng=None, form: str = FORM.default, pull: float = PULL.default, eta: float = ETA.default,
          rounds: int = ROUNDS.default, exact: bool = EXACT.default) -> Iterator[Step]:
    """Song et al. 2023 (ICLR), equations 7 and 8, with DDIM(eta) as the step; first order, one call per step.

    The score of y given x_t is v = J' H' (r^2 H H' + noise^2)^-1 (y - H x0), J = dx0/dx_t and r^2 = sigma^2 /
    (alpha^2 + sigma^2), the posterior variance of pixels of unit variance. Without noise H' (H H')^-1 is the
    pseudo-inverse, which also serves measurements that are not linear as P y - P H x0 (with noise, as if its gain were
    1). form: "consistent" makes the DDIM step with x0n = x0 + sigma^2 / alpha v and the noise that this implies; see
    `bounded`. "damped" is algorithm 1: x0n = x0 + alpha r^2 v, which is less by alpha^2 / (alpha^2 + sigma^2), and the
    noise of x0. "covariance" is consistent with sigma^2 / alpha J, the covariance of x0 given x_t, in place of r^2
    (Rozet et al. 2024, arXiv 2405.13712), solved by `rounds` conjugate gradients. exact: x0n + P(y - H x0n) where y is
    linear and has no noise. Stochastic for eta > 0. Step.x0 is x0n. denoise: as `differentiated` says.
    Raises InputError for "covariance" with a measurement that is not linear.

        for step in steer("pigdm", denoise, x, times, schedule, y=y, operator=AveragePool(4), rng=Rng(0, 1)): ...
    """
    if form == "covariance" and not operator.linear:
        raise InputError(f"The form covariance cannot be used for {operator.title}.", "It needs a linear measurement.",
                         "Choose the form consistent or damped.", field="form")
    explained = operator.pinv(y)
    hard = exact and noise == 0 and operator.linear

    def wanted(x0: Tensor, variance: float) -> Tensor:
        """H' (variance H H' + noise^2)^-1 (y - H x0)."""
        if noise > 0 and operator.linear:
            return operator.adjoint(operator.solve_measured(y - operator.H(x0), variance, noise ** 2))
        return (explained - operator.pinv(operator.H(x0))) / (variance + noise ** 2)

    def missing(x0: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """What x0 lacks to explain y and what the shift adds to that, as signals where H is not linear."""
        if operator.linear:
            return y - operator.H(x0), operator.H(shift)
        return explained - operator.pinv(operator.H(x0)), shift

    def update(x: Tensor, estimate: Estimate, here: moves.Level, there: moves.Level) -> tuple[Tensor, Tensor]:
        x0, variance = estimate.x0, here.sigma ** 2 / (here.alpha ** 2 + here.sigma ** 2)
        if form == "damped":
            shift = here.alpha * variance * estimate.pull(wanted(x0, variance))
        elif here.alpha == 0:
            shift = variance * wanted(x0, variance)  # the limit for pixels of unit variance; J is 0 there
        elif form == "consistent":
            full = here.sigma ** 2 / here.alpha * estimate.pull(wanted(x0, variance))
            shift = bounded(full, *missing(x0, full))
        else:
            shift = matched(estimate, y, operator, noise, here, rounds)
        x0n = x0 + pull * shift
        if hard:
            x0n = x0n + explained - operator.pinv(operator.H(x0n))
        implies = x0 if form == "damped" else x0n
        return moves.ancestral(x, implies, here, there, eta, rng) + there.alpha * (x0n - implies), x0n

    return moves.descend(differentiated(denoise), x, times, schedule, update, rng)


def bounded(shift: Tensor, lacking: Tensor, added: Tensor) -> Tensor:
    """The shift (B, *), for each sample no longer than where it explains the measurement best, |lacking - added| least.

    sigma^2 / alpha J is the covariance of x0 given x_t. Where pixels have at most unit variance it stays below r^2 and
    nothing is cut. The Jacobian of a network is not that small at high noise: on schedules that start at sigma 80 the
    error is multiplied by thousands, and overshooting by more than twice would grow from step to step.
    """
    length = inner(added, added)
    best = inner(lacking, added) / length.clamp(min=torch.finfo(shift.dtype).tiny)
    return torch.where(length > 0, best.clamp(0, 1), 1.0) * shift


def matched(estimate: Estimate, y: Tensor, operator: Operator, noise: float, here: moves.Level,
            rounds: int) -> Tensor:
    """C H' (H C H' + noise^2)^-1 (y - H x0) with C = sigma^2 / alpha J', the denoiser's own covariance of x0 given x_t.

    Inside the inverse the Jacobian to a state of unit variance counts as uncertain by two hundredths: it is small at
    high noise and 0 where an estimate is clipped, and the measurement would pull without bound where a network is sure
    of what it gets wrong.
    """
    scale = here.sigma ** 2 / here.alpha
    doubt = JITTER * scale / math.hypot(here.alpha, here.sigma)

    def covariance(x: Tensor) -> Tensor:
        return scale * estimate.pull(x, again=True)

    def matrix(r: Tensor) -> Tensor:
        back = operator.adjoint(r)
        return operator.H(covariance(back) + doubt * back) + noise ** 2 * r

    misfit = y - operator.H(estimate.x0)
    return covariance(operator.adjoint(truncated(matrix, misfit, rounds)))


def truncated(matrix: Callable[[Tensor], Tensor], b: Tensor, rounds: int) -> Tensor:
    """So many conjugate gradients for matrix(x) = b from x = 0, each sample (B, *) for itself.

    A network's Jacobian is only nearly symmetric and positive: a direction in which the matrix is not is left out.
    """
    x, residual, direction = torch.zeros_like(b), b, b
    norm, tiny = inner(b, b), torch.finfo(b.dtype).tiny
    for _ in range(rounds):
        image = matrix(direction)
        curvature = inner(direction, image)
        step = torch.where(curvature > 0, norm / (curvature + tiny), 0.0)
        x, residual = x + step * direction, residual - step * image
        before, norm = norm, inner(residual, residual)
        direction = residual + norm / (before + tiny) * direction
    return x
