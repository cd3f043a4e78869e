"""Steering samplers: the regression table of a correlated Gaussian, identities, and exact call counts."""

import itertools

import pytest
import torch

from engine import grids
from engine.denoisers import counted
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import AveragePool, Identity, Inpaint, catalogue, moves, row, steer
from engine.steering.registry import self_sufficient
from tests.engine.steering.cases import CHAINS, DISCRETE, MEAN, PRIOR, SCHEDULES, VARIANCE, Bulk, respaced
from tests.oracles import Gaussian, normal

FIRST_SEEN = Inpaint(torch.tensor([1.0, 0.0]))


def chains(name, steps, noise=0.0, operator=FIRST_SEEN, y=(0.9, 0.0), **options):
    y = torch.tensor([y], dtype=torch.float64)
    run = steer(name, PRIOR.denoiser(DISCRETE), normal(CHAINS, 2), respaced(steps), DISCRETE, y=y, operator=operator,
                noise=noise, rng=Bulk(), **options)
    return list(run)[-1].x


@pytest.mark.parametrize(("name", "steps", "noise", "options", "mean", "variance"), [
    ("ddnm", 100, 0.0, {}, (0.9, 0.223), (0.0, 0.072)),
    ("ddnm", 100, 0.05, {}, (0.884, 0.173), (0.0021, 0.079)),
    ("replacement", 50, 0.0, {}, (0.9, 0.089), (0.0, 0.099)),
    ("repaint", 50, 0.0, {"jump": 5, "repeats": 1}, (0.9, 0.089), (0.0, 0.099)),
    ("repaint", 50, 0.0, {"jump": 5, "repeats": 3}, (0.9, 0.180), (0.0, 0.083)),
])
def test_the_gaussian_regression_table(name, steps, noise, options, mean, variance):
    x = chains(name, steps, noise, **options)
    assert (x.mean(0) - torch.tensor(mean)).abs().max() < MEAN
    assert (x.var(0) - torch.tensor(variance)).abs().max() < VARIANCE


def test_more_passes_of_repaint_come_nearer_to_the_posterior():
    exact = PRIOR.posterior(torch.tensor([0.9], dtype=torch.float64), torch.tensor([[1.0, 0.0]]).double(), 1e-4)
    gaps = [(chains("repaint", 50, jump=5, repeats=r).mean(0) - exact.mean).abs().max() for r in (1, 2, 4)]
    assert gaps[0] > gaps[1] > gaps[2]


def test_replacement_of_everything_by_a_noisy_measurement_samples_the_exact_posterior():
    seen, noise = torch.tensor([0.9, -0.6], dtype=torch.float64), 0.4
    exact = PRIOR.posterior(seen, torch.eye(2, dtype=torch.float64), noise)
    x = chains("replacement", 200, noise, Identity(), tuple(seen.tolist()))
    assert (x.mean(0) - exact.mean).abs().max() < MEAN
    assert (torch.cov(x.T) - exact.covariance).abs().max() < VARIANCE / 2


def test_noise_for_super_resolution_counts_by_its_singular_value():
    """Four equal pixels seen through their average: that one number is sampled from its exact posterior."""
    x, y, noise = normal(CHAINS, 1, 2, 2), torch.full((1, 1, 1, 1), 0.8, dtype=torch.float64), 0.2
    prior = Gaussian(torch.zeros(4, dtype=torch.float64), torch.full((4, 4), 0.25).double() + 1e-3 * torch.eye(4))
    exact = prior.posterior(y.flatten(), torch.full((1, 4), 0.25, dtype=torch.float64), noise)
    times = respaced(100)
    for step in steer("replacement", prior.denoiser(DISCRETE), x, times, DISCRETE, y=y, operator=AveragePool(2),
                      noise=noise, rng=Bulk()):
        last = step
    averages = last.x.mean((1, 2, 3))
    assert abs(averages.mean() - exact.mean.mean()) < MEAN
    assert abs(averages.var() - exact.covariance.mean()) < VARIANCE


