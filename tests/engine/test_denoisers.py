import itertools

import pytest
import torch

from engine import denoisers, schedules
from engine.denoisers import KINDS, convert, counted, on_schedule
from tests.oracles import Gaussian, Mixture, normal, reference

SCHEDULES = {s.name: s for s in (schedules.vp_linear(), schedules.vp_discrete(), schedules.cosine(), schedules.edm(),
                                 schedules.flow())}
ADAPTERS = {kind: getattr(denoisers, f"from_{kind}") for kind in KINDS}
ALL = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def some_times(schedule, count=6):
    """Times with log_snr between -2 and 3, where nothing is nearly singular."""
    return schedule.time_at(torch.linspace(-2, 3, count, dtype=torch.float64))


def parts(schedule, t):
    """x0, eps, x_t and every kind of prediction by its definition, (6, 2, 3)."""
    x0, eps = normal(6, 2, 3, seed=1), normal(6, 2, 3, seed=2)
    (alpha, sigma), (alpha_rate, sigma_rate) = (
        [level.reshape(-1, 1, 1) for level in pair] for pair in (schedule(t), schedule.rates(t)))
    x = alpha * x0 + sigma * eps
    return x, {"eps": eps, "x0": x0, "v": alpha * eps - sigma * x0, "velocity": alpha_rate * x0 + sigma_rate * eps,
               "score": -eps / sigma}


@ALL
@pytest.mark.parametrize(("have", "want"), list(itertools.product(KINDS, KINDS)))
def test_every_prediction_becomes_every_other(schedule, have, want):
    t = some_times(schedule)
    x, kinds = parts(schedule, t)
    got = convert(kinds[have], x, *schedule(t), have, want, schedule.rates(t))
    # Values reach about 1e2; cancellation in alpha sigma' - alpha' sigma costs two digits of float64.
    assert torch.allclose(got, kinds[want], rtol=1e-11, atol=1e-11)


@ALL
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_give_x0_and_call_the_network_with_its_times_and_conditions(schedule, kind):
    t = some_times(schedule)
    x, kinds = parts(schedule, t)
    seen = []

    def network(x_t, times, **cond):
        seen.append((x_t, times, cond))
        return kinds[kind]

    label = torch.arange(6)
    x0 = ADAPTERS[kind](network, schedule)(x, t, label=label)
    assert torch.allclose(x0, kinds["x0"], atol=1e-11)
    (x_seen, times, cond), = seen
    assert x_seen is x and times.shape == (6,) and times.dtype == torch.float32 and cond == {"label": label}
    expected = schedule.model_time(t) if schedule.name == "vp_discrete" else t
    assert torch.equal(times, expected.float())


@pytest.mark.parametrize("kind", KINDS)
def test_one_float_time_equals_the_same_time_per_sample(kind):
    schedule = schedules.vp_discrete()
    denoise = ADAPTERS[kind](lambda x, t: x * (1 + t.reshape(-1, 1) / 1000), schedule)
    x = normal(4, 3)
    assert torch.allclose(denoise(x, 0.3), denoise(x, torch.full((4,), 0.3, dtype=torch.float64)), atol=1e-12)
    assert torch.allclose(denoise(x, 0.3), denoise(x, torch.tensor(0.3, dtype=torch.float64)), atol=1e-12)


def test_the_state_keeps_its_dtype_whatever_the_network_uses():
    x = normal(2, 3, 4, 4).float()
    for kind, adapter in ADAPTERS.items():
        x0 = adapter(lambda x_t, t: x_t.bfloat16(), schedules.vp_linear())(x, torch.tensor([0.2, 0.9]))
        assert x0.dtype == torch.float32 and x0.shape == x.shape, kind


def test_samples_of_a_batch_do_not_touch_each_other():
    denoise = denoisers.from_v(lambda x, t: x.sin() * t.reshape(-1, 1), schedules.cosine())
    x, t = normal(3, 5), torch.tensor([0.9, 0.5, 0.1])
    together = denoise(x, t)
    for i in range(3):
        # Times arrive as float32, so the batch of one computes with the same number.
        assert torch.allclose(together[i:i + 1], denoise(x[i:i + 1], t[i].item()), atol=1e-12)


def test_v_and_velocity_stay_finite_where_eps_is_singular():
    x, value = normal(2, 3, seed=1), normal(2, 3, seed=2)
    assert torch.allclose(convert(value, x, 0.0, 1.0, "v", "x0"), -value)
    assert torch.allclose(convert(value, x, 1.0, 0.0, "v", "eps"), value)
    assert torch.allclose(convert(value, x, 0.0, 1.0, "velocity", "x0", (-1.0, 1.0)), x - value)
    assert torch.allclose(convert(value, x, 1.0, 0.0, "score", "x0"), x)
    assert torch.equal(convert(value, x, 1.0, 0.0, "x0", "x0"), value)


@pytest.mark.parametrize("t", [1.0, 0.97, 0.5, 0.05])
def test_resnoise_round_trip_in_the_coordinates_of_the_network(t):
    schedule = schedules.residual()
    clean, degraded, eps = (normal(2, 3, 4, 4, seed=i) for i in range(3))
    retained, (alpha, sigma) = schedule.retained(t), schedule(t)
    residual = degraded - clean
    picture = retained * clean + (1 - retained) * residual + sigma * eps
    mask = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    cond = torch.cat([degraded, mask], 1)

    def network(x_t, times, cond, label):
        assert torch.allclose(x_t, picture, atol=1e-13)
        assert cond.shape[1] == 4 and label == "kept" and torch.equal(times, torch.full((2,), t))
        return denoisers.resnoise(eps, clean, degraded, sigma)

    shifted = alpha * clean + sigma * eps
    assert torch.allclose(shifted + denoisers.residual_shift(degraded, t, schedule), picture, atol=1e-13)
    x0 = denoisers.from_resnoise(network, schedule)(shifted, t, cond=cond, label="kept")
    assert torch.allclose(x0, clean, atol=1e-12)


