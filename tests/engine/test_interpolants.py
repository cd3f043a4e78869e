"""Stochastic interpolants between mixtures: fields against the continuity equation and draws, samplers, KL, density."""

import math

import pytest
import torch

from engine import exact, schedules
from engine.errors import InputError
from engine.interpolants import Fields, Gaps, Interpolant, gaps, log_density, losses, ode, one_sided, sde
from engine.interpolants import exact_divergence as divergence

BRIDGES = [Interpolant(), Interpolant("linear", "parabola", 2.0), Interpolant("linear", "none"),
           Interpolant("trigonometric", "brownian", 0.8), Interpolant("trigonometric", "sine", 0.6),
           Interpolant("encoding_decoding", "sine")]
START = exact.mixture([0.6, 0.4], [[-1.0], [0.7]], [0.2, 0.3])
END = exact.mixture([0.3, 0.7], [[-0.5], [1.2]], [0.1, 0.25])
PLANE = exact.mixture([0.5, 0.5], [[-1.0, 0.4], [0.9, -0.2]], [0.3, 0.2])
LINE = Fields(START, END, Interpolant())


class Draws:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def normal_like(self, x):
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def draws(law, count, seed):
    return law.sample(count, torch.Generator().manual_seed(seed))


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spaced(steps, first=0.0, last=1.0):
    return torch.linspace(first, last, steps + 1, dtype=torch.float64).tolist()


def last(run):
    *_, (_, x) = run
    return x


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda b: f"{b.path}-{b.gamma}")
def test_weights_start_and_end_right_and_rates_are_derivatives(bridge):
    first, end = bridge.at(0.0), bridge.at(1.0)
    assert (first.a, first.b) == pytest.approx((1, 0), abs=1e-12) and (end.a, end.b) == pytest.approx((0, 1), abs=1e-12)
    assert first.gamma == pytest.approx(0, abs=1e-12) == end.gamma
    h = 1e-5
    for t in (0.07, 0.3, 0.49, 0.62, 0.9):
        before, here, after = bridge.at(t - h), bridge.at(t), bridge.at(t + h)
        # Central differences: h^2 times third derivatives, which are below 1000 here.
        assert here.a_rate == pytest.approx((after.a - before.a) / (2 * h), abs=1e-7)
        assert here.b_rate == pytest.approx((after.b - before.b) / (2 * h), abs=1e-7)
        assert here.gamma_product == pytest.approx((after.gamma**2 - before.gamma**2) / (4 * h), abs=1e-7)


def test_the_mirror_keeps_the_data():
    """Its law is the same at both ends, and in one dimension a flow keeps the order of points: it is the identity."""
    fields, x = Fields(START, END, Interpolant("mirror")), noise(5, 1)
    for t in (0.0, 1.0):
        torch.testing.assert_close(fields.law(t).log_density(x), END.log_density(x), rtol=0, atol=1e-12)

    def error(steps):
        return (last(ode(fields.b, x, spaced(steps))) - x).abs().max().item()

    # At least Heun's second order; the two halves of the mirror are alike, which helps.
    assert error(50) / error(100) > 2**1.8 and error(100) < 0.01


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda b: f"{b.path}-{b.gamma}")
def test_the_drift_solves_the_continuity_equation(bridge):
    """d log rho / dt = -div b - b . s, the time derivative by central differences of the exact density."""
    fields, x, h = Fields(PLANE, exact.toy(), bridge), noise(40, 2), 1e-5
    for t in (0.2, 0.45, 0.7):
        grown = (fields.law(t + h).log_density(x) - fields.law(t - h).log_density(x)) / (2 * h)
        flown = -divergence(fields.b, x, t) - (fields.b(x, t) * fields.score(x, t)).sum(1)
        torch.testing.assert_close(grown, flown, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda b: f"{b.path}-{b.gamma}")
def test_the_fields_are_the_conditional_means(bridge):
    """E[f(x_t) (target - field(x_t))] = 0 for any f; means of 40000 draws, five standard errors."""
    fields, count = Fields(START, END, bridge), 40_000
    x0, x1, z = draws(START, count, 1), draws(END, count, 2), noise(count, 1, seed=3)
    for t in (0.3, 0.6):
        x, w = bridge.state(x0, x1, z, t), bridge.at(t)
        left = {"v": bridge.change(x0, x1, t) - fields.v(x, t), "eta": z - fields.eta(x, t) if w.gamma else z * 0}
        for residual in left.values():
            for weight in (torch.ones_like(x), x, (3 * x).sin()):
                parts = weight * residual
                assert parts.mean().abs() <= 5 * parts.std() / math.sqrt(count) + 1e-12
        if w.gamma:
            torch.testing.assert_close(fields.b(x, t), fields.v(x, t) + w.gamma_product / w.gamma * fields.eta(x, t))


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_orders_of_the_ode(method, order):
    """The card's case: one dimension, linear, Brownian gamma, t in [1e-3, 1 - 1e-3]."""
    x, ends = noise(64, 1), (1e-3, 1 - 1e-3)
    truth = last(ode(LINE.b, x, spaced(1600, *ends), "heun"))

    def error(steps):
        return (last(ode(LINE.b, x, spaced(steps, *ends), method)) - truth).abs().mean().item()

    # The reference is 20 times finer than the finest run: it moves the slope by less than .01.
    assert math.log2(error(40) / error(80)) == pytest.approx(order, abs=0.15)


