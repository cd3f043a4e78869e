"""How far a discrete sampler can end from the data, computed: the total-variation bound and its three causes.

A DDPM of N steps starts from N(0, I) and draws x_{k-1} = m(x_k) + spread_k z with m from a predicted eps. With q_k the
law of the noised data, Pinsker's inequality and the chain rule over the steps give, without any smoothness constant,

    TV(q_0, p)^2 <= KL(q_0 | p) / 2 <= (prior + sum_k learning_k + sum_k discretisation_k) / 2.

prior is KL(q_N | N(0, I)); learning_k grows with the squared error of eps; discretisation_k says that one step back is
not Gaussian. The split is exact because the step with the exact score hits the conditional mean (Tweedie). The setting
is that of the structural analysis of discrete DDPM in arXiv 2406.01320; the bound is ours and elementary.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import grids
from engine.errors import InputError
from engine.exact import Mixture
from engine.rng import Rng
from engine.schedules import Schedule

VARIANCES = ("beta", "posterior", "ratio")
"""Noise that a step adds: beta_k; that of q(x_{k-1} | x_k, x_0) with beta_1 for the last; or beta_k / alpha_k."""

# A schedule that ends without signal has no last step back; public implementations leave this much of alpha^2.
_LEAST_RETAINED = 2.0**-24


@dataclass(frozen=True, eq=False)
class Chain:
    """A discrete forward process x_k = sqrt(retained_k) x0 + sqrt(1 - retained_k) eps, k = 0 .. N, retained_0 = 1.

    times (N+1,): where on its schedule each k lies, rising. retained (N+1,): alpha bar, falling. Both float64.
    """

    times: Tensor
    retained: Tensor

    @property
    def steps(self) -> int:
        return len(self.retained) - 1

    @property
    def kept(self) -> Tensor:
        """alpha_k = retained_k / retained_{k-1}, (N,)."""
        return self.retained[1:] / self.retained[:-1]

    @property
    def betas(self) -> Tensor:
        """1 - alpha_k, (N,)."""
        return 1 - self.kept

    def variances(self, choice: str) -> Tensor:
        """The variances (N,) of the steps back; choice: one of VARIANCES. Raises InputError for another."""
        if choice == "beta":
            return self.betas
        if choice == "ratio":
            return self.betas / self.kept
        if choice == "posterior":
            shares = (1 - self.retained[:-1]) / (1 - self.retained[1:])
            shares[0] = 1.0
            return shares * self.betas
        raise InputError(f"There is no step variance named {str(choice)[:40]!r}.",
                         fix="Choose one of " + ", ".join(VARIANCES) + ".", field="variance")


def chain(schedule: Schedule, steps: int, spacing: str = "uniform") -> Chain:
    """The schedule resampled to `steps` steps, in variance-preserving coordinates, which leave distances in TV alone.

    spacing: a name of `engine.grids`. Raises InputError for an unknown one and for fewer than 1 step.
    """
    times = grids.make(spacing, schedule, steps).flip(0)
    alpha, sigma = schedule(times)
    return Chain(times, (alpha**2 / (alpha**2 + sigma**2)).clamp_min(_LEAST_RETAINED))


@dataclass(frozen=True, eq=False)
class Bound:
    """The parts of the bound on KL(q_0 | p), in nats. learning and discretisation: (N,), from the step nearest to data.

    discretisation is None where it cannot be computed. upper: prior and learning are upper bounds themselves.
    """

    prior: float
    learning: Tensor
    discretisation: Tensor | None
    upper: bool = False

    @property
    def divergence(self) -> float:
        """prior + learning + discretisation as far as known."""
        parts = [self.learning] if self.discretisation is None else [self.learning, self.discretisation]
        return self.prior + float(sum(part.sum() for part in parts))

    @property
    def total_variation(self) -> float:
        """sqrt(divergence / 2). Says nothing from 1 up."""
        return math.sqrt(self.divergence / 2)


def bound(law: Mixture, steps: Chain, variance: str = "beta", error: float | Tensor = 0.0) -> Bound:
    """The bound for data from a mixture and a sampler whose eps is off by a vector of length `error`, a float or (N,).

    Integrals are taken on a grid in one or two dimensions where that fits, else over 4096 fixed draws.
    """
    added = steps.variances(variance)
    entropies, informations = (torch.tensor(v, dtype=torch.float64)
                               for v in zip(*(_moments(law, float(kept)) for kept in steps.retained)))
    # E tr Cov[x_{k-1} | x_k] = (d + beta E laplacian) beta / alpha, where -E laplacian is the Fisher information.
    left = (law.size - steps.betas * informations[1:]) * steps.betas / steps.kept
    # -H(x_{k-1} | x_k) + E log-likelihood under the Gaussian; terms with 2 pi cancel, e stays.
    conditional = (entropies[:-1] - entropies[1:]) + law.size / 2 * (steps.betas.log() + 1)
    discretisation = law.size / 2 * added.log() + left / (2 * added) - conditional
    risks = torch.as_tensor(error, dtype=torch.float64).square().expand(steps.steps)
    last = law.marginal(*_levels(float(steps.retained[-1])))
    second = float(last.weights @ (last.means.square().sum(1) + law.size * last.variances))
    prior = second / 2 + law.size / 2 * math.log(2 * math.pi) - float(entropies[-1])
    # All are divergences; rounding and sampling may leave less than 0.
    return Bound(max(prior, 0.0), _learning(steps, added, risks), discretisation.clamp_min(0))


def _learning(steps: Chain, added: Tensor, risks: Tensor) -> Tensor:
    """The cost (N,) of E|eps_model - E[eps | x_k]|^2 = risks (N,), summed over the numbers of a sample."""
    return steps.betas**2 / (2 * steps.kept * added * (1 - steps.retained[1:])) * risks


def _levels(retained: float) -> tuple[float, float]:
    return math.sqrt(retained), math.sqrt(1 - retained)


_DRAWS = 4096
_MOST_PAIRS = 2e7
"""Grid points times components that an integral may cost."""


def _moments(law: Mixture, retained: float) -> tuple[float, float]:
    """Entropy and Fisher information E|score|^2 of q_k."""
    alpha, sigma = _levels(retained)
    noised = law.marginal(alpha, sigma)
    grid = _grid(noised)
    if grid is None:
        return _sampled_moments(law, noised, alpha, sigma)
    logs = noised.log_density(grid)
    shares = logs.softmax(0)
    return float(-shares @ logs), float(shares @ noised.score(grid).square().sum(1))


def _grid(law: Mixture) -> Tensor | None:
    """Points (n, d) of an even grid on which the trapezoid rule is exact to rounding, or None if they are too many."""
    reach = 8 * law.variances.sqrt()[:, None]
    low, high = (law.means - reach).amin(0), (law.means + reach).amax(0)
    # The rule converges faster than any power on Gaussians; a sixth of the narrowest leaves only rounding.
    counts = ((high - low) / (law.variances.min().sqrt() / 6)).ceil()
    if law.size > 2 or float(counts.prod()) * len(law.weights) > _MOST_PAIRS:
        return None
    axes = [torch.linspace(float(a), float(b), int(n), dtype=torch.float64) for a, b, n in zip(low, high, counts)]
    return torch.cartesian_prod(*axes).reshape(-1, law.size)


def _sampled_moments(law: Mixture, noised: Mixture, alpha: float, sigma: float) -> tuple[float, float]:
    """As `_moments`, over draws. The components' own entropy is known; only what x tells about them is sampled."""
    generator = torch.Generator().manual_seed(0)  # the same draws at every level, so that differences are smooth
    clean = law.sample(_DRAWS, generator)
    x = alpha * clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    own = law.size / 2 * law.weights @ (2 * math.pi * math.e * noised.variances).log()
    shares = noised.shares(x)
    told = torch.special.xlogy(shares, shares / law.weights).sum(1)
    return float(own + told.mean()), float(-noised.laplacian(x).mean())


