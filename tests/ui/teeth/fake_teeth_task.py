"""A tooth arrangement without weights: invented patients whose true treatment is known, and is the result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from engine.io.dental import Dentition
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from engine.tasks.teeth import anatomy, contacts, keys, malocclusion, procedural, rigid
from engine.tasks.teeth.dentition import Motion, Teeth
from tests.ui.fake_task import Fake

STAGES, SPREAD_MM, POINTS = 6, 0.2, 40
GIVEN = malocclusion.Range(0.7, 0.9)
_MOTION = ("tooth", "row", "column")
MOVEMENTS = ("mesial", "buccal", "occlusal", "rotation", "tip", "torque", "total mm", "total deg")


@lru_cache(maxsize=4)
def patient(absent: tuple[int, ...] = ()) -> tuple[Teeth, Teeth]:
    """An invented patient with average crowns and without wisdom teeth, before and after treatment."""
    rng = np.random.default_rng(len(absent) + 1)
    gone = torch.from_numpy(anatomy.WISDOM | np.isin(anatomy.SLOTS, absent))[None]
    after = procedural.average().without(gone)
    return malocclusion.crooked(after, GIVEN, rng), after


def dentition(absent: tuple[int, ...] = ()) -> Dentition:
    """The same patient before treatment as a reader gives it."""
    before, _ = patient(absent)
    meshes = {fdi: (mesh.vertices, np.ascontiguousarray(mesh.faces))
              for fdi, mesh in zip(present(before), before.meshes(0))}
    return Dentition(meshes=meshes, unit="mm", frame=np.eye(4), notes=("Invented teeth.",))


def present(teeth: Teeth) -> list[int]:
    """FDI numbers of the teeth that are there."""
    return [fdi for fdi, there in zip(anatomy.SLOTS, teeth.present[0].tolist()) if there]


@dataclass
class FakeTeethTask(Fake):
    """Its steps show the teeth on their way from noise to the treatment's goal."""

    name: str = "teeth"
    title: str = "Tooth arrangement"
    summary: str = "Moves crooked teeth to where they belong."
    warning: str = "Research use, not for treatment."

    inputs = (InputSpec("teeth", "Teeth", "dentition", "One mesh per tooth, or a labelled jaw."),)
    settings = (
        Setting("unit", "Unit", "Of the file.", "auto", ("auto", "mm", "um"), ("Find out", "mm", "µm")),
        Setting("fixed", "Keep fixed", "FDI numbers of teeth that stay.", ""),
        Setting("stage_mm", "Stage", "Most that a stage moves a tooth.", 0.25, minimum=0.1, maximum=1.0, step=0.05,
                unit="mm", advanced=True),
    )

    @property
    def examples(self) -> tuple[Example, ...]:
        return (Example("Crowded", lambda: {"teeth": dentition()}),
                Example("Missing tooth", lambda: {"teeth": dentition((14, 35))}, {"fixed": "16,26"}))

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Points that fall into place, then the true treatment; fixed teeth stay."""
        given = inputs["teeth"]
        before, after = patient(tuple(sorted(set(anatomy.SLOTS) - set(given.meshes)
                                             - set(np.array(anatomy.SLOTS)[anatomy.WISDOM].tolist()))))
        moves = [str(fdi) not in recipe.options["fixed"] for fdi in anatomy.SLOTS]
        goal = _held(before, before.motion_to(after), torch.tensor(moves))
        samples = [_held(before, _shaken(goal, recipe.seed + k), torch.tensor(moves)) for k in range(recipe.samples)]
        ends = torch.stack([_cloud(before.moved(motion)) for motion in samples])
        noise = Rng(recipe.seed, recipe.samples).normal(*ends.shape[1:])
        for index in range(1, recipe.steps + 1):
            self._call()
            sigma = 1 - index / recipe.steps
            yield Step(index, recipe.steps, sigma, sigma, ends + sigma * noise, ends + 0.2 * sigma * noise, index)
        yield Result(arrays(before, goal, samples, ends.numpy()), {"Stages": float(STAGES), "Moves most (mm)": 3.25},
                     recipe, ("This is a test double.",), {"movement.csv": b"fdi,mesial\n", "report.html": b"<p>1</p>"})


def arrays(before: Teeth, goal: Motion, samples: list[Motion], points: np.ndarray) -> dict[str, Array]:
    """The arrays of a result, as the page's contract names them."""
    there = before.present[0]
    slots = torch.nonzero(there)[:, 0]
    meshes = before.meshes(0)
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    after = before.moved(goal)
    pairs = torch.from_numpy(np.concatenate([anatomy.neighbours(), anatomy.antagonists()]))
    both = there[pairs].all(1)
    movement = np.stack([_movement(before, motion)[there.numpy()] for motion in (goal, *samples)])
    stages = [_on_the_way(before, goal, (k + 1) / STAGES) for k in range(STAGES)]
    facts = {"Overjet": ("mm", [keys.overjet_overbite(t)[0] for t in (before, after)]),
             "Overbite": ("mm", [keys.overjet_overbite(t)[1] for t in (before, after)]),
             "Midline shift": ("mm", [keys.midline_shift(t) for t in (before, after)]),
             "Little's index, upper": ("mm", [keys.little_index(t)[0] for t in (before, after)]),
             "Bolton ratio, anterior": ("%", [keys.bolton(t)[0] for t in (before, after)])}
    return {
        "points": Array(points, ("sample", "point", "axis")),
        "vertices": Array(np.float32(np.concatenate([m.vertices for m in meshes])), ("vertex", "axis"), "mm"),
        "faces": Array(np.int32(np.concatenate([m.faces + at for m, at in zip(meshes, first)])), ("face", "corner")),
        "tooth": Array(np.repeat(np.arange(len(meshes), dtype=np.int32), np.diff(first)), ("vertex",)),
        "fdi": Array(np.int32(present(before)), ("tooth",)),
        "motions": Array(np.stack([_matrices(before, motion) for motion in samples]), ("sample", *_MOTION)),
        "goal": Array(_matrices(before, goal), _MOTION),
        "axes": Array(before.axes[0, slots].numpy(), _MOTION),
        "centres": Array(before.centres[0, slots].numpy(), ("tooth", "axis"), "mm"),
        "movement": Array(np.float32(movement[0]), ("tooth", "quantity")),
        "movement_names": Array(np.array(MOVEMENTS), ("quantity",)),
        "movement_spread": Array(np.float32(movement[1:].std(0)), ("tooth", "quantity")),
        "stages": Array(np.stack([_matrices(before, motion) for motion in stages]), ("stage", *_MOTION)),
        "pairs": Array(np.int32([[anatomy.SLOTS[s] for s in pair] for pair in pairs[both].tolist()]), ("pair", "end")),
        "gaps_before": Array(contacts.gaps(before, pairs)[0, both].numpy(), ("pair",), "mm"),
        "gaps_after": Array(contacts.gaps(after, pairs)[0, both].numpy(), ("pair",), "mm"),
        "arch_before": Array(_arches(before), ("jaw", "point", "axis"), "mm"),
        "arch_after": Array(_arches(after), ("jaw", "point", "axis"), "mm"),
        "facts": Array(np.array([[float(v) for v in values] for _, values in facts.values()]), ("fact", "time")),
        "fact_names": Array(np.array(list(facts)), ("fact",)),
        "fact_units": Array(np.array([unit for unit, _ in facts.values()]), ("fact",)),
    }


