"""How far apart neighbouring teeth are, and how deep they reach into each other, from samples of their surfaces.

The signed distance of a point to a tooth is its distance to the tangent plane at the nearest sample; with samples every
millimetre that is exact to about 0.1 mm near a contact. All of it is differentiable.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.tasks.teeth.dentition import Teeth

FACING = 48
"""Samples per tooth that are looked at: those nearest to the other tooth."""
FAR_MM = 5.0
"""A gap that is not smaller counts as this."""
_SPACING_MM = 1.3
"""No point of a crown is farther from its nearest sample."""
_AT_ONCE = 64


@dataclass(frozen=True)
class Facing:
    """The samples of K pairs of teeth that face each other, in own axes: for the first and the second of each pair.

    points, normals: pairs of (B, K, F, 3); area: pairs of (B, K) mm2 per sample; both (B, K) bool: neither is absent.
    """

    slots: tuple[Tensor, Tensor]
    points: tuple[Tensor, Tensor]
    normals: tuple[Tensor, Tensor]
    area: tuple[Tensor, Tensor]
    both: Tensor

    def heights(self, axes: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distances (B, K, F) in mm of each tooth's samples to the other, negative inside; teeth as posed.

        axes (B, 32, 3, 3), centres (B, 32, 3) mm. Pairs with an absent tooth are FAR_MM apart.
        """
        turn = [axes[:, slots] for slots in self.slots]
        first, second = (points @ own + centres[:, slots, None]
                         for points, own, slots in zip(self.points, turn, self.slots))
        normal_first, normal_second = (normals @ own for normals, own in zip(self.normals, turn))
        with torch.no_grad():
            distance = torch.cdist(first, second)
            nearest_second, nearest_first = (distance.min(axis).indices for axis in (-1, -2))
        absent = ~self.both[..., None]
        return (_over(first, _taken(second, nearest_second), _taken(normal_second, nearest_second))
                .masked_fill(absent, FAR_MM),
                _over(second, _taken(first, nearest_first), _taken(normal_first, nearest_first))
                .masked_fill(absent, FAR_MM))

    def gaps(self, axes: Tensor, centres: Tensor) -> Tensor:
        """Smallest signed distance (B, K) of each pair in mm: positive a gap, negative how deep they overlap."""
        a, b = self.heights(axes, centres)
        return torch.minimum(a.amin(-1), b.amin(-1)).clamp(max=FAR_MM)

    def overlap_mm3(self, axes: Tensor, centres: Tensor) -> Tensor:
        """Volume (B, K) that each pair shares: depth times area over the samples inside, mean of both sides."""
        sums = [heights.clamp(max=0).sum(-1) * area for heights, area in zip(self.heights(axes, centres), self.area)]
        return -(sums[0] + sums[1]) / 2


def facing(teeth: Teeth, pairs: Tensor, count: int = FACING) -> Facing:
    """The `count` samples of each tooth that lie farthest towards the other one, for pairs of slots (K, 2)."""
    first, second = pairs.unbind(-1)
    between = teeth.centres[:, second] - teeth.centres[:, first]
    count = min(count, teeth.points.shape[-2])
    order = [_farthest(teeth.points[:, slots], _own(teeth.axes[:, slots], way), count)
             for slots, way in ((first, between), (second, -between))]
    chosen = list(zip((first, second), order))
    return Facing((first, second), *(tuple(_taken(values[:, slots], index) for slots, index in chosen)
                                     for values in (teeth.points, teeth.normals)),
                  (teeth.area[:, first], teeth.area[:, second]), teeth.present[:, first] & teeth.present[:, second])


@torch.no_grad()
def near(teeth: Teeth, pairs: Tensor, reach_mm: float = 1.0, count: int = 16) -> Tensor:
    """Those of the pairs (K, 2) that come within `reach_mm` in any patient, and at least the nearest one.

    Told from few samples of each tooth.
    """
    apart = facing(teeth, pairs, count).gaps(teeth.axes, teeth.centres).amin(0)
    return pairs[apart <= apart.amin().clamp_min(reach_mm)]


def gaps(teeth: Teeth, pairs: Tensor) -> Tensor:
    """`Facing.gaps` of teeth as they stand, (B, K)."""
    return torch.cat([facing(part, pairs).gaps(part.axes, part.centres) for part in _portions(teeth)])


def overlap_mm3(teeth: Teeth, pairs: Tensor) -> Tensor:
    """`Facing.overlap_mm3` of teeth as they stand, (B, K)."""
    return torch.cat([facing(part, pairs).overlap_mm3(part.axes, part.centres) for part in _portions(teeth)])


def _portions(teeth: Teeth) -> Iterator[Teeth]:
    """At most so many patients at once: the distances of 64 take 20 MB."""
    for start in range(0, len(teeth), _AT_ONCE):
        yield teeth[start:start + _AT_ONCE] if len(teeth) > _AT_ONCE else teeth


def _own(axes: Tensor, direction: Tensor) -> Tensor:
    return (axes @ direction[..., None])[..., 0]


@torch.no_grad()
def _farthest(points: Tensor, direction: Tensor, count: int) -> Tensor:
    """Indices (B, K, count) of the points (B, K, P, 3) that lie farthest in directions (B, K, 3)."""
    return (points @ direction[..., None])[..., 0].topk(count, dim=-1, sorted=False).indices


def _taken(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-2, index[..., None].expand(*index.shape, 3))


def _over(point: Tensor, foot: Tensor, normal: Tensor) -> Tensor:
    """Signed distance by the tangent plane; half that to the foot beside the edge of the samples."""
    away = point - foot
    plane, far = (away * normal).sum(-1), away.norm(dim=-1)
    beside = (far**2 - plane**2) > _SPACING_MM**2
    return torch.where(beside, torch.maximum(plane, far / 2), plane)
