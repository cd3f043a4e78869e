"""What orthodontists measure in a dentition, and Andrews' six keys of normal occlusion (1972) as yes or no.

All lengths in mm, angles in degrees, one value per patient (B,) or tooth (B, 32); NaN where the teeth are missing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.tasks.teeth import anatomy, contacts, rigid
from engine.tasks.teeth.arches import jaw_curves
from engine.tasks.teeth.dentition import Teeth

LIMITS = {"molar relation mm": 1.5, "rotation deg": 5.0, "contact mm": 0.3, "tip deg": -1.0, "spee mm": 1.5}
"""Farthest from the ideal that still counts. Andrews gives no tolerance but for the curve of Spee; those of rotation
and molar relation allow for the error of a tooth's axes and cusps found from its surface."""
_EDGE_SAMPLES = 6


def edges(teeth: Teeth) -> Tensor:
    """The incisal or highest point (B, 32, 3) of each crown: the mean of its few most occlusal samples."""
    surface = teeth.surface
    return _highest(surface, surface[..., 1] * _occlusal()[:, None])


def mesiobuccal_cusp(teeth: Teeth) -> Tensor:
    """Tip of the mesiobuccal cusp (B, 32, 3) of molars: the highest samples of that quarter of the crown."""
    inside = (teeth.points[..., 0] > 0.1) & (teeth.points[..., 1] > 0.1)
    return _highest(teeth.surface, teeth.points[..., 2].masked_fill(~inside, -99.0))


def _highest(surface: Tensor, level: Tensor) -> Tensor:
    top = level.topk(_EDGE_SAMPLES, dim=-1).indices
    return surface.gather(-2, top[..., None].expand(*top.shape, 3)).mean(-2)


def _occlusal() -> Tensor:
    return torch.tensor(anatomy.OCCLUSAL, dtype=torch.float32)


def overjet_overbite(teeth: Teeth) -> tuple[Tensor, Tensor]:
    """How far the upper central incisors' edges stand before and below the lower ones', (B,) each."""
    points = edges(teeth)
    upper, lower = (_mean(points, teeth.present, fdi) for fdi in ((11, 21), (41, 31)))
    return upper[:, 2] - lower[:, 2], lower[:, 1] - upper[:, 1]


def midline_shift(teeth: Teeth) -> Tensor:
    """How far the lower midline is to the patient's left of the upper one, (B,)."""
    points = edges(teeth)
    return (_mean(points, teeth.present, (41, 31)) - _mean(points, teeth.present, (11, 21)))[:, 0]


def molar_class(teeth: Teeth) -> Tensor:
    """How far each upper first molar is mesial of its place, (B, 2), right and left: Class II > 0, III < 0.

    The mesiobuccal cusp of the upper molar belongs over the groove between the first two buccal cusps of the lower one,
    which is a quarter of the half width mesial of that crown's middle.
    """
    cusps, found = mesiobuccal_cusp(teeth), []
    for upper, lower in ((16, 46), (26, 36)):
        u, low = anatomy.slot_of(upper), anatomy.slot_of(lower)
        mesial, distal = (reach[:, low] for reach in teeth.widths())
        groove = (mesial - distal) / 2 + 0.23 * (mesial + distal) / 2
        forward = torch.nn.functional.normalize(teeth.axes[:, low, 0] * torch.tensor([1.0, 0.0, 1.0]), dim=-1)
        offset = ((cusps[:, u] - teeth.centres[:, low]) * forward).sum(-1) - groove
        found.append(offset.masked_fill(~(teeth.present[:, u] & teeth.present[:, low]), float("nan")))
    return torch.stack(found, 1)


def bolton(teeth: Teeth) -> tuple[Tensor, Tensor]:
    """Lower over upper sum of crown widths in per cent: of the six front teeth, of the twelve to the first molars.

    Norms 77.2 +- 1.65 and 91.3 +- 1.91 (Bolton, 1958).
    """
    mesial, distal = teeth.widths()
    width = torch.where(teeth.present, mesial + distal, torch.nan)
    return tuple(100 * _summed(width, False, last) / _summed(width, True, last) for last in (3, 6))


