"""Exponential integrators: the coefficients that every log-SNR solver is made of, as Python floats.

The exact solution of the probability-flow ODE between two nodes is a line through `x` plus the integral of the
prediction `m` against an exponential of the log-SNR, with `m = x0` ("data") or `m = eps` ("noise"). A solver replaces
`m` by a polynomial through the predictions that it knows; what is left are the moments of the exponential, computed
here. Sources: DPM-Solver (arXiv 2206.00927), DPM-Solver++ (2211.01095), UniPC (2302.04867).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, float64

# Below this signal-to-noise ratio a state holds nothing but noise: log-SNR counts as minus infinity.
_BLANK = 1e-6


class Node(NamedTuple):
    """One time of a run: x_t = alpha x0 + sigma eps, log_snr = log(alpha / sigma), infinite at both open ends."""

    t: float
    alpha: float
    sigma: float
    log_snr: float


class Update(NamedTuple):
    """x_next = x * self.x + x0 * self.x0 + sum of older_j * m_j + noise * z, where m_j are predictions made before."""

    x: float
    x0: float
    older: tuple[float, ...] = ()
    noise: float = 0.0


def node(t: float, alpha: float, sigma: float) -> Node:
    """The node at time `t` with its log-SNR; minus infinity without signal, plus infinity without noise."""
    if sigma <= 0:
        return Node(t, alpha, 0.0, math.inf)
    return Node(t, alpha, sigma, -math.inf if alpha <= _BLANK * sigma else math.log(alpha) - math.log(sigma))


def path(times: Tensor, schedule) -> list[Node]:
    """Nodes of a run from its decreasing times, (N+1,)."""
    times = times.detach().to("cpu", float64)
    assert times.ndim == 1 and len(times) > 1, "a run needs at least two times"
    alphas, sigmas = schedule(times)
    return [node(*values) for values in zip(times.tolist(), alphas.tolist(), sigmas.tolist(), strict=True)]


def orders(nodes: Sequence[Node], highest: int, ease_last: bool) -> list[int]:
    """Order of every step of a multistep run: it grows with the history and falls to 1 next to an infinite log-SNR.

    With `ease_last` (lower_order_final) it also falls to 1 at the end, where a long step would extrapolate too far.
    """
    steps, known, result = len(nodes) - 1, 0, []
    for i in range(steps):
        known = known + 1 if math.isfinite(nodes[i].log_snr) else 0
        order = min(highest, max(known, 1), steps - i if ease_last else highest)
        result.append(order if math.isfinite(nodes[i + 1].log_snr) else 1)
    return result


def psi(z: float, count: int) -> list[float]:
    """psi_1 .. psi_count at z: psi_1 = expm1(z), psi_{k+1} = psi_k / z - 1 / k!, without cancellation for small z."""
    if abs(z) >= 1:
        values = [math.expm1(z)]
        for k in range(1, count):
            values.append(values[-1] / z - 1 / math.factorial(k))
        return values
    # Dividing by a small z loses digits at every order, multiplying by it does not: start at the highest order.
    term = z / math.factorial(count)
    value = term
    for j in range(2, 19):
        term *= z / (count + j - 1)
        value += term
    values = [value]
    for k in range(count - 1, 0, -1):
        values.append(z * (values[-1] + 1 / math.factorial(k)))
    return values[::-1]


def moments(z: float, count: int) -> list[float]:
    """Weights of the scaled derivatives: i! psi_{i+1}(z) for i = 1 .. count."""
    return [math.factorial(i) * value for i, value in enumerate(psi(z, count + 1)) if i]


def fit(offsets: Sequence[float], moment: Sequence[float]) -> list[float]:
    """w with sum_j w_j offsets_j^i = moment_i, i = 1 .. len(offsets): the exact integral of the polynomial through the
    points. offsets: distances in log-SNR from the start, in units of the step, distinct and not 0.
    """
    result = []
    for j, offset in enumerate(offsets):
        basis, scale = [1.0], offset  # the Lagrange polynomial of point j, lowest power first
        for other in (*offsets[:j], *offsets[j + 1:]):
            basis = [low - other * high for low, high in zip([0.0, *basis], [*basis, 0.0], strict=True)]
            scale *= offset - other
        result.append(math.fsum(b * m for b, m in zip(basis, moment, strict=True)) / scale)
    return result


def update(start: Node, end: Node, older: Sequence[Node] = (), weights: Sequence[float] = (), *,
           noise: bool = False, eta: float = 0.0) -> Update:
    """One step of x = base - c [psi_1 m_0 + sum_j weights_j (m_j - m_0)], c = alpha (data) or sigma (noise form).

    older: the nodes at which m_j were made, m_j = x0 (data) or x - alpha x0 = sigma eps (noise form, one operation
    cheaper than eps). eta in [0, 1]: share of the reverse SDE, data form only. Without weights both forms are the
    same step (DDIM), which is exact in the base even where alpha or sigma is 0.
    """
    h = end.log_snr - start.log_snr
    if noise and weights:
        current = end.sigma * (math.fsum(weights) - math.expm1(h)) / start.sigma
        return Update(end.alpha / start.alpha + current, -current * start.alpha,
                      tuple(-end.sigma * w / n.sigma for w, n in zip(weights, older, strict=True)))
    damping = eta * h if eta else 0.0
    keep = end.sigma / start.sigma * math.exp(-damping)
    gain = -end.alpha * math.expm1(-h - damping) if math.isfinite(h) else end.alpha - keep * start.alpha
    return Update(keep, gain + end.alpha * math.fsum(weights), tuple(-end.alpha * w for w in weights),
                  end.sigma * math.sqrt(-math.expm1(-2 * damping)) if eta else 0.0)
