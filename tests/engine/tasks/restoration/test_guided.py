"""Carrying a change of a small picture to the large one."""

import torch

from engine.tasks.restoration import guided


def picture(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def test_small_keeps_the_shape_of_the_picture_and_means():
    large = picture(320, 640)
    little = guided.small(large)
    assert little.shape == (1, 3, 80, 160)
    assert torch.allclose(little.mean((2, 3)), large.mean((2, 3)), atol=1e-5)
    assert guided.small(little) is little


def test_nothing_changed_changes_nothing():
    large = picture(320, 480)
    little = guided.small(large)
    assert torch.allclose(guided.carried(little, little, large), large, atol=1e-5)
    assert torch.equal(guided.carried(large, -large, large), -large)


def test_a_linear_change_of_colours_is_carried_over_with_its_detail():
    """Haze of one depth is such a change. What is flat is shifted only, so windows must hold something."""
    large = picture(320, 480)
    little = guided.small(large)
    found = guided.carried(little, 0.6 * little + 0.3, large)
    assert torch.allclose(found, 0.6 * large + 0.3, atol=0.02)


def test_a_change_that_varies_over_the_picture_is_followed():
    large = picture(320, 480)
    ramp = torch.linspace(0.2, 0.8, 480).expand(1, 3, 320, 480)
    hazy = large * (1 - ramp) + 0.8 * ramp
    little, clear = guided.small(hazy), guided.small(large)
    found = guided.carried(little, clear, hazy)
    assert (found - large).abs().mean() < 0.1 * (hazy - large).abs().mean()
