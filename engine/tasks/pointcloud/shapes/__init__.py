"""Invented shapes made of labelled parts: ten families, each with many parameters. A name says everything."""

import hashlib

import numpy as np

from engine.tasks.pointcloud.shapes import furniture, outdoors
from engine.tasks.pointcloud.shapes.shape import PARTS, Shape

__all__ = ["FAMILIES", "PARTS", "Shape", "held_out", "make", "names"]

_MAKERS = {maker.__name__: maker for maker in (
    furniture.chair, furniture.table, furniture.lamp, furniture.sofa, furniture.bed, outdoors.airplane, outdoors.car,
    outdoors.mug, outdoors.tower, outdoors.tree)}
FAMILIES = tuple(_MAKERS)


def make(name: str) -> Shape:
    """The shape of a name such as "chair-17": the family, and a number that all its parameters are drawn from."""
    family, number = name.rsplit("-", 1)
    rng = np.random.default_rng((FAMILIES.index(family), int(number)))
    return _MAKERS[family](rng).build(name, family)


def names(count: int, kept: bool = False) -> list[str]:
    """The first `count` names of the training part, or of the part kept from training; the families take turns."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        found += [name for name in (f"{family}-{number}" for family in FAMILIES) if held_out(name) == kept]
        number += 1
    return found[:count]


def held_out(name: str) -> bool:
    """Whether a shape is kept from training: one in ten, by a hash of its name, so that no list has to be stored."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest()[0] % 10 == 0
