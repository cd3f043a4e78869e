"""Gradients of a function of the result with respect to start noise, conditions and weights, at constant graph memory.

`adjoint_gradient` solves the augmented adjoint ODE of AdjointDPM (Pan et al., ICLR 2024, arXiv 2307.10711): the
gradient of the exact flow, up to the integrator's order. `checkpointed_gradient` gives the exact gradient of any solver
of the catalogue as it runs. Both keep the state of every step, which is small, and the graph of one network call. Calls
and their gradients are computed where all networks are (`engine.runtime.computing`), so that runs do not fight.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from engine import denoisers
from engine.denoisers import Denoiser
from engine.errors import InputError
from engine.runtime import computing
from engine.solvers import solve
from engine.solvers.exponential import Node, node, path, update

Loss = Callable[[Tensor], Tensor]
"""loss(x) of the final state (B, *): one number, or one per sample (B,)."""

# Share of the step at which each stage lies, and its weight. Every stage starts from the one before it alone.
_METHODS = {
    "euler": ((0.0, 1.0),),
    "midpoint": ((0.0, 0.0), (0.5, 1.0)),
    "rk4": ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6)),
}


@dataclass(frozen=True, eq=False)
class Gradients:
    """loss: as the loss function gave it, detached. x: the final state. noise: its gradient at the start, (B, *).

    cond: gradient per condition that is a floating-point tensor. parameters: in the order given. A loss per sample is
    summed, so that each sample's own noise has its own gradient. calls: denoiser calls, those with gradients included.
    """

    loss: Tensor
    x: Tensor
    noise: Tensor
    cond: dict[str, Tensor]
    parameters: tuple[Tensor, ...]
    calls: int


def methods() -> tuple[str, ...]:
    """Names of the integrators of `adjoint_gradient`, from order 1 to order 4."""
    return ("euler", "midpoint", "rk4")


def differentiable(network: nn.Module, schedule, prediction: str, *, weights: bool = False,
                   device: torch.device | str = "cpu") -> tuple[Denoiser, dict[str, Tensor]]:
    """A float32 denoiser of a model through which gradients flow, and its weights by name.

    The denoiser that runs share may compute in bfloat16, whose 8 bits the adjoint does not survive; this one is built
    from `Model.network`, `.schedule` and `.card.prediction`. States and conditions may lie anywhere; the network runs
    on `device`. weights: gradients with respect to the weights too; the network is then copied and the model is not
    touched. Without it the dict is empty.
    """
    if weights or torch.device(device).type != "cpu":
        network = copy.deepcopy(network).to(device).requires_grad_(weights)

    def run(x: Tensor, t: Tensor, cond: Mapping[str, Tensor | None]) -> Tensor:
        cond = {name: None if value is None else value.to(device) for name, value in cond.items()}
        with torch.autocast(torch.device(device).type, enabled=False):
            return network(x.to(device, torch.float32), t.to(device), **cond).to(x.device)

    def call(x: Tensor, t: Tensor, **cond: Tensor | None) -> Tensor:
        # A graph belongs to the thread that will go back through it; `_products` is in the right one already.
        return run(x, t, cond) if torch.is_grad_enabled() else computing.compute(torch.no_grad()(run), x, t, cond)

    return getattr(denoisers, f"from_{prediction}")(call, schedule), dict(network.named_parameters()) if weights else {}


def adjoint_gradient(denoise: Denoiser, x: Tensor, times: Tensor, schedule, loss: Loss, *,
                     cond: Mapping[str, Tensor] | None = None, parameters: Sequence[Tensor] = (),
                     method: str = "rk4") -> Gradients:
    """Gradients through the probability-flow ODE from x (B, *) at times[0] to times[-1].

    In y = x / alpha and rho = sigma / alpha the ODE is dy/drho = eps, without a stiff term (AdjointDPM, up to the
    constants alpha_T and sigma_T). With a = dL/dy the adjoint runs backwards beside it:
    da/drho = -(deps/dy)' a, and the gradients of condition and weights collect -(deps/dc)' a and -(deps/dw)' a.
    Each backward step starts from the state that the forward run had there, so that y does not drift.
    denoise(x_t, t, **cond): through which gradients flow (`differentiable`). cond: tensors. parameters: leaves that
    require gradients. method: "euler" (order 1, DDIM forwards), "midpoint" (2), "rk4" (4): 1, 2, 4 calls per step
    forwards and as many with gradients backwards. The gradient is of the exact flow, not of the discrete run; the two
    differ by O(h^order), so that Euler's can point the wrong way below some 50 steps. A step from alpha = 0 or into
    sigma = 0 is one DDIM step, with its exact gradient.
    Raises InputError for an unknown method.
    """
    if method not in _METHODS:
        raise InputError(f"There is no integrator named {str(method)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_METHODS) + ".", field="method")
    flow = _Flow(denoisers.counted(denoise), schedule, dict(cond or {}), tuple(parameters), _METHODS[method])
    nodes = path(times, schedule)
    states = [x.detach()]
    with torch.no_grad():
        for start, end in pairwise(nodes):
            states.append(flow.forward(states[-1], start, end))
    final = states[-1]
    value, a = _at_the_end(loss, final)
    for start, end in reversed(list(pairwise(nodes))):
        after = states.pop()
        a = flow.backward(states[-1], after, a, start, end)
    return Gradients(value, final, a, dict(zip(flow.names, flow.sums)), tuple(flow.sums[len(flow.names):]),
                     flow.denoise.calls)


class _Flow:
    """The ODE in (y, rho), its adjoint, and the running sums of the gradients of conditions and weights."""

    def __init__(self, denoise: Denoiser, schedule, cond: dict[str, Tensor], parameters: tuple[Tensor, ...],
                 method: Sequence[tuple[float, float]]):
        self.denoise, self.schedule, self.cond, self.method = denoise, schedule, cond, method
        self.names = [name for name, value in cond.items() if _differentiable(value)]
        self.parameters = parameters
        self.sums = [torch.zeros_like(value) for value in (*(cond[name] for name in self.names), *parameters)]

    def forward(self, x: Tensor, start: Node, end: Node) -> Tensor:
        if not _finite(start, end):
            return _ddim(self._x0(x, start), x, start, end)
        y, slope, total = x / start.alpha, 0.0, 0.0
        length = _rho(end) - _rho(start)
        for share, weight in self.method:
            at = self._between(start, end, share)
            slope = self._eps(y + share * length * slope, at)
            total = total + weight * slope
        return (y + length * total) * end.alpha

    def backward(self, before: Tensor, after: Tensor, a: Tensor, start: Node, end: Node) -> Tensor:
        """dL/dx at `start` from dL/dx at `end`; before, after: the states there."""
        if not _finite(start, end):
            return self._exactly(before, a, start, end)
        y, a, length = after / end.alpha, a * end.alpha, _rho(start) - _rho(end)
        slope, pull, total = 0.0, 0.0, 0.0
        for share, weight in self.method:
            at = self._between(end, start, share)
            slope, (pull, *rest) = self._pulled(y + share * length * slope, a - share * length * pull, at)
            total = total + weight * pull
            for sum_, part in zip(self.sums, rest, strict=True):
                sum_.sub_(part, alpha=weight * length)
        return (a - length * total) / start.alpha

    def _exactly(self, x: Tensor, a: Tensor, start: Node, end: Node) -> Tensor:
        _, (found, *rest) = _products(lambda x, cond: _ddim(self._x0(x, start, cond), x, start, end), x, self.cond,
                                      self.names, self.parameters, a)
        for sum_, part in zip(self.sums, rest, strict=True):
            sum_.add_(part)
        return found

    def _pulled(self, y: Tensor, a: Tensor, at: Node) -> tuple[Tensor, tuple[Tensor, ...]]:
        """eps at y, and its Jacobians' products with a: by y, by the conditions, by the weights."""
        return _products(lambda y, cond: self._eps(y, at, cond), y, self.cond, self.names, self.parameters, a)

    def _eps(self, y: Tensor, at: Node, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        return (y - self._x0(y * at.alpha, at, cond)) / _rho(at)

    def _x0(self, x: Tensor, at: Node, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        return self.denoise(x, at.t, **(self.cond if cond is None else cond))

    def _between(self, start: Node, end: Node, share: float) -> Node:
        """The node at a share of the way in rho: its time is looked up exactly, not rounded to a known level."""
        if share in (0, 1):
            return end if share else start
        rho = _rho(start) + share * (_rho(end) - _rho(start))
        t = self.schedule.time_at(-math.log(rho))
        return node(t, *self.schedule(t))


def checkpointed_gradient(denoise: Denoiser, x: Tensor, times: Tensor, schedule, loss: Loss, *,
                          cond: Mapping[str, Tensor] | None = None, parameters: Sequence[Tensor] = (),
                          solver: str = "ddim", rng=None, **options) -> Gradients:
    """The exact gradient of a solver as it runs, for few steps; arguments as in `adjoint_gradient`.

    Every denoiser call keeps only its input and is made again, with its graph, when the gradient comes back through it
    (checkpointing, Chen et al. 2016, arXiv 1604.06174, with one segment per call: the states that it keeps are far
    smaller than the graph of a segment of sqrt(N) calls would be). Cost: one run, and one call with gradient per call.
    solver, rng, options: as in `engine.solvers.solve`; random solvers are differentiated with their noise held fixed.
    """
    cond, parameters = dict(cond or {}), tuple(parameters)
    names = [name for name, value in cond.items() if _differentiable(value)]
    call = denoisers.counted(denoise)
    with torch.enable_grad():
        start = x.detach().requires_grad_()
        leaves = [cond[name].detach().requires_grad_() for name in names]

        def recomputed(x_t: Tensor, t: float) -> Tensor:
            def again(x_t: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
                return call(x_t, t, **cond)

            return _Recomputed.apply(again, cond, names, x_t, *leaves, *parameters)

        for step in solve(solver, recomputed, start, times, schedule, rng=rng, **options):
            final = step.x
        value = loss(final)
        found = torch.autograd.grad(value.sum(), (start, *leaves, *parameters), materialize_grads=True)
    noise, *rest = found
    return Gradients(value.detach(), final.detach(), noise, dict(zip(names, rest)), tuple(rest[len(names):]),
                     call.calls)


class _Recomputed(torch.autograd.Function):
    """One denoiser call whose graph exists only while its gradient is taken.

    torch.utils.checkpoint in its reentrant form refuses torch.autograd.grad, and in the other one it hides what it
    saves from the hooks that measure memory.
    """

    @staticmethod
    def forward(ctx, again, cond, names, x, *inputs):
        count = len(names)
        ctx.save_for_backward(x, *inputs[:count])
        ctx.again, ctx.cond, ctx.names, ctx.parameters = again, cond, names, inputs[count:]
        return again(x, {**cond, **dict(zip(names, inputs))})

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        x, *leaves = ctx.saved_tensors
        cond = {**ctx.cond, **dict(zip(ctx.names, leaves, strict=True))}
        return None, None, None, *_products(ctx.again, x, cond, ctx.names, ctx.parameters, gradient)[1]


def _products(function: Callable[..., Tensor], x: Tensor, cond: Mapping[str, Tensor], names: Sequence[str],
              parameters: Sequence[Tensor], a: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """function(x, cond), detached, and its Jacobians' products with `a`: by x, the named conditions, the parameters."""
    def there_and_back() -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            leaves = {name: cond[name].detach().requires_grad_() for name in names}
            value = function(start, {**cond, **leaves})
            found = torch.autograd.grad(value, (start, *leaves.values(), *parameters), a, materialize_grads=True)
        return value.detach(), found

    return computing.compute(there_and_back)


def _at_the_end(loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = loss(x)
        gradient, = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def _ddim(x0: Tensor, x: Tensor, start: Node, end: Node) -> Tensor:
    row = update(start, end)
    return row.x * x + row.x0 * x0


def _rho(at: Node) -> float:
    return at.sigma / at.alpha


def _finite(start: Node, end: Node) -> bool:
    return start.log_snr > -math.inf and end.log_snr < math.inf


def _differentiable(value) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
