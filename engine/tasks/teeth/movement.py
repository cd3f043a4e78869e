"""What each tooth does, in the words of orthodontists: millimetres and degrees in the tooth's own axes."""

import torch
from torch import Tensor

from engine.tasks.teeth import rigid
from engine.tasks.teeth.dentition import Motion, Teeth

QUANTITIES = {"mesial": "mm", "buccal": "mm", "occlusal": "mm", "rotation": "deg", "tip": "deg", "torque": "deg",
              "total mm": "mm", "total deg": "deg"}
"""Names and units. mesial, buccal, occlusal (extrusion): where the crown's centre goes. rotation > 0: about the long
axis, the mesial side to the cheek; tip > 0: the crown leans mesially; torque > 0: it leans to the cheek or lip; these
three one after the other, in this order. The totals: length of the shift, angle of the turn."""


def movement(teeth: Teeth, motion: Motion) -> Tensor:
    """The `QUANTITIES` (B, 32, 8) of motions (B, 32) of teeth (1 or B patients); both sides of the mouth are alike."""
    shift = motion.centre - teeth.centres
    own = (shift[..., None, :] @ teeth.axes.transpose(-1, -2))[..., 0, :]
    angles = torch.stack(rigid.local_angles(teeth.axes @ motion.rotation @ teeth.axes.transpose(-1, -2)), -1)
    totals = shift.norm(dim=-1), torch.rad2deg(rigid.angle_rad(motion.rotation))
    return torch.cat((own, torch.rad2deg(angles), torch.stack(totals, -1)), -1)


def motion_of(teeth: Teeth, quantities: Tensor) -> Motion:
    """The motion that has these quantities (B, 32, 6 or more): the inverse of `movement`, without the totals."""
    local = rigid.local_rotation(*torch.deg2rad(quantities[..., 3:6]).unbind(-1))
    shift = (quantities[..., None, :3] @ teeth.axes)[..., 0, :]
    return Motion(teeth.axes.transpose(-1, -2) @ local @ teeth.axes, teeth.centres + shift)


def matrices(teeth: Teeth, motion: Motion) -> Tensor:
    """Motions as (B, 32, 4, 4) float32 that act on columns: p_after = M p_before, in mm."""
    turn = motion.rotation.transpose(-1, -2)
    shift = motion.centre - (turn @ teeth.centres[..., None])[..., 0]
    found = torch.eye(4).repeat(*shift.shape[:-1], 1, 1)
    found[..., :3, :3], found[..., :3, 3] = turn, shift
    return found
