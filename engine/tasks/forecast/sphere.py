"""A world whose best possible forecast is known: stochastic Rossby waves on the sphere.

Every spherical harmonic decays, drifts with its Rossby phase speed and is driven by noise, so that the optimal
forecast, its error and its CRPS have closed forms. It grades models against the ceiling instead of against each other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

STEP_HOURS = 6


@dataclass(frozen=True)
class Sphere:
    """Gauss-Legendre grid and orthonormal spherical harmonics up to degree `highest` (triangular truncation).

    Coefficients are complex (*, highest + 1 (l), highest + 1 (m)), zero where m > l; maps are real (*, rows, columns).
    """

    rows: int = 32
    columns: int = 64
    highest: int = 21

    @cached_property
    def lat(self) -> np.ndarray:
        """Latitudes in degrees, south first."""
        return np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(self.rows)[0]))

    @cached_property
    def lon(self) -> np.ndarray:
        """Longitudes in degrees, from 0."""
        return np.arange(self.columns) * 360 / self.columns

    @cached_property
    def weights(self) -> np.ndarray:
        """Area weight of each latitude, mean 1."""
        return np.polynomial.legendre.leggauss(self.rows)[1] * self.rows / 2

    @cached_property
    def legendre(self) -> np.ndarray:
        """Orthonormal associated Legendre functions (l, m, rows), by the usual stable recursion."""
        x = np.sin(np.deg2rad(self.lat))
        found = np.zeros((self.highest + 1, self.highest + 1, self.rows))
        found[0, 0] = np.sqrt(1 / (4 * np.pi))
        for m in range(1, self.highest + 1):
            found[m, m] = -np.sqrt((2 * m + 1) / (2 * m)) * np.sqrt(1 - x**2) * found[m - 1, m - 1]
        for m in range(self.highest):
            found[m + 1, m] = np.sqrt(2 * m + 3) * x * found[m, m]
            for degree in range(m + 2, self.highest + 1):
                a = np.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
                b = np.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
                found[degree, m] = a * (x * found[degree - 1, m] - b * found[degree - 2, m])
        return found

    def analysis(self, maps: np.ndarray) -> np.ndarray:
        """Coefficients of maps; exact for maps that the harmonics span."""
        waves = np.fft.rfft(maps)[..., :self.highest + 1] * (2 * np.pi / self.columns)
        quadrature = self.weights * 2 / self.rows
        return np.einsum("lmj,...jm->...lm", self.legendre * quadrature, waves)

    def synthesis(self, coefficients: np.ndarray) -> np.ndarray:
        """Maps of coefficients."""
        waves = np.einsum("lmj,...lm->...jm", self.legendre, coefficients)
        padded = np.zeros((*waves.shape[:-1], self.columns // 2 + 1), complex)
        padded[..., :waves.shape[-1]] = waves
        return np.fft.irfft(padded, self.columns) * self.columns


@dataclass(frozen=True)
class RossbyWaves:
    """a_lm(t+1) = rho_l e^(-i m omega_l) a_lm(t) + sqrt(C_l (1 - rho_l^2)) xi, 6 h a step; variance 1 everywhere."""

    sphere: Sphere = Sphere()

    @cached_property
    def _degrees(self) -> np.ndarray:
        return np.arange(1, self.sphere.highest + 1)

    @cached_property
    def power(self) -> np.ndarray:
        """C_l (l,), scaled so that sum (2l + 1) C_l / (4 pi) = 1; C_0 = 0."""
        shape = (1 + (self._degrees / 4) ** 2) ** -1.75
        scaled = shape * 4 * np.pi / ((2 * self._degrees + 1) * shape).sum()
        return np.concatenate(([0.0], scaled))

    @cached_property
    def memory(self) -> np.ndarray:
        """rho_l (l,) of one step."""
        return np.concatenate(([0.0], np.exp(-(1 + (self._degrees / 6) ** 2) / 60)))

    @cached_property
    def factor(self) -> np.ndarray:
        """rho_l e^(-i m omega_l) (l, m): what one step does to a coefficient."""
        turn = np.concatenate(([0.0], 0.04 * (1 - 12 / (self._degrees * (self._degrees + 1)))))
        return self.memory[:, None] * np.exp(-1j * np.outer(turn, np.arange(self.sphere.highest + 1)))

    def noise(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """Unit coefficients (*shape, l, m) of real maps: complex of variance 1, real for m = 0, zero for m > l."""
        size = self.sphere.highest + 1
        drawn = rng.standard_normal((*shape, size, size, 2)) @ (np.array([1, 1j]) / np.sqrt(2))
        drawn[..., 0] = drawn[..., 0].real * np.sqrt(2)
        return np.tril(drawn)

    def states(self, steps: int, seed: int) -> np.ndarray:
        """Coefficients (steps, l, m) of one history, from the stationary law on."""
        rng = np.random.default_rng(seed)
        push = np.sqrt(self.power * (1 - self.memory**2))[:, None]
        found = push * self.noise(rng, steps)
        found[0] = np.sqrt(self.power)[:, None] * self.noise(rng)
        for step in range(1, steps):
            found[step] += self.factor * found[step - 1]
        return found

    def forecast(self, coefficients: np.ndarray, lead: int) -> np.ndarray:
        """The optimal forecast: the conditional mean `lead` steps later."""
        return self.factor**lead * coefficients

    def members(self, coefficients: np.ndarray, lead: int, members: int, seed: int) -> np.ndarray:
        """Coefficients (*, members, l, m) drawn from the true law `lead` steps later."""
        rng = np.random.default_rng(seed)
        spread = np.sqrt(self.power * (1 - self.memory ** (2 * lead)))[:, None]
        noise = self.noise(rng, *coefficients.shape[:-2], members)
        return self.forecast(coefficients, lead)[..., None, :, :] + spread * noise

    def optimal_rmse(self, lead: int) -> float:
        """Error of the optimal forecast, in standard deviations of the climate."""
        degrees = np.arange(self.sphere.highest + 1)
        return float(np.sqrt(((2 * degrees + 1) * self.power * (1 - self.memory ** (2 * lead))).sum() / (4 * np.pi)))

    def optimal_crps(self, lead: int) -> float:
        """Its CRPS: that of a Gaussian law whose own draws verify."""
        return self.optimal_rmse(lead) / np.sqrt(np.pi)
