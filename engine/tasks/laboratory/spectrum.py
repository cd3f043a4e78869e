"""What each step of a run recovers: the power spectrum of its estimates beside that of the best linear denoiser."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine import models, solvers, spectra
from engine.denoisers import Denoiser
from engine.errors import InputError
from engine.networks import GaussianUNet
from engine.recipe import Recipe
from engine.schedules import Schedule
from engine.step import Step
from engine.tasks.laboratory import axes, problems, runs
from engine.tasks.laboratory.axes import AXES, Value
from engine.tasks.laboratory.work import Event, executed

REFERENCES = {"run": "This run's own pictures", "law": "The training pictures' Gaussian law"}
"""What the clean spectrum of Wiener's filter is taken from, and its title."""
MOST_STEPS = 100
_SHOWN = 4


@dataclass(frozen=True)
class Recovery:
    """A checked request. Raises InputError for what cannot be run.

    problem: of `names()`. reference: of `REFERENCES`. fixed: other settings by axis name (`axes.AXES`). samples: per
    run, 0 for the problem's usual number.
    """

    problem: str
    reference: str = "run"
    fixed: Mapping[str, Value] = field(default_factory=dict)
    samples: int = 0

    def __post_init__(self):
        if self.problem not in names():
            raise InputError(f"{str(self.problem)[:40]!r} makes no pictures.", "A spectrum needs some.",
                             "Choose one of " + (", ".join(names()) or "none yet") + ".", "problem")
        if self.reference not in references(self.problem):
            raise InputError(f"The clean spectrum {str(self.reference)[:40]!r} is not known for {self.problem}.",
                             fix="Choose one of " + ", ".join(references(self.problem)) + ".", field="reference")
        chosen = {name: axes.checked(name, value, (self.problem,)) for name, value in self.fixed.items()}
        object.__setattr__(self, "fixed", chosen)
        if self.settings["steps"] > MOST_STEPS:
            raise InputError(f"{self.settings['steps']} steps were chosen.", f"Here the limit is {MOST_STEPS}.",
                             field="steps")
        self.prepare()

    @property
    def settings(self) -> dict[str, Value]:
        """All settings of the run by axis name."""
        return {name: kind.default for name, kind in AXES.items()} | dict(self.fixed) | {"problem": self.problem}

    def prepare(self) -> runs.Run:
        """The run itself."""
        return runs.prepare(self.settings, self.samples)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What was known at one noise level. power (B, K): of the estimate of each picture. x0: the first few of them side
    by side, (H, W, 3) uint8."""

    index: int
    alpha: float
    sigma: float
    power: np.ndarray
    x0: np.ndarray


@dataclass(frozen=True, eq=False)
class Spectra:
    """A whole run. frequency (K,) in cycles per pixel; clean (K,): the power that counts as all of a frequency.

    Powers are those of `spectra.brightness`, of pictures in [-1, 1], about the law's mean where it is known.
    """

    frequency: np.ndarray
    clean: np.ndarray
    estimates: tuple[Estimate, ...]

    def measured(self, estimate: Estimate) -> np.ndarray:
        """Mean power (K,) of the estimates."""
        return estimate.power.mean(0)

    def linear(self, estimate: Estimate) -> np.ndarray:
        """Expected power (K,) of the best linear estimate at the same noise level: Wiener's curve."""
        return self.clean * spectra.recovered_share(self.clean, estimate.alpha, estimate.sigma)

    def reached(self, estimate: Estimate) -> tuple[float | None, float | None]:
        """Frequencies up to which at least half of the power is there: measured, and by Wiener's filter."""
        return tuple(spectra.recovered_up_to(self.frequency, found / self.clean)
                     for found in (self.measured(estimate), self.linear(estimate)))


def names() -> tuple[str, ...]:
    """The shipped models that make pictures from noise."""
    return tuple(name for name in problems.names() if not problems.load(name).exact)


def references(problem: str) -> tuple[str, ...]:
    """The names of `REFERENCES` that a problem has; "law" for models that correct a Gaussian law."""
    known = models.card(problem).architecture.kind == "gaussian_unet"
    return tuple(REFERENCES) if known else ("run",)


def run(recovery: Recovery) -> Iterator[Spectra | Event]:
    """The events of the run and at its end its spectra. Closing the generator ends the run within one step."""
    settings = recovery.settings
    recipe = Recipe(task="laboratory", model=recovery.problem, solver=settings["solver"], steps=settings["steps"],
                    seed=settings["seed"])
    return executed(_measured(recovery), settings["steps"], recipe)


class _Heard:
    """A denoiser that remembers its last call: a solver may call it at other times than those of its steps."""

    def __init__(self, denoise: Denoiser, schedule: Schedule):
        self.denoise, self.schedule = denoise, schedule
        self.x0: Tensor | None = None
        self.level = (0.0, 1.0)

    def __call__(self, x_t: Tensor, t: float | Tensor, **cond) -> Tensor:
        self.x0 = self.denoise(x_t, t, **cond)
        time = float(torch.as_tensor(t, dtype=torch.float64).mean())
        alpha, sigma = self.schedule(time)
        self.level = float(alpha), float(sigma)
        return self.x0


def _measured(recovery: Recovery) -> Iterator[Step | Spectra]:
    prepared = recovery.prepare()
    begin, problem = prepared.start, prepared.start.field
    schedule = problem.schedule(begin.schedule)
    heard, rng = _Heard(begin.denoiser(), schedule), runs.Noise(begin.seed, begin.samples)
    law = _law(recovery.problem)
    mean = torch.zeros(problem.shape) if law is None else law.mean.reshape(problem.shape)
    estimates: list[Estimate] = []
    x = problem.noise(rng, begin.schedule)
    for step in solvers.solve(prepared.solver, heard, x, prepared.times, schedule, rng=rng, **prepared.options):
        if reason := runs.trouble(step, solvers.row(prepared.solver).title):
            raise InputError(reason, field="solver")
        x0 = step.x0 if heard.x0 is None else heard.x0
        frequency, power = spectra.radial_power(spectra.brightness(x0 - mean))
        estimates.append(Estimate(step.index, *heard.level, power, problem.show(x0[:_SHOWN])))
        yield step
    # The state in which the run ends is the last estimate, at no noise.
    frequency, power = spectra.radial_power(spectra.brightness(step.x - mean))
    estimates.append(Estimate(step.index + 1, 1.0, 0.0, power, problem.show(step.x[:_SHOWN])))
    clean = power.mean(0)
    if recovery.reference == "law":
        _, clean = spectra.gaussian_power(law.directions, law.variances, float(law.rest), problem.shape)
    yield Spectra(frequency, clean, tuple(estimates))


def _law(problem: str) -> GaussianUNet | None:
    """The network with the Gaussian law of the training pictures, where the model has one."""
    network = models.load(problem).network
    return network if isinstance(network, GaussianUNet) else None
