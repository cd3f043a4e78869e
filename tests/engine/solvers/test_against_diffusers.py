"""The same trajectories as the schedulers of diffusers 0.42 (the solver cards' table of reference behaviours).

Both sides get the exact noise of the two-dimensional mixture at the same discrete index. diffusers keeps its
coefficients in float32, which is what the tolerance of 1e-5 allows for (differences of 1e-6 are usual).
"""

import pytest
import torch

from engine import schedules
from engine.solvers import solve
from tests.oracles import Mixture, normal

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore:.*algorithm_type dpmsolver is deprecated:FutureWarning")

COUNT = 1000
SCHEDULE = schedules.vp_discrete("linear", COUNT)
BETAS = {"num_train_timesteps": COUNT, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
LAW = Mixture()
X = normal(64, 2, seed=7)
FIRST = 1 / COUNT  # time of index 0
CLOSE = {"rtol": 0, "atol": 1e-5}


def eps(x, index):
    """Exact noise at a discrete index, in float64."""
    alpha, sigma = SCHEDULE((float(index) + 1) / COUNT)
    x = x.double()
    return (x - alpha * LAW.posterior_mean(x, alpha, sigma)) / sigma


def denoise(x, t):
    """Our view of the same model, called at the nearest index as diffusers does on Karras grids."""
    alpha, sigma = SCHEDULE(t)
    return (x - sigma * eps(x, round(t * COUNT - 1))) / alpha


class Noise:
    """Fixed draws, one per step, for either side."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(3)

    def normal_like(self, x):
        return torch.randn(x.shape, generator=self.generator, dtype=torch.float32).to(x.dtype)


def ours(name, indices, end, x=X, **options):
    times = torch.tensor([*((int(i) + 1) / COUNT for i in indices), end], dtype=torch.float64)
    *_, last = solve(name, denoise, x, times, SCHEDULE, rng=Noise(), **options)
    return last.x


def theirs(scheduler, steps, noise=False, x=X, **options):
    scheduler.set_timesteps(steps)
    x, draws = x.float(), Noise()
    for index in scheduler.timesteps:
        if noise:
            options["variance_noise"] = draws.normal_like(x)
        x = scheduler.step(eps(scheduler.scale_model_input(x, index), index).float(), index, x, **options).prev_sample
    return x.double()


def last_time(scheduler):
    """Where the scheduler ends: 0, or "sigma_min", which float32 puts 1e-4 of itself off the level of index 0."""
    level = scheduler.sigmas[-1].double()
    return 0.0 if level == 0 else SCHEDULE.time_at(-level.log()).item()


@pytest.mark.parametrize("steps", [10, 20])
@pytest.mark.parametrize(("spacing", "offset"), [("leading", 0), ("leading", 1), ("trailing", 0)])
def test_ddim(spacing, offset, steps):
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing=spacing, steps_offset=offset)
    final = theirs(scheduler, steps)
    torch.testing.assert_close(ours("ddim", scheduler.timesteps, 0.0), final, **CLOSE)


def test_ddim_linspace():
    """diffusers steps from t to t - 1000/n, which on this rounded grid is not the next t: step by step, so are we."""
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing="linspace")
    final, x = theirs(scheduler, 20), X
    for index in scheduler.timesteps.tolist():
        x = ours("ddim", [index], max(0, index - COUNT // 20 + 1) / COUNT, x)
    torch.testing.assert_close(x, final, **CLOSE)


def test_ddim_with_noise():
    scheduler = diffusers.DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing="trailing")
    final = theirs(scheduler, 20, noise=True, eta=0.7)
    torch.testing.assert_close(ours("ddim", scheduler.timesteps, 0.0, eta=0.7), final, **CLOSE)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_ddpm(variance):
    scheduler = diffusers.DDPMScheduler(**BETAS, clip_sample=False, variance_type=f"fixed_{variance}")
    scheduler.set_timesteps(50)
    x, generator = X.float(), Noise().generator
    for index in scheduler.timesteps:
        x = scheduler.step(eps(x, index).float(), index, x, generator=generator).prev_sample
    torch.testing.assert_close(ours("ddpm", scheduler.timesteps, 0.0, variance=variance), x.double(), **CLOSE)


def test_euler():
    """diffusers runs in EDM's coordinates x/alpha, and starts from noise of the highest sigma."""
    scheduler = diffusers.EulerDiscreteScheduler(**BETAS, timestep_spacing="leading")
    scheduler.set_timesteps(20)
    level = scheduler.sigmas[0].double()
    final, start = theirs(scheduler, 20, x=X * level), X * level / (1 + level**2).sqrt()
    torch.testing.assert_close(ours("euler", scheduler.timesteps, 0.0, start), final, **CLOSE)


MULTISTEP = [("dpmsolver", 1, "midpoint", "sigma_min"), ("dpmsolver", 2, "midpoint", "sigma_min"),
             ("dpmsolver", 2, "heun", "sigma_min"), ("dpmsolver", 3, "midpoint", "sigma_min"),
             ("dpmsolver++", 1, "midpoint", "zero"), ("dpmsolver++", 2, "midpoint", "zero"),
             ("dpmsolver++", 2, "midpoint", "sigma_min"), ("dpmsolver++", 2, "heun", "zero"),
             ("dpmsolver++", 3, "midpoint", "zero"), ("dpmsolver++", 3, "heun", "sigma_min")]


@pytest.mark.parametrize("steps", [10, 20])
@pytest.mark.parametrize("spacing", ["linspace", "trailing", "leading"])
@pytest.mark.parametrize(("algorithm", "order", "kind", "final"), MULTISTEP)
def test_dpm_solver_multistep(algorithm, order, kind, final, spacing, steps):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **BETAS, algorithm_type=algorithm, solver_order=order, solver_type=kind, final_sigmas_type=final,
        timestep_spacing=spacing)
    result = theirs(scheduler, steps)
    family = "dpmpp" if algorithm.endswith("++") else "dpm_solver"
    name = f"{family}_{order}m" if order > 1 else f"{family}_1"
    options = {"variant": kind} if order > 1 else {}
    torch.testing.assert_close(ours(name, scheduler.timesteps, last_time(scheduler), **options), result, **CLOSE)


