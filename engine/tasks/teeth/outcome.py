"""What a finished arrangement gives: motions, the table of movements, measurements before and after, stages."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.io.dental import Dentition
from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from engine.tasks.teeth import anatomy, arches, contacts, exports, keys, metrics
from engine.tasks.teeth.dentition import Motion, Teeth
from engine.tasks.teeth.movement import QUANTITIES, matrices, movement
from engine.tasks.teeth.staging import Staging

REACH_MM = 26.0
"""Unit of the points that are shown: seen from above, arches of some 64 mm nearly fill their tile."""
_ALONG = 100
_WIDTHS = {"Width 3-3, upper": (13, 23), "Width 6-6, upper": (16, 26), "Width 3-3, lower": (43, 33),
           "Width 6-6, lower": (46, 36)}


@dataclass(frozen=True)
class Drawn:
    """One patient before, the motions of all samples (S, 32), their mean as the goal (1, 32), and its stages. points
    (S, N, 3): the samples as the live view shows them, in units of REACH_MM."""

    dentition: Dentition
    teeth: Teeth
    samples: Motion
    goal: Motion
    staging: Staging
    points: np.ndarray


def result(drawn: Drawn, recipe: Recipe, notes: tuple[str, ...]) -> Result:
    """Arrays of the T present teeth in the order of `anatomy.SLOTS`, in mm and degrees, in the frame of `anatomy`.

    points (sample, point, axis); vertices, faces, tooth: the meshes before; fdi (tooth,); motions, goal, stages: (4, 4)
    from the start, for columns; axes, centres: before; movement with movement_names, movement_spread (NaN for a single
    sample); pairs with gaps_before, gaps_after (negative: overlap); arch_before, arch_after (jaw, point, axis), NaN for
    a jaw without teeth; facts (fact, before and after) with fact_names, fact_units, NaN where teeth are missing.
    Files: see `engine.tasks.teeth.exports`.
    """
    teeth, after = drawn.teeth, drawn.teeth.moved(drawn.goal)
    slots = np.flatnonzero(teeth.present[0].numpy())
    fdi = [anatomy.SLOTS[slot] for slot in slots]
    stages = torch.cat([matrices(teeth, motion) for motion in drawn.staging.motions])
    facts = _facts(teeth, after)
    arrays = {
        "points": Array(drawn.points, ("sample", "point", "axis"), f"{REACH_MM:g} mm"), **_meshes(drawn.dentition, fdi),
        "fdi": Array(np.int32(fdi), ("tooth",)),
        "motions": Array(_of(matrices(teeth, drawn.samples), slots), ("sample", "tooth", "row", "column"), "mm"),
        "goal": Array(_of(matrices(teeth, drawn.goal), slots)[0], ("tooth", "row", "column"), "mm"),
        "stages": Array(_of(stages, slots), ("stage", "tooth", "row", "column"), "mm"),
        "axes": Array(_of(teeth.axes, slots)[0], ("tooth", "row", "column")),
        "centres": Array(_of(teeth.centres, slots)[0], ("tooth", "axis"), "mm"), **_movement(drawn, slots),
        **_contacts(teeth, after), "arch_before": _arches(teeth), "arch_after": _arches(after),
        "facts": Array(np.float32([values for _, _, values in facts]), ("fact", "time")),
        "fact_names": Array(np.array([name for name, _, _ in facts]), ("fact",)),
        "fact_units": Array(np.array([unit for _, unit, _ in facts]), ("fact",))}
    found = Result(arrays, _measured(drawn, after, slots), recipe, notes)
    return Result(arrays, found.metrics, recipe, notes, exports.files(drawn.dentition, teeth, after, found))


def _of(values: Tensor, slots: np.ndarray) -> np.ndarray:
    """Of (B, 32, ...) the present teeth, as float32."""
    return values[:, slots].float().numpy()


def _meshes(dentition: Dentition, fdi: list[int]) -> dict[str, Array]:
    vertices, faces = zip(*(dentition.meshes[number] for number in fdi))
    starts = np.cumsum([0, *map(len, vertices[:-1])])
    owner = np.repeat(np.arange(len(fdi), dtype=np.int32), [len(part) for part in vertices])
    return {"vertices": Array(np.float32(np.concatenate(vertices)), ("vertex", "axis"), "mm"),
            "faces": Array(np.int32(np.concatenate([f + start for f, start in zip(faces, starts)])),
                           ("face", "corner")),
            "tooth": Array(owner, ("vertex",))}


def _movement(drawn: Drawn, slots: np.ndarray) -> dict[str, Array]:
    each = _of(movement(drawn.teeth, drawn.samples), slots)
    spread = each.std(0, ddof=1) if len(each) > 1 else np.full(each.shape[1:], np.nan, np.float32)
    axes, unit = ("tooth", "quantity"), "mm, degrees"
    return {"movement": Array(_of(movement(drawn.teeth, drawn.goal), slots)[0], axes, unit),
            "movement_names": Array(np.array(list(QUANTITIES)), axes[1:]),
            "movement_spread": Array(spread, axes, unit)}


def _contacts(before: Teeth, after: Teeth) -> dict[str, Array]:
    """Neighbours, over missing teeth too, and antagonists."""
    present = before.present[0].numpy()
    chains = [slots[present[slots]] for slots in (np.arange(16), np.arange(16, 32))]
    beside = np.concatenate([np.stack((chain[:-1], chain[1:]), 1) for chain in chains])
    opposite = anatomy.antagonists()
    pairs = torch.from_numpy(np.concatenate((beside, opposite[present[opposite].all(1)])))
    gaps = {f"gaps_{name}": Array(contacts.gaps(teeth, pairs)[0].numpy(), ("pair",), "mm")
            for name, teeth in (("before", before), ("after", after))}
    return {"pairs": Array(np.int32(anatomy.SLOTS)[pairs.numpy()], ("pair", "member")), **gaps}


def _arches(teeth: Teeth) -> Array:
    """The curves through the teeth's centres, at the height of their edges, from the first tooth to the last."""
    height, found = keys.edges(teeth)[0, :, 1], []
    for curve, upper in zip(arches.jaw_curves(teeth.centres, teeth.present), (True, False)):
        here = teeth.present[0] & torch.from_numpy(upper == anatomy.UPPER)
        if not here.any():
            found.append(np.full((_ALONG, 3), np.nan, np.float32))
            continue
        ends = curve.length_to(teeth.centres[:, here, 0])[0]
        place, _ = curve.at(torch.linspace(float(ends.min()), float(ends.max()), _ALONG)[None])
        level = torch.full((_ALONG,), float(height[here].mean()))
        found.append(torch.stack((place[0, :, 0], level, place[0, :, 1]), -1).numpy())
    return Array(np.stack(found), ("jaw", "point", "axis"), "mm")


