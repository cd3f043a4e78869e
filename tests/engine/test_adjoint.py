"""Gradients through a run: orders of the adjoint, exactness of the checkpointed one, and memory that does not grow."""

import math
import threading

import pytest
import torch
from torch import nn

from engine import denoisers, exact, grids, guidance, networks, schedules
from engine.adjoint import adjoint_gradient, checkpointed_gradient, differentiable, methods
from engine.errors import InputError
from engine.rng import Rng
from engine.runtime import computing
from engine.solvers import solve
from tests.oracles import normal

VP, RESIDUAL = schedules.vp_linear(), schedules.residual()
END = 1e-2


def curved(x):
    """A loss per sample whose gradient depends on where the run ends."""
    return (x * x).sum(1) / 2 + x[:, 0].sin()


def relative(found, truth):
    return ((found - truth).norm() / truth.norm()).item()


@pytest.fixture(scope="module")
def problem():
    """The exact noise of the toy mixture, bent by a weight matrix and a condition, on 16 start noises."""
    law = exact.toy()
    weights = (0.3 * normal(2, 2, seed=5)).requires_grad_()
    cond = {"pull": 0.5 * normal(16, 2, seed=6), "label": torch.arange(16)}

    def eps(x, t, pull, label):
        alpha, sigma = VP(t)
        alpha, sigma = alpha[:, None], sigma[:, None]
        known = (x - alpha * law.posterior_mean(x, alpha[:, 0], sigma[:, 0])) / sigma
        return known + (x @ weights + alpha * pull).tanh() / 2

    return denoisers.from_eps(eps, VP), normal(16, 2, seed=7), cond, weights


def grid(steps, schedule=VP, end=END):
    return grids.make("log_snr", schedule, steps, end=end)


@pytest.fixture(scope="module")
def truth(problem):
    """Plain backpropagation through 400 Runge-Kutta steps in log-SNR, the last word for every method here."""
    denoise, x, cond, weights = problem
    first, last = VP.log_snr(1.0), VP.log_snr(END)
    step = (last - first) / 400
    leaves = x.clone().requires_grad_(), cond["pull"].clone().requires_grad_()

    def slope(y, log_snr):
        t = VP.time_at(log_snr)
        return denoise(y * VP(t)[0], t, pull=leaves[1], label=cond["label"]) - y

    y = leaves[0] / VP(1.0)[0]
    for i in range(400):
        here = first + i * step
        k1 = slope(y, here)
        k2 = slope(y + step / 2 * k1, here + step / 2)
        k3 = slope(y + step / 2 * k2, here + step / 2)
        k4 = slope(y + step * k3, here + step)
        y = y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return torch.autograd.grad(curved(y * VP(END)[0]).sum(), (*leaves, weights))


def errors(problem, truth, method, steps):
    denoise, x, cond, weights = problem
    found = adjoint_gradient(denoise, x, grid(steps), VP, curved, cond=cond, parameters=[weights], method=method)
    return [relative(a, b) for a, b in zip((found.noise, found.cond["pull"], *found.parameters), truth)]


# Step counts at which each method is in its asymptotic range and far above the reference's own error of about 1e-9.
@pytest.mark.parametrize(("method", "steps", "order"), [("euler", 400, 1), ("midpoint", 100, 2), ("rk4", 50, 4)])
def test_the_adjoint_reaches_its_order(problem, truth, method, steps, order):
    coarse, fine = errors(problem, truth, method, steps), errors(problem, truth, method, 2 * steps)
    for a, b in zip(coarse, fine):
        assert math.log2(a / b) == pytest.approx(order, abs=0.3)


def test_the_adjoint_agrees_with_backpropagation(problem, truth):
    assert max(errors(problem, truth, "rk4", 50)) < 1e-4


@pytest.mark.parametrize(("solver", "options"), [("ddim", {}), ("dpmpp_2m", {}), ("unipc_2", {}), ("heun", {}),
                                                 ("ddpm", {})])