def test_2m_on_the_karras_grid():
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True)
    result = theirs(scheduler, 20)
    levels = -scheduler.sigmas[:-1].double().log()
    times = torch.cat([SCHEDULE.time_at(levels), torch.zeros(1, dtype=torch.float64)])
    *_, last = solve("dpmpp_2m", denoise, X, times, SCHEDULE)
    torch.testing.assert_close(last.x, result, **CLOSE)


@pytest.mark.parametrize("kind", ["midpoint", "heun"])
def test_sde_2m(kind):
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, algorithm_type="sde-dpmsolver++", solver_type=kind)
    result = theirs(scheduler, 20, noise=True)
    torch.testing.assert_close(ours("sde_dpmpp_2m", scheduler.timesteps, 0.0, variant=kind), result, **CLOSE)


@pytest.mark.parametrize("steps", [8, 20])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("kind", "final"), [("bh1", "sigma_min"), ("bh2", "sigma_min"), ("bh2", "zero")])
def test_unipc(kind, final, order, steps):
    scheduler = diffusers.UniPCMultistepScheduler(**BETAS, solver_order=order, solver_type=kind,
                                                  final_sigmas_type=final)
    result = theirs(scheduler, steps)
    state = ours(f"unipc_{order}", scheduler.timesteps, last_time(scheduler), variant=kind)
    torch.testing.assert_close(state, result, **CLOSE)


@pytest.mark.parametrize("steps", [10, 20, 50])
def test_fpndm(steps):
    """diffusers ends with a step from index 0 to the level of index 0, which changes nothing; we leave it out."""
    scheduler = diffusers.PNDMScheduler(**BETAS, skip_prk_steps=False, set_alpha_to_one=False)
    result = theirs(scheduler, steps)
    assert len(scheduler.timesteps) == steps + 9
    indices = range(COUNT - COUNT // steps, 0, -(COUNT // steps))
    torch.testing.assert_close(ours("fpndm", indices, FIRST), result, **CLOSE)
