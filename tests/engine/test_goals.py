"""Goals say what they mean; steering keeps to the sphere and auditing to the ball, and neither ever makes it worse."""

import math
from itertools import pairwise

import pytest
import torch

from engine import denoisers, exact, goals, grids, schedules
from engine.adjoint import checkpointed_gradient
from engine.errors import InputError
from engine.solvers import solve
from tests.oracles import Gaussian, normal

VP = schedules.vp_linear()
SIDE = 8


def picture(colour, side=SIDE):
    return torch.tensor(colour, dtype=torch.float64)[None, :, None, None].expand(1, 3, side, side).clone()


def smooth_pictures(count=3):
    """Start noise, and the exact denoiser of Gaussian pictures whose neighbours go together."""
    place = torch.cartesian_prod(*[torch.arange(SIDE).double()] * 2)
    plane = (-torch.cdist(place, place).square() / 8).exp() + 0.05 * torch.eye(SIDE**2).double()
    law = Gaussian(torch.zeros(3 * SIDE**2).double(), torch.block_diag(plane, plane, plane) / 4)
    return normal(count, 3, SIDE, SIDE), law.denoiser(VP)


def test_colours():
    x = picture([0.2, -0.4, 0.6])
    x[:, :, :, SIDE // 2:] = 0
    assert goals.mean_colour([0.1, -0.2, 0.3])(x).item() == pytest.approx(0, abs=1e-12)
    left = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    left[:, :SIDE // 2] = True
    assert goals.mean_colour([0.2, -0.4, 0.6], left)(x).item() == pytest.approx(0, abs=1e-12)
    assert goals.mean_colour([0.2, -0.4, 0.9], left)(x).item() == pytest.approx(0.3**2 / 3)
    layout = torch.zeros(3, 1, 2)
    layout[:, 0, 0] = torch.tensor([0.2, -0.4, 0.6])
    assert goals.colour_layout(layout)(x).item() == pytest.approx(0, abs=1e-12)
    assert goals.colour_layout(layout.flip(2))(x).item() == pytest.approx((0.2**2 + 0.4**2 + 0.6**2) / 3)


def test_sharpness_is_the_laplacian_s_power():
    x = 0.2 * normal(2, 3, SIDE, SIDE)
    gain = goals.sharpness()(x) - goals.sharpness()(2 * x)
    # Doubling the contrast is log 4, but for the floor, here below a thousandth of the power.
    torch.testing.assert_close(gain, torch.full((2,), math.log(4)).double(), rtol=0, atol=2e-3)
    assert goals.sharpness(-1.0)(x).equal(-goals.sharpness()(x))
    ramp = torch.linspace(-1, 1, SIDE).double().expand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(goals.sharpness()(ramp), goals.sharpness()(picture([0.1, 0.2, 0.3])))


def test_what_a_classifier_says():
    def classify(x):
        return torch.stack([x.mean((1, 2, 3)), 0 * x.mean((1, 2, 3)), x.sum((1, 2, 3)) * 0 - 1], 1)

    x = picture([1.0, 1.0, 1.0])
    assert goals.margin(classify, 0)(x).item() == pytest.approx(1)
    assert goals.margin(classify, 1)(x).item() == pytest.approx(-1)
    assert goals.classified_as(classify, 0)(x).item() == pytest.approx(math.log(1 + math.exp(-1) + math.exp(-2)))
    both = goals.combined([(2.0, goals.margin(classify, 0)), (0.5, goals.margin(classify, 1))])
    assert both(x).item() == pytest.approx(1.5)


@pytest.mark.parametrize(("make", "field"), [
    (lambda: goals.mean_colour([0.0, 0.0]), "colour"), (lambda: goals.mean_colour([0.0, 2.0, 0.0]), "colour"),
    (lambda: goals.mean_colour([0.0, math.nan, 0.0]), "colour"),
    (lambda: goals.mean_colour([0.0, 0.0, 0.0], torch.zeros(4, 4, dtype=torch.bool)), "mask"),
    (lambda: goals.colour_layout(torch.zeros(4, 4)), "colour"),
    (lambda: goals.colour_layout(torch.zeros(1, 4, 4)), "colour"),
    (lambda: goals.colour_layout(torch.zeros(3, 0, 4)), "colour")])
def test_goals_that_cannot_be_are_refused(make, field):
    with pytest.raises(InputError) as raised:
        make()
    assert raised.value.field == field


@pytest.mark.parametrize("method", goals.METHODS)
def test_steering_stays_on_the_shell_and_never_gets_worse(method):
    x, denoise = smooth_pictures()
    times = grids.make("log_snr", VP, 8)
    counted = denoisers.counted(denoise)
    seen = list(goals.steer_noise(counted, x, times, VP, goals.mean_colour([0.5, 0.0, -0.5]), iterations=6,
                                  method=method))
    assert [p.index for p in seen] == list(range(7)) and seen[-1].total == 6 and seen[-1].calls == counted.calls
    assert seen[0].noise.equal(x) and seen[0].moved.abs().max() == 0
    for before, after in pairwise(seen):
        assert (after.loss <= before.loss).all()
        torch.testing.assert_close(after.noise.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1))
    assert (seen[-1].loss < seen[0].loss / 4).all() and (seen[-1].moved > 0).all()


def test_a_steered_result_is_the_result_of_its_noise():
    x, denoise = smooth_pictures()
    times, goal = grids.make("log_snr", VP, 6), goals.sharpness()
    *_, last = goals.steer_noise(denoise, x, times, VP, goal, iterations=4, solver="dpmpp_2m")
    *_, step = solve("dpmpp_2m", denoise, last.noise, times, VP)
    torch.testing.assert_close(step.x, last.x, rtol=0, atol=1e-12)
    torch.testing.assert_close(goal(step.x), last.loss, rtol=0, atol=1e-12)
    assert (last.loss < goal(next(goals.steer_noise(denoise, x, times, VP, goal)).x)).all()


def test_samples_are_steered_one_by_one():
    x, denoise = smooth_pictures()
    times, goal = grids.make("log_snr", VP, 4), goals.sharpness()
    *_, both = goals.steer_noise(denoise, x, times, VP, goal, iterations=3)
    *_, alone = goals.steer_noise(denoise, x[1:2], times, VP, goal, iterations=3)
    torch.testing.assert_close(alone.noise, both.noise[1:2], rtol=0, atol=1e-9)


def test_the_audit_stays_in_its_ball_and_finds_the_nearest_edge():
    """Linear run, linear classifier: the largest fall of the margin within the ball is its slope times the radius."""
    law = Gaussian.random(6, seed=3)
    denoise, x, times = law.denoiser(VP), normal(3, 6), grids.make("log_snr", VP, 20)
    weights = normal(6, seed=5)

    def classify(x):
        return torch.stack([x @ weights, torch.zeros(len(x)).double()], 1)

    goal = goals.margin(classify, 0)
    seen = list(goals.audit(denoise, x, times, VP, goal, radius=0.2, iterations=12))
    assert all((p.moved <= 0.2 + 1e-9).all() for p in seen)
    slope = checkpointed_gradient(denoise, x, times, VP, goal).noise.norm(dim=1)
    torch.testing.assert_close(seen[0].loss - seen[-1].loss, slope * 0.2 * x.norm(dim=1), rtol=1e-6, atol=0)
    torch.testing.assert_close(seen[-1].moved, torch.full((3,), 0.2).double(), rtol=1e-6, atol=0)


def test_a_flat_goal_and_a_broken_one_leave_the_noise_alone():
    law = exact.toy()
    x, times = normal(4, 2), grids.make("log_snr", VP, 3)
    for goal in (lambda x: 0 * x.sum(1), lambda x: (x - 1e9).sum(1).sqrt()):
        for search in (goals.steer_noise, goals.audit):
            *_, last = search(law.denoiser(VP), x, times, VP, goal, iterations=2)
            assert last.noise.equal(x)


@pytest.mark.parametrize(("options", "field"), [
    ({"method": "magic"}, "method"), ({"iterations": 0}, "iterations"), ({"angle": math.nan}, "angle"),
    ({"solver": "none such"}, "solver")])
def test_impossible_searches_are_refused(options, field):
    x, denoise = smooth_pictures(1)
    with pytest.raises(InputError) as raised:
        next(goals.steer_noise(denoise, x, grids.make("log_snr", VP, 2), VP, goals.sharpness(), **options))
    assert raised.value.field == field


def test_an_impossible_radius_is_refused():
    x, denoise = smooth_pictures(1)
    with pytest.raises(InputError) as raised:
        goals.audit(denoise, x, grids.make("log_snr", VP, 2), VP, goals.sharpness(), radius=1.5)
    assert raised.value.field == "radius"
