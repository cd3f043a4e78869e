"""Rigid motions of teeth. A motion turns a tooth about its centre and puts the centre somewhere else:

    p_after = (p_before - centre_before) R + centre_after

with points as rows, so R acts from the right (the convention of TADPM, Lei et al., 2024, and of PyTorch3D).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def to_six(rotation: Tensor) -> Tensor:
    """The first two rows of rotations (..., 3, 3) as (..., 6) (Zhou et al., 2019)."""
    return rotation[..., :2, :].flatten(-2)


def from_six(six: Tensor) -> Tensor:
    """Rotations (..., 3, 3) from two rows (..., 6) that are not parallel, by Gram and Schmidt."""
    first, second = six.unflatten(-1, (2, 3)).unbind(-2)
    first = F.normalize(first, dim=-1)
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack((first, second, torch.linalg.cross(first, second)), -2)


def from_vector(vector: Tensor) -> Tensor:
    """Rotations (..., 3, 3) by |vector| radians about vectors (..., 3), for rows (Rodrigues)."""
    skew = torch.zeros(*vector.shape[:-1], 3, 3, dtype=vector.dtype, device=vector.device)
    x, y, z = vector.unbind(-1)
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = z, -y, x
    skew = skew - skew.transpose(-1, -2)
    angle = vector.norm(dim=-1)[..., None, None]
    sine, versine = torch.sinc(angle / torch.pi), torch.sinc(angle / (2 * torch.pi)).square() / 2
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + sine * skew + versine * skew @ skew


def to_vector(rotation: Tensor) -> Tensor:
    """Axis times angle (..., 3) in radians, the inverse of `from_vector` for angles below pi."""
    angle = angle_rad(rotation)[..., None]
    odd = (rotation - rotation.transpose(-1, -2)) / 2
    axis = torch.stack((odd[..., 1, 2], odd[..., 2, 0], odd[..., 0, 1]), -1)
    return axis * torch.where(angle > 1e-6, angle / torch.sin(angle).clamp_min(1e-9), torch.ones_like(angle))


def angle_rad(rotation: Tensor, other: Tensor | None = None) -> Tensor:
    """Angle (...) between rotations, or of one rotation (..., 3, 3), in radians.

    From the chord |R - S| = 2 sqrt(2) sin(angle / 2), which is exact for small angles where the arc cosine is not.
    """
    other = torch.eye(3, dtype=rotation.dtype, device=rotation.device) if other is None else other
    chord = (rotation - other).flatten(-2).norm(dim=-1) / 8**0.5
    return 2 * torch.asin(chord.clamp(max=1.0))


def local_rotation(turn: Tensor, tip: Tensor, lean: Tensor) -> Tensor:
    """A tooth's new axes in terms of its old ones, (..., 3, 3): first turned, then tipped, then leaned (radians).

    Axes are rows (mesial, buccal, occlusal); new = local_rotation @ old. turn > 0: the mesial side moves towards the
    cheek; tip > 0: the crown leans mesially; lean > 0: the crown leans to the cheek (torque).
    """
    one, zero = torch.ones_like(turn), torch.zeros_like(turn)

    def matrix(*rows: tuple[Tensor, ...]) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    turned = matrix((turn.cos(), turn.sin(), zero), (-turn.sin(), turn.cos(), zero), (zero, zero, one))
    tipped = matrix((tip.cos(), zero, -tip.sin()), (zero, one, zero), (tip.sin(), zero, tip.cos()))
    leaned = matrix((one, zero, zero), (zero, lean.cos(), -lean.sin()), (zero, lean.sin(), lean.cos()))
    return leaned @ tipped @ turned


def local_angles(rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(turn, tip, lean) of `local_rotation`, radians, each (...); tip within a quarter turn."""
    tip = torch.asin((-rotation[..., 0, 2]).clamp(-1, 1))
    turn = torch.atan2(rotation[..., 0, 1], rotation[..., 0, 0])
    lean = torch.atan2(-rotation[..., 1, 2], rotation[..., 2, 2])
    return turn, tip, lean


def kabsch(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rigid motion that carries points onto corresponding ones best: (R, centre before, centre after).

    before, after: (..., P, 3). R (..., 3, 3) is a proper rotation; centres (..., 3) (Kabsch, 1976).
    """
    centre, target = before.mean(-2), after.mean(-2)
    product = (before - centre[..., None, :]).transpose(-1, -2) @ (after - target[..., None, :])
    return nearest_rotation(product), centre, target


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The proper rotation (..., 3, 3) with the largest inner product with a matrix; also the mean of summed ones."""
    u, _, v = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., 2] = torch.linalg.det(u @ v)
    return (u * sign[..., None, :]) @ v
