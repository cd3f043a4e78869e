"""Motions of pictures: the rendering by hand, and several motions found where pictures alone were seen."""

import math

import pytest
import torch

from engine import grids, schedules, solvers
from engine.forward_models import Rendered, Seen, motion
from tests.oracles import normal

COSINE = schedules.cosine()


def signal(*motions):
    """(1, K, 3) from dx, dy and share of each motion."""
    return torch.tensor([motions], dtype=torch.float64)


def test_whole_pixels_move_by_as_many():
    picture = normal(1, 2, 6, 8)
    moved = motion.moving(picture)(signal((2.0, -1.0, 1.0)), torch.ones(1, 1).double())
    assert torch.allclose(moved[..., :-1, 2:], picture[..., 1:, :-2])
    assert (moved[..., :2] + 1).abs().max() < 1e-12  # what comes in is black
    half = motion.moving(picture)(signal((2.0, 0.0, 1.0)), torch.full((1, 1), 0.5).double())
    assert torch.allclose(half[..., 1:], picture[..., :-1])


def test_shares_mix_the_moved_pictures():
    picture, time = normal(1, 1, 6, 6), torch.ones(1, 1).double()
    render = motion.moving(picture)
    both = render(signal((1.0, 0.0, 0.25), (0.0, 1.5, 0.75)), time)
    apart = 0.25 * render(signal((1.0, 0.0, 1.0)), time) + 0.75 * render(signal((0.0, 1.5, 1.0)), time)
    assert torch.allclose(both, apart)


def test_the_rendering_has_its_derivative():
    given = signal((0.6, -0.3, 0.4), (-1.3, 0.8, 0.6)).requires_grad_()
    time = torch.full((1, 1), 0.7).double()
    assert torch.autograd.gradcheck(lambda s: motion.moving(normal(1, 1, 5, 5))(s, time), (given,))


def test_a_scene_is_its_first_picture_moved():
    scene = motion.scenes(40, torch.Generator().manual_seed(0))
    start = (scene.context.observation + 1).flatten(2).argmax(2)
    assert start.unique().numel() > 2 and all(seen.observation.abs().max() <= 1 for seen in scene)
    ways = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]) * motion.REACH
    errors = torch.stack([(motion.moving(scene.context.observation)(
        torch.cat([way, torch.ones(1)]).expand(40, 1, 3), scene.other.view) - scene.other.observation).abs().amax(
        (1, 2, 3)) for way in ways])
    # The right one of four is off by no more than what bilinear interpolation of the blob loses.
    assert errors.amin(0).max() < 1 / (4 * motion.WIDTH ** 2) and (errors < errors.amin(0) + 0.2).sum(0).eq(1).all()


def test_samples_show_every_way_that_the_thing_may_go():
    torch.manual_seed(0)
    mover, count = motion.Mover(), 64
    motion.train(mover, motion.scenes, COSINE, rounds=700)
    mover.requires_grad_(False)
    rest = motion.blob(torch.full((count, 2), (motion.SIDE - 1) / 2))
    denoise = Rendered(mover, motion.moving(rest), COSINE, Seen(rest, torch.zeros(count, 1)), torch.ones(count, 1))
    times = grids.make("uniform", COSINE, 20)
    for _ in solvers.solve("heun", denoise, normal(*rest.shape).float(), times, COSINE):
        pass
    shares = denoise.signal[..., 2]
    found = denoise.signal[torch.arange(count), shares.argmax(1), :2]
    assert (shares.amax(1) > 0.8).double().mean() > 0.75  # at the end one motion is left
    assert ((found.norm(dim=1) - motion.REACH).abs() < 1).double().mean() > 0.75
    quarters = (torch.atan2(found[:, 1], found[:, 0]) / (math.pi / 2)).round().long() % 4
    assert quarters.bincount(minlength=4).min() >= 4  # of 16 expected


@pytest.mark.parametrize("time", [0.0, 1.0])
def test_nothing_moves_without_time_or_motion(time):
    picture = normal(1, 1, 6, 6)
    still = motion.moving(picture)(signal(((1 - time) * 3.0, 0.0, 1.0)), torch.full((1, 1), time).double())
    assert torch.allclose(still, picture)
