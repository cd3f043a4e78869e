"""AFDPS: an ensemble of weighted particles that follows the prior and the measurement without approximation."""

import itertools
from collections.abc import Iterator

from torch import Tensor

from engine.errors import InputError
from engine.options import Option
from engine.steering import ensemble
from engine.steering.ensemble import Ensemble
from engine.steering.likelihood import PATHS, Linear, Nonlinear, Tempered, tempering
from engine.steering.moves import Level
from engine.steering.operators import Measurement
from engine.steering.particles import ParticleStep
from engine.steering.registry import steering

DYNAMICS = Option("dynamics", "Dynamics", "sde", choices=("sde", "ode"),
                  help="sde: noise and guidance in each step. ode: weights in each step, guidance in the corrector.")
PATH = Option("path", "Annealing", "level", choices=PATHS,
              help="How the measurement comes in: by noise level, as a linear estimate uses it, linearly, at once.")
GAMMA = Option("gamma", "Annealing strength (gamma)", 1.0, "For level and wiener: how much of the noise in the "
               "particles counts against the measurement; less leads earlier and harder.", 0.0, 10.0)
CORRECTIONS = Option("corrections", "Corrector steps", 1, "Langevin steps after each step of the ode.", 0, 10)
LENGTH = Option("length", "Corrector length", 0.2, "Length of a corrector step, as a share of the noise variance.",
                0.0, 0.5)
THRESHOLD = Option("resample", "Resampling threshold", 0.5, "Particles are drawn anew when fewer than this share of "
                   "them count; 0 never, 1 after every step.", 0.0, 1.0)

ISLANDS = Option("islands", "Islands", 1, "Groups of particles that do not compete with each other and count the same. "
                 "One is exact with very many particles; more keep the spread of a few.", 1, 64)


def calls(steps: int, dynamics: str = DYNAMICS.default, corrections: int = CORRECTIONS.default, **_options) -> int:
    """Denoiser calls of a run: a corrector stands between two steps."""
    return steps + (steps - 1) * corrections * (dynamics == "ode")


@steering("afdps", title="AFDPS particles", paper="Chen et al. 2025, arXiv 2506.03979", needs="gradient", noisy=True,
          calls=calls, steps=(20, 50, 400), options=(DYNAMICS, PATH, GAMMA, CORRECTIONS, LENGTH, THRESHOLD, ISLANDS),
          cost="1 network call per step, 1 more per corrector step", tags=("particles",),
          hint="The samples are one ensemble with weights: exact in the limit of many particles and steps.")
def afdps(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Measurement, noise: float = 0.0,
          rng=None, dynamics: str = DYNAMICS.default, path: str = PATH.default, gamma: float = GAMMA.default,
          corrections: int = CORRECTIONS.default, length: float = LENGTH.default,
          resample: float = THRESHOLD.default, islands: int = ISLANDS.default) -> Iterator[ParticleStep]:
    """Chen et al. 2025, arXiv 2506.03979, with annealing, on any grid and schedule; first order.

    The target at each noise level is the prior's marginal times a tempered likelihood of the noisy state itself. Where
    the paper takes Euler steps of drift and weight, whose stiffness limits the step, each step of the prior is here
    multiplied by the likelihood in closed form, and the weight is the mass of that product: the same dynamics in the
    limit of small steps, stable for any step and noise, without a Laplacian; measurements that are not linear take a
    damped gradient step and an exact importance weight instead.

    The batch is one ensemble of one measurement: a particle depends on the others through resampling, which is
    systematic. After the last step there is none; estimates are weighted means (`particles.mean`). In the many
    dimensions of a picture one of a few dozen particles soon outweighs all others and their spread is lost. islands
    (Verge et al. 2013, arXiv 1306.3911) bound that: only within each group do particles compete, and all groups count
    the same, so that as many distinct samples are left; each is as exact as its own size allows. Step.x0 is the
    denoiser's estimate.
    Raises InputError for more than one measurement, for no noise where the path or a measurement that is not linear
    needs some, and, while running, when no particle is left that counts.

        for step in steer("afdps", denoise, x, times, schedule, y=y, operator=Grey(), noise=0.1, rng=Rng(0, 16)):
            mean = particles.mean(step.x, step.log_weights)
    """
    _check(y, operator, noise, path, gamma)
    likelihood = (Linear if operator.linear else Nonlinear)(operator, y)
    levels = [Level(t, *map(float, schedule(t))) for t in times.tolist()]
    power = likelihood.power(x)
    tempered = tempering(path, [ensemble.tau(level) for level in levels], noise, gamma, power)
    group = Ensemble(x, levels[0], tempered[0], likelihood, rng, islands)
    stops = list(zip(levels, tempered, strict=True))
    return _run(denoise, group, stops, power, dynamics == "ode", corrections, length, resample)


def _run(denoise, group: Ensemble, stops: list[tuple[Level, Tempered]], power: float, ode: bool, corrections: int,
         length: float, resample: float) -> Iterator[ParticleStep]:
    corrections = corrections if ode else 0
    last = len(stops) - 1
    total, done = last + (last - 1) * corrections, 0
    for i, ((here, _), (there, at)) in enumerate(itertools.pairwise(stops), start=1):
        for k in range(1 + corrections * (i < last)):
            start = there if k else here
            x0 = denoise(group.x, start.t)
            if k:
                group.lead(ensemble.langevin(group.x, x0, there, length, power), there, at)
            elif ode and there.sigma > 0:
                group.carry(ensemble.flow(group.x, x0, here, there), there, at)
            else:
                group.lead(ensemble.reverse(group.x, x0, here, there, power), there, at)
            done += 1
            share = resample if k == corrections and i < last else 0.0
            yield group.step(done, total, there, x0, share)


def _check(y: Tensor, operator: Measurement, noise: float, path: str, gamma: float) -> None:
    if len(y) > 1:
        raise InputError(f"{len(y)} measurements were given.", "The particles of AFDPS share one measurement.",
                         "Run them one after the other.", field="measurement")
    at_once = path in ("none", "linear") or gamma == 0
    if noise == 0 and (at_once or not operator.linear):
        raise InputError("The measurement noise is 0.", "Particles almost never explain such a measurement exactly.",
                         "Set the noise to a positive number." if not operator.linear else
                         "Set the noise to a positive number, or anneal by level with a positive gamma.", field="noise")
