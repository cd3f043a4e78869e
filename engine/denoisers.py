"""Denoisers from networks: whatever a network predicts, the rest of the engine sees the posterior mean of x0.

A denoiser is `denoise(x_t, t, **cond) -> x0` with x_t (B, *) and t a float or (B,). With x_t = alpha x0 + sigma eps the
predictions are eps; x0; v = alpha eps - sigma x0 (Salimans and Ho, 2022); velocity = alpha' x0 + sigma' eps; and
score = -eps / sigma. Each is a linear function of any other and x_t.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.schedules import Schedule

Level = float | Tensor
Denoiser = Callable[..., Tensor]
Network = Callable[..., Tensor]

KINDS = ("eps", "x0", "v", "velocity", "score")


def coefficients(alpha: Level, sigma: Level, have: str, want: str,
                 rates: tuple[Level, Level] | None = None) -> tuple[Level, Level]:
    """(a, b) such that want = a x_t + b have, for kinds named in KINDS.

    alpha, sigma: floats or float64 tensors. rates: (alpha', sigma'), needed for "velocity". The result is singular
    only where the quantity itself is: x0 from eps at alpha = 0, eps from x0 and anything to a score at sigma = 0.
    """
    if have == want:
        return 0.0, 1.0
    if have == "score":
        on_x, on_value = coefficients(alpha, sigma, "eps", want, rates)
        return on_x, -sigma * on_value
    if want == "score":
        on_x, on_value = coefficients(alpha, sigma, have, "eps", rates)
        return -on_x / sigma, -on_value / sigma
    # Over (x0, eps), x_t has the coordinates (alpha, sigma), what we have (p, q), what we want (r, s). Cramer's rule.
    p, q = _coordinates(have, alpha, sigma, rates)
    r, s = _coordinates(want, alpha, sigma, rates)
    determinant = alpha * q - sigma * p
    return (r * q - s * p) / determinant, (alpha * s - sigma * r) / determinant


def _coordinates(kind: str, alpha: Level, sigma: Level, rates: tuple[Level, Level] | None) -> tuple[Level, Level]:
    if kind == "velocity":
        assert rates is not None, "a velocity needs the rates of its schedule"
        return rates
    return {"eps": (0.0, 1.0), "x0": (1.0, 0.0), "v": (-sigma, alpha)}[kind]


def convert(value: Tensor, x: Tensor, alpha: Level, sigma: Level, have: str, want: str,
            rates: tuple[Level, Level] | None = None) -> Tensor:
    """What a network that predicted `value` (kind `have`) at x_t = `x` says about the kind `want`.

    value, x: (B, *). alpha, sigma, rates: floats or (B,). Coefficients are float64 and cast to x's dtype at the end.
    """
    if have == want:
        return value.to(x.dtype)
    on_x, on_value = coefficients(alpha, sigma, have, want, rates)
    return spread(on_x, x) * x + spread(on_value, x) * value.to(x.dtype)


def spread(level: Level, x: Tensor) -> Level:
    """A per-sample number (B,) in x's dtype and device, shaped to multiply x (B, *); floats pass through."""
    if not isinstance(level, Tensor):
        return level
    level = level.to(device=x.device, dtype=x.dtype)
    return level.reshape(-1, *[1] * (x.ndim - 1)) if level.ndim else level


def times_of(t: Level, x: Tensor) -> Tensor:
    """t as the (B,) float32 tensor that networks are given."""
    if isinstance(t, Tensor):
        return t.to(device=x.device, dtype=torch.float32).expand(x.shape[0])
    return torch.full((x.shape[0],), float(t), dtype=torch.float32, device=x.device)


def network_times(schedule: Schedule, t: Level, x: Tensor) -> Tensor:
    """The (B,) float32 times that a network trained on `schedule` expects: indices if it is discrete, else t itself."""
    model_time = getattr(schedule, "model_time", None)
    return times_of(model_time(t) if model_time else t, x)


def _from(kind: str, network: Network, schedule: Schedule) -> Denoiser:
    def denoise(x_t: Tensor, t: Level, **cond) -> Tensor:
        rates = schedule.rates(t) if kind == "velocity" else None
        value = network(x_t, network_times(schedule, t, x_t), **cond)
        return convert(value, x_t, *schedule(t), kind, "x0", rates)

    return denoise


def from_eps(network: Network, schedule: Schedule) -> Denoiser:
    """x0 = (x_t - sigma eps) / alpha. Not for alpha = 0."""
    return _from("eps", network, schedule)


def from_v(network: Network, schedule: Schedule) -> Denoiser:
    """x0 = (alpha x_t - sigma v) / (alpha^2 + sigma^2). Finite everywhere."""
    return _from("v", network, schedule)


def from_velocity(network: Network, schedule: Schedule) -> Denoiser:
    """x0 = (sigma' x_t - sigma u) / (alpha sigma' - alpha' sigma), u = dx_t/dt with noise at the end of time."""
    return _from("velocity", network, schedule)


def from_score(network: Network, schedule: Schedule) -> Denoiser:
    """Tweedie's formula, x0 = (x_t + sigma^2 score) / alpha."""
    return _from("score", network, schedule)


def from_x0(network: Network, schedule: Schedule) -> Denoiser:
    """A network that predicts x0 itself; only its times and the dtype are adapted."""
    return _from("x0", network, schedule)


