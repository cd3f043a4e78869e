"""Tiramisu: the base sampler where the circuit has no say, and what the circuit adds where it has."""

import pytest
import torch

from engine import grids
from engine.circuits import Circuit, Evidence
from engine.errors import InputError
from engine.rng import Rng
from engine.steering import AveragePool, Inpaint, catalogue, names, row, steer
from engine.steering.registry import self_sufficient
from engine.steering.tiramisu import COLOURS, Guide, mix
from tests.engine.steering.cases import SCHEDULES, check_calls, run
from tests.oracles import normal

SHAPE = (3, 8, 8)
KNOWN = torch.ones(8, 8)
KNOWN[2:6, 2:6] = 0
HOLE = Inpaint(KNOWN)


def circuit(shape=SHAPE, children=3, latents=10, rest=0.02) -> Circuit:
    """A law of smooth pictures."""
    size = torch.Size(shape).numel()
    axes = [torch.cos(torch.pi * torch.outer(torch.arange(n), torch.arange(n) + 0.5) / n) for n in shape[-2:]]
    waves = [torch.outer(axes[0][i], axes[1][j]) for i in range(3) for j in range(3 - i)]
    columns = torch.stack([torch.einsum("c,hw->chw", torch.eye(3)[c], wave).flatten() for wave in waves
                           for c in range(3)], 1).double()[:, :latents]
    directions = columns / columns.norm(dim=0)
    return Circuit(torch.ones(children), 2 * normal(children, latents, seed=2), torch.ones(children, latents),
                   0.1 * normal(size, seed=3), directions, rest, shape)


CIRCUIT = circuit()
SPREAD = CIRCUIT.pixel_variance().float()


def blurred(x, t):
    """The posterior mean on the cosine schedule were all pixels independent."""
    alpha, sigma = map(float, SCHEDULES["cosine"](t))
    return alpha * SPREAD / (alpha ** 2 * SPREAD + sigma ** 2) * x


Y = HOLE.H(normal(1, *SHAPE).float().clamp(-1, 1))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("base", ["ddnm", "repaint"])
def test_without_weight_or_share_it_is_its_base_sampler_bit_for_bit(base, noise, schedule):
    shared = {"eta": 0.7, "jump": 2, "repeats": 2, "noise": noise}
    plain = run(base, SCHEDULES[schedule], Y, HOLE, **shared)
    for still in ({"weight": 0.0, "share": 1.0}, {"weight": 1.0, "share": 0.0}):
        steered = run("tiramisu", SCHEDULES[schedule], Y, HOLE, base=base, circuit=CIRCUIT, **shared, **still)
        assert all(torch.equal(a.x, b.x) and torch.equal(a.x0, b.x0) for a, b in zip(plain, steered, strict=True))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_result_explains_the_measurement_and_every_state_is_finite(schedule):
    steps = run("tiramisu", SCHEDULES[schedule], Y, HOLE, circuit=CIRCUIT, share=1.0, weight=1.0)
    assert all(bool(s.x.isfinite().all() and s.x0.isfinite().all()) for s in steps)
    assert torch.allclose(HOLE.H(steps[-1].x), Y.expand(2, -1, -1, -1), atol=1e-4)


def test_only_the_first_share_of_the_steps_is_steered():
    kept = []
    for share in (0.0, 0.25):
        kept.append(run("tiramisu", SCHEDULES["cosine"], Y, HOLE, circuit=CIRCUIT, share=share, weight=0.5, eta=1.0,
                        denoise=lambda x, t: torch.zeros_like(x)))
    # This denoiser ignores its state and all noise is fresh: what was steered leaves no trace once steering has ended.
    different = [not torch.allclose(a.x0, b.x0, atol=1e-6) for a, b in zip(*kept, strict=True)]
    assert different == [True] * 2 + [False] * 6


def test_the_guide_is_the_exact_conditional():
    x, alpha, sigma = normal(2, *SHAPE, seed=4), 0.3, 0.9
    known = KNOWN.bool().expand(SHAPE)
    mean, variance = Guide(CIRCUIT, Y, HOLE, 0.0, 1.0)(x, alpha, sigma)
    told = torch.where(known, Y.double(), x / alpha)
    exact = CIRCUIT.condition(Evidence(told, torch.where(known, 0.0, (sigma / alpha) ** 2).double()))
    torch.testing.assert_close(mean, exact.mean)
    torch.testing.assert_close(variance, exact.variance)


def test_the_mixture_of_two_normal_laws_is_their_weighted_geometric_mean():
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    log_law = -0.3 * (grid - 1) ** 2 / (2 * 0.5) - 0.7 * (grid + 2) ** 2 / (2 * 1.7)
    found = mix(*(torch.tensor(v, dtype=torch.float64) for v in (-2.0, 1.7, 1.0, 0.5)), 0.3)
    assert float(found) == pytest.approx(float(log_law.softmax(0) @ grid), abs=1e-9)


