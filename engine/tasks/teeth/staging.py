"""A treatment in stages: small movements one after the other, without teeth running into each other on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from engine.tasks.teeth import anatomy, contacts, rigid
from engine.tasks.teeth.dentition import Motion, Teeth

LIMIT_MM, LIMIT_DEG = 0.25, 2.0
"""What one stage of aligners usually moves a tooth by."""
TOLERATED_MM = 0.1
_ROUNDS = 8
_YIELD = 0.5
_MOST_STAGES = 400
_NEAR_MM = 3.0


@dataclass(frozen=True)
class Staging:
    """motions: of each stage, from the start, (1, 32) each; the last is the goal's. stage_mm, stage_deg (S, 32): what
    each stage moves and turns each tooth by. overlap_mm (S,): deepest overlap in each stage; excess_mm (S,): by how
    much teeth overlap more than the same two do at the start or at the goal, and than is tolerated."""

    motions: Sequence[Motion]
    stage_mm: Tensor
    stage_deg: Tensor
    overlap_mm: Tensor
    excess_mm: Tensor

    @property
    def remaining(self) -> tuple[int, ...]:
        """Numbers (from 1) of the stages in which teeth run into each other."""
        return tuple(1 + k for k in torch.nonzero(self.excess_mm > 0.01)[:, 0].tolist())


def staged(teeth: Teeth, motion: Motion, limit_mm: float = LIMIT_MM, limit_deg: float = LIMIT_DEG) -> Staging:
    """Stages that carry one patient's teeth to the goal, each within the limits for every tooth.

    All teeth start and arrive together, on straight paths and turning evenly, in as few stages as the limits allow.
    Where they would meet on the way they give way by what the limits leave, which may take further stages. What cannot
    be avoided is reported (`Staging.remaining`).
    """
    assert len(teeth) == 1, f"{len(teeth)} patients"
    shift, turn = motion.centre - teeth.centres, rigid.to_vector(motion.rotation)
    moving = teeth.present[..., None]
    shift, turn = shift * moving, turn * moving
    sides = contacts.facing(teeth.moved(motion), _meeting(teeth, teeth.moved(motion)))
    ends = (sides.gaps(teeth.axes, teeth.centres), sides.gaps(teeth.axes @ motion.rotation, motion.centre))
    least = torch.minimum(*ends).clamp(max=-TOLERATED_MM)
    limits = limit_mm, limit_deg * torch.pi / 180
    fewest = _stages(shift, turn, *limits)
    centre, turned = teeth.centres, torch.zeros_like(turn)
    motions = []
    while len(motions) < _MOST_STAGES:
        share = 1 / max(fewest - len(motions), 1)
        aim_mm = _step(share * (motion.centre - centre) * moving, limits[0])
        before, turned = centre, turned + _step(share * (turn - turned), limits[1])
        rotation = rigid.from_vector(turned)
        centre = _giving_way(teeth.axes @ rotation, before + aim_mm, before, sides, least, limits[0], moving)\
            if len(motions) < 3 * fewest else before + aim_mm
        motions.append(Motion(rotation, centre))
        if bool(((motion.centre - centre).norm(dim=-1) < 1e-4)[teeth.present].all()) and len(motions) >= fewest:
            break
    motions[-1] = Motion(torch.where(moving[..., None], motion.rotation, torch.eye(3)),
                         torch.where(moving, motion.centre, teeth.centres))
    return _measured(teeth, motions, sides, least)


def _meeting(before: Teeth, after: Teeth) -> Tensor:
    """Pairs (K, 2) of teeth that could meet on the way: those that are near each other at its start or end."""
    pairs = torch.from_numpy(anatomy.touching_pairs())
    return torch.cat([contacts.near(teeth, pairs, _NEAR_MM) for teeth in (before, after)]).unique(dim=0)


def _stages(shift: Tensor, turn: Tensor, limit_mm: float, limit_rad: float) -> int:
    longest = float((shift.norm(dim=-1) / limit_mm).max()), float((turn.norm(dim=-1) / limit_rad).max())
    return max(1, ceil(max(longest) - 1e-4))


def _step(wanted: Tensor, limit: float) -> Tensor:
    """A movement, no longer than the limit."""
    length = wanted.norm(dim=-1, keepdim=True)
    return wanted * (limit / length.clamp_min(limit)).clamp(max=1.0)


def _giving_way(axes: Tensor, centres: Tensor, before: Tensor, sides: contacts.Facing, least: Tensor, limit_mm: float,
                moving: Tensor) -> Tensor:
    """Centres moved until no gap is under `least` (1, K) mm, down the gradient, within the limit of where they were."""
    for _ in range(_ROUNDS):
        with torch.enable_grad():
            place = centres.detach().requires_grad_()
            deep = (least - sides.gaps(axes, place)).clamp_min(0)
            if not bool((deep > 0).any()):
                return centres
            slope, = torch.autograd.grad(deep.square().sum() / 2, place)
        away = centres - _YIELD * slope * moving - before
        centres = before + away * (limit_mm / away.norm(dim=-1, keepdim=True).clamp_min(limit_mm))
    return centres


def _measured(teeth: Teeth, motions: Sequence[Motion], sides: contacts.Facing, least: Tensor) -> Staging:
    centres = torch.cat([teeth.centres, *(m.centre for m in motions)])
    turns = torch.cat([torch.eye(3).expand(1, 32, 3, 3), *(m.rotation for m in motions)])
    gaps = torch.cat([sides.gaps(teeth.axes @ turn, centre[None]) for turn, centre in zip(turns[1:], centres[1:])])
    shown = teeth.present
    return Staging(tuple(motions), (centres[1:] - centres[:-1]).norm(dim=-1) * shown,
                   torch.rad2deg(rigid.angle_rad(turns[1:], turns[:-1])) * shown, (-gaps).amax(1).clamp_min(0),
                   (least - gaps).amax(1).clamp_min(0))