def _summed(width: Tensor, upper: bool, last: int) -> Tensor:
    return width[:, torch.from_numpy((upper == anatomy.UPPER) & (last >= anatomy.POSITION))].sum(1)


def little_index(teeth: Teeth) -> tuple[Tensor, Tensor]:
    """Little's irregularity index (1975) of the upper and the lower front teeth, (B,) each.

    The sum over the five contacts from canine to canine of the distance in the occlusal plane between the two contact
    points; 0 to 1 mm is perfect, above 7 severe.
    """
    mesial, distal = teeth.widths()
    flat = torch.tensor([1.0, 0.0, 1.0])
    point = {"mesial": teeth.centres + teeth.axes[..., 0, :] * mesial[..., None],
             "distal": teeth.centres - teeth.axes[..., 0, :] * distal[..., None]}
    sums = []
    for chain in (((13, 12), (12, 11), (21, 22), (22, 23)), ((43, 42), (42, 41), (31, 32), (32, 33))):
        total = _apart(point["mesial"], point["mesial"], chain[1][1], chain[2][0], teeth.present, flat)
        for first, second in chain:
            ends = ("mesial", "distal") if first % 10 > second % 10 else ("distal", "mesial")
            total = total + _apart(point[ends[0]], point[ends[1]], first, second, teeth.present, flat)
        sums.append(total)
    return sums[0], sums[1]


def _apart(a: Tensor, b: Tensor, first: int, second: int, present: Tensor, flat: Tensor) -> Tensor:
    one, other = anatomy.slot_of(first), anatomy.slot_of(second)
    distance = ((a[:, one] - b[:, other]) * flat).norm(dim=-1)
    return distance.masked_fill(~(present[:, one] & present[:, other]), float("nan"))


def spee_mm(teeth: Teeth) -> Tensor:
    """Depth (B,) of the curve of Spee: how far lower premolars and first molars lie below the line from the central
    incisors' edges to the second molars' cusps, the deepest of them; negative for a reversed curve."""
    points, depth = edges(teeth), []
    for quadrant in (4, 3):
        front, back = (points[:, anatomy.slot_of(10 * quadrant + place)] for place in (1, 7))
        for place in (4, 5, 6):
            middle = points[:, anatomy.slot_of(10 * quadrant + place)]
            share = (front[:, 2] - middle[:, 2]) / (front[:, 2] - back[:, 2])
            line = front[:, 1] + share * (back[:, 1] - front[:, 1])
            known = teeth.present[:, [anatomy.slot_of(10 * quadrant + p) for p in (1, place, 7)]].all(1)
            depth.append((line - middle[:, 1]).masked_fill(~known, float("nan")))
    stacked = torch.stack(depth, 1)
    return torch.where(stacked.isnan(), -torch.inf, stacked).amax(1).nan_to_num(neginf=float("nan"))


def angles_deg(teeth: Teeth) -> tuple[Tensor, Tensor, Tensor]:
    """(rotation, tip, lean) of each tooth (B, 32) against its arch: its axes against the curve's direction there."""
    plain = arch_axes(teeth)
    return tuple(torch.rad2deg(v) for v in rigid.local_angles(teeth.axes @ plain.transpose(-1, -2)))


def arch_axes(teeth: Teeth) -> Tensor:
    """Axes (B, 32, 3, 3) of teeth that stand upright and unrotated on their arch where these teeth are."""
    curves = jaw_curves(teeth.centres, teeth.present)
    parts = []
    for curve, upper in zip(curves, (True, False)):
        slots = torch.from_numpy(upper == anatomy.UPPER)
        arc = curve.length_to(teeth.centres[:, slots, 0])
        parts.append(upright(curve.at(arc)[1], slots))
    return torch.cat(parts, 1)


