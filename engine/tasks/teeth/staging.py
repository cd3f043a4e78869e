"""A treatment in stages: small movements one after the other, without teeth running into each other on the way.

The places of every tooth after every stage are bent together, the whole way at once: where two teeth would overlap,
both move apart, more or less so in the stages before and after (CHOMP, Zucker et al., 2013, with contacts of the
crowns' surfaces), but opposite teeth towards their roots. A tooth with time to spare so goes round another, or waits.
"""

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
_CLEAR_MM = 0.01
"""Teeth overlap when they do so by more than this too much; they are pushed apart by as much further."""
_ROUNDS = 30
_LONGER = (1.0, 1.2, 1.6)
"""By what the fewest stages are multiplied, one after the other, until no teeth overlap."""
_YIELD, _YIELD_TURN, _LEVER_MM = 0.5, 0.2, 5.0
_SMOOTH = 4.0
_NEAR_MM, _CLOSE_MM = 2.0, 0.3
"""Pairs that come nearer are looked at; those that have no more room than the second are kept apart."""
_AGAIN = 10
"""Rounds after which the samples that face each other are chosen again."""


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
        return tuple(1 + k for k in torch.nonzero(self.excess_mm > _CLEAR_MM)[:, 0].tolist())


def fewest(teeth: Teeth, motion: Motion, limit_mm: float = LIMIT_MM, limit_deg: float = LIMIT_DEG) -> int:
    """Stages that the tooth with the longest way needs, or the one that turns farthest: there cannot be fewer."""
    return max(1, ceil(float(_wanted(teeth, motion, _units(limit_mm, limit_deg)).norm(dim=-1).max()) - 1e-4))


def staged(teeth: Teeth, motion: Motion, limit_mm: float = LIMIT_MM, limit_deg: float = LIMIT_DEG) -> Staging:
    """Stages that carry one patient's teeth to the goal, each within the limits for every tooth.

    As few as the limits allow, or a few more where teeth cannot pass each other in so many. What cannot be avoided is
    reported (`Staging.remaining`).
    """
    assert len(teeth) == 1, f"{len(teeth)} patients"
    least, units, found = fewest(teeth, motion, limit_mm, limit_deg), _units(limit_mm, limit_deg), []
    wanted = _wanted(teeth, motion, units)
    for longer in _LONGER:
        share = torch.linspace(0, 1, 1 + ceil(longer * least))
        places = _bent(teeth, share[:, None, None, None] * wanted, units)
        found.append(_measured(teeth, places, units))
        if not found[-1].remaining:
            break
    return min(found, key=lambda staging: float(staging.excess_mm.max()) * bool(staging.remaining))


def _units(limit_mm: float, limit_deg: float) -> Tensor:
    """(2, 1): limits in mm and radians. Places are counted in these: (stage, 32, 2, 3), shift and turn since the start.

    No turn is larger than the difference of its vectors, so a step of length 1 keeps to both limits.
    """
    return torch.tensor([[limit_mm], [limit_deg * torch.pi / 180]])


def _wanted(teeth: Teeth, motion: Motion, units: Tensor) -> Tensor:
    """The goal's place, (32, 2, 3)."""
    whole = torch.stack((motion.centre - teeth.centres, rigid.to_vector(motion.rotation)), -2)[0]
    return whole / units * teeth.present[0, :, None, None]


def _moved(teeth: Teeth, places: Tensor, units: Tensor) -> Teeth:
    """The patient at every place, as so many patients."""
    shift, turn = (places * units).unbind(-2)
    copies = teeth[torch.zeros(len(places), dtype=torch.long)]
    return copies.at(teeth.axes @ rigid.from_vector(turn), teeth.centres + shift)


def _bent(teeth: Teeth, places: Tensor, units: Tensor) -> Tensor:
    """Places, all but the ends moved apart until no teeth overlap more than they do at the ends."""
    yielding = torch.tensor([[_YIELD], [_YIELD_TURN]]) / (units * torch.tensor([[1.0], [_LEVER_MM]])).square()
    spread = _spreading(len(places) - 2)
    for turn in range(_ROUNDS):
        if turn % _AGAIN == 0:
            sides, least = _close(_moved(teeth, places, units))
            if not len(least):
                break
        with torch.enable_grad():
            bent = places.detach().requires_grad_()
            posed = _moved(teeth, bent, units)
            deep = (least - sides.gaps(posed.axes, posed.centres))[1:-1].clamp_min(0)
            if not bool((deep > _CLEAR_MM / 2).any()):
                break
            beside = ~_opposite(sides)
            slope, = torch.autograd.grad((deep * beside).square().sum() / 2, bent)
        push = yielding * slope[1:-1] + _opening(deep.detach() * ~beside, sides) / units
        wide = torch.einsum("st,tijk->sijk", spread, push)
        wide = wide * (_most(push) / _most(wide).clamp_min(1e-9))
        places = torch.cat((places[:1], places[1:-1] - wide, places[-1:]))
        places = _short(places) if turn % 2 else _short(places.flip(0)).flip(0)
    return places