def true_total_variation(law: Mixture, steps: Chain, variance: str = "beta", error: float = 0.0) -> float:
    """TV(q_0, p) itself, for a mixture in one dimension and an eps that is off by `error`, by carrying the density.

    The sampler's density lives on an even grid per step, fine enough for the noise of the steps before and after it;
    each cell spreads its mass over the cells of the next grid, so that none is lost. Good to about 2e-4, because
    |q - p| has kinks where the densities cross.
    """
    assert law.size == 1, "densities are carried in one dimension"
    spreads = steps.variances(variance).sqrt().tolist()
    places = _even(-_REACH, _REACH, min(1.0, spreads[-1]))
    mass = (-places**2 / 2).exp()
    mass /= mass.sum()
    own = law.variances.sqrt()
    low, high = float((law.means[:, 0] - _REACH * own).min()), float((law.means[:, 0] + _REACH * own).max())
    for k in range(steps.steps, 0, -1):
        means, width = _step_mean(law, steps, k, places[:, None], error), spreads[k - 1]
        first, last = float(means.min()) - _REACH * width, float(means.max()) + _REACH * width
        if k > 1:
            places = _even(first, last, min(width, spreads[k - 2]))
        else:
            places = _even(min(first, low), max(last, high), min(width, float(own.min())))
        mass = _scattered(mass, means, width, places)
    cell = float(places[1] - places[0])
    return float((mass / cell - law.log_density(places[:, None]).exp()).abs().sum() * cell / 2)


