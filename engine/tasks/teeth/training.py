"""Training of the tooth arrangement models: diffusion, and the regressor of equal size that it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import (
    anatomy,
    axes,
    contacts,
    malocclusion,
    metrics,
    pictures,
    procedural,
    rigid,
    sampling,
    statistical,
)
from engine.tasks.teeth.cases import Cases, Pool, cases
from engine.tasks.teeth.dentition import Teeth, joined
from engine.tasks.teeth.state import Frame, average_frame
from engine.training.spec import Batch, Spec

COUNT = 32
_REAL, _INVENTED, _JUDGED, _STOCK = 700, 400, 20, 4096
_SAMPLES, _STEPS = 4, 8
_DISTANCES, _SURFACES, _DIFFUSION, _CONTACTS = 0.1, 1.0, 1.0, 1.0
_FACING = 24
_POINTS_ONLY = 0.2
"""Share of the patients whose meshes are hidden, so that the network does without."""


@dataclass(frozen=True)
class Judged:
    """A held-out set: its name, its cases, and their geometric start as states of the model's frame."""

    name: str
    cases: Cases
    base: Tensor


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """The models of this task, by name; crowns are drawn when one of them is taken."""
    return {"teeth": partial(_spec, data, False), "teeth_regressor": partial(_spec, data, True)}


def _spec(data: Path, regress: bool) -> Spec:
    pool, judged = _prepared(statistical.found(data))
    frame = pool.frame
    buffers = {"axes": frame.axes, "centres": frame.centres, "mean": frame.mean, "spread": frame.spread,
               "gain": pool.gain, "offset": pool.offset, "left": pool.left}
    spec = Spec(
        name="teeth", task="teeth", title="Tooth arrangement", kind="teeth", options={}, schedule=("vp_linear", {}),
        prediction="x0", resolution_px=32, learning_rate=6e-4, ema=0.998, batch=partial(batch, pool),
        loss=partial(loss, frame), validate=partial(validate, frame, judged), sheet=partial(sheet, frame, judged),
        buffers=buffers,
        data="Statistical model of 28 crowns from about 130 patients, and crowns that the program draws itself",
        licences="MIT; none", failures=(
            "Has seen invented malocclusions only, never a patient before and after treatment.",
            "Knows neither roots, bone, gums nor face: research use, not for treatment.",
            "Keeps the place of a missing tooth open; does not plan extractions.",
            "Follows norms of tip, torque and overbite: individual goals must be stated as wishes."))
    if not regress:
        return spec
    return replace(spec, name="teeth_regressor", title="Tooth arrangement: regression of equal size, for comparison",
                   options={"regress": True}, validate=partial(validate, frame, judged, samples=1, steps=1),
                   sheet=partial(sheet, frame, judged, steps=1))


@lru_cache(maxsize=1)
def _prepared(path: Path) -> tuple[Pool, list[Judged]]:
    """The pool, and cases of patients that are not in it."""
    model, rng = statistical.read(path), np.random.default_rng(1)
    judged = statistical.patients(model, _JUDGED, rng, meshes=True), procedural.patients(_JUDGED, rng, meshes=True)
    rng = np.random.default_rng(0)
    aligned = joined([statistical.patients(model, _REAL, rng), procedural.patients(_INVENTED, rng)])
    pool = Pool(aligned, malocclusion.ANY, rng, _STOCK)
    return pool, _judged(judged, pool.frame)


def batch(pool: Pool, rng: Generator, progress: float) -> Batch:
    """32 cases that no other batch holds in this form."""
    x0, told = pool.batch(COUNT, rng)
    return Batch(x0, conditions=told)


