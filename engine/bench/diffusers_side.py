"""The schedulers of diffusers: those on the same papers as our solvers, and all that can be compared with them."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor
from torch.linalg import LinAlgError

BETAS: dict[str, Any] = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
"""The same table as `engine.schedules.vp_discrete("linear", 1000)`."""

_MULTISTEP, _SINGLESTEP = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False, "variance_type": "fixed_small"}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "fpndm": ("PNDMScheduler", {"set_alpha_to_one": False}),
    "dpm_solver_2m": (_MULTISTEP, {"algorithm_type": "dpmsolver", "solver_order": 2, "final_sigmas_type": "sigma_min"}),
    "dpm_solver_3m": (_MULTISTEP, {"algorithm_type": "dpmsolver", "solver_order": 3, "final_sigmas_type": "sigma_min"}),
    "dpmpp_1": (_MULTISTEP, {"algorithm_type": "dpmsolver++", "solver_order": 1}),
    "dpmpp_2m": (_MULTISTEP, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpmpp_3m": (_MULTISTEP, {"algorithm_type": "dpmsolver++", "solver_order": 3}),
    "sde_dpmpp_2m": (_MULTISTEP, {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}),
    "dpmpp_2s": (_SINGLESTEP, {"algorithm_type": "dpmsolver++", "solver_order": 2, "lower_order_final": True}),
    "dpmpp_3s": (_SINGLESTEP, {"algorithm_type": "dpmsolver++", "solver_order": 3, "lower_order_final": True}),
    "unipc_2": ("UniPCMultistepScheduler", {"solver_order": 2, "solver_type": "bh2"}),
    "unipc_3": ("UniPCMultistepScheduler", {"solver_order": 3, "solver_type": "bh2"}),
}


def counterpart(name: str, **options: Any) -> Any | None:
    """diffusers' scheduler for the same method as our solver `name`, for noise predictions; None where it has none.

    options: further arguments of its constructor; None too where it lacks one that is switched on.
    """
    if name not in _CLASSES:
        return None
    kind, arguments = _CLASSES[name]
    wanted = BETAS | arguments | options
    known = _arguments(kind)
    if any(value is True and name not in known for name, value in wanted.items()):
        return None
    # The single-step class has one spacing and no name for it.
    return _made(kind, {name: value for name, value in wanted.items() if name in known})


@dataclass(frozen=True)
class Configuration:
    """One way of setting up a deterministic scheduler. method, spacing: rows of a table; note: the rest, in words."""

    method: str
    spacing: str
    note: str
    kind: str
    arguments: Mapping[str, Any]

    def scheduler(self, betas: list[float]) -> Any:
        """A new scheduler for noise predictions of a model with this noise table."""
        return _made(self.kind, {"num_train_timesteps": len(betas), "trained_betas": betas} | dict(self.arguments))


_Variants = Mapping[str, tuple[Any, ...]]
_EASED: _Variants = {"lower_order_final": (True, False)}
# method: class, arguments, and the arguments that are tried in every combination. In diffusers bh1 and the noise form
# of DPM-Solver give no numbers when they go to zero noise, nor does bh2 without its lower last order.
_METHODS: dict[str, tuple[str, dict[str, Any], _Variants]] = {
    "DDIM": ("DDIMScheduler", {"clip_sample": False}, {}),
    "Euler": ("EulerDiscreteScheduler", {}, {}),
    "Heun": ("HeunDiscreteScheduler", {}, {}),
    "KDPM2": ("KDPM2DiscreteScheduler", {}, {}),
    "LMS": ("LMSDiscreteScheduler", {}, {}),
    "PNDM": ("PNDMScheduler", {}, {"skip_prk_steps": (False, True), "set_alpha_to_one": (False, True)}),
    **{f"DPM-Solver {order}M": (_MULTISTEP, {"algorithm_type": "dpmsolver", "solver_order": order,
                                             "final_sigmas_type": "sigma_min"},
                                {"solver_type": ("midpoint", "heun"), "euler_at_final": (False, True)})
       for order in (2, 3)},
    **{f"DPM-Solver++ {order}M": (_MULTISTEP, {"solver_order": order},
                                  {"solver_type": ("midpoint", "heun"), **_EASED}) for order in (2, 3)},
    **{f"DPM-Solver++ {order}S": (_SINGLESTEP, {"solver_order": order, "lower_order_final": True},
                                  {"solver_type": ("midpoint", "heun")}) for order in (2, 3)},
    **{f"UniPC-{order} bh2": ("UniPCMultistepScheduler", {"solver_order": order, "solver_type": "bh2"}, {})
       for order in (2, 3)},
    **{f"UniPC-{order} bh1": ("UniPCMultistepScheduler", {"solver_order": order, "solver_type": "bh1",
                                                          "final_sigmas_type": "sigma_min"}, _EASED)
       for order in (2, 3)},
    **{f"DEIS-{order}": ("DEISMultistepScheduler", {"solver_order": order}, _EASED) for order in (2, 3)},
}
_SPACINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "uniform": tuple({"timestep_spacing": name} for name in ("trailing", "linspace", "leading")),
    "karras": ({"use_karras_sigmas": True},),
    "log_snr": ({"use_lu_lambdas": True}, {"use_exponential_sigmas": True}),
    "beta": ({"use_beta_sigmas": True},),
}
"""Our names of spacings and what diffusers calls them; exponential sigmas are even in log-SNR as well."""
_LEADING = ("DDIMScheduler", "PNDMScheduler")
# What the schedulers raise where they cannot run with so few steps.
_FAILURES = (ValueError, IndexError, AssertionError, ZeroDivisionError, LinAlgError)


def configurations(variants: bool = True) -> Iterator[Configuration]:
    """Every deterministic scheduler for noise predictions with every spacing that it has. variants: also the settings
    of `_METHODS` beyond the defaults."""
    for method, (kind, arguments, tried) in _METHODS.items():
        known = _arguments(kind)
        combined = product(*([(name, value) for value in values] for name, values in tried.items()))
        chosen = [dict(pairs) for pairs in combined] if variants else [{}]
        for spacing, ways in _SPACINGS.items():
            # A class without any name for its one spacing is listed as uniform.
            fitting = [way for way in ways if way.keys() <= known] or ([{}] if spacing == "uniform" else [])
            if spacing == "uniform" and kind not in _LEADING:
                # Starting well below the level of pure noise helps no other method.
                fitting = fitting[:2]
            for way, extra in product(fitting[:None if variants else 1], chosen):
                note = ", ".join(str(v) if isinstance(v, str) else f"{k}={v}" for k, v in (way | extra).items()
                                 if not k.startswith("use_"))
                yield Configuration(method, spacing, note, kind, arguments | way | extra)


def most_steps(scheduler: Any, calls: int) -> int:
    """The most steps with which the scheduler makes at most so many calls; 0 where it cannot make so few."""
    for steps in range(calls, 0, -1):
        try:
            scheduler.set_timesteps(steps)
        except _FAILURES:
            return 0
        if len(scheduler.timesteps) <= calls:
            return steps
    return 0


def sample(scheduler: Any, steps: int, eps: Callable[[Tensor, float], Tensor], noise: Tensor) -> Tensor | None:
    """The final state of a run as users of diffusers write it; None where it fails with so few steps.

    eps(x, index): predicted noise. noise: standard normal. The state is float32, as its schedulers demand.
    """
    try:
        scheduler.set_timesteps(steps)
        state = noise.float() * float(scheduler.init_noise_sigma)
        for t in scheduler.timesteps:
            seen = scheduler.scale_model_input(state, t)
            state = scheduler.step(eps(seen, float(t)).float(), t, state).prev_sample
    except _FAILURES:
        return None
    return state


def _arguments(kind: str) -> frozenset[str]:
    import diffusers

    return frozenset(inspect.signature(getattr(diffusers, kind).__init__).parameters)


def _made(kind: str, arguments: Mapping[str, Any]) -> Any:
    import diffusers
    from diffusers.utils import logging

    logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(diffusers, kind)(**arguments)