_REACH = 7.0
"""Standard deviations beyond which a normal law has no mass to speak of, 1e-12."""


def _even(low: float, high: float, narrowest: float) -> Tensor:
    """A grid with four cells per standard deviation of the narrowest Gaussian on it."""
    return torch.linspace(low, high, math.ceil(4 * (high - low) / narrowest) + 1, dtype=torch.float64)


def _scattered(mass: Tensor, means: Tensor, width: float, places: Tensor) -> Tensor:
    """Masses (n,) spread normally around `means` (n, 1) with deviation `width` onto the even grid `places`."""
    cell = float(places[1] - places[0])
    reach = math.ceil(_REACH * width / cell)
    targets = ((means - places[0]) / cell).round().long() + torch.arange(-reach, reach + 1)
    targets = targets.clamp_(0, len(places) - 1)
    shares = (-((places[targets] - means) / width).square() / 2).exp_()
    shares *= mass[:, None] / shares.sum(1, keepdim=True)
    return torch.zeros_like(places).index_add_(0, targets.flatten(), shares.flatten())


def _step_mean(law: Mixture, steps: Chain, k: int, x: Tensor, error: float) -> Tensor:
    """m(x_k) of the DDPM whose eps is the exact one plus `error` in the first coordinate."""
    alpha, sigma = _levels(float(steps.retained[k]))
    eps = -sigma * law.score(x, alpha, sigma)
    eps[:, 0] += error
    beta = float(steps.betas[k - 1])
    return (x - beta / sigma * eps) / math.sqrt(1 - beta)


def sampled(law: Mixture, steps: Chain, count: int, variance: str = "beta", error: float = 0.0,
            seed: int = 0) -> Tensor:
    """`count` results (count, d) of the sampler that the bound speaks about, for histograms."""
    rng = Rng(seed, count)
    spreads = steps.variances(variance).sqrt().tolist()
    x = rng.normal(law.size).double()
    for k in range(steps.steps, 0, -1):
        x = _step_mean(law, steps, k, x, error) + spreads[k - 1] * rng.normal_like(x)
    return x