def test_back_and_forth_is_the_identity():
    x = noise(20, 1)
    there = last(ode(LINE.b, x, spaced(800), "heun"))
    back = last(ode(LINE.b, there, spaced(800)[::-1], "heun"))
    # Heun's error at 800 steps, from the order above: below 1e-5 each way.
    torch.testing.assert_close(back, x, rtol=0, atol=2e-5)


def kolmogorov(x, law):
    """Largest distance between the empirical distribution of x (n, 1) and that of a one-dimensional mixture."""
    x = x[:, 0].sort().values
    below = (law.weights * torch.special.ndtr((x[:, None] - law.means[:, 0]) / law.variances.sqrt())).sum(1)
    ranks = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    return max((below - ranks[:-1]).max().item(), (ranks[1:] - below).max().item())


@pytest.mark.parametrize("method", ["euler", "heun"])
@pytest.mark.parametrize("diffusion", [0.0, 0.5, 2.0])
def test_every_diffusion_leads_to_the_same_law(diffusion, method):
    """Kolmogorov's statistic of n draws is below 1.95 / sqrt(n) in 99.9 % of cases. The bias of Euler-Maruyama is of
    first order, .043 at 50 steps of w = 2 by the card, so .005 at 400.
    """
    count, steps = 2000, 400
    x = draws(START, count, 5)
    found = last(sde(LINE.b, LINE.score, x, spaced(steps), lambda t: diffusion, Draws(6), method))
    assert kolmogorov(found, END) < 1.95 / math.sqrt(count) + 0.043 * 50 / steps


def test_the_reverse_sde_leads_back():
    count = 2000
    x = draws(END, count, 7)
    found = last(sde(LINE.b, LINE.score, x, spaced(400)[::-1], lambda t: 0.5, Draws(8)))
    assert kolmogorov(found, START) < 1.95 / math.sqrt(count) + 0.005


def test_without_diffusion_the_sde_is_the_ode_and_needs_no_random_numbers():
    x = noise(6, 1)
    for method in ("euler", "heun"):
        stirred = last(sde(LINE.b, LINE.score, x, spaced(10), lambda t: 0.0, None, method))
        assert stirred.equal(last(ode(LINE.b, x, spaced(10), method)))


def test_losses_rise_by_half_the_squared_error():
    """L(f + d) - L(f) = E|d|^2 / 2 for the exact f, because the rest of the difference has mean 0."""
    bridge, count, t = Interpolant(), 40_000, 0.4
    fields = Fields(PLANE, exact.toy(), bridge)
    x0, x1, z = draws(PLANE, count, 1), draws(exact.toy(), count, 2), noise(count, 2, seed=3)

    def off(field):
        return lambda x, t: field(x, t) + 0.3 * x.cos()

    right = {"b": fields.b, "v": fields.v, "eta": fields.eta, "score": fields.score}
    least = losses(bridge, x0, x1, z, t, **right)
    more = losses(bridge, x0, x1, z, t, **{name: off(field) for name, field in right.items()})
    x = bridge.state(x0, x1, z, t)
    expected = ((0.3 * x.cos()).square().sum(1) / 2).mean().item()
    for name in right:
        rise = more[name] - least[name]
        # Five standard errors of the rise; those of the expected value are far below.
        assert rise.mean().item() == pytest.approx(expected, abs=5 * (rise.std() / math.sqrt(count)).item())


def test_the_antithetic_pair_tames_the_score_loss_near_the_ends():
    bridge, count, t = Interpolant(), 4000, 1e-4
    fields = Fields(START, END, bridge)
    x0, x1, z = draws(START, count, 1), draws(END, count, 2), noise(count, 1, seed=3)
    spread = losses(bridge, x0, x1, z, t, score=fields.score)["score"].std()
    # Without it: the standard deviation of z s / gamma, |s| being near 2 at gamma = .01.
    alone = (z / bridge.at(t).gamma * fields.score(bridge.state(x0, x1, z, t), t)).std()
    assert spread < alone / 10


def test_one_sided_drift_is_the_velocity_of_the_flow_schedule():
    """x_t = (1 - t) z + t x1 is the flow schedule read backwards."""
    law, flow, x = exact.toy(), schedules.flow(), noise(30, 2)

    def eta(x, t):
        return (x - t * law.posterior_mean(x, t, 1 - t)) / (1 - t)

    drift = one_sided(eta, lambda t: (1 - t, -1.0), lambda t: (t, 1.0))
    for t in (0.1, 0.5, 0.9):
        torch.testing.assert_close(drift(x, t), -law.velocity(x, 1 - t, flow), rtol=0, atol=1e-10)


