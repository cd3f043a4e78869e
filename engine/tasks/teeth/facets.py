"""What the networks see of a crown's mesh: its triangles gathered to facets, as many for every crown.

A facet is the triangles that are nearest to one of FACETS evenly spread ones. It tells by ten numbers what MeshMAE
(Liang et al., 2022) tells of a triangle: where it is, where it faces, how large it is, and how it bends towards its
three neighbours. Gathering depends little on how finely a scan is meshed.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.tasks.teeth import even

FACETS, NUMBERS = 96, 10
"""Facets per crown, about 2 mm2 each; numbers: centre (3) mm, unit normal (3), area mm2, curvatures (3) 1/mm."""
_ROUND = 3
_MOST_BENT = 2.0


def owners(vertices: np.ndarray, faces: np.ndarray, up: int = 2, sign: float = 1.0) -> np.ndarray:
    """Which facet (F,) each triangle belongs to; FACETS for the base by which crowns are closed, and for empty ones.

    The facets are in the order of their choice: the first few are spread as evenly over the crown as all of them.
    """
    across, middle = _measured(vertices, faces)
    size = np.linalg.norm(across, axis=-1)
    height = middle[:, up] * sign
    base = (across[:, up] * sign < -0.7 * size) & (height < np.quantile(height, 0.3))
    shown = np.flatnonzero(~base & (size > 0))
    if not len(shown):
        return np.full(len(faces), FACETS)
    seeds = middle[even.spread(middle, shown, FACETS)]
    found = np.full(len(faces), FACETS)
    found[shown] = torch.cdist(*(torch.from_numpy(np.ascontiguousarray(v)) for v in (middle[shown], seeds)),
                               compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    return found


def facets(vertices: np.ndarray, faces: np.ndarray, owner: np.ndarray) -> Tensor:
    """Facets (B, FACETS, NUMBERS) of crowns (B, V, 3) of one kind, mm; zeros where no triangle belongs to one."""
    across, middle = (torch.from_numpy(np.float32(v)) for v in _measured(vertices, faces))
    area = across.norm(dim=-1, keepdim=True) / 2
    sums = torch.zeros(len(vertices), FACETS + 1, 7).index_add_(
        1, torch.from_numpy(owner), torch.cat((area * middle, across, area), -1))[:, :FACETS]
    size = sums[..., 6:]
    centre, normal = sums[..., :3] / size.clamp_min(1e-9), F.normalize(sums[..., 3:6], dim=-1)
    return torch.cat((centre, normal, size, _curvatures(centre, normal, size)), -1) * (size > 0)


def turned(values: Tensor, change: Tensor) -> Tensor:
    """Facets (B, 32, F, NUMBERS) after p -> p @ change, (B, 32, 3, 3)."""
    return torch.cat((values[..., :3] @ change, values[..., 3:6] @ change, values[..., 6:]), -1)


def scaled(values: Tensor, scale: Tensor) -> Tensor:
    """Facets (B, 32, F, NUMBERS) of teeth as many times larger, (B, 32)."""
    scale = scale[..., None, None]
    return torch.cat((values[..., :3] * scale, values[..., 3:6], values[..., 6:7] * scale**2, values[..., 7:] / scale),
                     -1)


def _measured(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (..., F, 3) as long as twice the areas, and middles, of triangles."""
    corner = vertices[..., faces, :]
    across = np.cross(corner[..., 1, :] - corner[..., 0, :], corner[..., 2, :] - corner[..., 0, :])
    return across, corner.mean(-2)


def _curvatures(centre: Tensor, normal: Tensor, size: Tensor) -> Tensor:
    """Normal curvatures (B, F, 3) towards the three nearest facets in ascending order, positive where convex."""
    apart = torch.cdist(centre, centre).masked_fill(size.transpose(-1, -2) <= 0, torch.inf)
    near = apart.topk(1 + _ROUND, dim=-1, largest=False).indices
    index = near[..., 1:].flatten(1)[..., None].expand(-1, -1, 3)
    way, bend = (v.gather(1, index).unflatten(1, (-1, _ROUND)) - v[:, :, None] for v in (centre, normal))
    bent = (way * bend).sum(-1) / way.square().sum(-1).clamp_min(1e-3)
    return bent.nan_to_num().clamp(-_MOST_BENT, _MOST_BENT).sort(-1).values