def _opposite(sides: contacts.Facing) -> Tensor:
    """Pairs (K,) bool of an upper and a lower tooth."""
    upper = torch.from_numpy(anatomy.UPPER)
    return upper[sides.slots[0]] != upper[sides.slots[1]]


def _opening(deep: Tensor, sides: contacts.Facing) -> Tensor:
    """Pushes (S, 32, 2, 3) in mm, to be taken off, of opposite teeth that overlap by (S, K) mm: each towards its root.

    A tooth that leaves a crossbite meets the other one face to face: sideways neither would ever get past.
    """
    push = torch.zeros(len(deep), 32, 2, 3)
    for slots in sides.slots:
        toward = torch.from_numpy(anatomy.OCCLUSAL).float()[slots]
        push[:, :, 0, 1] += torch.zeros(len(deep), 32).index_add(1, slots, _YIELD * deep * toward)
    return push


def _close(posed: Teeth) -> tuple[contacts.Facing, Tensor]:
    """The pairs that overlap on the way or nearly do, and the gaps (K,) in mm that they are to keep."""
    pairs = contacts.near(posed, torch.from_numpy(anatomy.touching_pairs()), _NEAR_MM)
    gaps = contacts.gaps(posed, pairs)
    least = _allowed(gaps)
    close = ((gaps - least)[1:-1] < _CLOSE_MM).any(0)
    return contacts.facing(posed, pairs[close]), least[close] + _CLEAR_MM


def _most(push: Tensor) -> Tensor:
    return push.norm(dim=-1, keepdim=True).amax(0)


def _allowed(gaps: Tensor) -> Tensor:
    """Smallest gaps (K,) on the way, from those (S + 1, K) at all places: those of the ends."""
    return torch.minimum(gaps[0], gaps[-1]).clamp(max=-TOLERATED_MM)


def _spreading(count: int) -> Tensor:
    """(count, count): what is done in one stage, done in those around it too, and less towards the ends."""
    beside = torch.diag(torch.ones(count), 1)[:count, :count]
    rough = 2 * torch.eye(count) - beside - beside.T
    return torch.linalg.inv(torch.eye(count) + _SMOOTH * rough)


def _short(places: Tensor) -> Tensor:
    """Places whose steps are no longer than 1, from the first to the last, which stay: others come as near as that
    lets them."""
    goal, found = places[-1], [places[0]]
    for left, place in zip(range(len(places) - 2, -1, -1), places[1:]):
        before = found[-1]
        straight = before + _at_most(goal - before)
        away = before + _at_most(place - before) - straight
        found.append(straight + _share(straight - goal, away, left) * away)
    return torch.stack((*found[:-1], goal))


def _at_most(step: Tensor) -> Tensor:
    return step / step.norm(dim=-1, keepdim=True).clamp_min(1.0)


def _share(start: Tensor, way: Tensor, reach: float) -> Tensor:
    """How much of a way, 0 to 1, stays within `reach` of the origin."""
    square = way.square().sum(-1, keepdim=True).clamp_min(1e-12)
    along = (start * way).sum(-1, keepdim=True)
    room = (reach**2 - start.square().sum(-1, keepdim=True)).clamp_min(0)
    return (((along.square() + square * room).sqrt() - along) / square).clamp(0, 1)


def _measured(teeth: Teeth, places: Tensor, units: Tensor) -> Staging:
    posed = _moved(teeth, places, units)
    gaps = contacts.gaps(posed, torch.from_numpy(anatomy.touching_pairs()))
    least, gaps = _allowed(gaps), gaps[1:]
    turns = rigid.from_vector((places * units)[..., 1, :])
    motions = tuple(Motion(turn[None], centre[None]) for turn, centre in zip(turns[1:], posed.centres[1:]))
    shown = teeth.present
    return Staging(motions, (posed.centres[1:] - posed.centres[:-1]).norm(dim=-1) * shown,
                   torch.rad2deg(rigid.angle_rad(turns[1:], turns[:-1])) * shown, (-gaps).amax(1).clamp_min(0),
                   (least - gaps).amax(1).clamp_min(0))
