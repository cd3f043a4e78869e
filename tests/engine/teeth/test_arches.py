import numpy as np
import torch

from engine.tasks.teeth import arches


def curve(middle: float = 0.0) -> arches.Quartic:
    a, b = arches.QUARTIC["upper"]
    return arches.Quartic(*(torch.tensor([v]) for v in (a, b, 15.0, middle)))


def test_arc_length_and_place_are_inverse():
    """Both by the trapezium rule on a fine grid: 0.02 mm."""
    x = torch.linspace(-30, 30, 41)[None]
    arch = curve(0.7)
    place, direction = arch.at(arch.length_to(x))
    assert torch.allclose(place[..., 0], x, atol=0.02)
    assert torch.allclose(direction.norm(dim=-1), torch.ones_like(x))


def test_fit_finds_the_curve_that_points_lie_on():
    x = torch.tensor([[-24.0, -20, -15, -9, -3, 3, 9, 15, 20, 24]])
    truth = curve(0.8)
    z = truth.front - truth.a * (x - 0.8) ** 2 - truth.b * (x - 0.8) ** 4
    found = arches.fitted(x, z, torch.ones_like(x))
    here = found.front - found.a * (x - found.middle) ** 2 - found.b * (x - found.middle) ** 4
    assert (here - z).abs().max() < 0.1 and abs(float(found.middle) - 0.8) < 0.05


def test_beta_and_catenary_have_their_width_and_depth():
    for form in (arches.beta, arches.catenary):
        y = form(np.array([-30.0, 0.0, 30.0]), 60.0, 43.0)
        assert np.allclose(y, (0, 43, 0), atol=1e-6)


def test_beta_arch_holds_the_teeth_it_should():
    """111 mm of upper crowns need a depth of 42.8 mm where the arch is 60 mm wide (Braun's curve by arc length)."""
    x = np.linspace(-30, 30, 20001)
    y = arches.beta(x, 60.0, 42.8)
    assert abs(np.hypot(np.diff(x), np.diff(y)).sum() - 111) < 0.3