@pytest.mark.parametrize("bridge", BRIDGES[:5], ids=lambda b: f"{b.path}-{b.gamma}")
def test_density_by_the_ode(bridge):
    """log rho1 at points of the plane comes closer to the exact one with the fourth order of RK4."""
    fields, x = Fields(PLANE, exact.toy(), bridge), noise(20, 2)

    def error(steps):
        found = log_density(fields.b, x, PLANE.log_density, spaced(steps))
        return (found - exact.toy().log_density(x)).abs().max().item()

    assert math.log2(error(20) / error(40)) == pytest.approx(4, abs=0.5)


def test_density_with_a_given_divergence():
    fields, x = Fields(PLANE, exact.toy(), Interpolant()), noise(10, 2)
    times = spaced(20)
    given = log_density(fields.b, x, PLANE.log_density, times, lambda y, t: divergence(fields.b, y, t))
    assert given.equal(log_density(fields.b, x, PLANE.log_density, times))


WIDE, NARROW = exact.mixture([1.0], [[0.3]], [1.0]), exact.mixture([1.0], [[-0.2]], [0.5])
GAUSSIAN = Fields(WIDE, NARROW, Interpolant())


def bent_b(x, t):
    return GAUSSIAN.b(x, t) + 0.4 * x + 0.2


def bent_s(x, t):
    return GAUSSIAN.score(x, t) - 0.1 * x + 0.1


def true_kl(diffusion, steps=60):
    """KL(rho1 | end of the SDE with the bent fields): both Gaussian, whose moments follow a linear ODE."""
    def slope(t, mean, variance):
        points = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        at_0, at_1 = (bent_b(points, t) + diffusion * bent_s(points, t))[:, 0].tolist()
        return at_0 + (at_1 - at_0) * mean, 2 * (at_1 - at_0) * variance + 2 * diffusion

    mean, variance, h = 0.3, 1.0, 1 / steps
    for i in range(steps):
        t = i * h
        k1 = slope(t, mean, variance)
        k2 = slope(t + h / 2, mean + h / 2 * k1[0], variance + h / 2 * k1[1])
        k3 = slope(t + h / 2, mean + h / 2 * k2[0], variance + h / 2 * k2[1])
        k4 = slope(t + h, mean + h * k3[0], variance + h * k3[1])
        mean, variance = (y + h / 6 * (a + 2 * b + 2 * c + d)
                          for y, a, b, c, d in zip((mean, variance), k1, k2, k3, k4, strict=True))
    return (math.log(variance / 0.5) + (0.5 + (mean + 0.2) ** 2) / variance - 1) / 2


def test_kl_stays_below_its_bound_and_the_best_diffusion_makes_it_least():
    found = gaps(GAUSSIAN, bent_b, bent_s, spaced(40), 4000, torch.Generator().manual_seed(0))
    best = found.best_diffusion()
    for w in (0.2, 1.0, best, 8.0):
        bound = found.kl_bound(w)
        # The means of 4000 draws at 41 times are good to some percent.
        assert true_kl(w) < bound * 1.05 and bound >= found.kl_bound(best) - 1e-12
    # The bound is of use: within a factor of ten of the truth at its best.
    assert found.kl_bound(best) < 10 * true_kl(best)


def test_gaps_are_measured_exactly_for_constant_errors():
    found = gaps(GAUSSIAN, lambda x, t: GAUSSIAN.b(x, t) + 0.3, lambda x, t: GAUSSIAN.score(x, t) - 0.6, spaced(4), 10,
                 torch.Generator().manual_seed(0))
    for values, expected in ((found.drift, 0.09), (found.score, 0.36), (found.cross, -0.18)):
        torch.testing.assert_close(values, torch.full((5,), expected, dtype=torch.float64), rtol=1e-9, atol=0)
    assert found.best_diffusion() == pytest.approx(0.5)
    # With w = 1/2 the two errors cancel: the SDE is the exact one.
    assert found.kl_bound(0.5) == pytest.approx(0, abs=1e-12)
    nothing = torch.zeros(2, dtype=torch.float64)
    assert Gaps(torch.tensor([0.0, 1.0]).double(), nothing + 1, nothing, nothing).best_diffusion() == math.inf


@pytest.mark.parametrize(("arguments", "field"), [
    ({"path": "spiral"}, "path"), ({"gamma": "huge"}, "gamma"), ({"scale": 0.0}, "scale"),
    ({"scale": math.nan}, "scale"), ({"path": "trigonometric", "scale": 4.0}, "scale"),
    ({"path": "encoding_decoding"}, "gamma")])
def test_bridges_that_do_not_exist_are_refused(arguments, field):
    with pytest.raises(InputError) as raised:
        Interpolant(**arguments)
    assert raised.value.field == field


def test_unknown_rules_are_refused():
    with pytest.raises(InputError):
        last(ode(LINE.b, noise(1, 1), spaced(2), "midpoint"))
