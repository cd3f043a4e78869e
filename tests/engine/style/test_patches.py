"""The law of patches: what it gives where the answer is known."""

import numpy as np
import pytest
import torch

from engine.tasks.style.patches import OPPONENT, PATCH, Hand, Level, PatchLaw, Windows, divided, in_opponents

STYLE = torch.ones(1, 1, 1, 1)


def _pictures(count, height, width, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _law(photograph, *styles, shares=(1.0,), grain=0.0):
    turned = in_opponents(photograph)[0]
    noise = grain * torch.randn(photograph.shape, generator=torch.Generator().manual_seed(3))
    return PatchLaw(photograph, noise, tuple(Hand(in_opponents(style)[0], turned) for style in styles), shares)


def test_opponent_colours_keep_white_noise_white():
    assert torch.allclose(OPPONENT @ OPPONENT.T, torch.eye(3), atol=1e-6)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_patch_of_the_style_finds_itself(scale):
    picture = _pictures(1, 30, 34)[0]
    level = Level.of(picture, scale)
    index = torch.tensor([0, 17, len(level.places) - 1])
    side = scale * PATCH
    whole = level.patches(index)
    for (row, column), patch in zip(level.places[index].tolist(), whole):
        assert torch.equal(patch.view(3, side, side), picture[:, row:row + side, column:column + side])
    small = torch.nn.functional.avg_pool2d(whole.view(-1, 3, side, side), scale).flatten(2)
    assert torch.equal(level.nearest(small, torch.ones(3))[0], index)


@pytest.mark.parametrize(("scale", "seed"), [(1, 0), (1, 5), (2, 1), (4, 2)])
def test_overlapping_windows_of_a_picture_make_the_picture(scale, seed):
    picture = _pictures(1, 33, 46)
    window = Windows(picture.shape[-2:], scale, seed)
    (above, left), (below, right) = window.near, window.far
    padded = torch.nn.functional.pad(picture, (left, right, above, below), mode="replicate")
    patches = torch.nn.functional.unfold(padded, window.side, stride=window.step)[0].T
    assert torch.allclose(window.joined(patches), picture, atol=1e-5)
    assert len(window.patches(picture)) == len(patches)


def test_a_photograph_in_its_own_patches_is_itself():
    """Every patch of the photograph is one of the style's, and both observations say which."""
    photograph = _pictures(1, 24, 24)
    law = _law(photograph, torch.nn.functional.pad(photograph, (8,) * 4, mode="replicate"))
    drawn = law.denoise(photograph, 1.0, 0.01, torch.ones(1), STYLE)
    assert torch.allclose(drawn, photograph, atol=0.05)


def test_a_style_of_one_colour_gives_that_colour():
    colour = torch.tensor([0.5, -0.2, 0.1]).view(1, 3, 1, 1).expand(1, 3, 40, 40)
    drawn = _law(_pictures(1, 32, 48), colour, grain=1.0).denoise(torch.randn(1, 3, 32, 48), 0.5, 0.8, torch.ones(1),
                                                                  STYLE)
    assert torch.allclose(drawn, colour[..., :32, :1].expand_as(drawn), atol=1e-5)


def test_share_of_the_style_is_linear_where_the_hand_is_known():
    photograph, colour = _pictures(1, 32, 32), torch.full((1, 3, 40, 40), 0.25)
    law, x = _law(photograph, colour), torch.randn(1, 3, 32, 32)
    for share in (0.0, 0.3, 1.0, 1.5):
        drawn = law.denoise(x, 0.7, 0.7, torch.ones(1), torch.full((1, 1, 1, 1), share))
        assert torch.allclose(drawn, photograph + share * (0.25 - photograph), atol=1e-5)


def test_more_content_is_nearer_to_the_target():
    photograph, style = _pictures(1, 48, 48, 1), _pictures(1, 60, 60, 2)
    law, x = _law(photograph, style), torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    loose, close = (law.denoise(x, 0.7, 0.7, torch.tensor([content]), STYLE) for content in (0.1, 3.0))
    assert (close - photograph).square().mean() < (loose - photograph).square().mean()


def test_levels_go_on_while_a_patch_is_a_third_of_the_picture():
    law = _law(torch.zeros(1, 3, 64, 64), _pictures(1, 64, 64))
    assert [level.scale for level in law.hands[0].levels] == [1, 2, 4]


def test_each_hand_draws_its_share_of_the_nearest():
    near, far = torch.zeros(100), torch.arange(100.0)
    whose = divided([near, far], (0.7, 0.3))
    assert whose.sum() == 30 and whose[:30].all()
    assert divided([near, far], (1.0, 0.0)).sum() == 0 and divided([near, far], (0.0, 1.0)).sum() == 100
    assert np.array_equal(divided([near], (1.0,)), np.zeros(100))
