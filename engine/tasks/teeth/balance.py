"""Crowns of both jaws that fit each other: Bolton's ratios brought to what a normal occlusion needs."""

from dataclasses import replace

import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.teeth import anatomy, facets, keys
from engine.tasks.teeth.dentition import Teeth

NORMS = (77.6, 91.3)
SPREADS = (1.0, 0.8)
"""Mean and standard deviation of the two ratios, per cent: narrower than among all people (1.65 and 1.91; Bolton,
1958), because without a match of the widths no arrangement satisfies the six keys."""


def matched(teeth: Teeth, rng: Generator) -> Teeth:
    """The lower crowns scaled, front and back separately, so that both ratios are drawn from the norms."""
    front, whole = (torch.from_numpy(rng.normal(norm, spread, len(teeth))).float()
                    for norm, spread in zip(NORMS, SPREADS))
    mesial, distal = teeth.widths()
    width = mesial + distal
    front_now, _ = keys.bolton(teeth)
    lower_front, upper_whole = _sum(width, False, 1, 3), _sum(width, True, 1, 6)
    front_scale = front / front_now
    back_scale = (whole / 100 * upper_whole - front_scale * lower_front) / _sum(width, False, 4, 6)
    scale = torch.ones(len(teeth), 32)
    scale[:, torch.from_numpy(~anatomy.UPPER & anatomy.ANTERIOR)] = front_scale[:, None]
    scale[:, torch.from_numpy(~anatomy.UPPER & ~anatomy.ANTERIOR)] = back_scale[:, None]
    vertices = None if teeth.vertices is None else teeth.vertices * scale[..., None, None]
    return replace(teeth, points=teeth.points * scale[..., None, None], area=teeth.area * scale**2, vertices=vertices,
                   facets=None if teeth.facets is None else facets.scaled(teeth.facets, scale))


def _sum(width: Tensor, upper: bool, first: int, last: int) -> Tensor:
    wanted = (upper == anatomy.UPPER) & (first <= anatomy.POSITION) & (last >= anatomy.POSITION)
    return width[:, torch.from_numpy(wanted)].sum(1)
