"""Known solvers as plans: points of the space that a search starts from. Each runs as its direct code does."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from engine.errors import InputError
from engine.options import check_all
from engine.solvers.exponential import Node, orders, path
from engine.solvers.plan import Derivative, Plan, StepPlan
from engine.solvers.registry import row

_MULTISTEP = {"ddim": ("data", 1), "dpm_solver_1": ("noise", 1), "dpmpp_1": ("data", 1), "dpm_solver_2m": ("noise", 2),
              "dpmpp_2m": ("data", 2), "dpm_solver_3m": ("noise", 3), "dpmpp_3m": ("data", 3)}
_SINGLE = {"dpm_solver_2s": ("noise", 2), "dpmpp_2s": ("data", 2), "dpm_solver_3s": ("noise", 3),
           "dpmpp_3s": ("data", 3)}
_UNIPC = {"unipc_1": ("data", 1), "unipc_2": ("data", 2), "unipc_3": ("data", 3)}
_TABLE = _MULTISTEP | _SINGLE | _UNIPC
NAMES = tuple(_TABLE)

# What the direct code calls its ways of using a line is a relaxation of the line's exact integral.
_RELAXATION = {"midpoint": "bh2", "heun": "none", "taylor": "none"}


def named(name: str, times: Tensor, schedule, **options) -> Plan:
    """The plan that repeats a solver of the catalogue over these times, (N + 1,), with its options.

    Single-step solvers add a level per inner node. The third-order multistep rules are the consistent ones. Raises
    InputError for solvers that are no plans (`NAMES` are) and for options of theirs that are not: eta above 0, and the
    published third order.
    """
    entry = row(name)
    if name not in NAMES:
        raise InputError(f"{entry.title} cannot be written as a plan.",
                         fix="Choose one of " + ", ".join(NAMES) + ".", field="solver")
    check_all(entry.title, entry.options, options)
    if options.pop("eta", 0.0) or not options.pop("consistent", True):
        raise InputError(f"{entry.title} is no plan with these options.",
                         "Plans are deterministic and of true third order.", field="plan")
    nodes = path(times, schedule)
    make = _multistep if name in _MULTISTEP else _single if name in _SINGLE else _unipc
    levels, steps = make(nodes, *_TABLE[name], **options)
    return Plan(levels, steps, title=entry.title, found="a known solver")


def _multistep(nodes: Sequence[Node], prediction: str, highest: int, variant: str = "midpoint",
               lower_order_final: bool = True) -> tuple[list[float], list[StepPlan]]:
    steps = orders(nodes, highest, lower_order_final and len(nodes) <= 15)
    return _levels(nodes), [_step(prediction, order, _RELAXATION[variant]) for order in steps]


def _unipc(nodes: Sequence[Node], prediction: str, highest: int, variant: str = "bh2", corrector: bool = True,
           lower_order_final: bool = True) -> tuple[list[float], list[StepPlan]]:
    steps = []
    for i, order in enumerate(orders(nodes, highest, lower_order_final)):
        finite = math.isfinite(nodes[i].log_snr) and math.isfinite(nodes[i + 1].log_snr)
        corrected = corrector and finite and i < len(nodes) - 2
        # The paper shortens the weight of a single difference, predictor or corrector.
        steps.append(_step(prediction, order, variant, "pseudo" if corrected else "none",
                           variant if corrected and order == 1 else "none"))
    return _levels(nodes), steps


def _step(prediction: str, order: int, relaxation: str, corrector: str = "none",
          corrector_relaxation: str = "none") -> StepPlan:
    """A multistep step from the order - 1 predictions before the newest; a single difference is relaxed."""
    points = tuple(range(-2, -order - 1, -1))
    derivative = Derivative(points, relaxation if order == 2 else "none") if points else None
    return StepPlan(prediction, order, -1, (derivative,) * (order - 1), corrector, corrector_relaxation)


def _single(nodes: Sequence[Node], prediction: str, order: int,
            variant: str = "midpoint") -> tuple[list[float], list[StepPlan]]:
    levels, steps = [nodes[0].log_snr], []
    for start, end in pairwise(nodes):
        h = end.log_snr - start.log_snr
        inner = order - 1 if math.isfinite(h) else 0
        levels += [start.log_snr + j / order * h for j in range(1, inner + 1)] + [end.log_snr]
        steps += _stages(prediction, inner + 1, variant == "midpoint")
    return levels, steps


def _stages(prediction: str, order: int, midpoint: bool) -> list[StepPlan]:
    """The steps to the inner nodes, at equal parts of the whole one, and the whole one."""
    steps = [StepPlan(prediction)]
    if order > 1:
        relaxation = "bh2" if midpoint and order == 2 else "none"
        steps.append(StepPlan(prediction, 2, -2, (Derivative((-1,), relaxation),)))
    if order > 2:
        # The short form of third order draws a line through the second inner node only.
        last = (Derivative((-1,)),) if midpoint else (Derivative((-1, -2)),) * 2
        steps.append(StepPlan(prediction, len(last) + 1, -3, last))
    return steps


def _levels(nodes: Sequence[Node]) -> list[float]:
    return [node.log_snr for node in nodes]