def _held(before: Teeth, motion: Motion, moves: torch.Tensor) -> Motion:
    return Motion(torch.where(moves[:, None, None], motion.rotation, torch.eye(3)),
                  torch.where(moves[:, None], motion.centre, before.centres))


def _shaken(motion: Motion, seed: int) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    turn = rigid.from_vector(0.03 * torch.randn(motion.centre.shape, generator=generator))
    shift = SPREAD_MM * torch.randn(motion.centre.shape, generator=generator)
    return Motion(motion.rotation @ turn, motion.centre + shift)


def _on_the_way(before: Teeth, motion: Motion, share: float) -> Motion:
    return Motion(rigid.from_vector(share * rigid.to_vector(motion.rotation)),
                  before.centres + share * (motion.centre - before.centres))


def _matrices(before: Teeth, motion: Motion) -> np.ndarray:
    """(T, 4, 4) for columns: p' = R^T (p - c) + c'."""
    there = before.present[0]
    turn = motion.rotation[0, there].transpose(-1, -2)
    shift = motion.centre[0, there] - (turn @ before.centres[0, there, :, None])[..., 0]
    whole = torch.eye(4).repeat(len(turn), 1, 1)
    whole[:, :3, :3], whole[:, :3, 3] = turn, shift
    return whole.numpy()


def _movement(before: Teeth, motion: Motion) -> np.ndarray:
    axes = before.axes[0]
    shift = (axes @ (motion.centre - before.centres)[0, :, :, None])[..., 0]
    angles = torch.stack(rigid.local_angles(axes @ motion.rotation[0] @ axes.transpose(-1, -2)), -1)
    total = [shift.norm(dim=-1), torch.rad2deg(rigid.angle_rad(motion.rotation[0]))]
    return torch.cat([shift, torch.rad2deg(angles), torch.stack(total, -1)], -1).numpy()


def _cloud(teeth: Teeth) -> torch.Tensor:
    """The same number of points of every tooth of a jaw, 1/40 mm about the middle; upper ones first."""
    there = teeth.present[0]
    halves = [teeth.surface[0, there & torch.from_numpy(jaw)].flatten(0, 1) for jaw in (anatomy.UPPER, ~anatomy.UPPER)]
    count = 10 * POINTS
    thinned = [half[torch.linspace(0, len(half) - 1, count).long()] for half in halves]
    cloud = torch.cat(thinned)
    return (cloud - cloud.mean(0)) / 40


def _arches(teeth: Teeth) -> np.ndarray:
    from engine.tasks.teeth.arches import jaw_curves

    arc = torch.linspace(-50, 50, 41)[None]
    found = []
    for curve, jaw in zip(jaw_curves(teeth.centres, teeth.present), (anatomy.UPPER, ~anatomy.UPPER)):
        place = curve.at(arc)[0][0]
        level = teeth.centres[0, teeth.present[0] & torch.from_numpy(jaw), 1].mean()
        found.append(torch.stack([place[:, 0], level.expand(len(place)), place[:, 1]], -1).numpy())
    return np.float32(found)
