"""One question to a toy: signals behind what was seen, step by step, beside the truth and the exact answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine import grids, solvers
from engine.errors import InputError
from engine.forward_models import stored
from engine.forward_models.rendered import Rendered, Seen, told
from engine.forward_models.toys import SCHEDULE, TOYS, Answer, Scene, Toy
from engine.rng import Rng
from engine.step import Step

STEPS, SAMPLES, NOISE, SEEDS = (1, 100), (1, 400), (0.05, 10.0), (0, 2**31 - 1)


@dataclass(frozen=True)
class Study:
    """A checked question. Raises InputError naming the setting.

    toy: of `TOYS`. draw: which signal. view: between the two observations, see the toy. noise: of the second
    observation, None where it is not seen. solver, steps, samples, seed: of the run.
    """

    toy: str
    draw: int
    view: float
    noise: float | None = None
    solver: str = "heun"
    steps: int = 20
    samples: int = 200
    seed: int = 0

    def __post_init__(self):
        for name, known in (("toy", list(TOYS)), ("solver", [row.name for row in able()])):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {str(getattr(self, name))[:40]!r}.",
                                 fix="Choose one of " + ", ".join(known) + ".", field=name)
        for name, (low, high) in (("draw", SEEDS), ("seed", SEEDS), ("steps", STEPS), ("samples", SAMPLES)):
            _within(name, getattr(self, name), low, high, int)
        _within("view", self.view, *TOYS[self.toy].view[:2], (int, float))
        if self.noise is not None:
            _within("noise", self.noise, *NOISE, (int, float))

    @property
    def model(self) -> Toy:
        return TOYS[self.toy]

    @property
    def calls(self) -> int:
        """Network calls of the run."""
        return solvers.row(self.solver).calls(self.steps)

    @cached_property
    def scene(self) -> Scene:
        """What there is to see."""
        return self.model.scene(self.draw, self.view)

    @cached_property
    def second(self) -> Tensor | None:
        """The second observation (1, *) as it was measured."""
        if self.noise is None:
            return None
        clean = self.scene.second.observation
        return clean + self.noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(self.draw + 1))

    @cached_property
    def answer(self) -> Answer:
        """What can be known at best."""
        return self.model.answer(self.scene, self.second, self.noise or 0.0)


@dataclass(frozen=True, eq=False)
class Moment:
    """A finished step, and the signals (B, *) that its last network call took its estimate from."""

    step: Step
    signal: Tensor


@dataclass(frozen=True)
class Fit:
    """Samples observed under one view. error: root of the mean squared distance from the truth's observation; miss:
    from the one that was measured, None where there was none."""

    view: float
    error: float
    miss: float | None


@dataclass(frozen=True, eq=False)
class Found:
    """A finished run. moments: one per step; the signals of the last are the samples."""

    study: Study
    moments: tuple[Moment, ...]

    @property
    def signal(self) -> Tensor:
        """The samples (B, *)."""
        return self.moments[-1].signal

    def shares(self, signal: Tensor) -> Tensor:
        """Shares (K,) of the toy's bins among signals."""
        bins = self.study.model.bin(self.study.scene, signal)
        return bins.bincount(minlength=len(self.study.model.bins)).double() / len(bins)

    @property
    def spread(self) -> float:
        """Root of the mean squared distance of the samples' points from their mean."""
        points = self.study.model.points(self.signal)
        return _root(points - points.mean(0))

    @property
    def error(self) -> float:
        """The same from the truth."""
        model = self.study.model
        return _root(model.points(self.signal) - model.points(self.study.scene.truth))

    @property
    def moved(self) -> float:
        """Share of the samples that stands in other bins than the exact answer has it, total variation; a few samples
        differ by chance."""
        return float((self.shares(self.signal) - self.study.answer.shares).abs().sum() / 2)

    def fits(self) -> tuple[Fit, Fit, Fit]:
        """The given observation, the second, and the one halfway between, which nobody has seen."""
        scene, study = self.study.scene, self.study
        render = study.model.render(scene, len(self.signal))
        seen = ((scene.given, scene.given.observation), (scene.second, study.second), (scene.between, None))
        return tuple(self._fit(render(self.signal, known.view.expand(len(self.signal), 1)), known, measured)
                     for known, measured in seen)

    def _fit(self, own: Tensor, known: Seen, measured: Tensor | None) -> Fit:
        miss = None if measured is None else _per_number(own - measured)
        return Fit(float(known.view), _per_number(own - known.observation), miss)


def able() -> tuple[solvers.SolverRow, ...]:
    """The solvers that can run here: those that need nothing made for a model and run on any schedule."""
    return tuple(row for row in solvers.self_sufficient() if "residual" not in row.tags)


def run(study: Study) -> Iterator[Moment | Found]:
    """A moment after each step, at the end all of them. Raises InputError without a trained network."""
    network, model, scene = stored.load(study.toy), study.model, study.scene
    count = study.samples
    estimate = network if study.second is None else told(network, study.second, study.noise)
    given, view = Seen(*(part.expand(count, *part.shape[1:]) for part in scene.given)), scene.second.view
    denoise = Rendered(estimate, model.render(scene, count), SCHEDULE, given, view.expand(count, 1))
    rng = Rng(study.seed, count)
    times = grids.make("uniform", SCHEDULE, study.steps)
    moments = []
    start = rng.normal(*scene.second.observation.shape[1:])
    for step in solvers.solve(study.solver, denoise, start, times, SCHEDULE, rng=rng):
        if not torch.isfinite(step.x).all():
            raise InputError(f"{solvers.row(study.solver).title} left all bounds at step {step.index}.",
                             "Numbers became infinite.", "Choose more steps or another solver.", "steps")
        moments.append(Moment(step, denoise.signal))
        yield moments[-1]
    yield Found(study, tuple(moments))


def _within(name: str, value: object, low: float, high: float, kind: type | tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise InputError(f"{name} is {str(value)[:20]}.", f"It must be a {'whole ' if kind is int else ''}number from "
                         f"{low:g} to {high:g}.", field=name)


def _root(gaps: Tensor) -> float:
    """Root of the mean squared length of gaps (B, d)."""
    return float(gaps.double().square().sum(1).mean().sqrt())


def _per_number(gaps: Tensor) -> float:
    return float(gaps.double().square().mean().sqrt())