def toward_grey(x, t):
    """Any denoiser: contracts, mixes neighbours, and is nobody's posterior mean."""
    return 0.3 * x + 0.2 * x.flip(-1) - 0.1


def run(name, schedule, y, operator, steps=8, seed=0, samples=2, noise=0.0, **options):
    rng = Rng(seed, samples)
    times = grids.make("uniform", schedule, steps)
    x = schedule(times[0].item())[1] * rng.normal(3, 8, 8)
    return list(steer(name, toward_grey, x, times, schedule, y=y, operator=operator, noise=noise, rng=rng, **options))


# Soft methods weigh the measurement against the prior and never reach it exactly.
EXACT = [entry.name for entry in self_sufficient() if "soft" not in entry.tags]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EXACT)
def test_a_fully_known_picture_comes_back(name, schedule):
    y = normal(1, 3, 8, 8).float().clamp(-1, 1)
    last = run(name, SCHEDULES[schedule], y, Inpaint(torch.ones(8, 8, dtype=torch.bool)))[-1]
    assert torch.allclose(last.x, y.expand(2, -1, -1, -1), atol=1e-5)  # float32 rounding of sums up to |x| ~ 80 (edm)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", [Inpaint(torch.eye(8).bool()), AveragePool(4)], ids=["inpaint", "averages"])
@pytest.mark.parametrize("name", EXACT)
def test_without_noise_the_result_explains_the_measurement(name, operator, schedule):
    y = operator.H(normal(1, 3, 8, 8).float().clamp(-1, 1))
    steps = run(name, SCHEDULES[schedule], y, operator)
    assert torch.allclose(operator.H(steps[-1].x), y.expand(2, -1, -1, -1), atol=1e-4)
    assert all(torch.isfinite(s.x).all() and torch.isfinite(s.x0).all() for s in steps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_noise_is_missing_where_too_much_is_there_whatever_the_rounding(dtype):
    for sigma in normal(1000).abs().tolist():
        level, brought = moves.Level(0.5, 0.5, sigma), torch.tensor([torch.inf, sigma, 0.6 * sigma, 0.0], dtype=dtype)
        found = moves.missing(brought, level)
        assert torch.allclose(found, sigma * torch.tensor([0.0, 0.0, 0.8, 1.0], dtype=dtype), atol=1e-3 * sigma)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", [r.name for r in self_sufficient() if "particles" not in r.tags])
def test_the_same_seed_gives_the_same_bits_alone_and_in_a_batch(name, noise):
    y, operator = normal(1, 3, 8, 8).float(), Inpaint(torch.eye(8).bool())
    first, again, other, alone = (run(name, SCHEDULES["cosine"], y, operator, noise=noise, seed=seed, samples=samples)
                                  for seed, samples in ((5, 3), (5, 3), (6, 3), (5, 1)))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.x0, b.x0) for a, b in zip(first, again, strict=True))
    assert not torch.allclose(first[-1].x, other[-1].x, atol=1e-2)
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-5)  # other batch sizes may sum in another order


def test_replacement_with_nothing_known_is_plain_ddim():
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = x = normal(2, 3, 8, 8)
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        (alpha, sigma), (alpha_s, sigma_s) = schedule(t), schedule(s)
        x0 = toward_grey(x, t)
        x = alpha_s * x0 + sigma_s * (x - alpha * x0) / sigma
    steps = steer("replacement", toward_grey, start, times, schedule, y=torch.zeros(1, 3, 8, 8),
                  operator=Inpaint(torch.zeros(8, 8)), rng=Rng(0, 2), eta=0.0)
    assert torch.allclose(list(steps)[-1].x, x, atol=1e-12)


@pytest.mark.parametrize(("plan", "steps_down", "steps_up"), [
    ((250, 10, 10), 2410, 2160), ((100, 10, 3), 280, 180), ((50, 5, 3), 140, 90), ((50, 5, 2), 95, 45),
    ((50, 5, 1), 50, 0), ((5, 5, 9), 5, 0), ((1, 1, 4), 1, 0)])
