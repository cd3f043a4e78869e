"""The own axes of teeth whose axes nobody gave: average crowns laid over their surfaces."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, facets, keys, procedural, rigid, sampled
from engine.tasks.teeth.dentition import Teeth

_ROUNDS = 8
_SAMPLES = 96
_NORMAL_MM = 2.0
_AT_ONCE = 64
START_DEG = 6.0
"""How far from the truth the search starts for invented patients, each way: as for teeth in a crooked arch."""


def fitted(teeth: Teeth) -> Teeth:
    """The same teeth in axes found from their surfaces: the search starts from the norms at their place in the arch.

    `teeth.axes` may be anything; only `surface` counts. How teeth are described does not change where they are. The
    error is about 4 degrees for invented crowns and 9 for those of the statistical model, most of which is the same for
    all crowns of a kind: their shape differs from the average crown's.
    """
    norm = rigid.local_rotation(torch.zeros(32), *(torch.deg2rad(torch.tensor(v, dtype=torch.float32))
                                                   for v in (anatomy.TIP_DEG, anatomy.LEAN_DEG)))
    return described(teeth, registered(teeth, norm @ keys.arch_axes(teeth)))


def told(teeth: Teeth, rng: Generator) -> Tensor:
    """Axes (B, 32, 3, 3) that `fitted` would find for crooked teeth of these patients, relative to the true ones.

    Found from starts that are off by `START_DEG` each way, so it need not be repeated for every malocclusion.
    """
    off = torch.from_numpy(np.deg2rad(rng.normal(0, START_DEG, (len(teeth), 32, 3)))).float()
    found = registered(teeth, rigid.local_rotation(*off.unbind(-1)) @ teeth.axes)
    return found @ teeth.axes.transpose(-1, -2)


def described(teeth: Teeth, axes: Tensor) -> Teeth:
    """The same teeth in the same places, described in other axes (B, 32, 3, 3)."""
    change = teeth.axes @ axes.transpose(-1, -2)
    vertices = None if teeth.vertices is None else teeth.vertices @ change
    surface = None if teeth.facets is None else facets.turned(teeth.facets, change)
    return replace(teeth, points=teeth.points @ change, normals=teeth.normals @ change, axes=axes, vertices=vertices,
                   facets=surface)


def registered(teeth: Teeth, start: Tensor) -> Tensor:
    """Axes (B, 32, 3, 3) in which the surfaces lie best on average crowns of their size (iterated closest points)."""
    parts = [slice(k, k + _AT_ONCE) for k in range(0, len(teeth), _AT_ONCE)]
    return torch.cat([_registered(teeth[part], start[part]) for part in parts])


def _registered(teeth: Teeth, start: Tensor) -> Tensor:
    target, target_normals = _template()
    points, normals = (v[:, :, :_SAMPLES] @ teeth.axes for v in (teeth.points, teeth.normals))
    size = _extent(points @ start.transpose(-1, -2)) / _extent(target)
    target, axes = target * size[..., None, :], start
    there = torch.cat((target, _NORMAL_MM * target_normals.expand_as(target)), -1)
    for _ in range(_ROUNDS):
        turn = axes.transpose(-1, -2)
        placed = points @ turn
        near = torch.cdist(torch.cat((placed, _NORMAL_MM * normals @ turn), -1), there).min(-1).indices
        goal = target.gather(-2, near[..., None].expand_as(placed))
        axes = rigid.kabsch(placed, goal)[0].transpose(-1, -2) @ axes
    return torch.where(teeth.present[..., None, None], axes, start)


@lru_cache(maxsize=1)
def _template() -> tuple[Tensor, Tensor]:
    """Samples (32, P, 3) of the average crowns in own axes and their normals: not the vertices that others sample."""
    model, rng = procedural.average(), np.random.default_rng(0)
    drawn = [sampled.drawn(model.vertices[0, slot].double().numpy(), model.faces[slot], 2, rng) for slot in range(32)]
    points, normals = (torch.tensor(np.stack(v), dtype=torch.float32) for v in zip(*(d[:2] for d in drawn)))
    return points, normals


def _extent(points: Tensor) -> Tensor:
    return points.square().mean(-2).sqrt().clamp_min(1e-3)