def loss(frame: Frame, network, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """TADPM's loss with the weights of a small model, state, surface and pairwise distances, and one of contacts.

    The error of the state counts in units of what the linear base leaves over at that noise; that of the surface is the
    mean square distance of corresponding points in mm2, in closed form from the crowns' second moments. Gaps and
    overlaps of neighbours other than the true ones count where little noise is left: before, x0 is a mean of
    arrangements, in which teeth may well overlap or stand apart.
    """
    x0, told = batch.x0, batch.conditions
    count, place = len(x0), x0.device
    strata = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * strata[torch.randperm(count, generator=generator)]
    alpha, sigma = (v.float()[:, None, None].to(place) for v in schedule(t))
    x_t = alpha * x0 + sigma * torch.randn(x0.shape, generator=generator).to(place)
    t = t.to(place)
    if "facets" in told:
        known = torch.rand(count, generator=generator) >= _POINTS_ONLY
        told = {**told, "facets": told["facets"] * known.to(place)[:, None, None, None]}
    cond = network.encode(**told)
    found = network(x_t, t, cond=cond)
    with torch.autocast(place.type, enabled=False):
        present = told["present"].float()
        _, doubt = network.posterior(x_t, t, cond[..., -10:-1].detach())
        error = ((found - x0) / doubt).square().mean(-1)
        surface, distances = _geometric(frame, found, x0, told["points"], told["centres"], present)
        own = (_DIFFUSION * (error * present).sum() + _SURFACES * (surface * present).sum()) / present.sum()
        return own + _DISTANCES * distances + _CONTACTS * (alpha[:, 0] ** 2 * _contacts(frame, found, x0, told)).mean()


def _geometric(frame: Frame, found: Tensor, x0: Tensor, points: Tensor, centres: Tensor,
               present: Tensor) -> tuple[Tensor, Tensor]:
    """Mean square distance of the surfaces (B, 32) mm2, and mean square error of distances between centres, mm2."""
    spread, mean = frame.spread.to(x0.device), frame.mean.to(x0.device)
    one = torch.tensor([1.0, 0, 0, 0, 1, 0], device=x0.device)
    raw, true = (v * spread + mean for v in (found, x0))
    middle, moments = points.mean(-2, keepdim=True), points.transpose(-1, -2) @ points / points.shape[-2]
    turn = rigid.from_six(raw[..., 3:] + one) - rigid.from_six(true[..., 3:] + one)
    shift = raw[..., :3] - true[..., :3]
    surface = (shift.square().sum(-1) + 2 * (shift * (middle @ turn)[..., 0, :]).sum(-1)
               + (turn * (moments @ turn)).sum((-1, -2)))
    pairs = torch.from_numpy(anatomy.touching_pairs()).to(x0.device)
    axes, home = frame.axes.to(x0.device), frame.centres.to(x0.device)
    after = [((centres + v[..., :3])[..., None, :] @ axes)[..., 0, :] + home for v in (raw, true)]
    apart = [(v[:, pairs[:, 0]] - v[:, pairs[:, 1]]).norm(dim=-1) for v in after]
    both = present[:, pairs[:, 0]] * present[:, pairs[:, 1]]
    return surface, ((apart[0] - apart[1]).square() * both).sum() / both.sum()


def _contacts(frame: Frame, found: Tensor, x0: Tensor, told: Mapping[str, Tensor]) -> Tensor:
    """Square differences (B, 30) between the gaps of neighbours and the true ones, mm2; overlaps are negative gaps."""
    home, middle = (v.to(found.device) for v in (frame.axes, frame.centres))
    (turn, centres), true = (_poses(frame, state, told["centres"], home, middle) for state in (found, x0))
    present = told["present"].bool()
    area = torch.ones_like(present, dtype=torch.float32)
    teeth = Teeth(told["points"], told["normals"], area, present, turn, centres)
    with torch.no_grad():
        sides = contacts.facing(teeth, torch.from_numpy(anatomy.neighbours()).to(found.device), _FACING)
        wanted = sides.gaps(*true)
    return (sides.gaps(turn, centres) - wanted).square()


def _poses(frame: Frame, state: Tensor, centres: Tensor, home: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """Axes and centres of teeth described in the slots' axes `home` from their places `middle`, after a motion."""
    raw = state * frame.spread.to(state.device) + frame.mean.to(state.device)
    turn = rigid.from_six(raw[..., 3:] + torch.tensor([1.0, 0, 0, 0, 1, 0], device=state.device)) @ home
    return turn, ((centres + raw[..., :3])[..., None, :] @ home)[..., 0, :] + middle


def _judged(patients: Sequence[Teeth], frame: Frame) -> list[Judged]:
    """The easy and the hard set of real and of invented crowns."""
    found = []
    for source, aligned in zip(("real", "invented"), patients):
        for name, how in (("easy", malocclusion.EASY), ("hard", malocclusion.HARD)):
            rng = np.random.default_rng(len(found))
            made = cases(aligned, axes.told(aligned, rng), how, rng, average_frame())
            found.append(Judged(f"{source} {name}", made, (made.base - frame.mean) / frame.spread))
    return found


def validate(frame: Frame, sets: Sequence[Judged], denoise, samples: int = _SAMPLES,
             steps: int = _STEPS) -> dict[str, float]:
    """ADD (mm) and rotation error (degrees) of the samples' mean and of doing nothing; collisions of one sample."""
    rows = {}
    for judged in sets:
        name, made = judged.name, judged.cases
        motions = sampling.draw(denoise, frame, made.teeth, judged.base, samples, steps)
        mean, one = made.teeth.moved(metrics.mean_motion(motions)), made.teeth.moved(motions[0])
        rows[f"{name} ADD mm"] = metrics.add_mm(mean, made.goal)
        rows[f"{name} ADD mm, one sample"] = metrics.add_mm(one, made.goal)
        rows[f"{name} ADD mm, identity"] = metrics.add_mm(made.teeth, made.goal)
        rows[f"{name} rotation deg"] = metrics.rotation_error_deg(mean, made.goal)
        rows[f"{name} rotation deg, identity"] = metrics.rotation_error_deg(made.teeth, made.goal)
        rows[f"{name} collisions, one sample"] = metrics.collisions(one)
    return {name: round(float(values.mean()), 3) for name, values in rows.items()}


def sheet(frame: Frame, sets: Sequence[Judged], denoise, steps: int = _STEPS) -> np.ndarray:
    """A real and an invented patient of the hard set: before, result and truth side by side, from three sides."""
    rows = []
    for judged in sets:
        if judged.name.endswith("hard"):
            before, goal = judged.cases.teeth[:1], judged.cases.goal[:1]
            motion = sampling.draw(denoise, frame, before, judged.base[:1], 1, steps)[0]
            shown = before, before.moved(motion), goal
            rows.append(np.concatenate([pictures.views(teeth) for teeth in shown], axis=1))
    return np.concatenate(rows, axis=1)
