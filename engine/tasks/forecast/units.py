"""Units of maps as people want to see them."""

from dataclasses import dataclass

import numpy as np

from engine.errors import InputError


@dataclass(frozen=True)
class Unit:
    """shown = value x factor + offset, of values in the base unit (hPa or K). sign: as people write it; contour:
    between lines on a map; threshold: the usual one, in this unit; cf: its name in files; earth: whether maps are
    of it.
    """

    name: str
    sign: str
    factor: float
    offset: float
    contour: float
    threshold: float
    cf: str
    earth: bool = True

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Values of the base unit in this one, float32."""
        return (np.asarray(values, np.float64) * self.factor + self.offset).astype(np.float32)

    def apart(self, differences: np.ndarray) -> np.ndarray:
        """Differences and spreads of the base unit in this one, float32."""
        return (np.asarray(differences, np.float64) * self.factor).astype(np.float32)


_UNITS = {"hPa": {"hPa": Unit("hPa", "hPa", 1, 0, 5, 1000, "hPa"), "Pa": Unit("Pa", "Pa", 100, 0, 500, 100_000, "Pa")},
          "K": {"C": Unit("C", "°C", 1, -273.15, 5, 0, "degC"), "K": Unit("K", "K", 1, 0, 5, 273.15, "K"),
                "F": Unit("F", "°F", 1.8, -459.67, 10, 32, "degF")},
          "1": {"1": Unit("1", "σ", 1, 0, 0.5, 1, "1", earth=False)}}
NAMES = tuple(name for units in _UNITS.values() for name, unit in units.items() if unit.earth)


def unit(base: str, name: str) -> Unit:
    """The unit of that name for values in `base`; "auto": hPa, degrees Celsius or none. Raises InputError."""
    units = _UNITS[base]
    if name == "auto":
        return next(iter(units.values()))
    if name not in units:
        raise InputError(f"The unit {name[:10]} does not fit.", f"The maps are in {base}.",
                         "Choose " + " or ".join(("auto", *units)) + ".", field="unit")
    return units[name]
