"""Tiramisu: in the noisiest steps, a probabilistic circuit says what the hole may hold, given all that is known."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import InputError
from engine.options import Option
from engine.steering import moves
from engine.steering.ddnm import ddnm
from engine.steering.operators import Inpaint
from engine.steering.registry import steering
from engine.steering.repaint import repaint
from engine.step import Step

if TYPE_CHECKING:
    from engine.circuits import Circuit, Statement

_BASES = {"ddnm": ddnm, "repaint": repaint}
COLOURS = {"any": (), "red": (0.5, -0.7, -0.7), "orange": (0.8, 0.0, -0.8), "yellow": (0.7, 0.6, -0.7),
           "green": (-0.5, 0.0, -0.6), "blue": (-0.5, -0.2, 0.6), "purple": (0.1, -0.5, 0.4),
           "pink": (0.7, 0.0, 0.3), "white": (0.7, 0.7, 0.7), "dark": (-0.8, -0.8, -0.8)}
"""Mean colours that can be stated of the hole, red, green, blue in [-1, 1]."""

BASE = Option("base", "Steered sampler", "ddnm", "The sampler that takes the steps.", choices=tuple(_BASES))
SHARE = Option("share", "Steered share of the run", 0.3,
               "The circuit steers this share of the steps, from the noisiest on. It knows shapes and colours, the "
               "model knows detail.", 0.0, 1.0)
WEIGHT = Option("weight", "Weight of the circuit", 0.8,
                "How much the circuit counts beside the model; 0 leaves it out.", 0.0, 1.0)
SHARPNESS = Option("sharpness", "Sharpness", 0.03,
                   "How strongly what is known chooses between the circuit's parts. 1 is exact and often too sure.",
                   0.0, 1.0)
COLOUR = Option("colour", "The hole is about", "any",
                "A soft statement about the mean colour of the area to fill. Give the circuit more weight and a larger "
                "share with it.", choices=tuple(COLOURS))
TOLERANCE = Option("tolerance", "Give or take", 0.1,
                   "How far the mean colour may be off, where black and white are 2 apart.", 0.01, 2.0)
ETA = Option("eta", "Noise per step (eta)", 0.85, "1 draws all noise afresh in each step, 0 keeps the noise.", 0.0, 1.0)
JUMP = Option("jump", "Jump length (steps)", 1, "How many steps each jump back goes.", 1, 50)
REPEATS = Option("repeats", "Passes", 1, "How often each stretch is walked; 1 means no jumps.", 1, 20)

_FALL = 2.0  # the paper's f: how fast the circuit's weight falls towards clean pictures


def calls(steps: int, jump: int = JUMP.default, repeats: int = REPEATS.default, **_options) -> int:
    """Denoiser calls of a run."""
    return moves.calls(steps, jump, repeats)


@steering("tiramisu", title="Tiramisu", paper="Liu et al. 2024, arXiv 2401.03349", calls=calls, noisy=True,
          hint="A probabilistic circuit of such pictures says in the first steps what the hole may hold. Also takes a "
               "colour that the hole should have.", needs="mask", learned="circuit",
          cost="1 network call per step, times the passes, and a little for the circuit", steps=(20, 50, 250),
          options=(SHARE, WEIGHT, COLOUR, TOLERANCE, SHARPNESS, BASE, ETA, JUMP, REPEATS))
def tiramisu(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Inpaint, circuit: "Circuit",
             noise: float = 0.0, rng=None, share: float = SHARE.default, weight: float = WEIGHT.default,
             colour: str = COLOUR.default, tolerance: float = TOLERANCE.default,
             sharpness: float = SHARPNESS.default, base: str = BASE.default, eta: float = ETA.default,
             jump: int = JUMP.default, repeats: int = REPEATS.default) -> Iterator[Step]:
    """Liu et al. 2024, arXiv 2401.03349, with Gaussian laws; the base sampler sees the steered estimate.

    For t above the time that lies `share` of the steps down: p(x0) ~ p_model^a p_circuit^(1 - a) per pixel, where
    p_circuit is the exact posterior of the circuit given x_t, the known pixels and what is stated, and
    1 - a = weight (1 - exp(-2 t)). circuit: of pictures like the model's, `engine.circuits`. With weight or share 0
    this is its base sampler, bit for bit. The paper's base is CoPaint and its circuit speaks of a quantiser's codes.
    First order, one call per step.

        for step in steer("tiramisu", denoise, x, times, schedule, y=y, operator=Inpaint(~hole), circuit=circuit,
                          rng=Rng(0, 1)): ...
    """
    steps = len(times) - 1
    until = float(times[min(math.ceil(share * steps), steps)])
    guide = Guide(circuit, y, operator, noise, sharpness, COLOURS[colour], tolerance)
    steered = _steered(denoise, guide, schedule, until, weight)
    return _BASES[base](steered, x, times, schedule, y=y, operator=operator, noise=noise, rng=rng, eta=eta, jump=jump,
                        repeats=repeats)


class Guide:
    """What the circuit says of x0, given a state, the known pixels y and the mean colour of the others, () for any."""

    def __init__(self, circuit: "Circuit", y: Tensor, operator: Inpaint, noise: float, sharpness: float,
                 colour: tuple[float, ...] = (), tolerance: float = TOLERANCE.default):
        from engine.circuits import Evidence

        if circuit.shape != tuple(y.shape[1:]):
            raise InputError(f"The circuit knows pictures of shape {list(circuit.shape)}.",
                             f"This run has the shape {list(y.shape[1:])}.", "Choose another model.", "method")
        self.circuit, self.sharpness, self.colour, self.tolerance = circuit, sharpness, colour, tolerance
        known = operator.known.double().cpu()
        self.known = known.reshape([1] * (y.ndim - known.ndim) + [*known.shape])
        self.seen = Evidence(y.double().cpu(), torch.where(self.known > 0, noise ** 2, math.inf))

    def __call__(self, x: Tensor, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
        """Posterior mean and variance of every pixel, (B, *shape)."""
        from engine.circuits import Evidence

        evidence = self.seen & Evidence.of_state(x.double().cpu(), alpha, sigma)
        law = self.circuit.condition(evidence, [self._stated(known) for known in self.known], self.sharpness)
        return law.mean, law.variance

    def _stated(self, known: Tensor) -> "tuple[Statement, ...]":
        """The statement about the colour of what one mask leaves open."""
        from engine.circuits import Statement

        hole = known.expand(self.circuit.shape).amin(0) == 0
        return (Statement.mean_colour(hole, self.colour, self.tolerance),) if self.colour and bool(hole.any()) else ()


def _steered(denoise: Callable[..., Tensor], guide: Guide, schedule, until: float, weight: float):
    """The denoiser whose estimate of the unknown pixels is mixed with the circuit's, for times above `until`."""
    prior = guide.circuit.pixel_variance()

    def estimate(x: Tensor, t: float) -> Tensor:
        x0 = denoise(x, t)
        part = weight * -math.expm1(-_FALL * t)
        if t <= until or part == 0:
            return x0
        alpha, sigma = map(float, schedule(t))
        mean, variance = guide(x, alpha, sigma)
        left = prior * sigma ** 2 / (alpha ** 2 * prior + sigma ** 2)  # the model's own doubt, were pixels independent
        mixed = mix(x0.double().cpu(), left, mean, variance, part)
        return torch.where(guide.known.to(x.device) > 0, x0, mixed.to(x0))

    return estimate


def mix(first: Tensor, first_variance: Tensor, second: Tensor, second_variance: Tensor, part: float) -> Tensor:
    """The mean of N(first)^(1 - part) N(second)^part, normalised, per pixel."""
    a, b = (1 - part) / first_variance, part / second_variance.clamp(min=1e-12)
    return (a * first + b * second) / (a + b)
