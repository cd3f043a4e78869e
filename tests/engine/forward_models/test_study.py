"""Studies of the toys: a second observation told to a trained estimate, exact answers, and the stored networks."""

import math

import pytest
import torch

from engine import grids, solvers
from engine.errors import InputError
from engine.forward_models import Rendered, Seen, shadows, stored, told
from engine.forward_models.__main__ import main
from engine.forward_models.study import Found, Moment, Study, able, run
from engine.forward_models.toys import SCHEDULE, TOYS
from engine.rng import Rng
from tests.oracles import normal

POINTS = TOYS["shadows"]
TWO_PLACES = 3
"""A draw whose given shadow leaves two places."""


def found(**changes) -> Found:
    *_, last = run(Study(**{"toy": "shadows", "draw": TWO_PLACES, "view": 90.0} | changes))
    return last


def exactly(study: Study) -> Found:
    """The study with the exact estimate in the network's place."""
    estimate, count, scene = shadows.exact(POINTS.clusters), study.samples, study.scene
    if study.second is not None:
        estimate = told(estimate, study.second, study.noise)
    denoise = Rendered(estimate, shadows.render, SCHEDULE, Seen(*(part.expand(count, 1) for part in scene.given)),
                       scene.second.view.expand(count, 1))
    times = grids.make("uniform", SCHEDULE, study.steps)
    steps = solvers.solve("heun", denoise, Rng(0, count).normal(1), times, SCHEDULE)
    return Found(study, tuple(Moment(step, denoise.signal) for step in steps))


@pytest.mark.parametrize("noise", [None, 0.3, 1.0])
@pytest.mark.parametrize("draw", [0, TWO_PLACES])
def test_the_exact_estimate_reaches_the_exact_answer(draw, noise):
    study = Study("shadows", draw, 70.0, noise, steps=40, samples=400)
    ours, right = exactly(study), study.answer
    # 400 samples: the mean square of their distances has a standard error below 8 % of itself.
    assert ours.spread == pytest.approx(right.spread, rel=0.1) and ours.error == pytest.approx(right.error, rel=0.1)
    assert (ours.shares(ours.signal).cumsum(0) - right.shares.cumsum(0)).abs().max() < 0.09  # Kolmogorov, 0.3 %


@pytest.mark.parametrize("noise", [None, 0.4])
def test_the_answer_is_what_is_left_of_the_law(noise):
    """Of many points those whose shadow is the given one, weighed by how likely they make the second one."""
    study = Study("shadows", TWO_PLACES, 60.0, noise)
    points = POINTS.clusters.sample(400_000, torch.Generator().manual_seed(1)).float()
    scene = study.scene
    close = (shadows.render(points, scene.given.view.expand(len(points), 1)) - scene.given.observation).abs() < 0.02
    points = points[close[:, 0]]
    weights = torch.ones(len(points), dtype=torch.float64)
    if noise:
        gaps = shadows.render(points, scene.second.view.expand(len(points), 1)) - study.second
        weights = (-gaps[:, 0].double() ** 2 / (2 * noise ** 2)).exp()
    weights /= weights.sum()
    shares = torch.zeros(len(POINTS.bins), dtype=torch.float64).index_add_(0, POINTS.bin(scene, points), weights)
    assert (shares - study.answer.shares).abs().sum() / 2 < 0.03
    gaps = (points - scene.truth).double().square().sum(1)
    assert math.sqrt(weights @ gaps) == pytest.approx(study.answer.error, rel=0.03)


@pytest.mark.parametrize("draw", range(4))
def test_a_clear_second_picture_leaves_one_way_and_a_poor_one_all(draw):
    model, clear = TOYS["motion"], Study("motion", draw, 0.8, 0.1)
    truth = model.bin(clear.scene, clear.scene.truth)
    assert clear.answer.shares[truth] > 1 - 1e-9 and clear.answer.error < 1e-4
    # What noise of 10 leaves of a difference of 6 in length is 0.6 in the exponent.
    poor = Study("motion", draw, 0.8, 10.0).answer
    assert (poor.shares - 0.25).abs().max() < 0.25 and poor.spread > 2.5
    unseen = Study("motion", draw, 0.8).answer
    assert torch.allclose(unseen.shares, torch.full((4,), 0.25).double())
    assert unseen.spread == pytest.approx(3.0) and unseen.error == pytest.approx(math.sqrt(2) * 3)


