"""The schedulers of diffusers that are built on the same papers as our solvers."""

import inspect
import warnings
from typing import Any

BETAS: dict[str, Any] = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
"""The same table as `engine.schedules.vp_discrete("linear", 1000)`."""

_MULTISTEP = "DPMSolverMultistepScheduler"
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
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2,
                                                  "lower_order_final": True}),
    "dpmpp_3s": ("DPMSolverSinglestepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 3,
                                                  "lower_order_final": True}),
    "unipc_2": ("UniPCMultistepScheduler", {"solver_order": 2, "solver_type": "bh2"}),
    "unipc_3": ("UniPCMultistepScheduler", {"solver_order": 3, "solver_type": "bh2"}),
}


def counterpart(name: str, **options: Any) -> Any | None:
    """diffusers' scheduler for the same method as our solver `name`, for noise predictions; None where it has none.

    options: further arguments of its constructor; None too where it lacks one that is switched on.
    """
    import diffusers
    from diffusers.utils import logging

    if name not in _CLASSES:
        return None
    logging.set_verbosity_error()
    kind, arguments = _CLASSES[name]
    scheduler = getattr(diffusers, kind)
    known = inspect.signature(scheduler.__init__).parameters
    wanted = BETAS | arguments | options
    if any(value is True and name not in known for name, value in wanted.items()):
        return None
    # The single-step class has one spacing and no name for it.
    wanted = {name: value for name, value in wanted.items() if name in known}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return scheduler(**wanted)
