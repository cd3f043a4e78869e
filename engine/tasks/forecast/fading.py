"""How far a forecast is believed as it reaches further: the network, any mean at all, and the members' spread.

A learned correction that helps tomorrow is noise next week, and what an imperfect model says of next week is best drawn
towards the climate: statistics of a model's output (Glahn and Lowry, 1972), member by member as in Van Schaeybroeck and
Vannitsem (2015). The numbers are fitted by `engine.tasks.forecast.calibration` and lie beside the weights.
"""

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Fading:
    """x' = s l + f (w x + (1 - w) y - l) for a member's state x, h hours after the start.

    y is the member's twin, which the linear model alone makes from the same noise, and l its forecast without noise.
    w = 1 / (1 + (network h)^2) and s = 1 / (1 + (mean h)^2), network and mean in 1/h, are the trust in the network and
    in the mean; f goes from `near` at the start to `far` at `reach_h` in a straight line. As it is made, x' = x.
    """

    network: float = 0.0
    mean: float = 0.0
    near: float = 1.0
    far: float = 1.0
    reach_h: float = 240.0

    @classmethod
    def of(cls, network: Any) -> "Fading":
        """What is stored with the weights of a `Forecaster`."""
        return cls(*network.fading.tolist())

    def numbers(self) -> Tensor:
        """As the network stores them: (5,) float32."""
        return torch.tensor(astuple(self), dtype=torch.float32)

    @property
    def changes(self) -> bool:
        """Whether members are any different with it."""
        return replace(self, reach_h=Fading.reach_h) != Fading()

    def weights(self, hours: Any) -> tuple[Any, Any, Any]:
        """w, s and f for hours (any shape)."""
        hours = np.asarray(hours, np.float64)
        network, mean = (1 / (1 + np.square(rate * hours)) for rate in (self.network, self.mean))
        return network, mean, self.near + (self.far - self.near) * np.minimum(hours / self.reach_h, 1)

    def applied(self, member: Any, twin: Any, linear: Any, hours: float) -> Any:
        """x' of x, y and l: tensors or arrays whose shapes go together."""
        network, mean, spread = (float(number) for number in self.weights(hours))
        return mean * linear + spread * (network * member + (1 - network) * twin - linear)
