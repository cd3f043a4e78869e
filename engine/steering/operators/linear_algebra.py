"""Iterative solves for batches in which each sample goes its own way: its numbers never depend on the others."""

from collections.abc import Callable

import torch
from torch import Tensor

LIMIT = 200


def squared_norm(x: Tensor) -> Tensor:
    """Squared length of each sample of x (B, *): (B, 1, ...) with as many axes as x."""
    return inner(x, x)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each sample of a with that of b, both (B, *): (B, 1, ...)."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.dim() - 1))


def conjugate_gradients(matrix: Callable[[Tensor], Tensor], b: Tensor, limit: int = LIMIT) -> Tensor:
    """x with matrix(x) = b for a symmetric positive semi-definite map and a b in its range.

    A sample stops when its residual is ten roundings of its b, all stop after `limit` steps. Asking whether any sample
    still moves waits for the device once per step: that is less than the steps it saves.
    """
    x, residual, direction = torch.zeros_like(b), b, b
    norm = squared_norm(b)
    enough, tiny = _rounding(b, 10) * norm, torch.finfo(b.dtype).tiny
    for _ in range(limit):
        moving = norm > enough
        if not moving.any():
            break
        image = matrix(direction)
        step = torch.where(moving, norm / (inner(direction, image) + tiny), 0.0)
        x, residual = x + step * direction, residual - step * image
        before, norm = norm, squared_norm(residual)
        direction = residual + norm / (before + tiny) * direction
    return x


def least_squares(H: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], y: Tensor, steps: int) -> Tensor:
    """Conjugate gradients for min |H x - y| from x = 0 (CGLS), which stays among the smallest solutions."""
    residual = y
    gradient = direction = adjoint(residual)
    x = torch.zeros_like(gradient)
    norm = squared_norm(gradient)
    # Once the residual is all rounding error the quotients are 0 / 0; this keeps them 0.
    enough, tiny = _rounding(y) * norm, torch.finfo(y.dtype).tiny
    for _ in range(steps):
        image = H(direction)
        step = torch.where(norm > enough, norm / (squared_norm(image) + tiny), 0.0)
        x, residual = x + step * direction, residual - step * image
        gradient = adjoint(residual)
        before, norm = norm, squared_norm(gradient)
        direction = gradient + norm / (before + tiny) * direction
    return x


def _rounding(x: Tensor, times: float = 1.0) -> float:
    """Squared relative size of so many rounding errors."""
    return (times * torch.finfo(x.dtype).eps) ** 2
