"""Tiling: what works pixel by pixel is unchanged, and nothing shows where tiles meet."""

import pytest
import torch

from engine import tiles


def _normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [(100, 100), (40, 131), (64, 64), (65, 200)])
def test_a_pointwise_denoiser_is_unchanged(size):
    x, cond = _normal(2, 3, *size), _normal(2, 3, *size).flip(-1)
    label = torch.tensor([1, 2])

    def denoise(x, t, cond, label):
        return x * 0.5 + cond * t + label[:, None, None, None]

    whole = denoise(x, 0.3, cond, label)
    tiled = tiles.tiled(denoise, 64, 16)(x, 0.3, cond=cond, label=label)
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=1e-5)


def test_every_tile_has_the_same_size_and_all_are_counted():
    seen = []

    def denoise(x, t):
        seen.append(tuple(x.shape[-2:]))
        return x

    tiles.tiled(denoise, 64, 16)(_normal(1, 3, 150, 70), 0.5)
    assert set(seen) == {(64, 64)} and len(seen) == tiles.count(150, 70, 64, 16)


def test_disagreeing_tiles_are_joined_without_a_seam():
    """Each tile answers with a constant of its own; the largest step between neighbours is that of the linear ramp."""
    answers = iter(torch.linspace(0, 1, tiles.count(64, 200, 64, 16)))

    def denoise(x, t):
        return torch.zeros_like(x) + next(answers)

    joined = tiles.tiled(denoise, 64, 16)(_normal(1, 1, 64, 200), 0.5)
    spacing = 1 / (tiles.count(64, 200, 64, 16) - 1)
    assert joined.diff(dim=-1).abs().max() < 1.5 * spacing / 16
