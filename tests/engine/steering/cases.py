"""What the tests of several steering samplers share: the card's correlated Gaussian, short runs, and a denoiser."""

import torch

from engine import grids, schedules
from engine.denoisers import counted
from engine.rng import Rng
from engine.steering import Inpaint, Operator, steer
from tests.oracles import Gaussian, Mixture, normal

# Four thousand chains leave 0.005 of sampling error in a mean and 0.002 in a variance; the rest allows another grid.
MEAN, VARIANCE = 0.03, 0.02
CHAINS = 4000
SEEN, NOISE = 0.9, 0.05
PRIOR = Gaussian(torch.tensor([0.3, -0.2], dtype=torch.float64),
                 torch.tensor([[0.25, 0.2], [0.2, 0.25]], dtype=torch.float64))
POSTERIOR = PRIOR.posterior(torch.tensor([SEEN]).double(), torch.tensor([[1.0, 0.0]]).double(), NOISE)
DISCRETE = schedules.vp_discrete()
SCHEDULES = {"vp_linear": schedules.vp_linear(), "cosine": schedules.cosine(), "edm": schedules.edm(),
             "flow": schedules.flow(), "residual": schedules.residual()}
# Two clusters whose first coordinates are a width apart: what is seen weighs them, and does not settle it.
CLUSTERS = Mixture(torch.tensor([0.5, 0.5]).double(), torch.tensor([[0.4, 0.8], [-0.4, -0.8]]).double(),
                   torch.tensor([0.04, 0.04]).double())


class First(Operator):
    """The first of two numbers is seen, so that the measurement has one number, as in the table."""

    coisometry = True

    def H(self, x):
        return x[:, :1]

    def adjoint(self, y):
        return torch.cat([y, torch.zeros_like(y)], 1)

    pinv = adjoint


class Bulk:
    """Noise for thousands of chains at once; `Rng` keeps one stream per sample, which these tests do not need."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)

    def normal_like(self, x):
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def respaced(steps):
    """Every (1000 / steps)-th level of the discrete schedule, then 0."""
    return torch.cat([torch.arange(steps - 1, -1, -1) * (1000 // steps) + 1, torch.zeros(1)]).double() / 1000


def chains(name, steps=100, noise=NOISE, law=PRIOR, seen=SEEN, **options):
    """The last states of 4000 runs on the discrete schedule, of which the first coordinate was seen."""
    *_, last = steer(name, law.denoiser(DISCRETE), normal(CHAINS, 2), respaced(steps), DISCRETE, operator=First(),
                     y=torch.tensor([[seen]], dtype=torch.float64), noise=noise, rng=Bulk(), **options)
    return last.x


def agrees(x, mean, variance, covariance):
    """Whether chains have these moments, within the card's tolerances."""
    found = torch.cov(x.T)
    return bool((x.mean(0) - torch.as_tensor(mean)).abs().max() < MEAN
                and (found.diag() - torch.as_tensor(variance)).abs().max() < VARIANCE
                and abs(found[0, 1] - covariance) < VARIANCE)


def share_of_first_cluster(seen, noise=NOISE):
    """Posterior weight of the first of the two clusters when the first coordinate was seen."""
    means, variances = CLUSTERS.means[:, 0], CLUSTERS.variances + noise ** 2
    return float((-(seen - means) ** 2 / (2 * variances)).softmax(0)[0])


def toward_grey(x, t):
    """Any denoiser: contracts, mixes neighbours, and is nobody's posterior mean."""
    return 0.3 * x + 0.2 * x.flip(-1) - 0.1


def run(name, schedule, y, operator, steps=8, seed=0, samples=2, denoise=toward_grey, dtype=torch.float32, **given):
    """The steps of a run on pictures of 8 x 8 px."""
    rng, times = Rng(seed, samples), grids.make("uniform", schedule, steps)
    x = (schedule(times[0].item())[1] * rng.normal(3, 8, 8)).to(dtype)
    return list(steer(name, denoise, x, times, schedule, y=y, operator=operator, rng=rng, **given))


def check_calls(name, steps, row, **options):
    """Every network call is counted and announced, and every field of the steps is filled."""
    schedule, denoise = SCHEDULES["cosine"], counted(toward_grey)
    done = run(name, schedule, torch.zeros(1, 3, 8, 8), Inpaint(torch.eye(8)), steps, denoise=denoise, **options)
    assert len(done) == denoise.calls == row.calls(steps, **options) == steps
    assert [s.nfe for s in done] == [s.index for s in done] == list(range(1, steps + 1))
    assert {s.total for s in done} == {steps} and done[-1].t == done[-1].sigma == 0
    assert all(s.x.shape == s.x0.shape == (2, 3, 8, 8) and s.sigma == schedule(s.t)[1] for s in done)
