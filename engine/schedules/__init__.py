"""Noise schedules: how much clean picture and how much noise is left at time t.

The marginal is x_t = alpha x0 + sigma eps with eps ~ N(0, I). `t = 0` is clean. `log_snr` means log(alpha / sigma),
which falls strictly as t grows, so that every schedule can be inverted in closed form.
"""

from collections.abc import Sequence

from engine.errors import InputError
from engine.schedules.base import Schedule
from engine.schedules.decaying import Cosine, VPLinear
from engine.schedules.shifted import MeanReverting, Residual
from engine.schedules.straight import EDM, Flow
from engine.schedules.tables import VPDiscrete, beta_table

__all__ = ["EDM", "Cosine", "Flow", "MeanReverting", "Residual", "Schedule", "VPDiscrete", "VPLinear", "beta_table",
           "by_name", "cosine", "edm", "flow", "mean_reverting", "names", "residual", "vp_discrete", "vp_linear"]


def vp_linear(beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-3) -> VPLinear:
    """The continuous variance-preserving schedule, t in (0, 1]."""
    return VPLinear(beta_min, beta_max, t_min)


def vp_discrete(betas: Sequence[float] | str = "linear", count: int = 1000, first: float | None = None,
                last: float | None = None) -> VPDiscrete:
    """The schedule of a model trained on N discrete steps, t in [1/N, 1].

    betas: the N numbers themselves, or the kind of table that `beta_table` makes from count, first and last.
    """
    if isinstance(betas, str):
        betas = beta_table(betas, count, first, last)
    return VPDiscrete(tuple(float(b) for b in betas))


def cosine() -> Cosine:
    """The cosine schedule of improved DDPM, continuous, t in (0, 0.9946]."""
    return Cosine()


def edm(sigma_min: float = 0.002, sigma_max: float = 80.0) -> EDM:
    """Variance-exploding coordinates; t is the noise level itself."""
    return EDM(sigma_min, sigma_max)


def flow() -> Flow:
    """The straight path of rectified flow, t in [0.001, 0.999] (velocity methods may use all of [0, 1])."""
    return Flow()


def residual(beta_min: float = 0.1, beta_max: float = 20.0) -> Residual:
    """The Resfusion process; see `Residual` for its coordinates."""
    return Residual(beta_min, beta_max)


def mean_reverting(rest: float = 100 / 255, left: float = 0.005, nodes: int = 100) -> MeanReverting:
    """The mean-reverting process of EDiffSR; see `MeanReverting` for its coordinates. t in [1 / nodes, 1]."""
    return MeanReverting(rest, left, nodes)


_CONSTRUCTORS = {f.__name__: f for f in (vp_linear, vp_discrete, cosine, edm, flow, residual, mean_reverting)}


def names() -> tuple[str, ...]:
    """Names that `by_name` knows."""
    return tuple(_CONSTRUCTORS)


def by_name(name: str, **options) -> Schedule:
    """Rebuild a schedule from a model card. Raises InputError for unknown names or options."""
    if name not in _CONSTRUCTORS:
        raise InputError(f"There is no noise schedule named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_CONSTRUCTORS) + ".", field="schedule")
    try:
        return _CONSTRUCTORS[name](**options)
    except TypeError as error:
        raise InputError(f"The noise schedule {name} does not take these options.", f"{error}.",
                         field="schedule") from None
