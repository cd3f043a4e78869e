import math

import pytest
import torch

from engine import schedules
from engine.errors import InputError

SCHEDULES = {
    "vp_linear": schedules.vp_linear(),
    "vp_discrete": schedules.vp_discrete(),
    "vp_discrete scaled": schedules.vp_discrete("scaled_linear"),
    "vp_discrete cosine": schedules.vp_discrete("cosine"),
    "vp_discrete short": schedules.vp_discrete([0.1, 0.2, 0.4, 0.5]),
    "cosine": schedules.cosine(),
    "edm": schedules.edm(),
    "flow": schedules.flow(),
    "residual": schedules.residual(),
    "mean_reverting": schedules.mean_reverting(),
    "mean_reverting short": schedules.mean_reverting(rest=0.2, left=0.1, nodes=4),
}
ALL = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
PRESERVING = pytest.mark.parametrize("name", [n for n in SCHEDULES if n.startswith(("vp", "cosine"))])


def times(schedule, count=1000):
    return torch.linspace(schedule.t_min, schedule.t_max, count, dtype=torch.float64)


@ALL
def test_time_to_log_snr_and_back(schedule):
    t = times(schedule)
    # Relative, since EDM's times reach 80.
    assert ((schedule.time_at(schedule.log_snr(t)) - t) / t.clamp_min(1)).abs().max() < 1e-10
    assert max(abs(schedule.time_at(schedule.log_snr(v)) - v) / max(v, 1) for v in t[::50].tolist()) < 1e-10


@ALL
def test_log_snr_falls_strictly_and_is_the_log_of_the_ratio(schedule):
    t = times(schedule)
    alpha, sigma = schedule(t)
    assert (schedule.log_snr(t).diff() < 0).all()
    assert torch.allclose(schedule.log_snr(t).exp(), alpha / sigma, rtol=1e-12)
    assert torch.isfinite(schedule.log_snr(t)).all()


@ALL
def test_time_zero_is_exactly_clean(schedule):
    assert schedule(0.0) == schedule(0) == (1.0, 0.0)
    assert schedule.log_snr(0.0) == math.inf
    # Several lengths, since vectorised and scalar library code may round differently.
    for count in (1, 3, 17):
        alpha, sigma = schedule(torch.zeros(count))
        assert (alpha == 1).all() and (sigma == 0).all()


@ALL
def test_floats_give_floats_and_tensors_give_float64_of_their_shape(schedule):
    middle = (schedule.t_min + schedule.t_max) / 2
    several = torch.full((2, 3), middle, dtype=torch.float32)
    for function in (lambda t: schedule(t)[0], lambda t: schedule(t)[1], lambda t: schedule.rates(t)[1],
                     schedule.log_snr, lambda t: schedule.time_at(schedule.log_snr(t))):
        number, tensor = function(several[0, 0].item()), function(several)
        assert type(number) is float
        assert tensor.dtype == torch.float64 and tensor.shape == (2, 3)
        assert torch.allclose(tensor, torch.tensor(number, dtype=torch.float64), rtol=1e-12)


@ALL
def test_rates_are_the_derivatives(schedule):
    # Off the nodes of the piecewise linear tables, where the derivative jumps.
    t = times(schedule, 37)[1:-1] + 0.1 * schedule.t_min
    step = 1e-6 * t
    for rate, level_after, level_before in zip(schedule.rates(t), schedule(t + step), schedule(t - step), strict=True):
        slope = (level_after - level_before) / (2 * step)
        # Central differences: rounding 1e-16 over a relative step of 1e-6, and the step's square.
        assert torch.allclose(rate, slope, rtol=1e-6, atol=1e-7)


@PRESERVING
def test_variance_is_preserved(name):
    alpha, sigma = SCHEDULES[name](times(SCHEDULES[name]))
    assert (alpha**2 + sigma**2 - 1).abs().max() < 1e-14


