"""Learning a mixture circuit: principal directions of the pictures, then EM on their coordinates."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.circuits.mixture import Circuit

Progress = Callable[[int, int], None]
"""Called with (finished, total) now and then."""

_LEAST = 1e-3
"""Smallest variance of a latent, as a share of the rest's."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A learned circuit and the mean log-likelihood per picture and number, in nats, after each round of EM."""

    circuit: Circuit
    log_likelihood: tuple[float, ...]


def fit(pictures: Tensor, *, children: int = 32, latents: int = 320, rounds: int = 40, pseudo: float = 100.0,
        seed: int = 0, on_progress: Progress | None = None) -> Fit:
    """A circuit of pictures (N, *shape) by maximum likelihood with a prior; deterministic.

    latents: fewer than N and than the pictures' numbers. The directions and `rest` are those of probabilistic PCA
    (Tipping and Bishop 1999), the children are found by EM. pseudo: pictures' worth of the overall variance that every
    child is given, against children that fit a handful of pictures.
    """
    flat = pictures.flatten(1)
    mean = flat.mean(0)
    directions, rest = principal(flat - mean, latents)
    coordinates = (flat - mean) @ directions
    weights, means, spreads, history = _em(coordinates, children, rounds, pseudo, rest, seed, on_progress)
    beyond = (flat - mean).square().sum(1) - coordinates.square().sum(1)
    outside = flat.shape[1] - latents
    along = -(beyond.mean() / rest + outside * math.log(2 * math.pi * rest)) / 2
    circuit = Circuit(weights, means, (spreads - rest).clamp(min=_LEAST * rest), mean, directions, rest,
                      tuple(pictures.shape[1:]))
    return Fit(circuit, tuple(float(value + along) / flat.shape[1] for value in history))


def principal(centred: Tensor, count: int) -> tuple[Tensor, float]:
    """The leading directions (P, count) of rows (N, P), orthonormal, and the variance per remaining dimension."""
    covariance = centred.T @ centred / len(centred)
    values, vectors = torch.linalg.eigh(covariance)
    rest = float(values[:-count].clamp(min=0).mean())
    return vectors.flip(1)[:, :count].contiguous(), max(rest, 1e-8)


def _em(points: Tensor, children: int, rounds: int, pseudo: float, least: float, seed: int,
        on_progress: Progress | None) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Weights (K,), means and variances (K, D) of a mixture of diagonal Gaussians, and the log-likelihood per round.

    Variances are of the coordinates, which hold the rest's, so none is below `least`. With the pseudo-counts EM climbs
    the posterior density.
    """
    count, overall = len(points), points.var(0, correction=0).clamp(min=least)
    generator = torch.Generator().manual_seed(seed)
    # Half-way to the centre, so that no child starts out owning only the picture that it was put on.
    means = points[torch.randperm(count, generator=generator)[:children]] / 2
    spreads, weights = overall.expand(children, -1), points.new_full((children,), 1 / children)
    history = []
    for i in range(rounds + 1):
        log_parts = weights.log() + log_density(points, means, spreads)
        history.append(log_parts.logsumexp(1).mean())
        if i == rounds:
            break
        shares = log_parts.softmax(1)
        mass = shares.sum(0)
        first, second = shares.T @ points, shares.T @ points.square()
        means = first / (mass + 1)[:, None]
        squares = second - 2 * means * first + mass[:, None] * means.square()
        spreads = ((squares + means.square() + pseudo * overall) / (mass + pseudo)[:, None]).clamp(min=least)
        weights = (mass + 1) / (count + children)
        if on_progress:
            on_progress(i + 1, rounds)
    return weights, means, spreads, history


def log_density(points: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """log N(points_n; means_k, diag(variances_k)): (N, K)."""
    misfit = points.square() @ (1 / variances).T - 2 * points @ (means / variances).T
    misfit = misfit + (means.square() / variances).sum(1)
    return -(misfit + (2 * math.pi * variances).log().sum(1)) / 2
