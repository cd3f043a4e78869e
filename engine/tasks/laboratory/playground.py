"""Diffusion in the plane, exactly: clouds, fields, flow maps and races of solvers on a law that one can draw.

The panels of "The Principles of Diffusion Models" (Lai, Song, Kim, Mitsufuji and Ermon, 2025): one process seen as
noising, as a score and as a flow. Every function takes a `Mixture` of two dimensions and a schedule and returns plain
arrays to draw, float64, in the coordinates of x_t. Nothing is trained, so each is quick enough to follow a slider.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine import exact, grids, guidance, solvers
from engine.denoisers import KINDS, convert
from engine.errors import InputError
from engine.exact import Mixture
from engine.rng import Rng
from engine.schedules import Schedule
from engine.tasks.laboratory.views import energy_distance

DENSITIES = ("mixture", "rings", "letters", "drawing")


def density(kind: str, text: str = "DIFFUSE", drawing: np.ndarray | None = None) -> Mixture:
    """The law of a name in DENSITIES. text: for letters. drawing: ink (H, W), see `exact.drawn`. Raises InputError."""
    if kind == "drawing":
        if drawing is None:
            raise InputError("There is no drawing yet.", fix="Draw at least one stroke.", field="drawing")
        return exact.drawn(drawing)
    if kind == "letters":
        return exact.letters(text)
    if kind not in DENSITIES:
        raise InputError(f"There is no density named {str(kind)[:40]!r}.",
                         fix="Choose one of " + ", ".join(DENSITIES) + ".", field="density")
    return exact.toy() if kind == "mixture" else exact.rings()


@dataclass(frozen=True, eq=False)
class Curves:
    """A schedule over time: times, alpha, sigma and log_snr, all (T,)."""

    times: np.ndarray
    alpha: np.ndarray
    sigma: np.ndarray
    log_snr: np.ndarray


@dataclass(frozen=True, eq=False)
class Cloud:
    """Samples at one time: clean x0 and noisy x_t, both (n, 2), with the component (n,) each came from."""

    clean: np.ndarray
    noisy: np.ndarray
    component: np.ndarray


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A density on a grid: x (w,), y (h,) both rising, values (h, w)."""

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Arrows:
    """A vector (m, 2) at each point (m, 2)."""

    points: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True, eq=False)
class Paths:
    """Samples over time: times (T,) in the order of the run, states (T, n, 2)."""

    times: np.ndarray
    states: np.ndarray


@dataclass(frozen=True, eq=False)
class Couplings:
    """Three ways from the same noise. conditional: each sample's own line alpha x0 + sigma eps to its x0. marginal: the
    probability-flow ODE. reflowed: lines to where the ODE ended, which no longer cross.
    """

    conditional: Paths
    marginal: Paths
    reflowed: Paths


@dataclass(frozen=True, eq=False)
class Track:
    """One solver's run. error: mean distance of its end from the fine solution. calls: of the denoiser."""

    solver: str
    title: str
    paths: Paths
    calls: int
    error: float


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Runs with fresh noise, and the energy distance of their ends from draws of the law (0 for the same law)."""

    paths: Paths
    energy: float


@dataclass(frozen=True, eq=False)
class Guided:
    """Runs from the same noise. spread: root mean square distance of the guided ends from their mean; class_spread: the
    same of the class itself. share: mean probability of the class at the guided ends.
    """

    free: Paths
    conditional: Paths
    guided: Paths
    spread: float
    class_spread: float
    share: float


@dataclass(frozen=True, eq=False)
class Likelihood:
    """log density (n,): `exact` in closed form; `integrated` along the flow up to the exact law of the noised data;
    `from_noise` up to the plain Gaussian that samplers start from.
    """

    exact: np.ndarray
    integrated: np.ndarray
    from_noise: np.ndarray


def curves(schedule: Schedule, points: int = 101) -> Curves:
    """alpha, sigma and log_snr over the usable times of a schedule."""
    times = torch.linspace(schedule.t_min, schedule.t_max, points, dtype=torch.float64)
    return Curves(*(_array(v) for v in (times, *schedule(times), schedule.log_snr(times))))


def cloud(law: Mixture, schedule: Schedule, t: float, count: int = 600, seed: int = 0) -> Cloud:
    """`count` samples noised to time t. A seed keeps x0 and eps, so that points move smoothly with t."""
    clean, noise, component = _pairs(law, count, seed)
    alpha, sigma = schedule(t)
    return Cloud(_array(clean), _array(alpha * clean + sigma * noise), _array(component))


def heat_map(law: Mixture, schedule: Schedule, t: float, cells: int = 64) -> HeatMap:
    """The density of x_t on cells x cells points over the place where it lives."""
    alpha, sigma = schedule(t)
    axis = _axis(law, alpha, sigma, cells)
    values = law.log_density(_lattice(axis), alpha, sigma).exp().reshape(cells, cells)
    return HeatMap(_array(axis), _array(axis), _array(values))


def score_field(law: Mixture, schedule: Schedule, t: float, cells: int = 17) -> Arrows:
    """grad log density of x_t on a grid."""
    return _field(law, schedule, t, cells, lambda x: law.score(x, *schedule(t)))


def velocity_field(law: Mixture, schedule: Schedule, t: float, cells: int = 17) -> Arrows:
    """dx/dt of the probability-flow ODE on a grid, t > 0; it points towards noise."""
    return _field(law, schedule, t, cells, lambda x: law.velocity(x, t, schedule))


def denoising_field(law: Mixture, schedule: Schedule, t: float, cells: int = 17) -> Arrows:
    """From each x_t to alpha E[x0 | x_t] on a grid: Tweedie's step, sigma^2 times the score."""
    alpha, sigma = schedule(t)
    return _field(law, schedule, t, cells, lambda x: alpha * law.posterior_mean(x, alpha, sigma) - x)


