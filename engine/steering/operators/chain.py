"""Measurements one after the other: a picture is blurred, then reduced, then some of it is lost."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.steering.operators.base import Measurement, Operator
from engine.steering.operators.linear_algebra import least_squares

REFINE = 30


class Chain(Operator):
    """Operators one after the other, the first one nearest to the picture.

    pinv is the reverse chain, exact when all but the last operator are coisometries (averaging or losing colour, then
    anything), or generally when each operator keeps what the next one sees. Then `by_singular_value` is exact as well.
    Otherwise give refine, the number of conjugate-gradient steps that replace the reverse chain: as many as H H' has
    distinct eigenvalues make it exact (losing pixels, then averaging k x k: k * k), and fewer come close. `gain` is the
    product of theirs, as exact as the reverse chain, None where one has several singular values.
    """

    def __init__(self, *operators: Operator, refine: int = 0):
        assert operators and all(operator.linear for operator in operators), "compose() takes the others"
        self.operators = operators
        self.refine = refine
        self.title = _title(operators)
        gains = [operator.gain for operator in operators]
        self.gain = None if None in gains else float(torch.tensor(gains, dtype=torch.float64).prod())
        self.coisometry = all(operator.coisometry for operator in operators)
        self.orderly = all(operator.coisometry for operator in operators[:-1])
        if not (self.orderly and "svd" in operators[-1].offers):
            self.offers = Operator.offers - {"svd"}

    def check(self, shape: Sequence[int]) -> None:
        _check(self.operators, shape)

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
            return least_squares(self.H, self.adjoint, y, self.refine)
        for operator in reversed(self.operators):
            y = operator.pinv(y)
        return y

    def by_singular_value(self, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
        """For H = B A with A A' = g^2 I the directions of H that see anything are A' / g applied to those of B."""
        if not self.orderly:
            return super().by_singular_value(x, scale)
        return _through(self.operators, 1.0, x, scale)

    def frobenius(self, x: Tensor) -> Tensor:
        if self.coisometry or not self.orderly:
            return super().frobenius(x)
        total = 1.0
        for operator in self.operators[:-1]:
            x, total = operator.H(x), total * operator.gain ** 2
        return total * self.operators[-1].frobenius(x)


class NonlinearChain(Measurement):
    """Measurements one after the other, the first one nearest to the picture. pinv, where all have one, is the reverse
    chain: good enough in practice, exact where each keeps what the next one sees."""

    def __init__(self, *measurements: Measurement):
        self.measurements = measurements
        self.title = _title(measurements)
        self.offers = frozenset.intersection(*(m.offers for m in measurements)) & {"pinv", "gradient", "derivative"}

    def check(self, shape: Sequence[int]) -> None:
        _check(self.measurements, shape)

    def H(self, x: Tensor) -> Tensor:
        for measurement in self.measurements:
            x = measurement.H(x)
        return x

    def pinv(self, y: Tensor) -> Tensor:
        for measurement in reversed(self.measurements):
            y = measurement.pinv(y)
        return y


def compose(*measurements: Measurement) -> Measurement:
    """One measurement out of several, the first one nearest to the picture, with the best pseudo-inverse there is."""
    if len(measurements) == 1:
        return measurements[0]
    if not all(measurement.linear for measurement in measurements):
        return NonlinearChain(*measurements)
    chain = Chain(*measurements)
    return chain if chain.orderly else Chain(*measurements, refine=REFINE)


def _through(operators: Sequence[Operator], gain: float, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
    """`by_singular_value` of the chain of operators, all of whose singular values are multiplied with `gain`."""
    first, *rest = operators
    if not rest:
        return first.by_singular_value(x, lambda s: scale(gain * s))
    unseen = scale(torch.zeros(1, dtype=torch.float64)).item()
    inner = first.H(x)
    # Directions that the first one loses have the factor of 0, those that it keeps have the factor of the rest.
    return unseen * x + first.pinv(_through(rest, gain * first.gain, inner, scale) - unseen * inner)


def _check(measurements: Sequence[Measurement], shape: Sequence[int]) -> None:
    x = torch.zeros(tuple(shape))
    for measurement in measurements:
        measurement.check(x.shape)
        x = measurement.H(x)


def _title(measurements: Sequence[Measurement]) -> str:
    return " after ".join(measurement.title for measurement in reversed(measurements))