@pytest.mark.parametrize("end", [0.0, END])
def test_the_checkpointed_gradient_is_that_of_the_run(problem, solver, options, end):
    denoise, x, cond, weights = problem
    times = grid(6, end=end)
    start, pull = x.clone().requires_grad_(), cond["pull"].clone().requires_grad_()
    *_, last = solve(solver, lambda x, t: denoise(x, t, pull=pull, label=cond["label"]), start, times, VP,
                     rng=Rng(3, 16), **options)
    truth = torch.autograd.grad(curved(last.x).sum(), (start, pull, weights))
    found = checkpointed_gradient(denoise, x, times, VP, curved, cond=cond, parameters=[weights], solver=solver,
                                  rng=Rng(3, 16), **options)
    torch.testing.assert_close(found.x, last.x.detach(), rtol=0, atol=1e-13)
    torch.testing.assert_close(found.loss, curved(last.x).detach(), rtol=0, atol=1e-12)
    # Only the order of additions differs.
    for a, b in zip((found.noise, found.cond["pull"], *found.parameters), truth):
        assert relative(a, b) < 1e-12
    assert found.cond.keys() == {"pull"} and found.calls == 2 * last.nfe


def test_euler_runs_as_ddim(problem):
    denoise, x, cond, _ = problem
    found = adjoint_gradient(denoise, x, grid(10, end=0.0), VP, curved, cond=cond, method="euler")
    *_, last = solve("ddim", lambda x, t: denoise(x, t, **cond), x, grid(10, end=0.0), VP)
    torch.testing.assert_close(found.x, last.x.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("schedule", [VP, schedules.cosine(), schedules.flow(), schedules.edm()],
                         ids=lambda s: s.name)
def test_the_clean_end_on_every_schedule(schedule):
    """At sigma = 0 the adjoint is the limit of the runs that end a little before it."""
    law = exact.toy()
    x = normal(8, 2) * schedule(schedule.start)[1]
    # RK4 ends at 60 steps with less than 1e-3; the jump over the last step adds sigma^2 of the cleanest time.
    exact_run = checkpointed_gradient(law.denoiser(schedule), x, grid(200, schedule, 0.0), schedule, curved,
                                      solver="dpm_solver_3s")
    found = adjoint_gradient(law.denoiser(schedule), x, grid(120, schedule, 0.0), schedule, curved)
    assert relative(found.noise, exact_run.noise) < 1e-3
    torch.testing.assert_close(found.x, exact_run.x, rtol=0, atol=1e-3)


def test_a_start_without_signal():
    """The residual schedule starts at alpha = 0: one exact DDIM step, then the ODE."""
    law = exact.toy()
    x = normal(8, 2) * RESIDUAL(1.0)[1]
    found = adjoint_gradient(law.denoiser(RESIDUAL), x, grid(200, RESIDUAL, 0.0), RESIDUAL, curved)
    truth = checkpointed_gradient(law.denoiser(RESIDUAL), x, grid(200, RESIDUAL, 0.0), RESIDUAL, curved,
                                  solver="dpm_solver_3s")
    assert relative(found.noise, truth.noise) < 1e-3


def test_gradient_against_finite_differences(problem):
    denoise, x, cond, _ = problem
    times, direction, h = grid(5, end=0.0), normal(16, 2, seed=9), 1e-5

    def loss(x):
        return curved(checkpointed_gradient(denoise, x, times, VP, curved, cond=cond).x).sum()

    slope = (checkpointed_gradient(denoise, x, times, VP, curved, cond=cond).noise * direction).sum()
    # Central differences leave h^2 of the third derivative and 1e-16 / h of rounding.
    assert ((loss(x + h * direction) - loss(x - h * direction)) / (2 * h)).item() == pytest.approx(slope.item(),
                                                                                                  rel=1e-6)


class Wide(nn.Module):
    """A network whose graph is much larger than its state."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 2))
        self.double()

    def forward(self, x, t):
        return self.layers(x) / 4


class Meter:
    """Bytes that graphs keep alive at once, and their peak."""

    def __init__(self):
        self.live = self.peak = 0

    def measure(self, function):
        # Hooks see the thread that they were set in, and gradients are computed in this one.
        computing.compute(self._watched, function)
        return self.peak

    def _watched(self, function):
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: _Held(self, tensor), lambda held: held.tensor):
            function()


class _Held:
    def __init__(self, meter, tensor):
        self.meter, self.tensor = meter, tensor.detach()
        meter.live += tensor.nbytes
        meter.peak = max(meter.peak, meter.live)

    def __del__(self):
        self.meter.live -= self.tensor.nbytes


def test_memory_of_graphs_does_not_grow_with_the_steps():
    network = Wide()
    denoise, x = denoisers.from_eps(network, VP), normal(32, 2)
    rest = {"parameters": tuple(network.parameters())}

    def plain(steps):
        start = x.clone().requires_grad_()
        *_, last = solve("ddim", denoise, start, grid(steps), VP)
        curved(last.x).sum().backward()

    def peak(function, steps):
        return Meter().measure(lambda: function(steps))

    one_call = peak(plain, 1)
    for method in methods():
        few, many = (peak(lambda n, m=method: adjoint_gradient(denoise, x, grid(n), VP, curved, method=m, **rest), n)
                     for n in (4, 40))
        assert many == few <= 1.1 * one_call
    few, many = (peak(lambda n: checkpointed_gradient(denoise, x, grid(n), VP, curved, **rest), n) for n in (4, 40))
    # It keeps one state per step; the constants of the loss come on top.
    assert many - few <= 36 * x.nbytes and many <= 1.1 * one_call + 40 * x.nbytes
    assert peak(plain, 40) > 30 * one_call


def test_gradients_inside_a_run_that_computes_without(problem):
    denoise, x, cond, _ = problem
    with torch.no_grad():
        for found in (adjoint_gradient(denoise, x, grid(4), VP, curved, cond=cond),
                      checkpointed_gradient(denoise, x, grid(4), VP, curved, cond=cond)):
            assert found.noise.norm() > 0 and not found.noise.requires_grad and not found.x.requires_grad


def test_a_model_in_float32():
    """A small U-Net with labels: guided, by its noise and its weights; the shared network itself stays as it is."""
    torch.manual_seed(1)
    network = networks.build("wavelet_unet", widths=(32, 32), depth=1, classes=3, embedding=32)
    network.requires_grad_(False).eval()
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))  # blocks start with weights of zero, which hide the label
    denoise, weights = differentiable(network, VP, "v", weights=True)
    assert weights.keys() == dict(network.named_parameters()).keys()
    guided = guidance.classifier_free(denoise, {"label": torch.tensor([1])}, {"label": torch.tensor([3])}, 2.0)
    x, times = Rng(0, 2).normal(3, 8, 8), grids.make("log_snr", VP, 3)

    def loss(x):
        return x.square().mean((1, 2, 3))

    found = checkpointed_gradient(guided, x, times, VP, loss, parameters=tuple(weights.values()))
    assert found.noise.flatten(1).norm(dim=1).min() > 0
    label = found.parameters[list(weights).index("label.weight")]
    assert label[[1, 3]].norm() > 0 and label[[0, 2]].norm() == 0
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())

    plain, none = differentiable(network, VP, "v")
    assert none == {}
    torch.testing.assert_close(plain(x, 0.5), denoise(x, 0.5).detach(), rtol=0, atol=0)


@pytest.mark.parametrize("gradient", [checkpointed_gradient, adjoint_gradient])
def test_networks_are_computed_in_the_one_thread_that_does(gradient):
    seen = set()

    class Noted(Wide):
        def forward(self, x, t):
            seen.add((threading.get_ident(), torch.is_grad_enabled()))
            return super().forward(x.double(), t).float()

    denoise, _ = differentiable(Noted(), VP, "eps")
    with torch.no_grad():
        gradient(denoise, normal(4, 2).float(), grid(3), VP, curved)
    owner = computing.compute(threading.get_ident)
    assert owner != threading.get_ident() and seen == {(owner, False), (owner, True)}


def test_unknown_methods_are_refused(problem):
    denoise, x, cond, _ = problem
    with pytest.raises(InputError) as raised:
        adjoint_gradient(denoise, x, grid(3), VP, curved, cond=cond, method="leapfrog")
    assert raised.value.field == "method"