def targets(law: Mixture, schedule: Schedule, t: float, points: np.ndarray) -> dict[str, np.ndarray]:
    """What networks of each kind (eps, x0, v, velocity, score) would predict at points (n, 2), each (n, 2)."""
    x, levels, rates = _points(points), schedule(t), schedule.rates(t)
    x0 = law.posterior_mean(x, *levels)
    return {kind: _array(convert(x0, x, *levels, "x0", kind, rates)) for kind in KINDS}


def langevin(law: Mixture, schedule: Schedule, t: float, steps: int = 60, count: int = 60, stride: float = 0.1,
             seed: int = 0) -> Paths:
    """Langevin chains at a fixed time, x += h score + sqrt(2 h) z, h = stride times the smallest variance there.

    Chains start spread over the picture. `times` counts the steps.
    """
    alpha, sigma = schedule(t)
    rng = Rng(seed, count)
    step = stride * float((alpha**2 * law.variances + sigma**2).min())
    x = (2 * rng.uniform(2).double() - 1) * float(_axis(law, alpha, sigma, 2)[-1])
    states = [x]
    for _ in range(steps):
        x = x + step * law.score(x, alpha, sigma) + (2 * step) ** 0.5 * rng.normal_like(x)
        states.append(x)
    return Paths(np.arange(steps + 1.0), _array(torch.stack(states)))


def couplings(law: Mixture, schedule: Schedule, count: int = 24, points: int = 33, seed: int = 0) -> Couplings:
    """Conditional paths, the marginal flow from the same noise, and the pairs that reflow would train on."""
    clean, noise, _ = _pairs(law, count, seed)
    times = grids.make("uniform", schedule, points - 1, start=schedule.t_max, end=schedule.t_min)
    alpha, sigma = (level[:, None, None] for level in schedule(times))
    straight = alpha * clean + sigma * noise
    marginal = _flow(law, schedule, straight[0], times)
    made = law.posterior_mean(marginal[-1], *schedule(schedule.t_min))
    # At the start nothing but noise is left of x, so x / sigma is the eps that belongs to the new pair.
    again = (straight[0] - alpha[0] * made) / sigma[0]
    return Couplings(*(Paths(_array(times), _array(states))
                       for states in (straight, marginal, alpha * made + sigma * again)))


def flow_map(law: Mixture, schedule: Schedule, points: np.ndarray, s: float, t: float, steps: int = 24) -> np.ndarray:
    """X_{s -> t} of points (n, 2): where the probability-flow ODE carries them from time s > 0 to time t, (n, 2).

    A consistency model is X_{t -> 0}.
    """
    return _array(exact.solution(law.denoiser(schedule), _points(points), schedule, steps, start=s, end=t))


