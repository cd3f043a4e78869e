"""Measurements y = H(x): what was seen of a picture, and the ways back from it.

Every measurement works on (B, *) tensors of any device and floating dtype, each sample for itself. To add a linear
one, give `H`, `adjoint` and `pinv` of an `Operator`. Where its non-zero singular values all equal one number, set
`gain`. Otherwise override `by_singular_value` and `frobenius`, or leave "svd" out of `offers`, and conjugate gradients
take over.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.steering.operators.linear_algebra import conjugate_gradients, squared_norm

PROBES = 32


class Measurement:
    """A map H from signals to measurements, linear or not.

    title: what it is called within a sentence. offers: what a steering method may ask of it, words out of
    "gradient" (backpropagation through H leads towards the measurement), "derivative" (it even is H's derivative),
    "pinv" (H(pinv(H(x))) = H(x), at least nearly), "linear" (it is an `Operator`), "svd" (`by_singular_value` is exact)
    and "mask" (`known` marks the entries of the signal that are seen, the others are 0 in the measurement).
    """

    title: str = "this measurement"
    offers: frozenset[str] = frozenset({"gradient", "derivative"})

    @property
    def linear(self) -> bool:
        """Whether it is an `Operator`, with an adjoint and the linear solves."""
        return "linear" in self.offers

    @property
    def differentiable(self) -> bool:
        """Whether backpropagation through H gives its derivative."""
        return "derivative" in self.offers

    def H(self, x: Tensor) -> Tensor:
        """What is measured of the signal x."""
        raise NotImplementedError

    def pinv(self, y: Tensor) -> Tensor:
        """A signal that explains y; for linear measurements the smallest one."""
        raise NotImplementedError(f"{self.title} has no pseudo-inverse")

    def check(self, shape: Sequence[int]) -> None:
        """Raises InputError when signals of this shape (B, *) cannot be measured."""


class Operator(Measurement):
    """A linear map H with its transpose and its pseudo-inverse P, so that H P H = H.

    gain: the value of all non-zero singular values of H where they are equal, else None.
    coisometry: H H' = gain^2 I; every measurement is possible and as loud as any other.
    """

    offers: frozenset[str] = frozenset({"pinv", "linear", "svd", "gradient", "derivative"})
    gain: float | None = 1.0
    coisometry: bool = False

    def adjoint(self, y: Tensor) -> Tensor:
        """The transpose: <H x, y> = <x, adjoint(y)>."""
        raise NotImplementedError

    def by_singular_value(self, x: Tensor, scale: Callable[[Tensor], Tensor]) -> Tensor:
        """V diag(scale(s_i)) V' x for H = U diag(s_i) V': scales each direction of x by how well H sees it.

        scale: singular values (1-D, float64, on the CPU; 0 for directions that H does not see) to as many factors. With
        this, methods that treat directions by their singular value (DDNM+, DDRM, PiGDM, proximal steps) need no SVD: in
        the basis V the spectral measurement U' y / s is `pinv(y)`.
        """
        assert self.gain is not None, f"{self.title} has more than one singular value"
        seen, unseen = scale(torch.tensor([self.gain, 0.0], dtype=torch.float64)).tolist()
        measured = self.pinv(self.H(x))
        return seen * measured + unseen * (x - measured) if unseen else seen * measured

    def solve(self, b: Tensor, weight: float) -> Tensor:
        """(H'H + weight I)^-1 b for weight > 0 and a signal b.

        Exact where the operator offers "svd"; otherwise conjugate gradients, to rounding or for as long as they may
        run. A small weight raises the rounding of b by 1 / weight; `proximal` does without that.
        """
        if "svd" in self.offers:
            return self.by_singular_value(b, lambda s: 1 / (s ** 2 + weight))
        return conjugate_gradients(lambda x: self.adjoint(self.H(x)) + weight * x, b)

    def solve_measured(self, r: Tensor, prior_variance: float, noise_variance: float) -> Tensor:
        """(prior_variance H H' + noise_variance I)^-1 r for a measurement r; the pseudo-inverse without noise.

        Not both variances may be 0. Without "svd" and without noise, r must be something that H can give.
        """
        def inverse(s: Tensor) -> Tensor:
            total = prior_variance * s ** 2 + noise_variance
            return torch.where((s > 0) & (total > 0), 1 / total, 0.0)

        if "svd" not in self.offers:
            return conjugate_gradients(lambda y: prior_variance * self.H(self.adjoint(y)) + noise_variance * y, r)
        explained = self.pinv(r)
        solved = self.H(self.by_singular_value(explained, inverse))
        if self.coisometry or noise_variance == 0:
            return solved
        impossible = r - self.H(explained)
        impossible = impossible - self.H(self.pinv(impossible))  # what rounding left the first time
        return solved + impossible / noise_variance

    def correction(self, r: Tensor, prior_variance: float, noise_variance: float) -> Tensor:
        """The signal `adjoint(solve_measured(r, ...))`, to rounding for any variances of which one is positive."""
        if "svd" not in self.offers:
            return self.adjoint(self.solve_measured(r, prior_variance, noise_variance))

        def gain(s: Tensor) -> Tensor:
            return torch.where(s > 0, s ** 2 / (prior_variance * s ** 2 + noise_variance), 0.0)

        return self.by_singular_value(self.pinv(r), gain)

    def proximal(self, x0: Tensor, y: Tensor, weight: float) -> Tensor:
        """argmin over x of |H x - y|^2 + weight |x - x0|^2; with weight 0 the nearest x to x0 that explains y."""
        return x0 + self.correction(y - self.H(x0), 1.0, weight)

    def frobenius(self, x: Tensor) -> Tensor:
        """||H||_F^2, the sum of the squared singular values, for signals of the shape of x (B, *): (B,), x's dtype.

        Exact for coisometries and wherever a subclass says so; otherwise from 32 fixed random signs, which is good to
        about one part in a hundred for pictures.
        """
        if self.coisometry:
            measured = self.H(torch.zeros_like(x))
            return x.new_full((len(x),), self.gain ** 2 * measured[0].numel())
        generator = torch.Generator().manual_seed(0)
        total = x.new_zeros(len(x))
        for _ in range(PROBES):
            signs = torch.randint(0, 2, (1, *x.shape[1:]), generator=generator) * 2 - 1
            total += squared_norm(self.H(signs.to(x).expand_as(x))).flatten()
        return total / PROBES


class Identity(Operator):
    """Everything is seen: denoising when the measurement is noisy."""

    title = "denoising"
    coisometry = True

    def H(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    def pinv(self, y: Tensor) -> Tensor:
        return y
