"""Linear measurements y = H(x): what was seen of a picture, and the ways back from it.

Every operator works on (B, *) tensors of any device and floating dtype. To add one, give `H`, `adjoint` and `pinv`;
operators whose non-zero singular values all equal one number set `gain`, others override `by_singular_value`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


class Operator:
    """A linear map H with its transpose and a pseudo-inverse P, so that H P H = H.

    gain: the value of all non-zero singular values of H where they are equal.
    """

    gain: float = 1.0

    def H(self, x: Tensor) -> Tensor:
        """What is measured of the signal x."""
        raise NotImplementedError

    def adjoint(self, y: Tensor) -> Tensor:
        """The transpose: <H x, y> = <x, adjoint(y)>."""
        raise NotImplementedError

    def pinv(self, y: Tensor) -> Tensor:
        """The smallest signal that explains y."""
        raise NotImplementedError

    def by_singular_value(self, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
        """V diag(scale(s_i)) V' x for H = U diag(s_i) V': scales each direction of x by how well H sees it.

        scale: singular values (1-D, float64, on the CPU; 0 for directions that H does not see) to as many factors. With
        this, methods that treat directions by their singular value (DDNM+, DDRM, PiGDM, proximal steps) need no SVD: in
        the basis V the spectral measurement U' y / s is `pinv(y)`.
        """
        seen, unseen = scale(torch.tensor([self.gain, 0.0], dtype=torch.float64)).tolist()
        measured = (seen - unseen) * self.pinv(self.H(x))
        return measured + unseen * x if unseen else measured


class Identity(Operator):
    """Everything is seen: denoising when the measurement is noisy."""

    def H(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    def pinv(self, y: Tensor) -> Tensor:
        return y


class Inpaint(Operator):
    """Some pixels are seen. known: True or 1 where, any shape that broadcasts to x, such as (H, W), on x's device."""

    def __init__(self, known: Tensor):
        self.known = known.to(torch.get_default_dtype())

    def H(self, x: Tensor) -> Tensor:
        return self.known.to(x) * x

    adjoint = H
    pinv = H


class AveragePool(Operator):
    """Super-resolution: the mean of each k x k block of (B, C, H, W) is seen; H and W are multiples of k = factor."""

    def __init__(self, factor: int):
        self.factor = int(factor)
        self.gain = 1 / self.factor

    def H(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pinv(y) / self.factor ** 2

    def pinv(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)


class Chain(Operator):
    """Operators one after the other, the first one nearest to the picture.

    pinv is the reverse chain, exact when each operator keeps what the next one sees (averaging, then losing some of the
    averages). Otherwise give refine, the number of conjugate-gradient steps that replace it: as many as H H' has
    distinct eigenvalues make it exact (losing pixels, then averaging k x k: k * k), and fewer come close. `gain` is the
    product of theirs, as exact as the reverse chain.
    """

    def __init__(self, *operators: Operator, refine: int = 0):
        self.operators = operators
        self.refine = refine
        self.gain = 1.0
        for operator in operators:
            self.gain *= operator.gain

    def H(self, x: Tensor) -> Tensor:
        for operator in self.operators:
            x = operator.H(x)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        for operator in reversed(self.operators):
            y = operator.adjoint(y)
        return y

    def pinv(self, y: Tensor) -> Tensor:
        if self.refine:
            return self._least_squares(y)
        for operator in reversed(self.operators):
            y = operator.pinv(y)
        return y

    def _least_squares(self, y: Tensor) -> Tensor:
        """Conjugate gradients for min |H x - y| from x = 0 (CGLS), which stays among the smallest solutions."""
        x, residual = torch.zeros_like(self.adjoint(y)), y
        gradient = direction = self.adjoint(residual)
        norm = _dot(gradient, gradient)
        # Once the residual is all rounding error the quotients are 0 / 0; this keeps them 0.
        tiny = torch.finfo(y.dtype).tiny
        enough = torch.finfo(y.dtype).eps ** 2 * norm
        for _ in range(self.refine):
            image = self.H(direction)
            step = torch.where(norm > enough, norm / (_dot(image, image) + tiny), 0.0)
            x, residual = x + step * direction, residual - step * image
            gradient = self.adjoint(residual)
            before, norm = norm, _dot(gradient, gradient)
            direction = gradient + norm / (before + tiny) * direction
        return x


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.dim() - 1))