def lattice(law: Mixture, schedule: Schedule, t: float, cells: int = 13) -> np.ndarray:
    """(cells^2, 2) points of a square grid over the place where x_t lives, row by row: what flow maps bend."""
    return _array(_lattice(_axis(law, *schedule(t), cells)))


def semigroup_gap(law: Mixture, schedule: Schedule, points: np.ndarray, s: float, u: float, t: float,
                  steps: int = 24) -> float:
    """Largest distance between X_{u -> t}(X_{s -> u}(x)) and X_{s -> t}(x); 0 for an exact flow."""
    twice = flow_map(law, schedule, flow_map(law, schedule, points, s, u, steps), u, t, steps)
    return float(np.linalg.norm(twice - flow_map(law, schedule, points, s, t, steps), axis=1).max())


def racers() -> tuple[solvers.SolverRow, ...]:
    """Solvers that can run here: on any schedule, without anything prepared for a model."""
    return tuple(row for row in solvers.catalogue() if not row.tags and not row.needs)


def race(law: Mixture, schedule: Schedule, names: Sequence[str], steps: int = 10, spacing: str = "log_snr",
         count: int = 24, seed: int = 0) -> tuple[tuple[Track, ...], Paths]:
    """Runs of several solvers from the same noise, and the fine solution that they should follow.

    A solver that does not take `spacing` runs on the first that it takes. Raises InputError for unknown names.
    """
    start = _start(schedule, count, seed)
    fine = grids.make("log_snr", schedule, 40)
    reference = _flow(law, schedule, start, fine)
    return tuple(_track(law, schedule, name, steps, spacing, start, reference[-1], Rng(seed, count))
                 for name in names), Paths(_array(fine), _array(reference))


def _track(law: Mixture, schedule: Schedule, name: str, steps: int, spacing: str, start: Tensor, reference: Tensor,
           rng: Rng) -> Track:
    row = solvers.row(name)
    if row.spacings and spacing not in row.spacings:
        spacing = row.spacings[0]
    paths, calls = _run(name, law.denoiser(schedule), start, grids.make(spacing, schedule, steps), schedule, rng)
    error = np.linalg.norm(paths.states[-1] - _array(reference), axis=1).mean()
    return Track(name, row.title, paths, calls, float(error))


def ensemble(law: Mixture, schedule: Schedule, eta: float = 1.0, steps: int = 30, count: int = 200, seed: int = 0,
             one_start: bool = False) -> Ensemble:
    """Runs with a share `eta` in [0, 1] of fresh noise: 0 is the ODE, 1 the reverse SDE; all end in the same law.

    one_start: every run starts from the same noise, which shows what chance alone does on the way.
    """
    start = _start(schedule, count, seed)
    if one_start:
        start = start[:1].expand(count, -1).clone()
    times = grids.make("log_snr", schedule, steps)
    paths, _ = _run("ddim", law.denoiser(schedule), start, times, schedule, Rng(seed + 1, count), eta=eta)
    drawn = law.sample(max(count, 400), torch.Generator().manual_seed(seed))
    return Ensemble(paths, energy_distance(_points(paths.states[-1]), drawn))


def guided(law: Mixture, schedule: Schedule, label: int, weight: float, steps: int = 15, count: int = 120,
           seed: int = 0) -> Guided:
    """Classifier-free guidance of strength `weight` towards a class, beside runs without and with plain condition.

    Raises InputError for a law without that class.
    """
    if not 0 <= label < law.classes:
        raise InputError(f"This density has no class {label}.", f"It has {law.classes}, counted from 0.",
                         "Choose the mixture, the rings or letters.", "label")
    start = _start(schedule, count, seed)
    times = grids.make("log_snr", schedule, steps)
    told, untold = {"label": torch.tensor([label])}, {"label": torch.tensor([law.classes])}

    def run(weight: float) -> Paths:
        denoise = guidance.classifier_free(law.denoiser(schedule), told, untold, weight)
        return _run("dpmpp_2m", denoise, start, times, schedule, Rng(seed, count))[0]

    free, conditional, strong = (run(w) for w in (0.0, 1.0, weight))
    known, ends = law.of_class(label), _points(strong.states[-1])
    log_share = known.log_density(ends) - law.log_density(ends) + law.weights[law.labels == label].sum().log()
    return Guided(free, conditional, strong, float(ends.var(0).sum().sqrt()), float(_total_variance(known).sqrt()),
                  float(log_share.exp().mean()))