@ALL
def test_schedules_are_frozen_values(schedule):
    assert hash(schedule) == hash(schedule) and schedule == schedule
    with pytest.raises(AttributeError):
        schedule.t_max = 0.5
    assert len(set(SCHEDULES.values())) == len(SCHEDULES)


def test_infinite_log_snr_is_time_zero_or_the_end():
    for schedule in SCHEDULES.values():
        assert schedule.time_at(math.inf) == pytest.approx(0, abs=1e-200)
    assert schedules.residual().time_at(-math.inf) == pytest.approx(1, abs=1e-15)
    assert schedules.flow().time_at(-math.inf) == 1.0


def test_vp_linear_has_the_published_values():
    schedule = schedules.vp_linear()
    assert [round(schedule.log_snr(t), 3) for t in (1.0, 1e-3, 1e-4)] == [-5.025, 4.558, 5.752]
    # beta(t) = -2 d log alpha / dt.
    assert -2 * schedule.rates(0.3)[0] / schedule(0.3)[0] == pytest.approx(0.1 + 0.3 * 19.9, rel=1e-12)


@pytest.mark.parametrize("kind", ["linear", "scaled_linear", "cosine"])
def test_discrete_nodes_reproduce_the_cumulative_product(kind):
    betas = torch.tensor(schedules.beta_table(kind), dtype=torch.float64)
    schedule = schedules.vp_discrete(betas.tolist())
    nodes = torch.arange(1, 1001, dtype=torch.float64) / 1000
    assert torch.allclose(schedule(nodes)[0] ** 2, (1 - betas).cumprod(0), rtol=1e-10, atol=0)
    assert torch.allclose(schedule.model_time(nodes), torch.arange(1000, dtype=torch.float64), atol=1e-9)
    assert schedule.model_time(0.25) == 249 and schedule.model_time(0.0) == 0


def test_discrete_is_linear_in_log_alpha_between_nodes():
    schedule = schedules.vp_discrete()
    left, middle, right = (math.log(schedule(t)[0]) for t in (0.5, 0.5005, 0.501))
    assert middle == pytest.approx((left + right) / 2, abs=1e-13)


def test_the_cosine_table_loses_its_tail_of_pure_noise():
    schedule = schedules.vp_discrete("cosine")
    assert schedule.log_snr(schedule.t_max) >= -5.1 > schedule.log_snr(schedule.t_max + 1e-3)
    assert schedules.vp_discrete().t_max == 1.0


def test_a_zero_terminal_signal_stays_finite():
    schedule = schedules.vp_discrete([0.5, 0.9, 1.0])
    assert schedule(1.0)[0] == pytest.approx(2.0**-12) and schedule.t_max == pytest.approx(2 / 3)
    assert schedule.time_at(schedule.log_snr(0.9)) == pytest.approx(0.9)


@pytest.mark.parametrize("betas", [[0.1], [0.1, 0.0], [0.1, 1.5], [0.1, math.nan]])
def test_unusable_noise_tables_are_refused(betas):
    with pytest.raises(InputError):
        schedules.vp_discrete(betas)


def test_cosine_is_the_cosine():
    schedule, t = schedules.cosine(), 0.4
    wanted = math.cos(math.pi / 2 * (t + 0.008) / 1.008) / math.cos(math.pi / 2 * 0.008 / 1.008)
    assert schedule(t)[0] == pytest.approx(wanted, rel=1e-14)


def test_edm_and_flow_are_what_they_say():
    assert schedules.edm()(3.0) == (1.0, 3.0) and schedules.edm().log_snr(2.0) == pytest.approx(-math.log(2))
    assert schedules.flow()(0.25) == (0.75, 0.25)