def test_resnoise_takes_a_time_per_sample():
    schedule, t = schedules.residual(), torch.tensor([1.0, 0.3], dtype=torch.float64)
    clean, degraded, eps = (normal(2, 3, 4, 4, seed=i) for i in range(3))
    alpha, sigma = schedule(t)
    denoise = denoisers.from_resnoise(lambda x, s, cond: denoisers.resnoise(eps, clean, degraded, sigma), schedule)
    y = denoisers.spread(alpha, clean) * clean + denoisers.spread(sigma, clean) * eps
    assert torch.allclose(denoise(y, t, cond=degraded), clean, atol=1e-12)


def test_the_resnoise_of_the_limit_takes_the_published_reverse_step():
    # Resfusion's discrete posterior mean with a small step equals the posterior mean of the shifted variable x - R.
    clean, degraded, x_t = (normal(1, 3, 2, 2, seed=i) for i in range(3))
    residual, before, after = degraded - clean, 0.81, 0.81 * (1 - 1e-5)
    beta = 1 - after / before
    mean = (before**0.5 * beta / (1 - after) * (clean - residual)
            + (1 - beta) ** 0.5 * (1 - before) / (1 - after) * (x_t - residual) + residual)
    sigma = (1 - after) ** 0.5
    eps = (x_t - after**0.5 * clean - (1 - after**0.5) * residual) / sigma
    step = (x_t - beta / sigma * denoisers.resnoise(eps, clean, degraded, sigma)) / (1 - beta) ** 0.5
    # k_t differs from sigma / 2 by a share beta / 4, which enters times beta: 1e-10.
    assert torch.allclose(step, mean, atol=1e-9)


@pytest.mark.parametrize("law", [Mixture(), Gaussian.random(5)], ids=["mixture", "gaussian"])
def test_a_model_of_one_schedule_runs_under_another(law):
    vp, edm = schedules.vp_linear(), schedules.edm()
    size = 2 if isinstance(law, Mixture) else 5
    levels = torch.linspace(-4, 4, 9, dtype=torch.float64)
    for trained, used in itertools.permutations((vp, edm, schedules.flow(), schedules.cosine()), 2):
        x, t = normal(9, size), used.time_at(levels)
        borrowed = on_schedule(law.denoiser(trained), trained, used)
        assert torch.allclose(borrowed(x, t), law.denoiser(used)(x, t), atol=1e-11)
        assert torch.allclose(borrowed(x[:1], t[0].item()), law.denoiser(used)(x[:1], t[0].item()), atol=1e-11)


def test_levels_outside_the_trained_range_are_answered_at_its_end():
    trained, used = schedules.vp_discrete(), schedules.flow()
    asked = []

    def denoise(x, t):
        asked.append(t)
        return x

    borrowed = on_schedule(denoise, trained, used)
    borrowed(normal(2, 3), 0.0)
    borrowed(normal(2, 3), torch.tensor([0.0, 1.0]))
    assert asked[0] == pytest.approx(trained.t_min)
    assert torch.allclose(asked[1], torch.tensor([trained.t_min, trained.t_max], dtype=torch.float64))


def test_counting_calls():
    denoise = counted(Mixture().denoiser(schedules.edm()))
    assert denoise.calls == 0
    x0 = denoise(normal(3, 2), 1.0)
    denoise(normal(3, 2), 0.5)
    assert denoise.calls == 2 and x0.shape == (3, 2)


# The oracles that every other test leans on.


@ALL
def test_the_mixture_denoiser_is_tweedies_formula(schedule):
    law, t = Mixture(), some_times(schedule)
    x = normal(6, 2).requires_grad_()
    score, = torch.autograd.grad(law.log_parts(x, *schedule(t)).logsumexp(1).sum(), x)
    from_score = denoisers.from_score(lambda x_t, times: score, schedule)(x.detach(), t)
    assert torch.allclose(from_score, law.denoiser(schedule)(x.detach(), t), atol=1e-11)


def test_the_gaussian_denoiser_is_linear_regression():
    law, (alpha, sigma), x = Gaussian.random(4), (0.8, 0.6), normal(7, 2, 2)
    gain = alpha * law.covariance @ torch.linalg.inv(alpha**2 * law.covariance + sigma**2 * torch.eye(4).double())
    wanted = law.mean + (x.flatten(1) - alpha * law.mean) @ gain.T
    assert torch.allclose(law.posterior_mean(x, alpha, sigma), wanted.reshape(7, 2, 2), atol=1e-12)
    observed = law.posterior(x[0].flatten(), alpha * torch.eye(4).double(), sigma)
    assert torch.allclose(observed.mean, wanted[0], atol=1e-12)


@ALL
def test_the_reference_solution_is_the_exact_flow_of_a_gaussian(schedule):
    law, x = Gaussian.random(3), normal(5, 3)
    start, end = schedule.time_at(-3.0), schedule.time_at(4.0)
    got = reference(law, x, schedule, start, end, steps=400)
    # Fourth order: 7 / 400 to the fourth power, times the fifth derivative of a rational function of order 1.
    assert torch.allclose(got, law.flow(x, schedule, start, end), atol=1e-8)


def test_the_reference_solution_has_converged_on_the_mixture():
    schedule, x = schedules.vp_linear(), normal(16, 2)
    coarse, fine = (reference(Mixture(), x, schedule, 1.0, 1e-3, steps) for steps in (500, 1000))
    assert (coarse - fine).abs().max() < 1e-8
