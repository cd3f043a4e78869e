"""Arrangements without learning: leave the teeth, copy an average dentition, or fit an arch and set the teeth on it."""

import numpy as np
import torch
from torch import Tensor

from engine.tasks.teeth import aligned, anatomy, arches, procedural, rigid
from engine.tasks.teeth.dentition import Motion, Teeth


def identity(teeth: Teeth) -> Motion:
    """Nothing moves."""
    return Motion(torch.eye(3).expand_as(teeth.axes), teeth.centres)


def average_arrangement(teeth: Teeth) -> Motion:
    """Each tooth to its pose in an average dentition, which is scaled and laid over the present teeth's centres."""
    model = procedural.average()
    weight = teeth.present[..., None].float()
    total = weight.sum(1, keepdim=True).clamp_min(1)
    here, there = ((weight * t.centres).sum(1, keepdim=True) / total for t in (teeth, model))
    from_model, from_teeth = weight * (model.centres - there), weight * (teeth.centres - here)
    turn = rigid.nearest_rotation(from_model.transpose(-1, -2) @ from_teeth)
    size = (from_model @ turn * from_teeth).sum((1, 2)) / from_model.square().sum((1, 2))
    centres = (model.centres - there) @ turn * size[:, None, None] + here
    return teeth.motion_to(teeth.at(model.axes @ turn[:, None], centres))


def arch_fit(teeth: Teeth, rounds: int = 10) -> Motion:
    """A quartic arch through each jaw's centres, the teeth side by side on it as upright as the norms, jaws in Class I.

    The places of missing teeth stay open. rounds: of closing gaps and overlaps; 0 trusts the teeth's widths and looks
    at no collisions, which costs a tenth.
    """
    norms = [torch.deg2rad(torch.tensor(v, dtype=torch.float32)) for v in (anatomy.TIP_DEG, anatomy.LEAN_DEG)]
    own = rigid.local_rotation(torch.zeros(32), *norms).expand(len(teeth), 32, 3, 3)
    setup = procedural.setup()
    place = aligned.Place(own, setup.offset_mm.expand(len(teeth), 32), setup.height_mm + _level(teeth, setup.height_mm))
    curves = list(arches.jaw_curves(teeth.centres, teeth.present))
    arc = aligned.touching(*_widths(teeth))
    arc = arc + _shift(teeth, curves, arc)
    goal, _ = aligned.packed(teeth, curves, arc, place, rounds)
    return teeth.motion_to(aligned.bitten(goal, aligned.OVERBITE_MM, settle=rounds > 0))


def _level(teeth: Teeth, height: Tensor) -> Tensor:
    """By how much each jaw's centres lie further towards the gum than `height`, on average, (B, 32)."""
    now = -teeth.centres[..., 1] * torch.tensor(anatomy.OCCLUSAL, dtype=torch.float32) - height
    level = torch.zeros(len(teeth), 32)
    for jaw in (anatomy.UPPER, ~anatomy.UPPER):
        here = teeth.present & torch.from_numpy(jaw)
        level[:, torch.from_numpy(jaw)] = ((now * here).sum(1) / here.sum(1).clamp_min(1))[:, None]
    return level


def _widths(teeth: Teeth) -> tuple[Tensor, Tensor]:
    """Mesial and distal reach (B, 32); of missing teeth that of an average crown, as large as the patient's are."""
    mine, usual = torch.stack(teeth.widths()), torch.stack(procedural.average().widths())
    known = teeth.present & torch.from_numpy(~anatomy.WISDOM)
    scale = (mine.sum(0) * known).sum(1) / (usual.sum(0) * known).sum(1).clamp_min(1e-6)
    return tuple(torch.where(teeth.present, mine, usual * scale[:, None]))


def _shift(teeth: Teeth, curves: list[arches.Quartic], arc: Tensor) -> Tensor:
    """Shift (B, 32) along each arch that brings first and second molars nearest to where they are, on average."""
    shift = torch.zeros(len(teeth), 32)
    for curve, upper in zip(curves, (True, False)):
        jaw = torch.from_numpy(np.flatnonzero(upper == anatomy.UPPER))
        now = curve.length_to(teeth.centres[:, jaw, 0])
        molars = teeth.present[:, jaw] & torch.from_numpy(anatomy.POSITION >= 4)[jaw]
        shift[:, jaw] = (((now - arc[:, jaw]) * molars).sum(1) / molars.sum(1).clamp_min(1))[:, None]
    return shift