def step_back(law: Mixture, steps: Chain, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, d) and covariance (B, d, d) of x_{k-1} given x_k = x (B, d), k = 1 .. N, float64.

    The sampler with the exact eps replaces this law by a Gaussian of the same mean and one variance for all directions.
    """
    levels = _levels(float(steps.retained[k]))
    beta = float(steps.betas[k - 1])
    bend = torch.eye(law.size, dtype=torch.float64) + beta * law.hessian(x, *levels)
    return _step_mean(law, steps, k, x.double(), 0.0), beta / (1 - beta) * bend


def model_bound(denoise: Callable[..., Tensor], data: Tensor, schedule: Schedule, steps: Chain, rng: Rng,
                variance: str = "beta", levels: int = 12, **cond) -> Bound:
    """What can be computed for a network: upper bounds on prior and learning from held-out data (B, *).

    The squared error of eps against the drawn noise is the learning error plus what nobody could predict, so it bounds
    it from above. It is measured at `levels` of the chain, one call each, and interpolated in log. The prior is bounded
    through convexity by the mean KL(q_N(. | x0) | N(0, I)). rng: one stream per row of data. cond: passed to denoise.
    """
    chosen = torch.linspace(1, steps.steps, min(levels, steps.steps), dtype=torch.float64).round().long()
    noise = rng.normal_like(data)
    measured = torch.stack([_noise_risk(denoise, data, noise, schedule, float(t), **cond) for t in steps.times[chosen]])
    every = torch.arange(1, steps.steps + 1, dtype=torch.float64)
    risks = _interpolated(every, chosen.double(), measured.clamp_min(1e-30).log()).exp()
    kept, numbers = float(steps.retained[-1]), data[0].numel()
    power = float(data.double().square().sum()) / len(data)
    prior = (kept * (power - numbers) - numbers * math.log1p(-kept)) / 2
    return Bound(prior, _learning(steps, steps.variances(variance), risks), None, upper=True)


def _noise_risk(denoise, data: Tensor, noise: Tensor, schedule: Schedule, t: float, **cond) -> Tensor:
    """E|eps_model - eps|^2 at time t, summed over the numbers of a sample."""
    alpha, sigma = schedule(t)
    with torch.no_grad():
        x0 = denoise(alpha * data + sigma * noise, t, **cond)
    return (alpha / sigma) ** 2 * (x0 - data).double().square().sum() / len(data)


def _interpolated(x: Tensor, known_x: Tensor, known: Tensor) -> Tensor:
    """Piecewise linear interpolation, x within known_x (rising)."""
    if len(known) == 1:
        return known.expand(len(x))
    right = torch.searchsorted(known_x, x).clamp(1, len(known_x) - 1)
    share = (x - known_x[right - 1]) / (known_x[right] - known_x[right - 1])
    return known[right - 1] + share * (known[right] - known[right - 1])


def discretisation_estimate(denoise: Callable[..., Tensor], data: Tensor, schedule: Schedule, steps: Chain, rng: Rng,
                            variance: str = "beta", **cond) -> Tensor:
    """Leading order of the discretisation part for a network, (N,), from one Jacobian product per step.

    A step back has covariance C = (beta / alpha)(I + beta H), H the Hessian of log q_k, and costs about
    E|C / variance - I|_F^2 / 4; the norm is estimated with one random sign vector per sample (Hutchinson). data (B, *),
    rng: one stream per row. denoise must be differentiable in forward mode. For small beta only: it is not a bound.
    """
    noise = rng.normal_like(data)
    signs = (rng.uniform(*data.shape[1:]) < 0.5).to(data) * 2 - 1
    found = []
    for k, (t, beta, added) in enumerate(zip(steps.times[1:].tolist(), steps.betas, steps.variances(variance))):
        alpha, sigma = schedule(t)
        x_t = alpha * data + sigma * noise
        _, moved = torch.func.jvp(lambda x, t=t: denoise(x, t, **cond), (x_t,), (signs,))
        # sigma_k^2 H v = sqrt(retained) dx0/dx v - v in the chain's coordinates, where both levels are divided alike.
        bent = (alpha * moved - signs) / (1 - steps.retained[k + 1])
        ratio = float(beta / (added * steps.kept[k]))
        found.append((ratio * (signs + float(beta) * bent) - signs).double().square().sum() / (4 * len(data)))
    return torch.stack(found)


def score_equation(law: Mixture, x: Tensor, t: float, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Both sides, (B, d), of the equation that the score solves along dx = f x dt + g dW, for x (B, d) and 0 < t.

    d s / dt = g^2 / 2 (laplacian s + 2 (s . grad) s) - f (s + (x . grad) s), f = alpha' / alpha and
    g^2 = 2 sigma (sigma' - f sigma): the semilinear backward equation behind the forward-backward SDE, in which the
    score is the backward component and g times its Jacobian the integrand.
    """
    x, time = x.double(), torch.full((len(x),), t, dtype=torch.float64)
    alpha, sigma = schedule(t)
    alpha_rate, sigma_rate = schedule.rates(t)
    growth = alpha_rate / alpha
    power = 2 * sigma * (sigma_rate - growth * sigma)
    _, change = torch.func.jvp(lambda moment: law.score(x, *schedule(moment)), (time,), (torch.ones_like(time),))
    score, hessian = law.score(x, alpha, sigma), law.hessian(x, alpha, sigma)
    # The score is a gradient, so the Laplacian of it is the gradient of its divergence.
    bend = torch.func.grad(lambda point: law.laplacian(point, alpha, sigma).sum())(x)
    carried = torch.einsum("bij,bj->bi", hessian, power * score - growth * x)
    return change, power / 2 * bend + carried - growth * score
