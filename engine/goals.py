"""Goals for a finished picture, and two searches over the start noise: steer it toward a goal, or audit a classifier.

A goal is a loss(x) -> (B,) on pictures (B, 3, H, W) in [-1, 1] that falls as the goal comes nearer. The gradients come
from `engine.adjoint`; using them for steering and for auditing follows AdjointDPM (Pan et al., ICLR 2024, sections 5.2
and 5.3).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.adjoint import Gradients, Loss, adjoint_gradient, checkpointed_gradient
from engine.denoisers import Denoiser, spread
from engine.errors import InputError

Classifier = Callable[[Tensor], Tensor]
"""classify(pictures (B, 3, H, W) in [-1, 1]) -> logits (B, K)."""

METHODS = ("exact", "midpoint", "rk4")
"""How the searches get their gradients. Euler's adjoint is left out: at usual step counts it points the wrong way."""

_LUMA = (0.299, 0.587, 0.114)
# Contrast of a step of one grey level in 255, squared: keeps the logarithm finite on a flat picture.
_FLAT = (2 / 255) ** 2


def mean_colour(colour: Sequence[float], where: Tensor | None = None) -> Loss:
    """Mean squared distance of the average colour to `colour`, three numbers in [-1, 1].

    where: bool (H, W), only these pixels count. Raises InputError for another colour or an empty mask.
    """
    wanted = _colours(torch.as_tensor(colour, dtype=torch.float32), (3,))
    if where is not None and not bool(where.any()):
        raise InputError("The mask has no pixel.", "There is nothing to colour.", field="mask")

    def loss(x: Tensor) -> Tensor:
        found = x.mean((2, 3)) if where is None else x[:, :, where.to(x.device)].mean(2)
        return (found - wanted.to(x)).square().mean(1)

    return loss


def colour_layout(picture: Tensor) -> Loss:
    """Mean squared distance of the picture, averaged over areas, to a small picture (3, h, w) in [-1, 1].

    A 4 x 4 picture asks for 16 average colours and leaves everything finer free. Raises InputError for another shape or
    range.
    """
    wanted = _colours(picture, (3, *picture.shape[1:])) if picture.ndim == 3 else _colours(picture, (3, 4, 4))

    def loss(x: Tensor) -> Tensor:
        return (F.adaptive_avg_pool2d(x, tuple(wanted.shape[1:])) - wanted.to(x)).square().mean((1, 2, 3))

    return loss


def sharpness(direction: float = 1.0) -> Loss:
    """Sharper pictures for direction 1, softer ones for -1: minus the logarithm of the Laplacian's mean square.

    On the luminance, 4-neighbour Laplacian inside the picture; a change of 0.69 is a factor of two.
    """
    def loss(x: Tensor) -> Tensor:
        luma = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1)
        middle = luma[:, 1:-1, 1:-1]
        laplacian = luma[:, 2:, 1:-1] + luma[:, :-2, 1:-1] + luma[:, 1:-1, 2:] + luma[:, 1:-1, :-2] - 4 * middle
        return -direction * (laplacian.square().mean((1, 2)) + _FLAT).log()

    return loss


def classified_as(classify: Classifier, label: int) -> Loss:
    """Cross entropy of the label, 0 when the classifier is certain of it."""
    return lambda x: -classify(x).log_softmax(1)[:, label]


def margin(classify: Classifier, label: int) -> Loss:
    """The label's logit minus the largest other one: below 0 the classifier says something else. For `audit`."""
    def loss(x: Tensor) -> Tensor:
        logits = classify(x)
        others = torch.cat([logits[:, :label], logits[:, label + 1:]], 1)
        return logits[:, label] - others.amax(1)

    return loss


def combined(goals: Sequence[tuple[float, Loss]]) -> Loss:
    """The weighted sum of several goals, given as (weight, goal)."""
    return lambda x: torch.stack([weight * goal(x) for weight, goal in goals]).sum(0)


@dataclass(frozen=True, eq=False)
class Progress:
    """The best start noise so far. index: 0 for the start itself, `total` at the end.

    loss: (B,). noise: (B, *). x: (B, *) the result from it. moved: (B,) distance from the first noise as a share of its
    length. calls: denoiser calls so far.
    """

    index: int
    total: int
    loss: Tensor
    noise: Tensor
    x: Tensor
    moved: Tensor
    calls: int