def test_the_circuit_brings_the_hole_nearer_to_the_truth():
    """Beside a model to which pixels are independent, the circuit knows how the hole goes with its surroundings."""
    truth = CIRCUIT.condition(Evidence(torch.zeros(1, *SHAPE), torch.tensor(torch.inf))).sample(Rng(7, 1)).float()
    errors = []
    for share in (0.0, 1.0):
        *_, last = run("tiramisu", SCHEDULES["cosine"], HOLE.H(truth), HOLE, steps=20, samples=6, circuit=CIRCUIT,
                       share=share, weight=0.9, sharpness=1.0, denoise=blurred)
        errors.append(float((last.x - truth).square().mean()))
    assert errors[1] < 0.5 * errors[0]


def test_a_stated_colour_is_followed():
    found = {}
    for colour in ("any", "red", "blue"):
        *_, last = run("tiramisu", SCHEDULES["cosine"], Y, HOLE, circuit=CIRCUIT, share=1.0, weight=1.0, colour=colour,
                       tolerance=0.05, samples=4, denoise=blurred)
        found[colour] = last.x[:, :, KNOWN == 0].mean((0, 2))
    red, blue = (torch.tensor(COLOURS[name]) for name in ("red", "blue"))
    # Towards the end the model is on its own, and this one pulls everything towards grey.
    assert (found["red"] - red).norm() < 0.7 * (found["any"] - red).norm()
    assert (found["blue"] - blue).norm() < 0.7 * (found["any"] - blue).norm()
    guide = Guide(CIRCUIT, Y, HOLE, 0.0, 1.0, COLOURS["red"], 0.001)
    mean, _ = guide(normal(2, *SHAPE), 0.1, 0.99)
    assert (mean[:, :, KNOWN == 0].mean(2) - red).abs().max() < 0.005


def test_a_colour_of_nothing_is_no_statement():
    full = Inpaint(torch.ones(8, 8))
    y = normal(1, *SHAPE).float().clamp(-1, 1)
    *_, last = run("tiramisu", SCHEDULES["cosine"], y, full, circuit=CIRCUIT, share=1.0, weight=1.0, colour="red")
    assert torch.allclose(last.x, y.expand(2, -1, -1, -1), atol=1e-5)


def test_a_mask_that_hides_everything_leaves_the_circuit_and_the_model():
    nothing = Inpaint(torch.zeros(8, 8))
    steps = run("tiramisu", SCHEDULES["cosine"], torch.zeros(1, *SHAPE), nothing, circuit=CIRCUIT, share=1.0)
    assert all(bool(s.x.isfinite().all()) for s in steps)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_same_seed_gives_the_same_bits_alone_and_in_a_batch(noise):
    first, again, other, alone = (run("tiramisu", SCHEDULES["cosine"], Y, HOLE, noise=noise, seed=seed, samples=samples,
                                      circuit=CIRCUIT, share=0.6, weight=0.5)
                                  for seed, samples in ((5, 3), (5, 3), (6, 3), (5, 1)))
    assert all(torch.equal(a.x, b.x) and torch.equal(a.x0, b.x0) for a, b in zip(first, again, strict=True))
    assert not torch.allclose(first[-1].x, other[-1].x, atol=1e-2)
    assert torch.allclose(alone[-1].x, first[-1].x[:1], atol=1e-5)  # other batch sizes may sum in another order


def test_samples_may_have_masks_of_their_own():
    masks = torch.stack([KNOWN, KNOWN.flip(0) * KNOWN.roll(2, 0)])[:, None]
    operator, rng = Inpaint(masks), Rng(0, 2)
    schedule = SCHEDULES["cosine"]
    times = grids.make("uniform", schedule, 6)
    y = operator.H(normal(2, *SHAPE).float())
    for step in steer("tiramisu", lambda x, t: 0.5 * x, rng.normal(*SHAPE), times, schedule, y=y, operator=operator,
                      rng=rng, circuit=CIRCUIT, share=0.5):
        last = step
    assert torch.allclose(operator.H(last.x), y, atol=1e-5)


def test_every_network_call_is_counted_and_announced():
    check_calls("tiramisu", 12, row("tiramisu"), circuit=CIRCUIT)


def test_without_a_circuit_it_is_refused_and_not_offered():
    with pytest.raises(InputError, match="needs a circuit") as error:
        run("tiramisu", SCHEDULES["cosine"], Y, HOLE)
    assert error.value.field == "method"
    assert row("tiramisu") not in self_sufficient() and set(self_sufficient()) < set(catalogue())
    assert "tiramisu" in names(Inpaint) and "tiramisu" in names(Inpaint, {"circuit"})
    assert "tiramisu" not in names(Inpaint, ()) and names(AveragePool, ()) == names(AveragePool)


def test_a_circuit_of_other_pictures_is_refused():
    with pytest.raises(InputError) as error:
        run("tiramisu", SCHEDULES["cosine"], Y, HOLE, circuit=circuit((3, 8, 6)), share=1.0)
    assert error.value.field == "method"