def upright(direction: Tensor, slots: Tensor) -> Tensor:
    """Axes (B, K, 3, 3) of upright teeth on an arch. direction (B, K, 2): (x, z) along it, to the patient's left."""
    side = torch.tensor(anatomy.SIDE, dtype=torch.float32)[slots]
    right, forward = direction.unbind(-1)
    zero = torch.zeros_like(right)
    mesial = torch.stack((-right * side, zero, -forward * side), -1)
    buccal = torch.stack((-forward, zero, right), -1)
    occlusal = torch.stack((zero, _occlusal()[slots].expand_as(zero), zero), -1)
    return torch.stack((mesial, buccal, occlusal), -2)


def torque_deg(teeth: Teeth) -> Tensor:
    """Andrews' inclination (B, 32): of the buccal face at mid-crown, > 0 where its gum end is the more lingual one."""
    height = teeth.points[..., 2]
    low, high = height.amin(-1, keepdim=True), height.amax(-1, keepdim=True)
    level = (height - low) / (high - low).clamp_min(1e-6)
    facing = teeth.normals[..., 1] > 0.75
    weight = (facing & (level > 0.35) & (level < 0.75)).float()
    normal = (teeth.surface_normals * weight[..., None]).sum(-2) / weight.sum(-1, keepdim=True).clamp_min(1)
    normal = torch.nn.functional.normalize(normal, dim=-1)
    return torch.rad2deg(-torch.asin((normal[..., 1] * _occlusal()).clamp(-1, 1)))


def six_keys(teeth: Teeth) -> Mapping[str, Tensor]:
    """Each key by name: (B,) bool. A key counts as met where the teeth that it needs are missing."""
    rotation, tip, _ = angles_deg(teeth)
    torque = torque_deg(teeth)
    pairs = torch.from_numpy(anatomy.neighbours())
    contact = contacts.gaps(teeth, pairs)
    both = teeth.present[:, pairs[:, 0]] & teeth.present[:, pairs[:, 1]]
    counted = teeth.present & ~torch.from_numpy(anatomy.WISDOM)
    return {
        "molar relation": ~(molar_class(teeth).abs() > LIMITS["molar relation mm"]).any(1),
        "tip": _share((tip > LIMITS["tip deg"]), counted) >= 0.9,
        "torque": _torques(torque, teeth.present),
        "no rotations": _share(rotation.abs() <= LIMITS["rotation deg"], counted) >= 0.9,
        "tight contacts": ~((contact.abs() > LIMITS["contact mm"]) & both).any(1),
        "flat curve of Spee": ~(spee_mm(teeth) > LIMITS["spee mm"]),
    }


def _torques(torque: Tensor, present: Tensor) -> Tensor:
    """Upper incisors lean outwards, more than upper back teeth, which lean inwards, lower ones more to the back."""
    def mean(upper: bool, first: int, last: int) -> Tensor:
        wanted = (upper == anatomy.UPPER) & (first <= anatomy.POSITION) & (last >= anatomy.POSITION)
        kept = present & torch.from_numpy(wanted)
        return (torque * kept).sum(1) / kept.sum(1)

    incisors, upper_back = mean(True, 1, 2), mean(True, 4, 7)
    lower_front, premolars, molars = mean(False, 1, 3), mean(False, 4, 5), mean(False, 6, 7)
    return ~(incisors <= upper_back) & ~(upper_back >= 0) & ~(lower_front <= premolars) & ~(premolars <= molars - 2)


def _share(good: Tensor, counted: Tensor) -> Tensor:
    return (good & counted).sum(1) / counted.sum(1).clamp_min(1)


def _mean(points: Tensor, present: Tensor, teeth: tuple[int, ...]) -> Tensor:
    """Mean place (B, 3) of those of the teeth that are present, NaN without any."""
    slots = [anatomy.slot_of(fdi) for fdi in teeth]
    kept = present[:, slots, None]
    return (points[:, slots] * kept).sum(1) / kept.sum(1)
