import math

import numpy as np
import torch

from engine.tasks.teeth import anatomy, contacts
from engine.tasks.teeth.dentition import Teeth

RADIUS = 4.0


def balls(distance: float, count: int = 256) -> tuple[Teeth, torch.Tensor]:
    """The teeth 11 and 21 as balls, and their pair. Samples on a Fibonacci lattice are evenly spread."""
    k = np.arange(count) + 0.5
    polar, angle = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    unit = torch.tensor(np.stack((np.cos(angle) * np.sin(polar), np.sin(angle) * np.sin(polar), np.cos(polar)), -1))
    slots = [anatomy.slot_of(11), anatomy.slot_of(21)]
    points, present = torch.zeros(1, 32, count, 3), torch.zeros(1, 32, dtype=torch.bool)
    points[0, slots], present[0, slots] = RADIUS * unit.float(), True
    centres = torch.zeros(1, 32, 3)
    centres[0, slots[1], 0] = distance
    area = torch.full((1, 32), 4 * math.pi * RADIUS**2 / count)
    teeth = Teeth(points, points / RADIUS, area, present, torch.eye(3).expand(1, 32, 3, 3), centres)
    return teeth, torch.tensor([slots])


def test_gap_of_two_balls():
    """Their distance less both radii. A flat tangent at samples 0.9 mm apart errs by up to 0.9^2 / (4 radius)."""
    for distance in (8.6, 8.1, 7.7, 7.0):
        teeth, pair = balls(distance)
        assert abs(contacts.gaps(teeth, pair).item() - (distance - 2 * RADIUS)) < 0.9**2 / (4 * RADIUS) + 0.02


def test_shared_volume_of_two_balls():
    """Two caps: pi (2 r - d)^2 (d^2 + 4 d r) / (12 d). Depths are taken along the other's normal: 15 per cent."""
    for distance in (7.0, 6.5):
        teeth, pair = balls(distance)
        lens = math.pi * (2 * RADIUS - distance) ** 2 * (distance**2 + 4 * distance * RADIUS) / (12 * distance)
        assert abs(contacts.overlap_mm3(teeth, pair).item() / lens - 1) < 0.15


def test_apart_and_absent_teeth_share_nothing():
    teeth, pair = balls(8.5)
    assert contacts.overlap_mm3(teeth, pair).item() == 0
    gone = torch.zeros(1, 32, dtype=torch.bool)
    gone[0, pair[0, 0]] = True
    near, _ = balls(6.0)
    assert contacts.gaps(near.without(gone), pair).item() == contacts.FAR_MM


def test_gap_knows_the_way_out():
    """The gradient of the gap pushes the second ball away along the line of the centres, one mm per mm."""
    teeth, pair = balls(7.0)
    sides = contacts.facing(teeth, pair)
    centres = teeth.centres.clone().requires_grad_()
    slope, = torch.autograd.grad(sides.gaps(teeth.axes, centres).sum(), centres)
    assert slope[0, pair[0, 1], 0] > 0.9 and torch.allclose(slope.sum((0, 1)), torch.zeros(3), atol=1e-5)
