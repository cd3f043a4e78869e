"""How near an arrangement is to the true one, and how sound it is by itself.

All take `result` and `truth`, the same teeth (B patients) in two arrangements, and give one value per patient (B,).
Lengths in mm, angles in degrees; only present teeth count.
"""

import torch
from torch import Tensor

from engine.tasks.teeth import anatomy, arches, contacts, rigid
from engine.tasks.teeth.dentition import Motion, Teeth

_ALONG = 100
TOLERATED_MM = 0.15
"""Overlap that the surface samples cannot tell from contact."""


def add_mm(result: Teeth, truth: Teeth) -> Tensor:
    """ADD: mean distance of corresponding surface samples, averaged over teeth."""
    return _mean((result.surface - truth.surface).norm(dim=-1).mean(-1), truth.present)


def aligned_add_mm(result: Teeth, truth: Teeth) -> Tensor:
    """PA-ADD: the same after the whole result has been laid over the truth, rigidly (Procrustes without scale)."""
    weight = truth.present[..., None, None].float()
    total = weight.sum((1, 2)) * truth.points.shape[2]
    mine, theirs = ((weight * v.surface).sum((1, 2)) / total for v in (result, truth))
    a, b = result.surface - mine[:, None, None], truth.surface - theirs[:, None, None]
    turn = rigid.nearest_rotation((weight * a).flatten(1, 2).transpose(1, 2) @ b.flatten(1, 2))
    return _mean((a @ turn[:, None] - b).norm(dim=-1).mean(-1), truth.present)


def axes_cosine(result: Teeth, truth: Teeth) -> Tensor:
    """CSA: mean cosine between the teeth's own axes in both arrangements; 1 is perfect. Our reading: the paper's exact
    definition is not public."""
    return _mean((result.axes * truth.axes).sum(-1).mean(-1), truth.present)


def rotation_error_deg(result: Teeth, truth: Teeth) -> Tensor:
    """Mean angle between a tooth's orientations in both arrangements."""
    return _mean(torch.rad2deg(rigid.angle_rad(result.axes, truth.axes)), truth.present)


def arch_distance_mm(result: Teeth, truth: Teeth) -> Tensor:
    """Mean distance in the occlusal plane of the quartic curves through the teeth's centres, mean of both jaws.

    Taken at 100 points each, by arc length from the first to the last tooth. Our reading: the paper's exact formula is
    not public.
    """
    found = []
    curves = zip(arches.jaw_curves(result.centres, result.present), arches.jaw_curves(truth.centres, truth.present))
    for (mine, theirs), jaw in zip(curves, (anatomy.UPPER, ~anatomy.UPPER)):
        slots = torch.from_numpy(jaw)
        found.append((_points(mine, result, slots) - _points(theirs, truth, slots)).norm(dim=-1).mean(1))
    return (found[0] + found[1]) / 2


def _points(curve: arches.Quartic, teeth: Teeth, slots: Tensor) -> Tensor:
    arc = curve.length_to(teeth.centres[:, slots, 0])
    present = teeth.present[:, slots]
    first = arc.masked_fill(~present, torch.inf).amin(1, keepdim=True)
    last = arc.masked_fill(~present, -torch.inf).amax(1, keepdim=True)
    return curve.at(first + (last - first) * torch.linspace(0, 1, _ALONG))[0]


def collision_mm3(teeth: Teeth) -> Tensor:
    """Volume that teeth share, neighbours up to two places away and opposite teeth."""
    pairs = torch.from_numpy(anatomy.touching_pairs())
    return contacts.overlap_mm3(teeth, pairs).sum(1)


def collisions(teeth: Teeth) -> Tensor:
    """Number of pairs of teeth that overlap by more than TOLERATED_MM."""
    pairs = torch.from_numpy(anatomy.touching_pairs())
    return (contacts.gaps(teeth, pairs) < -TOLERATED_MM).sum(1).float()


def contact_error_mm(teeth: Teeth) -> Tensor:
    """Mean absolute gap or overlap of neighbours, gaps counted up to 5 mm."""
    pairs = torch.from_numpy(anatomy.neighbours())
    both = teeth.present[:, pairs[:, 0]] & teeth.present[:, pairs[:, 1]]
    return _mean(contacts.gaps(teeth, pairs).abs(), both)


def mean_motion(motions: list[Motion]) -> Motion:
    """The mean of several motions of the same teeth: of the centres, and the nearest rotation to the mean matrix."""
    return Motion(rigid.nearest_rotation(torch.stack([m.rotation for m in motions]).mean(0)),
                  torch.stack([m.centre for m in motions]).mean(0))


def spread(motions: list[Motion]) -> tuple[Tensor, Tensor]:
    """How far the samples lie from their mean, root mean square per tooth: mm (B, 32) and degrees (B, 32)."""
    mean = mean_motion(motions)
    away = torch.stack([(m.centre - mean.centre).square().sum(-1) for m in motions]).mean(0).sqrt()
    turn = torch.stack([rigid.angle_rad(m.rotation, mean.rotation).square() for m in motions]).mean(0).sqrt()
    return away, torch.rad2deg(turn)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, values, 0.0).sum(1) / counted.sum(1).clamp_min(1)