def from_resnoise(network: Network, schedule: Schedule) -> Denoiser:
    """Resfusion: the network sees x_t and the degraded picture and predicts noise plus a share of the residual.

    schedule: `schedules.residual()`. denoise(y, t, cond=...): y (B, C, *) in the shifted coordinates of that schedule;
    cond (B, C or more, *), whose first C channels are the degraded picture. The network is called as
    network(x_t, times, cond=cond, ...) in the coordinates it was trained in, x_t = y + (1 - a) degraded.
    """

    def denoise(x_t: Tensor, t: Level, *, cond: Tensor, **rest) -> Tensor:
        degraded = cond[:, :x_t.shape[1]].to(x_t.dtype)
        picture = x_t + residual_shift(degraded, t, schedule)
        value = network(picture, network_times(schedule, t, x_t), cond=cond, **rest)
        return x0_from_resnoise(value, x_t, degraded, *schedule(t))

    return denoise


def residual_shift(degraded: Tensor, t: Level, schedule: Schedule) -> Tensor:
    """(1 - a) degraded: add it to a state of the residual schedule to get the picture that the network sees."""
    return spread(1 - schedule.retained(t), degraded) * degraded


def resnoise(eps: Tensor, clean: Tensor, degraded: Tensor, sigma: Level) -> Tensor:
    """The training target eps + (sigma / 2)(degraded - clean), Resfusion's with k_t in the limit of many steps.

    eps, clean, degraded: (B, C, *). sigma: a float or (B,).
    """
    return eps + spread(sigma, eps) / 2 * (degraded - clean)


def x0_from_resnoise(value: Tensor, y: Tensor, degraded: Tensor, alpha: Level, sigma: Level) -> Tensor:
    """The clean picture from a predicted resnoise; y = alpha x0 + sigma eps. Well conditioned, also at alpha = 0."""
    divisor = alpha + sigma * sigma / 2
    return (spread(1 / divisor, y) * y - spread(sigma / divisor, y) * value.to(y.dtype)
            + spread(sigma * sigma / 2 / divisor, y) * degraded)


def from_reverting(network: Network, schedule: Schedule) -> Denoiser:
    """EDiffSR: the network sees x_t and the degraded picture mu, and predicts the noise.

    schedule: `schedules.mean_reverting()`. denoise(y, t, cond=mu): y (B, C, *) in the shifted coordinates of that
    schedule; cond (B, C, *). The network is called as network(x_t, times, cond=mu) with x_t = y + (1 - alpha) mu.
    """
    eps_to_x0 = from_eps(lambda x_t, times, state, **rest: network(state, times, **rest), schedule)

    def denoise(x_t: Tensor, t: Level, *, cond: Tensor, **rest) -> Tensor:
        return eps_to_x0(x_t, t, state=x_t + reverting_shift(cond.to(x_t.dtype), t, schedule), cond=cond,
                         **rest)

    return denoise


def from_regression(network: Network, schedule: Schedule) -> Denoiser:
    """The same network asked once, at the start and without noise, whatever x_t and t are: plain regression.

    denoise(y, t, cond=mu) is then one estimate from mu alone, and every solver ends there.
    """
    estimate = from_reverting(network, schedule)

    def denoise(x_t: Tensor, t: Level, *, cond: Tensor, **rest) -> Tensor:
        start = schedule.start
        return estimate(spread(schedule(start)[0], cond) * cond.to(x_t.dtype), start, cond=cond, **rest)

    return denoise


def from_logits(network: Network, schedule: Schedule) -> Denoiser:
    """A network that gives the logits of P(x0 = 1 | x_t) for masks in {-1, 1}: x0 = 2 P - 1 = tanh(logits / 2)."""
    estimate = from_x0(network, schedule)
    return lambda x_t, t, **cond: torch.tanh(estimate(x_t, t, **cond) / 2)


from_plain_logits = from_logits
"""The same for a network that ignores x_t and t: every solver ends at its one answer."""


def reverting_shift(degraded: Tensor, t: Level, schedule: Schedule) -> Tensor:
    """(1 - alpha) degraded: add it to a state of the mean-reverting schedule to get the picture the network sees."""
    return spread(1 - schedule(t)[0], degraded) * degraded


def on_schedule(denoise: Denoiser, trained: Schedule, used: Schedule) -> Denoiser:
    """Run a denoiser of one schedule under another: the same log_snr is the same problem, up to the scale of x.

    Levels outside the trained range are answered at its nearest end. Not for denoisers that need shifted coordinates.
    """
    cleanest, noisiest = trained.log_snr(trained.t_min), trained.log_snr(trained.t_max)

    def matched(x_t: Tensor, t: Level, **cond) -> Tensor:
        log_snr = used.log_snr(t)
        inside = (log_snr.clamp(noisiest, cleanest) if isinstance(log_snr, Tensor)
                  else min(max(log_snr, noisiest), cleanest))
        there = trained.time_at(inside)
        # The length of (alpha, sigma) is the one scale that stays finite at both ends of time.
        scale = _length(*trained(there)) / _length(*used(t))
        return denoise(spread(scale, x_t) * x_t, there, **cond)

    return matched


def _length(alpha: Level, sigma: Level) -> Level:
    return (alpha * alpha + sigma * sigma) ** 0.5


def counted(denoise: Denoiser) -> Denoiser:
    """The same denoiser; its attribute `calls` counts how often it was called."""

    def count(x_t: Tensor, t: Level, **cond) -> Tensor:
        count.calls += 1
        return denoise(x_t, t, **cond)

    count.calls = 0
    return count