def test_residual_starts_where_nothing_clean_is_left():
    schedule = schedules.residual()
    assert schedule.start == 1.0 and schedule.retained(1.0) == 0.5 and schedule.retained(0.0) == 1.0
    assert schedule(1.0) == (0.0, pytest.approx(math.sqrt(3) / 2)) and schedule.log_snr(1.0) == -math.inf
    assert (schedule(torch.ones(9))[0] == 0).all()


def test_residual_follows_the_vp_linear_law_on_slowed_time():
    schedule, base, t = schedules.residual(), schedules.vp_linear(), 0.6
    end = base.time_at(math.log(0.5 / math.sqrt(0.75)))
    retained = base(t * end)[0]
    assert schedule.retained(t) == pytest.approx(retained, rel=1e-13)
    assert schedule(t) == pytest.approx((2 * retained - 1, math.sqrt(1 - retained**2)), rel=1e-13)


def test_residual_is_the_limit_of_the_published_discrete_process():
    # Resfusion, x_t = sqrt(a_t) x_{t-1} + (1 - sqrt(a_t)) R + sqrt(1 - a_t) e, target share k_t of R, at T = 1000.
    betas = torch.tensor(schedules.beta_table("linear", 1000), dtype=torch.float64)
    kept = (1 - betas).cumprod(0)
    share = (1 - (1 - betas).sqrt()) * (1 - kept).sqrt() / betas
    # k_t / sigma = 1/2 + beta/8: half the largest beta before the acceleration point (index 367) over 4.
    assert (share / (1 - kept).sqrt())[:368].sub(0.5).abs().max() < 0.001
    assert int((kept.sqrt() - 0.5).abs().argmin()) == 367


def test_mean_reverting_has_the_published_values():
    # EDiffSR in pictures of [0, 1]: 50/255, 100 steps, 0.005 left; the first and last standard deviation.
    schedule = schedules.mean_reverting(rest=50 / 255)
    assert [round(schedule(t)[1], 5) for t in (0.01, 1.0)] == [0.00368, 0.19608]
    assert schedule(1.0)[0] == pytest.approx(0.005, rel=1e-12)
    # The published time step, -log(left) over the sum of thetas, in which -log alpha(0.01) is one theta.
    theta = 1 - (math.cos((2 / 102 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
    assert -math.log(schedule(0.01)[0]) / theta == pytest.approx(0.10409, abs=5e-6)


def test_mean_reverting_solves_its_differential_equation():
    # d variance / dt = -2 theta variance + 2 theta rest^2 and d mean / dt = -theta mean, off the nodes of the table.
    schedule, t = schedules.mean_reverting(), torch.linspace(0.015, 0.995, 50, dtype=torch.float64)
    (alpha, sigma), (alpha_rate, sigma_rate) = schedule(t), schedule.rates(t)
    theta = -alpha_rate / alpha
    assert torch.allclose(2 * sigma * sigma_rate, 2 * theta * (schedule.rest**2 - sigma**2), rtol=1e-10)
    assert (theta > 0).all() and (theta.diff() >= 0).all()


@pytest.mark.parametrize("options", [{"rest": 0.0}, {"left": 0.0}, {"left": 1.0}, {"nodes": 1}, {"rest": math.nan}])
def test_unusable_mean_reverting_schedules_are_refused(options):
    with pytest.raises(InputError):
        schedules.mean_reverting(**options)


@pytest.mark.parametrize("name", schedules.names())
def test_cards_rebuild_schedules_by_name(name):
    schedule = schedules.by_name(name)
    assert schedule.name == name and schedule == schedules.by_name(name)


def test_cards_with_options_or_mistakes():
    assert schedules.by_name("vp_linear", beta_max=10.0).beta_max == 10.0
    assert schedules.by_name("vp_discrete", betas="cosine", count=50) == schedules.vp_discrete("cosine", 50)
    for call in (lambda: schedules.by_name("quadratic"), lambda: schedules.by_name("cosine", speed=2),
                 lambda: schedules.by_name("vp_discrete", betas="steep")):
        with pytest.raises(InputError):
            call()
