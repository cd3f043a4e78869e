"""What an orthodontist wishes of an arrangement, kept while it is being sampled: a denoiser around a denoiser.

At every step the estimate x0 is decoded to teeth; the gradients of penalties in mm move the teeth that break a wish,
and teeth that must not move (or not so far) are put back. The next step starts from there, so the other teeth give way:
the network sees the state it is in. No extra network calls.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError
from engine.tasks.teeth import anatomy, contacts, keys, rigid
from engine.tasks.teeth.dentition import Motion, Teeth
from engine.tasks.teeth.state import Frame

_DESCENTS = 12
_RATE = 0.2
_FACING = 32
"""Samples per tooth and contact: fewer than where gaps are measured, because this is done at every step."""
CLOSED_MM = 1.0
"""Wider gaps of neighbours are no failed contacts: they are left."""


@dataclass(frozen=True)
class Wishes:
    """fixed: FDI numbers of teeth that stay. limit_mm, limit_deg: farthest movement of the centre, largest rotation.

    no_collisions: teeth are pushed apart. close_gaps: neighbours less than CLOSED_MM apart come into contact.
    keep_width: the distances between both canines and both first molars of each jaw stay. midline_mm: both dental
    midlines come to lie so far to the patient's left of where the upper one is now.
    """

    fixed: tuple[int, ...] = ()
    limit_mm: float | None = None
    limit_deg: float | None = None
    no_collisions: bool = False
    keep_width: bool = False
    midline_mm: float | None = None
    close_gaps: bool = False

    def __post_init__(self) -> None:
        for fdi in self.fixed:
            anatomy.slot_of(fdi)
        for name, most in (("limit_mm", 50.0), ("limit_deg", 180.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise InputError(f"{name} is {value:g}.", f"It must be from 0 to {most:g}.", field=name)
        if self.midline_mm is not None and not -10 <= self.midline_mm <= 10:
            raise InputError(f"The midline's shift is {self.midline_mm:g} mm.", "It must be from -10 to 10 mm.",
                             field="midline_mm")

    @property
    def soft(self) -> bool:
        """Whether any wish is followed by gradients."""
        return self.no_collisions or self.close_gaps or self.keep_width or self.midline_mm is not None


def wished(denoise: Callable[..., Tensor], frame: Frame, teeth: Teeth, wishes: Wishes) -> Callable[..., Tensor]:
    """The denoiser whose x0 follows the wishes. teeth: the levelled teeth before, one patient per sample."""
    if wishes == Wishes():
        return denoise
    return lambda x_t, t, **cond: satisfied(denoise(x_t, t, **cond), frame, teeth, wishes)


def satisfied(x0: Tensor, frame: Frame, teeth: Teeth, wishes: Wishes) -> Tensor:
    """The state (B, 32, 9) nearest to x0 that follows the wishes as far as they can be followed at once."""
    if wishes == Wishes():
        return x0
    motion = frame.decode(teeth.centres, x0)
    may_move = teeth.present & ~_fixed(wishes)
    if wishes.soft:
        motion = _descended(motion, teeth, wishes, may_move)
    return frame.encode(teeth, _limited(motion, teeth, wishes, may_move))


def _fixed(wishes: Wishes) -> Tensor:
    return torch.tensor([fdi in wishes.fixed for fdi in anatomy.SLOTS])


def _limited(motion: Motion, teeth: Teeth, wishes: Wishes, may_move: Tensor) -> Motion:
    shift, turn = motion.centre - teeth.centres, rigid.to_vector(motion.rotation)
    shift, turn = _shortened(shift, wishes.limit_mm), _shortened(turn, wishes.limit_deg, torch.pi / 180)
    return Motion(rigid.from_vector(turn * may_move[..., None]), teeth.centres + shift * may_move[..., None])


def _shortened(vector: Tensor, limit: float | None, unit: float = 1.0) -> Tensor:
    if limit is None:
        return vector
    return vector * (limit * unit / vector.norm(dim=-1, keepdim=True).clamp_min(1e-9)).clamp(max=1.0)


def _descended(motion: Motion, teeth: Teeth, wishes: Wishes, may_move: Tensor) -> Motion:
    """Centres after some steps down the penalties' gradient; rotations are the network's. Limits hold all along."""
    goal = teeth.moved(motion)
    sides, beside = _sides(goal, wishes)
    centres = goal.centres.detach()
    for _ in range(_DESCENTS):
        with torch.enable_grad():
            centres = centres.requires_grad_()
            slope, = torch.autograd.grad(_penalty(goal.at(goal.axes, centres), teeth, wishes, sides, beside),
                                         centres)
        moved = centres.detach() - _RATE * slope * may_move[..., None]
        centres = teeth.centres + _shortened(moved - teeth.centres, wishes.limit_mm)
    return Motion(motion.rotation, centres)


def _sides(goal: Teeth, wishes: Wishes) -> tuple[contacts.Facing | None, Tensor]:
    """The pairs of teeth that are looked at, if any, and which of them (K,) are neighbours that should touch."""
    pairs, beside = torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, 2, dtype=torch.long)
    if wishes.no_collisions:
        # Three of four pairs are too far apart to meet on the way, and would cost as much as the others.
        pairs = contacts.near(goal, torch.from_numpy(anatomy.touching_pairs()))
    if wishes.close_gaps:
        beside = torch.from_numpy(anatomy.neighbours())
    pairs = torch.cat((pairs, beside)).unique(dim=0)
    return (contacts.facing(goal, pairs, _FACING) if len(pairs) else None,
            (pairs[:, None] == beside).all(-1).any(1))


def _penalty(goal: Teeth, before: Teeth, wishes: Wishes, sides: contacts.Facing | None, beside: Tensor) -> Tensor:
    """Sum of squares in mm2; half its gradient is by how much the teeth break the wishes."""
    total = goal.centres.sum() * 0
    if sides is not None:
        gaps = sides.gaps(goal.axes, goal.centres)
        deep = gaps.clamp(max=0) * wishes.no_collisions
        total = total + deep.square().sum() + (gaps.clamp_min(0) * (beside & (gaps < CLOSED_MM))).square().sum()
    if wishes.keep_width:
        for pair in _across(before):
            total = total + (_width(goal, pair) - _width(before, pair)).square().sum()
    if wishes.midline_mm is not None:
        line = _midline(before, (11, 21)) + wishes.midline_mm
        for teeth in ((11, 21), (41, 31)):
            total = total + 2 * (_midline(goal, teeth) - line).nan_to_num().square().sum()
    return total


def _across(teeth: Teeth) -> list[tuple[int, int]]:
    pairs = [(13, 23), (16, 26), (43, 33), (46, 36)]
    slots = [(anatomy.slot_of(a), anatomy.slot_of(b)) for a, b in pairs]
    return [pair for pair in slots if bool(teeth.present[:, pair].all())]


def _width(teeth: Teeth, pair: tuple[int, int]) -> Tensor:
    return (teeth.centres[:, pair[0]] - teeth.centres[:, pair[1]]).norm(dim=-1)


def _midline(teeth: Teeth, pair: tuple[int, int]) -> Tensor:
    """x (B,) of the middle between two teeth's edges, NaN where one is missing."""
    slots = [anatomy.slot_of(fdi) for fdi in pair]
    place = keys.edges(teeth)[:, slots, 0].mean(1)
    return place.masked_fill(~teeth.present[:, slots].all(1), float("nan"))
