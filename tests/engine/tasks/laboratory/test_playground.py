import math

import numpy as np
import pytest
import torch

from engine import exact, schedules
from engine.errors import InputError
from engine.tasks.laboratory import playground
from engine.tasks.laboratory.problems import SCHEDULES
from engine.tasks.laboratory.views import energy_distance

LAW = exact.toy()
VP = schedules.vp_linear()


def _draws(count: int, seed: int = 0) -> np.ndarray:
    return LAW.sample(count, torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize("kind", playground.DENSITIES[:3])
@pytest.mark.parametrize("name", SCHEDULES)
def test_heat_maps_hold_the_mass_that_the_cloud_shows(kind, name):
    law, schedule = playground.density(kind), schedules.by_name(name)
    t = schedule.time_at(0.5)
    heat = playground.heat_map(law, schedule, t, cells=48)
    mass = float(heat.values.sum() * (heat.x[1] - heat.x[0]) * (heat.y[1] - heat.y[0]))
    cloud = playground.cloud(law, schedule, t)
    inside = (np.abs(cloud.noisy) <= heat.x[-1]).all(1).mean()
    assert mass == pytest.approx(1, abs=0.03)  # the map reaches 2.5 spreads beyond the outermost mean
    assert inside == pytest.approx(mass, abs=5 * math.sqrt(0.03 / 600))


def test_clouds_of_a_seed_move_smoothly():
    near, nearer = (playground.cloud(LAW, VP, t).noisy for t in (0.5, 0.501))
    assert np.abs(near - nearer).max() < 0.02
    assert np.array_equal(playground.cloud(LAW, VP, 0.0).noisy, playground.cloud(LAW, VP, 0.5).clean)


def test_curves_are_the_schedules():
    for name in SCHEDULES:
        curves = playground.curves(schedules.by_name(name))
        assert (np.diff(curves.log_snr) < 0).all()
        assert np.allclose(np.log(curves.alpha / curves.sigma), curves.log_snr)


def test_fields_are_the_same_thing_three_times():
    t = 0.3
    alpha, sigma = VP(t)
    score, velocity, tweedie = (field(LAW, VP, t) for field in (
        playground.score_field, playground.velocity_field, playground.denoising_field))
    assert score.points.shape == score.vectors.shape == (17 * 17, 2)
    assert np.allclose(tweedie.vectors, sigma**2 * score.vectors)
    # For variance-preserving noise dx/dt = -beta/2 (x + score), beta = -2 alpha' / alpha.
    rate = VP.rates(t)[0] / alpha
    assert np.allclose(velocity.vectors, rate * (velocity.points + score.vectors))


def test_targets_are_one_answer_in_five_forms():
    points, t = _draws(10), 0.4
    alpha, sigma = VP(t)
    found = playground.targets(LAW, VP, t, points)
    assert np.allclose(alpha * found["x0"] + sigma * found["eps"], points)
    assert np.allclose(alpha * found["eps"] - sigma * found["x0"], found["v"])
    assert np.allclose(-sigma * found["score"], found["eps"])
    assert np.allclose(found["velocity"], LAW.velocity(torch.from_numpy(points), t, VP).numpy())


def test_langevin_chains_settle_in_the_law_of_their_level():
    t = 0.4
    alpha, sigma = VP(t)
    paths = playground.langevin(LAW, VP, t, steps=150, count=300)
    assert paths.states.shape == (151, 300, 2)
    noised = LAW.marginal(alpha, sigma).sample(600, torch.Generator().manual_seed(4))
    start, end = (energy_distance(torch.from_numpy(paths.states[i]), noised) for i in (0, -1))
    assert end < 0.15 * start


def test_couplings_start_together_and_reflow_ends_with_the_flow():
    found = playground.couplings(LAW, VP)
    for paths in (found.marginal, found.reflowed):
        assert np.allclose(paths.states[0], found.conditional.states[0])
    fine = exact.solution(LAW.denoiser(VP), torch.from_numpy(found.conditional.states[0]), VP, 1000,
                          start=VP.t_max, end=VP.t_min).numpy()
    assert np.abs(found.marginal.states[-1] - fine).max() < 1e-3
    # At t_min both differ by sigma times a noise of order 1.
    assert np.abs(found.reflowed.states[-1] - fine).max() < 5 * VP(VP.t_min)[1]


def test_flow_map_is_a_flow():
    points = playground.lattice(LAW, VP, 0.6)
    # Runge-Kutta of order 4 with 24 steps of 0.1 in log-SNR.
    assert playground.semigroup_gap(LAW, VP, points, 0.6, 0.4, 0.1) < 1e-5
    there = playground.flow_map(LAW, VP, points, 0.6, 0.1, 60)
    assert np.abs(playground.flow_map(LAW, VP, there, 0.1, 0.6, 60) - points).max() < 1e-6
    step = 1e-4
    ahead, behind = (playground.flow_map(LAW, VP, points, 0.6, 0.6 + h, 1) for h in (step, -step))
    tangent = LAW.velocity(torch.from_numpy(points), 0.6, VP).numpy()
    assert np.allclose((ahead - behind) / (2 * step), tangent, atol=1e-4)


def test_races_start_from_one_noise_and_rank_solvers_by_error():
    names = ["ddim", "dpmpp_2m", "heun", "ddpm", "fpndm"]
    tracks, fine = playground.race(LAW, VP, names, steps=16)
    truth = exact.solution(LAW.denoiser(VP), torch.from_numpy(fine.states[0]), VP, 1000).numpy()
    assert np.abs(fine.states[-1] - truth).max() < 1e-4
    for track in tracks:
        assert np.array_equal(track.paths.states[0], fine.states[0])
        assert track.paths.states.shape == (17, 24, 2)
        assert track.error == pytest.approx(np.linalg.norm(track.paths.states[-1] - fine.states[-1], axis=1).mean())
    errors = {track.solver: track.error for track in tracks}
    assert errors["dpmpp_2m"] < errors["ddim"] < errors["ddpm"]
    assert {track.solver: track.calls for track in tracks}["ddim"] == 16
    finer, _ = playground.race(LAW, VP, ["dpmpp_2m"], steps=32)
    assert finer[0].error < errors["dpmpp_2m"] / 2


def test_every_racer_races():
    names = [row.name for row in playground.racers()]
    assert len(names) > 15
    tracks, _ = playground.race(LAW, schedules.cosine(), names, steps=6, count=4)
    assert all(np.isfinite(track.paths.states).all() for track in tracks)


def test_noise_on_the_way_does_not_change_the_law():
    drawn = LAW.sample(400, torch.Generator().manual_seed(0))
    chance = [energy_distance(torch.from_numpy(_draws(300, seed)), drawn) for seed in range(1, 30)]
    for eta in (0.0, 0.5, 1.0):
        found = playground.ensemble(LAW, VP, eta, steps=60, count=300)
        # Sampling 300 runs varies it by that much; the step error of 60 steps adds to it.
        assert found.energy < np.mean(chance) + 4 * np.std(chance) + 0.01


def test_one_start_spreads_with_noise_only():
    ends = {eta: playground.ensemble(LAW, VP, eta, count=50, one_start=True).paths.states for eta in (0.0, 1.0)}
    assert np.ptp(ends[0.0][-1], axis=0).max() < 1e-12
    assert np.ptp(ends[1.0][0], axis=0).max() == 0
    assert np.ptp(ends[1.0][-1], axis=0).max() > 0.5


def test_guidance_seeks_the_mode():
    weak, strong = (playground.guided(LAW, VP, 1, w) for w in (1.0, 4.0))
    assert np.allclose(weak.guided.states, weak.conditional.states)
    assert (strong.free.states[0] == strong.guided.states[0]).all()
    assert weak.spread == pytest.approx(weak.class_spread, rel=0.3)  # 120 samples
    assert strong.spread < weak.spread
    assert strong.share > weak.share
    with pytest.raises(InputError):
        playground.guided(LAW, VP, 3, 2.0)
    with pytest.raises(InputError):
        playground.guided(exact.drawn(np.eye(8)), VP, 0, 2.0)


@pytest.mark.parametrize("name", ["vp_linear", "flow", "edm"])
def test_likelihood_is_conserved_along_the_flow(name):
    schedule = schedules.by_name(name)
    found = playground.log_likelihood(LAW, schedule, schedule(schedule.t_min)[0] * _draws(30), steps=80)
    assert np.abs(found.integrated - found.exact).max() < 1e-3
    # Starting from a Gaussian instead of the noised data errs by about alpha / sigma times both their sizes there.
    alpha, sigma = schedule(schedule.t_max)
    assert np.abs(found.from_noise - found.exact).max() < 1e-3 + 5 * alpha / sigma


def test_densities_by_name():
    drawing = np.zeros((20, 20))
    drawing[4:16, 9:11] = 1
    assert playground.density("drawing", drawing=drawing).classes == 0
    assert playground.density("letters", text="AB").classes == 2
    for bad in ({"kind": "cube"}, {"kind": "drawing"}, {"kind": "letters", "text": ""}):
        with pytest.raises(InputError):
            playground.density(**bad)
