"""Colour: what a black-and-white picture keeps of it."""

from collections.abc import Sequence

from torch import Tensor

from engine.errors import InputError
from engine.steering.operators.base import Operator


class Grey(Operator):
    """Colourisation: the mean of red, green and blue of (B, 3, H, W) is seen, (B, 1, H, W)."""

    title = "colourisation"
    gain = 3 ** -0.5
    coisometry = True

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) != 4 or shape[1] != 3:
            raise InputError("The picture has no three colour channels.", "Colourisation needs red, green and blue.")

    def H(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pinv(y) / 3

    def pinv(self, y: Tensor) -> Tensor:
        return y.expand(-1, 3, *y.shape[2:])
