"""Stochastic interpolants: bridges between any two laws, with exact fields between Gaussian mixtures.

x_t = a(t) x0 + b(t) x1 + gamma(t) z with z ~ N(0, I), x0 and x1 independent draws of the two laws, gamma(0) = gamma(1)
= 0. Time runs from 0 to the data at 1, against the rest of the engine. The fields are v = E[a' x0 + b' x1 | x_t],
eta = E[z | x_t], the drift b = v + gamma' eta and the score s = -eta / gamma. dX = b dt keeps the marginals, and so
does dX = (b + w s) dt + sqrt(2 w) dW for any w(t) >= 0.
Albergo, Boffi and Vanden-Eijnden 2023, arXiv 2303.08797.

States are (B, *), times floats, coefficients float64.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import InputError
from engine.exact import Mixture

Field = Callable[[Tensor, float], Tensor]
Weighted = tuple[float, float]


class Weights(NamedTuple):
    """a, b and gamma at one time, the rates of a and b, and gamma gamma' (finite where gamma' is not)."""

    a: float
    b: float
    gamma: float
    a_rate: float
    b_rate: float
    gamma_product: float


def _brownian(t: float, scale: float) -> Weighted:
    return math.sqrt(max(scale * t * (1 - t), 0.0)), scale * (1 - 2 * t) / 2


def _parabola(t: float, scale: float) -> Weighted:
    return scale * t * (1 - t), scale**2 * t * (1 - t) * (1 - 2 * t)


def _sine(t: float, scale: float) -> Weighted:
    wave = math.sin(math.pi * t)
    return scale * wave**2, scale**2 * math.pi * wave**2 * math.sin(2 * math.pi * t)


# (gamma, gamma gamma') by time and scale.
_GAMMAS: dict[str, Callable[[float, float], Weighted]] = {
    "brownian": _brownian, "parabola": _parabola, "sine": _sine, "none": lambda t, scale: (0.0, 0.0)}


def _linear(t: float, gamma: float, product: float) -> tuple[float, ...]:
    return 1 - t, t, -1.0, 1.0


def _trigonometric(t: float, gamma: float, product: float) -> tuple[float, ...]:
    length, turn = math.sqrt(1 - gamma**2), math.pi / 2 * t
    shrink = -product / length
    return (length * math.cos(turn), length * math.sin(turn),
            shrink * math.cos(turn) - math.pi / 2 * length * math.sin(turn),
            shrink * math.sin(turn) + math.pi / 2 * length * math.cos(turn))


def _encoding_decoding(t: float, gamma: float, product: float) -> tuple[float, ...]:
    value, rate = math.cos(math.pi * t) ** 2, -math.pi * math.sin(2 * math.pi * t)
    return (value, 0.0, rate, 0.0) if t <= 0.5 else (0.0, value, 0.0, rate)


def _mirror(t: float, gamma: float, product: float) -> tuple[float, ...]:
    return 0.0, 1.0, 0.0, 0.0


# (a, b, a', b') by time, gamma and gamma gamma'.
_PATHS = {"linear": _linear, "trigonometric": _trigonometric, "encoding_decoding": _encoding_decoding,
          "mirror": _mirror}


@dataclass(frozen=True)
class Interpolant:
    """A path and a gamma by name.

    path: linear (1 - t, t); trigonometric sqrt(1 - gamma^2) (cos, sin)(pi t / 2); encoding_decoding cos^2(pi t),
    through pure noise at 1/2; mirror x1 + gamma z. gamma: brownian sqrt(c t (1 - t)); parabola c t (1 - t);
    sine c sin^2(pi t); none. scale: c. Raises InputError for unknown names, a gamma that a trigonometric path has no
    room for, and an encoding_decoding path that is not pure unit noise half way.
    """

    path: str = "linear"
    gamma: str = "brownian"
    scale: float = 1.0

    def __post_init__(self):
        for field, value, known in (("path", self.path, _PATHS), ("gamma", self.gamma, _GAMMAS)):
            if value not in known:
                raise InputError(f"There is no {field} named {str(value)[:40]!r}.",
                                 fix="Choose one of " + ", ".join(known) + ".", field=field)
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"The scale of gamma is {self.scale}.", "It must be a number above 0.", field="scale")
        half_way = _GAMMAS[self.gamma](0.5, self.scale)[0]
        if self.path == "trigonometric" and half_way >= 1:
            raise InputError(f"Half way gamma is {half_way:g}.", "The trigonometric path needs less than 1.",
                             "Choose a smaller scale.", "scale")
        if self.path == "encoding_decoding" and not math.isclose(half_way, 1.0):
            raise InputError(f"Half way gamma is {half_way:g}.", "The encoding-decoding path needs 1, pure noise.",
                             "Choose the sine gamma with scale 1.", "gamma")

    def at(self, t: float) -> Weights:
        """The weights at 0 <= t <= 1."""
        gamma, product = _GAMMAS[self.gamma](t, self.scale)
        a, b, a_rate, b_rate = _PATHS[self.path](t, gamma, product)
        return Weights(a, b, gamma, a_rate, b_rate, product)

    def state(self, x0: Tensor, x1: Tensor, z: Tensor, t: float) -> Tensor:
        """x_t, all (B, *)."""
        w = self.at(t)
        return w.a * x0 + w.b * x1 + w.gamma * z

    def change(self, x0: Tensor, x1: Tensor, t: float) -> Tensor:
        """a' x0 + b' x1, what `v` is the mean of, all (B, *)."""
        w = self.at(t)
        return w.a_rate * x0 + w.b_rate * x1


class Fields:
    """The exact fields of an interpolant between two mixtures of the same dimension d; states (B, d), float64.

    x_t is a mixture over pairs of components: weight w_j w'_k, mean m = a mu_j + b mu'_k, variance
    C = a^2 s_j^2 + b^2 s'_k^2 + gamma^2.
    """

    def __init__(self, start: Mixture, end: Mixture, interpolant: Interpolant):
        assert start.size == end.size, f"laws of {start.size} and {end.size} numbers cannot be joined"
        self.start, self.end, self.interpolant = start, end, interpolant
        self._first = torch.arange(len(start.weights)).repeat_interleave(len(end.weights))
        self._second = torch.arange(len(end.weights)).repeat(len(start.weights))

    def law(self, t: float) -> Mixture:
        """The law of x_t."""
        w = self.interpolant.at(t)
        means, variances = self.start.means[self._first], self.start.variances[self._first]
        others, spreads = self.end.means[self._second], self.end.variances[self._second]
        return Mixture(self.start.weights[self._first] * self.end.weights[self._second],
                       w.a * means + w.b * others, w.a**2 * variances + w.b**2 * spreads + w.gamma**2)

    def v(self, x: Tensor, t: float) -> Tensor:
        """E[a' x0 + b' x1 | x_t = x]."""
        w = self.interpolant.at(t)
        return self._mean_change(x, t, w, 0.0)

    def b(self, x: Tensor, t: float) -> Tensor:
        """The drift v + gamma' eta; finite also where gamma' is not."""
        w = self.interpolant.at(t)
        return self._mean_change(x, t, w, w.gamma_product)

    def score(self, x: Tensor, t: float) -> Tensor:
        """Gradient of the log density of x_t."""
        return self.law(t).score(x)

    def eta(self, x: Tensor, t: float) -> Tensor:
        """E[z | x_t = x] = -gamma score."""
        return -self.interpolant.at(t).gamma * self.score(x, t)

    def _mean_change(self, x: Tensor, t: float, w: Weights, product: float) -> Tensor:
        law = self.law(t)
        gaps = x[:, None] - law.means
        parts = law.weights.log() - law.size / 2 * law.variances.log() - gaps.square().sum(-1) / (2 * law.variances)
        towards = (w.a * w.a_rate * self.start.variances[self._first]
                   + w.b * w.b_rate * self.end.variances[self._second] + product) / law.variances
        steady = w.a_rate * self.start.means[self._first] + w.b_rate * self.end.means[self._second]
        return (parts.softmax(1)[..., None] * (steady + towards[:, None] * gaps)).sum(1)


def one_sided(eta: Field, alpha: Callable[[float], Weighted], beta: Callable[[float], Weighted]) -> Field:
    """The drift of x_t = alpha z + beta x1 from eta = E[z | x_t]: (beta'/beta) x + (alpha' - alpha beta'/beta) eta.

    alpha, beta: (value, rate) by time. For times with beta > 0; the score is -eta / alpha.
    """
    def drift(x: Tensor, t: float) -> Tensor:
        (a, a_rate), (b, b_rate) = alpha(t), beta(t)
        return b_rate / b * x + (a_rate - a * b_rate / b) * eta(x, t)

    return drift


def losses(interpolant: Interpolant, x0: Tensor, x1: Tensor, z: Tensor, t: float, *, b: Field | None = None,
           v: Field | None = None, eta: Field | None = None, score: Field | None = None) -> dict[str, Tensor]:
    """The losses whose minimisers are the fields, one per given field, per sample (B,), each at 0 < t < 1.

    L = |f|^2 / 2 - target f summed over a sample's numbers; above its least value it is |f - exact|^2 / 2 on average.
    b and score, whose targets grow without bound at the ends, use both z and -z, which keeps their variance finite.
    """
    w = interpolant.at(t)
    change = interpolant.change(x0, x1, t)

    def loss(field: Field, target: Callable[[Tensor], Tensor], both: bool) -> Tensor:
        found = torch.zeros(len(x0), dtype=x0.dtype, device=x0.device)
        for noise in ((z, -z) if both else (z,)):
            value = field(interpolant.state(x0, x1, noise, t), t)
            found = found + (value * (value / 2 - target(noise))).reshape(len(x0), -1).sum(1)
        return found / (2 if both else 1)

    wanted = {"b": (b, lambda n: change + w.gamma_product / w.gamma * n, True), "v": (v, lambda n: change, False),
              "eta": (eta, lambda n: n, False), "score": (score, lambda n: -n / w.gamma, True)}
    return {name: loss(field, target, both) for name, (field, target, both) in wanted.items() if field is not None}


def ode(b: Field, x: Tensor, times: Sequence[float], method: str = "heun") -> Iterator[tuple[float, Tensor]]:
    """(t, X) after each step of dX = b dt over `times`, rising or falling. method: "euler" (order 1), "heun" (2)."""
    _known(method)
    for t, following in pairwise(times):
        x = x + (following - t) * _slope(b, x, t, following, method)
        yield following, x


def sde(b: Field, score: Field, x: Tensor, times: Sequence[float], diffusion: Callable[[float], float], rng,
        method: str = "euler") -> Iterator[tuple[float, Tensor]]:
    """(t, X) after each step of dX = (b + w s) dt + sqrt(2 w) dW over rising times, of its reversal over falling ones.

    diffusion: w(t) >= 0, held over a step. rng: `engine.rng.Rng`. method: "euler" is Euler-Maruyama; "heun" adds the
    noise first and moves it by the trapezoid rule (SiT). Weak order 1.
    """
    _known(method)
    for t, following in pairwise(times):
        dt, w = following - t, diffusion(t)
        kick = math.sqrt(2 * w * abs(dt)) * rng.normal_like(x) if w else torch.zeros_like(x)
        drift = _stirred(b, score, math.copysign(w, dt)) if w else b
        if method == "heun":
            x = x + kick
            x = x + dt * _slope(drift, x, t, following, method)
        else:
            x = x + dt * drift(x, t) + kick
        yield following, x


def log_density(b: Field, x: Tensor, log_start: Callable[[Tensor], Tensor], times: Sequence[float],
                divergence: Callable[[Tensor, float], Tensor] | None = None) -> Tensor:
    """log density at x (B, d) of what the ODE makes of the law at times[0], (B,): log rho0(X) - integral of div b.

    The ODE is solved back from times[-1] to times[0] (rising) by RK4. divergence(x, t) -> (B,): div b; without it
    `exact_divergence`, for many dimensions Hutchinson's estimate.
    """
    spread = divergence or partial(exact_divergence, b)

    def slope(y: Tensor, t: float) -> tuple[Tensor, Tensor]:
        return b(y, t), spread(y, t)

    grown = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for t, following in pairwise(list(times)[::-1]):
        h, middle = following - t, (t + following) / 2
        k1, d1 = slope(x, t)
        k2, d2 = slope(x + h / 2 * k1, middle)
        k3, d3 = slope(x + h / 2 * k2, middle)
        k4, d4 = slope(x + h * k3, following)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        grown = grown + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return log_start(x) + grown


def exact_divergence(b: Field, x: Tensor, t: float) -> Tensor:
    """div b at x (B, d), (B,), by one backward pass per number; samples must not influence each other."""
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        value = b(y, t)
        found = [torch.autograd.grad(value[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(x.shape[1])]
    return torch.stack(found).sum(0)


@dataclass(frozen=True)
class Gaps:
    """How far approximate fields are from the exact ones along x_t: means per time, each (T,) float64.

    drift: E|db|^2. score: E|ds|^2. cross: E[db . ds].
    """

    times: Tensor
    drift: Tensor
    score: Tensor
    cross: Tensor

    def kl_bound(self, diffusion: float) -> float:
        """Bound on KL(rho1 | law of the SDE with constant w): integral of E|db + w ds|^2 / (4 w), for w > 0.

        By Girsanov; at least the true KL up to the error of the trapezoid rule and of the means.
        """
        w = diffusion
        return float(torch.trapezoid(self.drift + 2 * w * self.cross + w * w * self.score, self.times)) / (4 * w)

    def best_diffusion(self) -> float:
        """The w that makes the bound least, sqrt(int E|db|^2 / int E|ds|^2); inf when the score is exact.

        The cross term does not depend on w. The ODE (w = 0) has no such bound: its KL needs the model's own score.
        """
        drift, score = (float(torch.trapezoid(values, self.times)) for values in (self.drift, self.score))
        return math.sqrt(drift / score) if score else math.inf


def gaps(exact: Fields, b: Field, score: Field, times: Sequence[float], count: int,
         generator: torch.Generator) -> Gaps:
    """Measure the gaps of b and score at these times with `count` draws of x_t each."""
    rows = []
    for t in times:
        x = exact.law(t).sample(count, generator)
        db, ds = b(x, t) - exact.b(x, t), score(x, t) - exact.score(x, t)
        rows.append([(p * q).sum(1).mean() for p, q in ((db, db), (ds, ds), (db, ds))])
    return Gaps(torch.tensor(list(times), dtype=torch.float64), *torch.tensor(rows, dtype=torch.float64).T)


def _slope(b: Field, x: Tensor, t: float, following: float, method: str) -> Tensor:
    first = b(x, t)
    return (first + b(x + (following - t) * first, following)) / 2 if method == "heun" else first


def _stirred(b: Field, score: Field, weight: float) -> Field:
    return lambda x, t: b(x, t) + weight * score(x, t)


def _known(method: str) -> None:
    if method not in ("euler", "heun"):
        raise InputError(f"There is no rule named {str(method)[:40]!r}.", fix="Choose euler or heun.", field="method")
