"""The three predictions that a plan may extrapolate, as weights: noise, data, and the rest that v3's statistics leave.

With the prediction m of a form a step from s to t is x_t = (first-order step) + scale sum_j c_j (m_j - m_s), where the
c_j are made of the form's moments. Numbers are Python floats, or 0-dimensional float64 tensors when they carry
gradients, or tensors of the statistics' shape (v3).
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.errors import InputError
from engine.solvers import exponential
from engine.solvers.exponential import Node
from engine.solvers.statistics import Statistics

Number = float | Tensor


class Weights(NamedTuple):
    """seen * x + x0 * denoise(x) + one, with x the state at one level as the denoiser saw it."""

    seen: Number
    x0: Number
    one: Number = 0.0


class Form(NamedTuple):
    """What a prediction brings to one step.

    first: the first-order step, from a state that nothing corrected. carry: what it makes of a correction of that
    state. prediction: m at a level. moments: of the derivatives 1, 2, .. in units of the step. z: argument of the
    exponential of the step, h or -h.
    """

    first: Weights
    carry: Number
    scale: Number
    z: Number
    moments: list[Number]
    prediction: Callable[[Node], Weights]


def form(name: str, start: Node, end: Node, count: int, statistics: Statistics | None = None) -> Form:
    """The named form ("noise", "data", "v3") for the step between two levels, with its first `count` moments.

    Raises InputError for v3 without statistics, or between levels that carry gradients.
    """
    if name == "v3":
        return _v3(start, end, count, statistics)
    h = end.log_snr - start.log_snr
    ratio = end.sigma / start.sigma
    # Without corrections both forms take the same first step, DDIM's, which is exact at both open ends.
    first = Weights(ratio, -end.alpha * expm1(-h))
    if name == "data":
        return Form(first, ratio, -end.alpha, -h, moments(-h, count), lambda node: Weights(0.0, 1.0))
    carry = end.alpha / start.alpha if start.alpha else math.inf
    return Form(first, carry, -end.sigma, h, moments(h, count),
                lambda node: Weights(1 / node.sigma, -node.alpha / node.sigma))


def moments(z: Number, count: int) -> list[Number]:
    """`exponential.moments`; for a tensor by quadrature of its integral, z int_0^1 e^(z (1 - u)) u^i du, which has no
    branch to differentiate.
    """
    if not isinstance(z, Tensor):
        return exponential.moments(z, count) if count else []
    nodes, weights = _rule()
    values = z * weights * (z * (1 - nodes)).exp()
    return [(values * nodes**i).sum() for i in range(1, count + 1)]


@cache
def _rule() -> tuple[Tensor, Tensor]:
    """Gauss-Legendre on [0, 1]. 32 nodes leave e^(zu) at rounding for every step of |z| < 40."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def expm1(z: Number) -> Number:
    """e^z - 1."""
    return z.expm1() if isinstance(z, Tensor) else math.expm1(z)


def _v3(start: Node, end: Node, count: int, statistics: Statistics | None) -> Form:
    """f = lean x / alpha - x0, and g = e^-S f - B as seen from the start of the step (`dpm_solver_v3`)."""
    if statistics is None:
        raise InputError("The plan uses the prediction v3.", "It needs this model's statistics; none were given.",
                         "Make them with `python -m engine prepare`, or choose another plan.", "plan")
    if isinstance(start.log_snr, Tensor) or isinstance(end.log_snr, Tensor):
        raise InputError("The plan uses the prediction v3.", "The times of such steps cannot be refined.",
                         "Refine its weights only.", "plan")
    h = end.log_snr - start.log_snr
    span = statistics.span(start.log_snr, end.log_snr)
    carry = end.alpha / start.alpha * span.decay
    gain = end.alpha * span.moments[0]

    def rest(node: Node, factor: Number, shift: Number) -> Weights:
        return Weights(factor * statistics.lean(node.log_snr) / node.alpha, -factor, shift)

    def prediction(node: Node) -> Weights:
        if node.log_snr > start.log_snr:
            after = statistics.span(start.log_snr, node.log_snr)
            return rest(node, 1 / after.growth, -after.drift)
        if node.log_snr < start.log_snr:
            before = statistics.span(node.log_snr, start.log_snr)
            return rest(node, before.growth, before.growth * before.drift)
        return rest(node, torch.ones_like(span.growth), torch.zeros_like(span.drift))

    at_start = prediction(start)
    first = Weights(carry - gain * at_start.seen, gain, -end.alpha * span.forced)
    scaled = [moment / h**k for k, moment in enumerate(span.moments)]
    return Form(first, carry, -end.alpha, h, scaled[1:count + 1], prediction)