def test_the_jump_schedule_has_the_published_cost(plan, steps_down, steps_up):
    moved = moves.path(*plan)
    assert sum(to > frm for frm, to in moved) == steps_down == moves.calls(*plan)
    assert sum(frm - to for frm, to in moved if to < frm) == steps_up
    assert moved[0][0] == 0 and moved[-1][1] == plan[0]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(moved))


def test_jumping_back_keeps_the_law_of_the_noisier_level():
    class Ones:
        def normal_like(self, x):
            return torch.ones_like(x)

    for schedule in SCHEDULES.values():
        s, t = 0.3, 0.6
        clean, noisy = moves.Level(s, *schedule(s)), moves.Level(t, *schedule(t))
        one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        spread = moves.renoise(none, clean, noisy, Ones()).item()
        shrink = moves.renoise(one, clean, noisy, Ones()).item() - spread
        assert shrink * clean.alpha == pytest.approx(noisy.alpha, abs=1e-12)
        assert (shrink * clean.sigma) ** 2 + spread ** 2 == pytest.approx(noisy.sigma ** 2, abs=1e-12)


@pytest.mark.parametrize(("name", "options"), [
    ("replacement", {}), ("ddnm", {}), ("ddnm", {"jump": 2, "repeats": 2}), ("repaint", {}),
    ("repaint", {"jump": 3, "repeats": 4}), ("repaint", {"jump": 50, "repeats": 4})])
def test_every_network_call_is_counted_and_announced(name, options):
    schedule, y = SCHEDULES["cosine"], torch.zeros(1, 3, 8, 8)
    denoise = counted(toward_grey)
    times = grids.make("uniform", schedule, 12)
    run = list(steer(name, denoise, normal(2, 3, 8, 8), times, schedule, y=y, operator=Inpaint(torch.eye(8)),
                     rng=Rng(0, 2), **options))
    assert len(run) == denoise.calls == row(name).calls(12, **options)
    assert [s.nfe for s in run] == [s.index for s in run] == list(range(1, len(run) + 1))
    assert {s.total for s in run} == {len(run)}
    assert run[-1].t == 0 and run[-1].sigma == 0
    assert all(s.x.shape == s.x0.shape == (2, 3, 8, 8) and s.sigma == schedule(s.t)[1] for s in run)


def test_closing_the_generator_stops_before_the_next_call():
    schedule = SCHEDULES["cosine"]
    denoise = counted(toward_grey)
    run = steer("repaint", denoise, normal(1, 3, 8, 8), grids.make("uniform", schedule, 10), schedule,
                y=torch.zeros(1, 3, 8, 8), operator=Inpaint(torch.eye(8)), rng=Rng(0, 1))
    next(run), next(run)
    run.close()
    assert denoise.calls == 2


@pytest.mark.parametrize(("name", "given", "field"), [
    ("magic", {}, "method"), ("ddnm", {"zeta": 1.0}, "zeta"), ("ddnm", {"eta": 1.5}, "eta"),
    ("ddnm", {"eta": float("nan")}, "eta"), ("ddnm", {"eta": "1"}, "eta"), ("repaint", {"jump": 0}, "jump"),
    ("repaint", {"jump": 2.5}, "jump"), ("repaint", {"repeats": True}, "repeats"), ("ddnm", {"noise": -0.1}, "noise"),
    ("ddnm", {"noise": float("inf")}, "noise")])
def test_wrong_settings_name_their_field(name, given, field):
    with pytest.raises(InputError) as error:
        steer(name, toward_grey, normal(1, 3, 8, 8), torch.tensor([1.0, 0.0]), SCHEDULES["flow"],
              y=torch.zeros(1, 3, 8, 8), operator=Identity(), rng=Rng(0, 1), **given)
    assert error.value.field == field


def test_the_catalogue_rows_are_complete():
    assert {r.name for r in catalogue()} >= {"replacement", "repaint", "ddnm"}
    for entry in catalogue():
        fewest, default, most = entry.steps
        assert fewest <= default <= most and entry.title and entry.hint and entry.paper and entry.cost
        for option in entry.options:
            if option.choices:
                assert option.default in option.choices
            elif not isinstance(option.default, bool):
                assert option.minimum <= option.default <= option.maximum
