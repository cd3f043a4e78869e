"""The smooth first guess: known pixels stay, constants continue, nothing known gives grey."""

import torch

from engine.tasks.inpainting.fill import smooth_fill


def _known(size=(37, 50)):
    return (torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0)) > 0.6).float()


def test_known_pixels_are_bit_exact():
    known = _known()
    picture = torch.randn(2, 3, 37, 50, generator=torch.Generator().manual_seed(1))
    filled = smooth_fill(picture * known, known)
    assert torch.equal(filled * known, picture * known)


def test_what_lies_under_the_hole_has_no_influence():
    known = _known()
    picture = torch.randn(2, 3, 37, 50, generator=torch.Generator().manual_seed(1))
    assert torch.equal(smooth_fill(picture, known), smooth_fill(picture + 5 * (1 - known), known))


def test_a_constant_continues():
    known = torch.ones(1, 1, 32, 32)
    known[..., 8:24, 8:24] = 0
    torch.testing.assert_close(smooth_fill(torch.full((1, 3, 32, 32), 0.7), known), torch.full((1, 3, 32, 32), 0.7))


def test_the_fill_stays_between_the_known_values():
    known = _known()
    picture = torch.rand(2, 3, 37, 50, generator=torch.Generator().manual_seed(2))
    filled = smooth_fill(picture, known)
    assert filled.min() >= (picture + 9 * (1 - known)).min() - 1e-6 and filled.max() <= (picture * known).max() + 1e-6


def test_nothing_known_gives_zero():
    assert not smooth_fill(torch.ones(1, 3, 16, 24), torch.zeros(1, 1, 16, 24)).any()