def test_what_was_told_weighs_by_its_precision():
    """With an estimate that hands on what it gets: noise beyond all measure tells nothing, none tells everything."""
    heard = {}

    def estimate(context, x, alpha, sigma, view):
        heard.update(x=x, ratio=sigma / alpha)
        return x

    x, second = normal(3, 2).float(), normal(1, 2, seed=1).float()
    alpha, sigma = torch.full((3,), 0.6), torch.full((3,), 0.8)
    for noise, ratio, mean in ((1e6, 0.8 / 0.6, x / 0.6), (1e-4, 1e-4, second.expand(3, 2)),
                               (0.8 / 0.6, 0.8 / 0.6 / math.sqrt(2), (x / 0.6 + second) / 2)):
        level = told(estimate, second, noise)(None, x, alpha, sigma, None) * (1 + ratio ** 2) ** 0.5
        assert torch.allclose(heard["ratio"], torch.full((3,), ratio), rtol=1e-3)
        assert torch.allclose(level, mean, atol=1e-3)


@pytest.mark.parametrize("noise", [None, 0.3])
def test_the_stored_points_have_the_given_shadow_and_lie_where_they_may(noise):
    ours = found(noise=noise)
    given, second, between = ours.fits()
    assert given.miss < 0.02 and given.miss == given.error
    assert (second.miss is None) == (noise is None) and between.miss is None
    assert ours.moved < 0.25 and ours.spread == pytest.approx(ours.study.answer.spread, rel=0.25)


def test_the_stored_motions_go_all_ways_and_as_far_as_they_should():
    ours = found(toy="motion", view=1.0, draw=0)
    assert ours.shares(ours.signal).min() > 0.15
    length = TOYS["motion"].points(ours.signal).norm(dim=1)
    assert ((length - 3).abs() < 0.5).double().mean() > 0.9
    assert ours.fits()[0].miss < 1e-3  # at time 0 nothing has moved


def test_more_samples_leave_the_first_ones_as_they_are():
    few, many = found(samples=3), found(samples=6)
    assert torch.allclose(few.signal, many.signal[:3], atol=1e-4)
    assert torch.equal(found(samples=3).signal, few.signal)


@pytest.mark.parametrize("name", [row.name for row in able()])
@pytest.mark.parametrize("toy", TOYS)
def test_every_solver_that_is_offered_runs(toy, name):
    ours = found(toy=toy, view=TOYS[toy].view[2], solver=name, samples=4, steps=12)
    assert torch.isfinite(ours.signal).all() and ours.moments[-1].step.sigma == 0


@pytest.mark.parametrize(("change", "field"), [
    ({"toy": "x"}, "toy"), ({"toy": []}, "toy"), ({"solver": "resfusion"}, "solver"), ({"draw": -1}, "draw"),
    ({"seed": 1.5}, "seed"), ({"steps": 0}, "steps"), ({"steps": True}, "steps"), ({"samples": 401}, "samples"),
    ({"view": 10.0}, "view"), ({"view": None}, "view"), ({"view": math.nan}, "view"), ({"noise": 0.0}, "noise"),
    ({"noise": "x"}, "noise")])
def test_what_cannot_run_names_its_field(change, field):
    with pytest.raises(InputError) as caught:
        Study(**{"toy": "shadows", "draw": 0, "view": 90.0} | change)
    assert caught.value.field == field


def test_a_network_that_is_missing_or_damaged_is_told_with_the_command(tmp_path):
    with pytest.raises(InputError, match="is missing") as caught:
        stored.load("motion", tmp_path)
    assert "python -m engine.forward_models motion" in str(caught.value) and str(tmp_path) not in str(caught.value)
    (tmp_path / "motion.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="does not hold"):
        stored.load("motion", tmp_path)
    stored.save("shadows", stored.load("shadows"), tmp_path)
    (tmp_path / "shadows.safetensors").rename(tmp_path / "motion.safetensors")
    with pytest.raises(InputError, match="does not hold"):
        stored.load("motion", tmp_path)


def test_an_unknown_toy_is_not_trained():
    with pytest.raises(SystemExit, match="shadows, motion"):
        main(["nothing"])


def test_networks_come_back_as_they_were_stored(tmp_path):
    network = stored.load("shadows")
    stored.save("shadows", network, tmp_path)
    again = stored.load("shadows", tmp_path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in network.state_dict().items())
