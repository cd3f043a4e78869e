"""Parts of a picture: known pixels, averages, bicubic reductions, and a few random mixtures per block."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import InputError
from engine.steering.operators.base import Operator


class Inpaint(Operator):
    """Some pixels are seen, the others are 0 in the measurement, which keeps the signal's shape.

    known: True or 1 where, any shape that broadcasts to x, such as (H, W). None or all of them may be known.
    Raises InputError for a mask with other values.
    """

    title = "inpainting"
    offers = Operator.offers | {"mask"}

    def __init__(self, known: Tensor):
        if not ((known == 0) | (known == 1)).all():
            raise InputError("The mask has values other than 0 and 1.", "Each pixel is either known or not.",
                             "Round the mask.", field="mask")
        self.known = known.to(torch.get_default_dtype())

    def check(self, shape: Sequence[int]) -> None:
        known = tuple(self.known.shape)
        if len(known) > len(shape) or any(k not in (1, n) for k, n in zip(reversed(known), reversed(shape))):
            raise InputError(f"The mask is {_sides(known)}.", f"The picture is {_sides(shape)}.",
                             "Give a mask of the picture's size.", field="mask")

    def H(self, x: Tensor) -> Tensor:
        return self.known.to(x) * x

    adjoint = H
    pinv = H

    def frobenius(self, x: Tensor) -> Tensor:
        return self.known.to(x).expand_as(x).flatten(1).sum(1)


class AveragePool(Operator):
    """Super-resolution: the mean of each k x k block of (B, C, H, W) is seen; H and W are multiples of k = factor."""

    title = "super-resolution from averages"
    coisometry = True

    def __init__(self, factor: int):
        self.factor = _factor(factor)
        self.gain = 1 / self.factor

    def check(self, shape: Sequence[int]) -> None:
        check_multiple(shape, self.factor, "factor")

    def H(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pinv(y) / self.factor ** 2

    def pinv(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)


class Bicubic(Operator):
    """Super-resolution: the picture (B, C, H, W) was reduced by k = factor with the usual antialiased bicubic filter.

    It is Pillow's and torch's (Keys' kernel with a = -1/2, stretched by k, renormalised at the borders), as a product
    A x B' of one small matrix per axis. Their singular values multiply, so the SVD of two matrices gives that of H.
    """

    title = "super-resolution from a bicubic reduction"
    gain = None

    def __init__(self, factor: int):
        self.factor = _factor(factor)

    def check(self, shape: Sequence[int]) -> None:
        check_multiple(shape, self.factor, "factor")

    def H(self, x: Tensor) -> Tensor:
        return self._apply(x, lambda axis: axis.matrix, x.shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._apply(y, lambda axis: axis.matrix.T, self._enlarged(y))

    def pinv(self, y: Tensor) -> Tensor:
        return self._apply(y, lambda axis: axis.inverse, self._enlarged(y))

    def by_singular_value(self, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
        rows, columns = (_axis(side, self.factor) for side in x.shape[-2:])
        factors = scale(torch.outer(rows.singular, columns.singular).flatten()).reshape(x.shape[-2:])
        turned = self._apply(x, lambda axis: axis.basis.T, x.shape)
        return self._apply(factors.to(x) * turned, lambda axis: axis.basis, x.shape)

    def frobenius(self, x: Tensor) -> Tensor:
        rows, columns = (_axis(side, self.factor) for side in x.shape[-2:])
        per_channel = float(rows.singular.square().sum() * columns.singular.square().sum())
        return x.new_full((len(x),), per_channel * x[0].numel() / (x.shape[-2] * x.shape[-1]))

    def _enlarged(self, y: Tensor) -> tuple[int, int]:
        return y.shape[-2] * self.factor, y.shape[-1] * self.factor

    def _apply(self, x: Tensor, pick: Callable[["_Axis"], Tensor], fine: Sequence[int]) -> Tensor:
        """Multiply rows and columns of x with what `pick` takes of the axes of a picture of size `fine`."""
        rows, columns = (pick(_axis(side, self.factor)).to(x) for side in fine[-2:])
        return rows @ x @ columns.T


class _Axis:
    """One axis of n pixels reduced by k: the matrix (n/k, n) and its decomposition, float64.

    singular: its n singular values, 0 for what it does not see. basis: (n, n), the directions as columns.
    """

    def __init__(self, side: int, factor: int):
        pixels = torch.eye(side, dtype=torch.float64)[None, None]
        small = side // factor
        self.matrix = F.interpolate(pixels, (side, small), mode="bicubic", antialias=True)[0, 0].T
        _, seen, rows = torch.linalg.svd(self.matrix)
        self.singular, self.basis = F.pad(seen, (0, side - small)), rows.T
        self.inverse = torch.linalg.pinv(self.matrix)


@lru_cache(maxsize=8)
def _axis(side: int, factor: int) -> _Axis:
    return _Axis(side, factor)


class CompressedSensing(Operator):
    """A few random mixtures of the pixels of each block are seen: (B, C, H, W) to (B, C, H/b, W/b, r).

    Each b x b block of each channel is multiplied with r rows of an orthogonal matrix: Walsh-Hadamard rows in a random
    order over pixels with random signs, all drawn from the seed. block: b, a power of 2. share: r over b^2, in (0, 1].
    Raises InputError for other values.
    """

    title = "compressed sensing"
    coisometry = True

    def __init__(self, share: float, block: int = 32, seed: int = 0):
        if not 0 < share <= 1:
            raise InputError(f"The share of measurements is {share!r}.", "It must be above 0 and at most 1.",
                             field="share")
        if block not in (2, 4, 8, 16, 32):
            raise InputError(f"The block is {block!r} px wide.", fix="Choose one of 2, 4, 8, 16, 32.", field="block")
        self.block = block
        self.rows = _orthogonal(block ** 2, seed)[:max(1, round(share * block ** 2))]

    def check(self, shape: Sequence[int]) -> None:
        check_multiple(shape, self.block, "block")

    def H(self, x: Tensor) -> Tensor:
        b = self.block
        blocks = x.unflatten(-2, (-1, b)).unflatten(-1, (-1, b)).transpose(-2, -3)
        return blocks.flatten(-2) @ self.rows.to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        b = self.block
        blocks = (y @ self.rows.to(y)).unflatten(-1, (b, b)).transpose(-2, -3)
        return blocks.flatten(-2).flatten(-3, -2)

    pinv = adjoint


def check_multiple(shape: Sequence[int], factor: int, field: str) -> None:
    """Raises InputError unless height and width of (B, C, H, W) are multiples of the factor."""
    if len(shape) != 4 or shape[-2] % factor or shape[-1] % factor:
        raise InputError(f"The picture is {_sides(shape)}.", f"Both sides must be multiples of {factor} px.",
                         "Crop the picture or choose another number.", field=field)


def _factor(factor: int) -> int:
    if isinstance(factor, bool) or factor != int(factor) or factor < 1:
        raise InputError(f"The reduction is {factor!r}.", "It must be a whole number from 1.", field="factor")
    return int(factor)


def _orthogonal(size: int, seed: int) -> Tensor:
    """A random orthogonal matrix (size, size) of equal magnitudes, size a power of 2, float64."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.ones(1, 1, dtype=torch.float64)
    while len(rows) < size:
        rows = torch.cat((torch.cat((rows, rows), 1), torch.cat((rows, -rows), 1)))
    signs = torch.randint(0, 2, (size,), generator=generator) * 2 - 1
    return rows[torch.randperm(size, generator=generator)] * signs / size ** 0.5


def _sides(shape: Sequence[int]) -> str:
    """Width x height of a picture, or the plain shape of anything else."""
    return f"{shape[-1]} x {shape[-2]} px" if len(shape) > 1 else f"{shape[0] if shape else 1} long"
