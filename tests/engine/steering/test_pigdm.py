"""PiGDM: the regression table, each form against dense linear algebra, and its limits."""

import itertools
import math

import pytest
import torch

from engine import grids
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import AveragePool, Identity, Inpaint, moves, row, steer
from engine.steering.operators import HDR, JPEG, GaussianBlur, PhaseRetrieval
from engine.steering.pigdm import JITTER, bounded, truncated
from tests.engine.steering import cases
from tests.engine.steering.cases import CLUSTERS, SCHEDULES, Bulk, chains, toward_grey
from tests.oracles import Gaussian, normal

SIZE = 6
LAW = Gaussian.random(SIZE)
SEES = Inpaint(torch.tensor([1, 0, 1, 1, 0, 0]))
IMAGE = torch.eye(SIZE, dtype=torch.float64)[[0, 2, 3]]


@pytest.mark.parametrize(("options", "noise", "mean", "variance", "covariance"), [
    ({"form": "covariance"}, 0.05, (0.895, 0.274), (0.0011, 0.076), 0.002),
    ({"form": "consistent"}, 0.05, (0.880, 0.162), (0.0015, 0.088), 0.004),
    ({"form": "damped", "exact": False}, 0.0, (0.900, 0.352), (0.0, 0.065), 0.0)])
def test_the_gaussian_regression_table(options, noise, mean, variance, covariance):
    assert cases.agrees(chains("pigdm", noise=noise, **options), mean, variance, covariance)


def test_with_its_own_covariance_it_samples_the_exact_posterior():
    exact = cases.POSTERIOR
    assert cases.agrees(chains("pigdm", 500, form="covariance"), exact.mean, exact.covariance.diag(),
                        exact.covariance[0, 1])


def test_the_covariance_weighs_clusters_better_than_unit_variance():
    """Given the first coordinate; neither knows that a mixture is not Gaussian, which costs some of the share."""
    exact = cases.share_of_first_cluster(0.1)
    shares = []
    for form in ("consistent", "covariance"):
        x = chains("pigdm", law=CLUSTERS, seen=0.1, form=form)
        first = x[:, 1] > 0
        shares.append(float(first.double().mean()))
        assert abs(x[first, 1].mean() - 0.8) < 0.1 and abs(x[first, 1].std() - 0.2) < 0.05
    assert 0.5 < shares[0] < shares[1] < exact


def covariance_at(level):
    """Of x0 given x_t, (6, 6)."""
    precision = torch.linalg.inv(LAW.covariance) + (level.alpha / level.sigma) ** 2 * torch.eye(SIZE).double()
    return torch.linalg.inv(precision)