def steer_noise(denoise: Denoiser, x: Tensor, times: Tensor, schedule, goal: Loss, *, iterations: int = 20,
                angle: float = 0.05, method: str = "exact", solver: str = "ddim",
                cond: Mapping[str, Tensor] | None = None, **options) -> Iterator[Progress]:
    """Turn the start noise x (B, *) until the result comes near the goal; yields the start and each iteration.

    Every sample moves along a great circle by `angle` radians against its own gradient, so that it keeps its length: it
    stays on the shell where Gaussian noise of many dimensions lies. A step that does not help is taken back and the
    sample's angle halved; after one that helps it grows by half. The loss therefore never rises.
    method: "exact" differentiates the run of `solver` (with `options`); "midpoint" and "rk4" are integrators of
    `adjoint_gradient`, which then make the run too. denoise: see `engine.adjoint.differentiable`.
    Raises InputError for an unknown method and for numbers out of range.
    """
    _positive("iterations", iterations, 10_000)
    _positive("angle", angle, math.pi / 2)
    gradient = _gradient(denoise, times, schedule, goal, method, solver, cond, options)
    return _search(gradient, x, _turned, angle, iterations)


def audit(denoise: Denoiser, x: Tensor, times: Tensor, schedule, goal: Loss, *, radius: float = 0.1,
          iterations: int = 20, method: str = "exact", solver: str = "ddim",
          cond: Mapping[str, Tensor] | None = None, **options) -> Iterator[Progress]:
    """Look near the start noise x (B, *) for a result that lowers `goal`, for example the `margin` of a classifier.

    Projected gradient steps within an L2 ball around x, per sample; radius: as a share of the length of x, in (0, 1].
    The steps begin at a quarter of the radius and adapt as in `steer_noise`, which explains the other arguments. What
    is found is a picture that the model makes with nearly the same noise and that the classifier reads differently.
    """
    _positive("iterations", iterations, 10_000)
    _positive("radius", radius, 1.0)
    gradient = _gradient(denoise, times, schedule, goal, method, solver, cond, options)
    start, reach = x.detach(), radius * _length(x)

    def move(noise: Tensor, slope: Tensor, size: Tensor) -> Tensor:
        offset = noise - spread(size * reach, noise) * _unit(slope) - start
        return start + spread((reach / _length(offset).clamp_min(1e-12)).clamp_max(1.0), x) * offset

    return _search(gradient, x, move, 0.25, iterations)


def _gradient(denoise: Denoiser, times: Tensor, schedule, goal: Loss, method: str, solver: str,
              cond: Mapping[str, Tensor] | None, options: Mapping) -> Callable[[Tensor], Gradients]:
    rest = {"times": times, "schedule": schedule, "loss": goal, "cond": cond}
    if method == "exact":
        return partial(checkpointed_gradient, denoise, solver=solver, **rest, **options)
    if method not in METHODS:
        raise InputError(f"The noise is not steered by the method {str(method)[:40]!r}.",
                         fix="Choose one of " + ", ".join(METHODS) + ".", field="method")
    return partial(adjoint_gradient, denoise, method=method, **rest)


def _search(gradient: Callable[[Tensor], Gradients], x: Tensor, move: Callable[[Tensor, Tensor, Tensor], Tensor],
            size: float, iterations: int) -> Iterator[Progress]:
    """Descent with a step size per sample. move(noise, slope, size (B,)) -> the next noise to try."""
    start = noise = x.detach()
    best = gradient(noise)
    loss, slope, result, calls = best.loss, best.noise, best.x, best.calls
    sizes = torch.full_like(loss, size)
    for i in range(iterations + 1):
        if i:
            trial = move(noise, slope, sizes)
            found = gradient(trial)
            calls += found.calls
            better = found.loss < loss
            sizes = torch.where(better, sizes * 1.5, sizes / 2)
            loss = torch.where(better, found.loss, loss)
            noise, slope, result = (torch.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old) for new, old in
                                    ((trial, noise), (found.noise, slope), (found.x, result)))
        yield Progress(i, iterations, loss, noise, result, _length(noise - start) / _length(start), calls)


def _turned(noise: Tensor, slope: Tensor, angle: Tensor) -> Tensor:
    """Along the great circle against the slope, by that angle per sample; the length stays."""
    length, ahead = _length(noise), _unit(noise)
    across = _unit(slope - spread((slope * ahead).flatten(1).sum(1), noise) * ahead)
    turned = spread(angle.cos(), noise) * ahead - spread(angle.sin(), noise) * across
    return spread(length, noise) * _unit(turned)


def _length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def _unit(x: Tensor) -> Tensor:
    return x / spread(_length(x).clamp_min(1e-30), x)


def _colours(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(values.shape) != shape or 0 in shape:
        raise InputError(f"The colours have the shape {list(values.shape)}.", f"It must be {list(shape)}.",
                         field="colour")
    if not bool((values.abs() <= 1).all()):
        raise InputError(f"A colour is {float(values.flatten()[values.abs().argmax()]):g}.",
                         "Each must be a number from -1 to 1.", field="colour")
    return values


def _positive(name: str, value: float, most: float) -> None:
    if not 0 < value <= most:
        raise InputError(f"The {name} is {value:g}.", f"It must be above 0 and at most {most:.4g}.", field=name)