def log_likelihood(law: Mixture, schedule: Schedule, points: np.ndarray, t: float | None = None,
                   steps: int = 60) -> Likelihood:
    """log density of x_t at points (n, 2) by the change of volume along the probability-flow ODE, t = t_min if None.

    For y = x / alpha, dy/d log_snr = x0 - y spreads volumes at the rate sigma^2 laplacian(log density of x_t). The run
    goes up to the schedule's t_max, where its density is known.
    """
    t = schedule.t_min if t is None else t
    x = _points(points)
    (alpha, _), (alpha_end, sigma_end) = schedule(t), schedule(schedule.t_max)

    def slope(log_snr: float, state: Tensor) -> Tensor:
        y, ratio = state[:, :2], math.exp(-log_snr)
        volume = -ratio**2 * law.laplacian(y, 1.0, ratio)
        return torch.cat([law.posterior_mean(y, 1.0, ratio) - y, volume[:, None]], 1)

    state = torch.cat([x / alpha, torch.zeros(len(x), 1, dtype=x.dtype)], 1)
    state = exact.runge_kutta(slope, state, schedule.log_snr(t), schedule.log_snr(schedule.t_max), steps)
    end = alpha_end * state[:, :2]
    # What the volume lost on the way up is the density that it gains on the way down; x = alpha y scales it twice.
    gained = law.size * math.log(alpha_end / alpha) - state[:, 2]
    power = alpha_end**2 + sigma_end**2
    noise = -end.square().sum(1) / (2 * power) - math.log(2 * math.pi * power)
    return Likelihood(_array(law.log_density(x, *schedule(t))),
                      _array(law.log_density(end, alpha_end, sigma_end) + gained), _array(noise + gained))


def _run(name: str, denoise, start: Tensor, times: Tensor, schedule: Schedule, rng: Rng,
         **options) -> tuple[Paths, int]:
    steps = list(solvers.solve(name, denoise, start, times, schedule, rng=rng, **options))
    passed = [float(times[0]), *(step.t for step in steps)]
    return Paths(np.array(passed), _array(torch.stack([start, *(step.x for step in steps)]))), steps[-1].nfe


_STEPS_PER_NAT = 6


def _flow(law: Mixture, schedule: Schedule, start: Tensor, times: Tensor) -> Tensor:
    """The fine solution at each of the times, (T, n, 2)."""
    denoise, states = law.denoiser(schedule), [start]
    for s, t in zip(times[:-1].tolist(), times[1:].tolist()):
        # Even grids have long stretches in log-SNR near clean data; `solution` ends at 9.2.
        stretch = abs(min(schedule.log_snr(t), 9.2) - schedule.log_snr(s))
        steps = math.ceil(_STEPS_PER_NAT * stretch)
        states.append(exact.solution(denoise, states[-1], schedule, steps, start=s, end=t))
    return torch.stack(states)


def _start(schedule: Schedule, count: int, seed: int) -> Tensor:
    alpha, sigma = schedule(schedule.start)
    return (alpha * alpha + sigma * sigma) ** 0.5 * Rng(seed, count).normal(2).double()


def _pairs(law: Mixture, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean, component = law.sample_labelled(count, generator)
    return clean, torch.randn(clean.shape, generator=generator, dtype=torch.float64), component


def _field(law: Mixture, schedule: Schedule, t: float, cells: int, vectors: Callable[[Tensor], Tensor]) -> Arrows:
    points = _lattice(_axis(law, *schedule(t), cells))
    return Arrows(_array(points), _array(vectors(points)))


def _axis(law: Mixture, alpha: float, sigma: float, cells: int) -> Tensor:
    """Even places, (cells,), from -r to r, where r holds nearly all of x_t in both directions."""
    spreads = (alpha**2 * law.variances + sigma**2).sqrt()
    reach = float((alpha * law.means.abs().amax(1) + 2.5 * spreads).max())
    return torch.linspace(-reach, reach, cells, dtype=torch.float64)


def _lattice(axis: Tensor) -> Tensor:
    """(cells^2, 2) points, x running fastest."""
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _total_variance(law: Mixture) -> Tensor:
    mean = law.weights @ law.means
    return law.weights @ ((law.means - mean).square().sum(1) + law.size * law.variances)


def _points(points: np.ndarray) -> Tensor:
    return torch.as_tensor(points, dtype=torch.float64)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
