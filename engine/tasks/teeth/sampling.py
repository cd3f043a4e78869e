"""Arrangements drawn from a diffusion model, one patient or many, several samples each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine import grids, schedules
from engine.rng import Rng
from engine.solvers import solve
from engine.step import Step
from engine.tasks.teeth import baselines, state
from engine.tasks.teeth.dentition import Motion, Teeth
from engine.tasks.teeth.metrics import mean_motion
from engine.tasks.teeth.wishes import Wishes, satisfied, wished

SOLVER, STEPS, SAMPLES = "dpmpp_2m", 12, 8
Denoiser = Callable[..., Tensor]


def arrange(model, teeth: Teeth, samples: int = SAMPLES, seed: int = 0, solver: str = SOLVER, steps: int = STEPS,
            wishes: Wishes | None = None, **options) -> Motion:
    """`samples` arrangements of one patient: motions (samples, 32). Their mean is `metrics.mean_motion`.

    model: an `engine.models.Model` named teeth or teeth_regressor. teeth: one patient in any position, with given or
    found axes (`axes.fitted`); they matter only to the geometric start. Absent teeth have motions without meaning.
    """
    *_, (_, motion) = arranging(model, teeth, samples, seed, solver, steps, wishes, **options)
    return motion


def arranging(model, teeth: Teeth, samples: int = SAMPLES, seed: int = 0, solver: str = SOLVER, steps: int = STEPS,
              wishes: Wishes | None = None, **options) -> Iterator[tuple[Step, Motion]]:
    """The same while it happens: each solver step, and the motions that its x0 means; the last is the result."""
    assert len(teeth) == 1, f"{len(teeth)} patients"
    frame = state.frame_of(model.network)
    level = state.levelling(teeth, frame)
    told = level.apply(teeth)
    with torch.no_grad():
        cond = {"cond": model.network.encode(**frame.conditions(told, base_of(frame, told))).expand(samples, -1, -1)}
    many = replace(told, vertices=None, faces=None, facets=None)[[0] * samples]
    return _steps(model.denoiser, frame, many, cond, samples, seed, solver, steps, wishes or Wishes(), level, options)


def draw(denoise: Denoiser, frame: state.Frame, teeth: Teeth, base: Tensor, samples: int, steps: int = STEPS,
         seed: int = 0, wishes: Wishes | None = None, encode: Denoiser | None = None) -> list[Motion]:
    """`samples` motions of B levelled patients at once. base (B, 32, 9): their arch fit as states of the frame.

    encode: the network's, to look at the crowns once and not at every step.
    """
    cond = frame.conditions(teeth, base)
    if encode is not None:
        with torch.no_grad():
            cond = {"cond": encode(**cond)}
    cond = {name: torch.cat([value] * samples) for name, value in cond.items()}
    many = replace(teeth, vertices=None, faces=None, facets=None)[torch.arange(len(teeth)).repeat(samples)]
    *_, (_, motion) = _steps(denoise, frame, many, cond, len(many), seed, SOLVER, steps, wishes or Wishes(), None, {})
    return [motion[k * len(teeth):(k + 1) * len(teeth)] for k in range(samples)]


def summary(frame: state.Frame, teeth: Teeth, motions: Sequence[Motion], wishes: Wishes | None = None) -> Motion:
    """The mean of several motions of the same levelled teeth, brought to follow the wishes again."""
    mean = frame.encode(teeth, mean_motion(motions))
    return frame.decode(teeth.centres, satisfied(mean, frame, teeth, wishes or Wishes()))


def base_of(frame: state.Frame, teeth: Teeth) -> Tensor:
    """The geometric start (B, 32, 9) of levelled teeth, in the axes that they have."""
    return frame.encode(teeth, baselines.arch_fit(teeth, rounds=0))


def _steps(denoise: Denoiser, frame: state.Frame, teeth: Teeth, cond: dict[str, Tensor], count: int, seed: int,
           solver: str, steps: int, wishes: Wishes, level: state.Level | None, options: dict
           ) -> Iterator[tuple[Step, Motion]]:
    schedule = schedules.vp_linear()
    options = dict(options)
    times = grids.make(options.pop("spacing", "uniform"), schedule, steps)
    x = Rng(seed, count).normal(32, state.STATE) * schedule(schedule.start)[1]
    rng = Rng(seed, count, first=count)

    def told(x_t: Tensor, t, **more) -> Tensor:
        return denoise(x_t, t, **cond, **more)

    guided = wished(told, frame, teeth, wishes)
    for step in solve(solver, guided, x, times, schedule, rng=rng, **options):
        # On the way x0 is the guided denoiser's answer, which follows the wishes already.
        found = satisfied(step.x, frame, teeth, wishes) if step.index == step.total else step.x0
        motion = frame.decode(teeth.centres, found)
        yield step, motion if level is None else level.undo(motion)
