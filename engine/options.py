"""Named values that a solver, a steering sampler or a task takes, and the one rule by which they are checked."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError


@dataclass(frozen=True)
class Option:
    """One number, switch or choice beyond the common settings.

    A default of type int means whole numbers only. choices: the allowed texts. minimum, maximum: None means no bound.
    """

    name: str
    label: str
    default: float | int | str | bool
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> None:
        """Raises InputError, naming the option and what is allowed, unless the value can be used."""
        rule = ""
        if self.choices:
            if value not in self.choices:
                rule = "Choose one of " + ", ".join(self.choices) + "."
        elif isinstance(self.default, bool):
            if not isinstance(value, bool):
                rule = "It must be on or off."
        elif isinstance(self.default, (int, float)):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            whole = isinstance(self.default, int)
            kinds = int if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                rule = f"It must be a {'whole ' if whole else ''}number from {low:g} to {high:g}."
        if rule:
            raise InputError(f"{self.label} is {str(value)[:40]!r}.", rule, field=self.name)


def check_all(title: str, options: Iterable[Option], given: Mapping[str, Any]) -> None:
    """Check every given value. Raises InputError for a name that `title` does not take and for a bad value."""
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{title} has no option {name!r}.",
                             fix="It takes " + (", ".join(known) or "no options") + ".", field=name)
        known[name].check(value)