def one_step(schedule, noise, **options):
    """The first of two steps from t = 0.6 on, its start x, its level, and the estimate before the measurement."""
    schedule = SCHEDULES[schedule]
    times = grids.make("uniform", schedule, 200)[[80, 160, 200]]
    x, y = normal(2, SIZE, seed=1), SEES.H(normal(1, SIZE))
    step = next(steer("pigdm", LAW.denoiser(schedule), x, times, schedule, y=y, operator=SEES, noise=noise, rng=Bulk(),
                      **options))
    here, there = (moves.Level(t, *schedule(t)) for t in times[:2].tolist())
    return step, x, y, here, there, LAW.denoiser(schedule)(x, here.t)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_consistent_form_adds_the_score_of_the_measurement(schedule, noise):
    step, x, y, here, there, x0 = one_step(schedule, noise, eta=0.4, exact=False, pull=0.7)
    variance = here.sigma ** 2 / (here.alpha ** 2 + here.sigma ** 2)
    kernel = torch.linalg.inv(variance * IMAGE @ IMAGE.T + noise ** 2 * torch.eye(3).double())
    shift = (y - x0) @ IMAGE.T @ kernel @ IMAGE @ covariance_at(here)
    assert torch.allclose(step.x0, x0 + 0.7 * shift, atol=1e-9)
    assert torch.allclose(step.x, moves.ancestral(x, step.x0, here, there, 0.4, Bulk()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_damped_form_keeps_the_noise_of_the_estimate(schedule):
    step, x, y, here, there, x0 = one_step(schedule, 0.0, form="damped", exact=False)
    pulled = (y - x0) @ IMAGE.T @ IMAGE @ covariance_at(here) * (here.alpha / here.sigma) ** 2
    assert torch.allclose(step.x0, x0 + pulled, atol=1e-9)
    wanted = moves.ancestral(x, x0, here, there, 1.0, Bulk()) + there.alpha * pulled
    assert torch.allclose(step.x, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_covariance_form_gives_the_mean_of_x0_given_both(schedule):
    """As many rounds as numbers were seen make the solve exact; the jitter then is all that is missing."""
    step, _, y, here, _, x0 = one_step(schedule, 0.2, form="covariance", rounds=3)
    spread = covariance_at(here)
    inner = IMAGE @ spread @ IMAGE.T + 0.04 * torch.eye(3).double()
    jitter = JITTER * here.sigma ** 2 / here.alpha / math.hypot(here.alpha, here.sigma) * torch.eye(3).double()
    found, exact = (x0 + (y - x0) @ IMAGE.T @ torch.linalg.inv(inner + extra) @ IMAGE @ spread
                    for extra in (jitter, 0 * jitter))
    assert torch.allclose(step.x0, found, atol=1e-8)
    # The relative change of the inverse is at most the jitter over the smallest eigenvalue.
    bound = float(jitter[0, 0] / torch.linalg.eigvalsh(inner)[0])
    assert (found - exact).norm() <= bound * (exact - x0).norm() * torch.linalg.cond(inner).sqrt()


@pytest.mark.parametrize("form", ["consistent", "damped", "covariance"])
def test_with_nothing_known_it_is_plain_sampling(form):
    schedule = SCHEDULES["vp_linear"]
    times = grids.make("uniform", schedule, 6)
    start = x = normal(2, 3, 8, 8)
    rng = Rng(1, 2)
    for t, s in itertools.pairwise(times.tolist()):
        x = moves.ancestral(x, toward_grey(x, t), moves.Level(t, *schedule(t)), moves.Level(s, *schedule(s)), 0.7, rng)
    for given in ({"operator": Inpaint(torch.zeros(8, 8))}, {"operator": Identity(), "pull": 0.0, "exact": False}):
        *_, last = steer("pigdm", toward_grey, start, times, schedule, y=torch.ones(1, 3, 8, 8), rng=Rng(1, 2),
                         form=form, eta=0.7, **given)
        assert torch.allclose(last.x, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["consistent", "damped", "covariance"])
@pytest.mark.parametrize("operator", [Identity(), AveragePool(4), GaussianBlur(0.9)],
                         ids=lambda operator: operator.title)
def test_exactly_explains_every_linear_measurement_without_noise(operator, form):
    y = operator.H(normal(1, 3, 8, 8))
    last = cases.run("pigdm", SCHEDULES["cosine"], y, operator, dtype=torch.float64, form=form)[-1]
    assert torch.allclose(operator.H(last.x), y.expand(2, -1, -1, -1), atol=1e-9)


@pytest.mark.parametrize("form", ["consistent", "damped", "covariance"])
def test_the_schedule_is_only_a_scale(form):
    """The same levels of signal to noise give the same samples on every schedule; damped is made for one scale."""
    levels = torch.linspace(-3.5, 4.0, 9, dtype=torch.float64)
    y, ends = normal(1, SIZE), []
    for name in ("vp_linear", "cosine") if form == "damped" else SCHEDULES:
        schedule = SCHEDULES[name]
        times = torch.cat([schedule.time_at(levels), torch.zeros(1, dtype=torch.float64)])
        x = math.hypot(1, math.exp(3.5)) * schedule(times[0].item())[0] * normal(3, SIZE, seed=1)
        ends.append(list(steer("pigdm", LAW.denoiser(schedule), x, times, schedule, y=y, noise=0.1, rng=Bulk(),
                               form=form, operator=SEES))[-1].x)
    assert all(torch.allclose(end, ends[0], atol=1e-8) for end in ends[1:])  # inverting the schedules leaves 1e-12


# Its parts

def test_conjugate_gradients_are_exact_after_as_many_rounds_as_numbers():
    root = normal(4, 4)
    matrix, b = root @ root.T + 0.1 * torch.eye(4), normal(3, 4, seed=1)
    wanted = torch.linalg.solve(matrix, b.T).T
    gaps = [(truncated(lambda x: x @ matrix, b, rounds) - wanted).norm() for rounds in (1, 4, 12)]
    assert gaps[1] < 1e-8 < gaps[0] and gaps[2] < 1e-8


def test_conjugate_gradients_leave_out_what_is_not_positive():
    matrix, b = torch.diag(torch.tensor([1.0, -1.0])), torch.tensor([[0.0, 3.0], [2.0, 0.0]])
    assert torch.equal(truncated(lambda x: x @ matrix, b, 3), torch.tensor([[0.0, 0.0], [2.0, 0.0]]))


def test_a_shift_ends_where_the_measurement_is_explained_best():
    lacking = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    shift = torch.tensor([[0.5, 0.3], [4.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    wanted = torch.tensor([[0.5, 0.3], [4.0 * 4 / 25, 3.0 * 4 / 25], [0.0, 0.0], [0.0, 0.0]])
    assert torch.allclose(bounded(shift, lacking, shift), wanted)
    assert torch.equal(bounded(shift, lacking, torch.zeros(4, 2)), shift)  # what no measurement sees is not its affair


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("log_snr", [-4.0, -1.0, 0.0, 2.0])
def test_pixels_of_at_most_unit_variance_are_never_held_back(log_snr, noise):
    """Their covariance given x_t is at most r^2, so the shift never overshoots."""
    sigma = math.exp(-log_snr)
    power = torch.linspace(0.05, 1.0, SIZE, dtype=torch.float64)
    axes = torch.linalg.qr(normal(SIZE, SIZE))[0]
    covariance = axes @ torch.diag(power * sigma ** 2 / (power + sigma ** 2)) @ axes.T
    lacking = SEES.H(normal(50, SIZE, seed=1))
    shift = lacking / (sigma ** 2 / (1 + sigma ** 2) + noise ** 2) @ covariance
    assert torch.allclose(bounded(shift, lacking, SEES.H(shift)), shift, atol=1e-12)


@pytest.mark.parametrize("operator", [Inpaint(torch.eye(8)), GaussianBlur(0.9), HDR()],
                         ids=lambda operator: operator.title)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_network_that_is_not_sure_enough_at_high_noise_stays_bounded(schedule, operator):
    """The Jacobian of `toward_grey` is 0.3 at all levels; at sigma 80 that of a law of pictures is below 0.0002."""
    y = operator.H(normal(1, 3, 8, 8).float().clamp(-1, 1))
    start, *_ = run = cases.run("pigdm", SCHEDULES[schedule], y, operator, noise=0.05)
    assert all(step.x.abs().max() < 10 * max(1, start.x.abs().max()) for step in run)


# Beyond linear measurements

@pytest.mark.parametrize("form", ["consistent", "damped"])
@pytest.mark.parametrize("operator", [HDR(), JPEG(30)], ids=lambda operator: operator.title)
def test_measurements_with_a_pseudo_inverse_come_nearer(operator, form):
    schedule, truth = SCHEDULES["cosine"], 0.4 * normal(1, 3, 16, 16).cumsum(-1).tanh()
    y, times = operator.H(truth), grids.make("uniform", SCHEDULES["cosine"], 30)

    def denoise(x, t):
        alpha, sigma = schedule(t)
        return alpha / 4 / (alpha ** 2 / 4 + sigma ** 2) * x

    gaps = [(operator.H(list(steer("pigdm", denoise, normal(2, 3, 16, 16), times, schedule, y=y, operator=operator,
                                   rng=Rng(0, 2), form=form, pull=pull))[-1].x) - y).square().mean()
            for pull in (0.0, 1.0)]
    assert gaps[1] < 0.1 * gaps[0]


@pytest.mark.parametrize("form", ["consistent", "covariance"])
def test_it_runs_where_gradients_are_switched_off(form):
    with torch.no_grad():
        last = cases.run("pigdm", SCHEDULES["flow"], torch.zeros(1, 3, 8, 8), Identity(), form=form)[-1]
    assert not last.x.requires_grad and torch.isfinite(last.x).all() and last.x.dtype == torch.float32


@pytest.mark.parametrize("form", ["consistent", "damped", "covariance"])
def test_a_sample_is_the_same_alone_and_in_a_batch(form):
    operator = GaussianBlur(0.9)
    y = operator.H(0.3 * normal(1, 3, 8, 8).float())
    first, alone = (cases.run("pigdm", SCHEDULES["cosine"], y, operator, noise=0.1, seed=5, samples=samples, form=form)
                    for samples in (3, 1))
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-4)  # other batch sizes may sum in another order


@pytest.mark.parametrize("form", ["consistent", "covariance"])
@pytest.mark.parametrize("steps", [1, 12])
def test_every_network_call_is_counted_and_announced(steps, form):
    cases.check_calls("pigdm", steps, row("pigdm"), noise=0.1, form=form)


@pytest.mark.parametrize(("given", "field"), [
    ({"form": "exact"}, "form"), ({"pull": 2.5}, "pull"), ({"rounds": 0}, "rounds"), ({"exact": 1}, "exact"),
    ({"operator": PhaseRetrieval()}, "method"), ({"operator": HDR(), "form": "covariance"}, "form")])
def test_what_it_cannot_do_names_its_field(given, field):
    with pytest.raises(InputError) as error:
        list(steer("pigdm", toward_grey, normal(1, 3, 8, 8), torch.tensor([1.0, 0.0]), SCHEDULES["flow"], rng=Rng(0, 1),
                   y=torch.zeros(1, 3, 8, 8), **{"operator": Identity()} | given))
    assert error.value.field == field
