"""RePaint: replacement with jumps back, so that the unseen part has time to agree with the seen part."""

from collections.abc import Iterator

from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Operator
from engine.steering.registry import steering
from engine.steering.replacement import ETA, replaced
from engine.step import Step

JUMP = Option("jump", "Jump length (steps)", 5, "How many steps each jump goes back.", 1, 50)
REPEATS = Option("repeats", "Passes", 3, "How often each stretch is walked; 1 means no jumps.", 1, 20)


def calls(steps: int, jump: int = JUMP.default, repeats: int = REPEATS.default, **_options) -> int:
    """Denoiser calls of a run: 140 for 50 steps, jump 5, 3 passes."""
    return moves.calls(steps, jump, repeats)


@steering("repaint", title="RePaint", paper="Lugmayr et al. 2022, arXiv 2201.09865", calls=calls, noisy=True,
          hint="Pastes the known part at each noise level and goes back and forth to harmonise. Slow and thorough.",
          cost="about as many network calls per step as passes", options=(JUMP, REPEATS, ETA), needs="svd")
def repaint(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Operator, noise: float = 0.0, rng=None,
            jump: int = JUMP.default, repeats: int = REPEATS.default, eta: float = ETA.default) -> Iterator[Step]:
    """Lugmayr et al. 2022, arXiv 2201.09865, algorithm 1, on any grid and schedule; stochastic.

    Every `jump` steps the state is diffused back by `jump` steps and the stretch is walked again, `repeats` times in
    all. One denoiser call per step, `calls(steps, jump, repeats)` in all. Step.x0 is the denoiser's own estimate, which
    the known part has not replaced. repeats = 1 is plain replacement.

        for step in steer("repaint", denoise, x, times, schedule, y=y, operator=Inpaint(~hole), rng=Rng(0, 1)): ...
    """
    update = replaced(y, operator, noise, eta, rng)
    return moves.descend(denoise, x, times, schedule, update, rng, jump, repeats)