def _facts(before: Teeth, after: Teeth) -> list[tuple[str, str, tuple[float, float]]]:
    """(name, unit, (before, after)) of each measurement."""
    return [(name, unit, (value, other)) for (name, unit, value), (_, _, other)
            in zip(_measurements(before), _measurements(after))]


def _measurements(teeth: Teeth) -> list[tuple[str, str, float]]:
    anterior, overall = keys.bolton(teeth)
    jet, bite = keys.overjet_overbite(teeth)
    crowding, molars = keys.little_index(teeth), keys.molar_class(teeth)[0]
    found = [("Bolton ratio, overall", "%", overall), ("Bolton ratio, anterior", "%", anterior),
             ("Overjet", "mm", jet), ("Overbite", "mm", bite),
             ("Midline shift, lower", "mm", keys.midline_shift(teeth)),
             ("Crowding, upper (Little)", "mm", crowding[0]), ("Crowding, lower (Little)", "mm", crowding[1]),
             ("Molar relation, right", "mm", molars[0]), ("Molar relation, left", "mm", molars[1]),
             ("Curve of Spee", "mm", keys.spee_mm(teeth))]
    found += [(name, "mm", _width(teeth, *pair)) for name, pair in _WIDTHS.items()]
    return [(name, unit, float(value)) for name, unit, value in found]


def _width(teeth: Teeth, right: int, left: int) -> Tensor:
    slots = [anatomy.slot_of(right), anatomy.slot_of(left)]
    apart = (teeth.centres[0, slots[0]] - teeth.centres[0, slots[1]]).norm()
    return apart if bool(teeth.present[0, slots].all()) else apart * torch.nan


def _measured(drawn: Drawn, after: Teeth, slots: np.ndarray) -> dict[str, float]:
    way, turn = _of(movement(drawn.teeth, drawn.goal), slots)[0, :, -2:].T
    before = drawn.teeth
    found = {"stages": len(drawn.staging.motions), "mean movement (mm)": way.mean(), "largest movement (mm)": way.max(),
             "mean turn (deg)": turn.mean(), "largest turn (deg)": turn.max(),
             "colliding pairs before": metrics.collisions(before)[0],
             "colliding pairs after": metrics.collisions(after)[0], "six keys met before": _keys(before),
             "six keys met after": _keys(after)}
    return {name: round(float(value), 2) for name, value in found.items()}


def _keys(teeth: Teeth) -> int:
    return sum(bool(met[0]) for met in keys.six_keys(teeth).values())
