"""A recipe is everything that redoes a run: small, frozen, versioned JSON that travels inside every saved file.

It holds numbers and names out of known lists only. File names, patient fields and free text have no place to go:
every text in it is a short token, and the folder of a person's own model is left out when a recipe is written.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from engine.errors import InputError

VERSION = 1
TEXT_BYTES = 65_536
"""A recipe of this program has about 1 kB; anything far above it is not a recipe."""
RANGES = {"steps": (1, 1000), "guidance": (0.0, 100.0), "seed": (0, 2**53 - 1), "samples": (1, 64), "size": (1, 65_536)}
"""Widest ranges that any run may use. A task narrows them. Seeds end where a browser's numbers stop being exact."""

_OPTIONS, _LIBRARIES = 64, 32
_NUMBER = 1e15
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9_.,:+-]{0,64}")
_HUB = re.compile(r"hub:[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_LOCAL = "local"


def _shown(value: Any) -> str:
    """A value as it may stand in a message: short, on one line, without invisible characters."""
    return repr(value[:40]) if isinstance(value, str) else repr(value)[:40]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any, field: str) -> int:
    low, high = RANGES[field]
    if not _is_number(value) or value != int(value) or not low <= value <= high:
        raise InputError(f"{field} is {_shown(value)}.", f"It must be a whole number from {low} to {high}.",
                         field=field)
    return int(value)


def _real(value: Any, field: str) -> float:
    low, high = RANGES[field]
    if not _is_number(value) or not low <= value <= high:
        raise InputError(f"{field} is {_shown(value)}.", f"It must be a number from {low:g} to {high:g}.", field=field)
    return float(value)


def _text(value: Any, field: str, pattern: re.Pattern[str], rule: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InputError(f"{field} is {_shown(value)}.", rule, field=field)
    return value


def _name(value: Any, field: str) -> str:
    return _text(value, field, _NAME, "It must be a name of at most 64 letters, digits and _ . + -.")


def _token(value: Any, field: str) -> str:
    return _text(value, field, _TOKEN, "It may have at most 64 letters, digits and _ . , : + -, and no spaces.")


def _model(value: Any) -> str:
    if isinstance(value, str) and (value == "" or _HUB.fullmatch(value) or _is_folder(value)):
        return value
    return _text(value, "model", _NAME, "It must be the name of a shipped model, hub:owner/name or local:FOLDER.")


def _is_folder(value: str) -> bool:
    return value.startswith(f"{_LOCAL}:") and len(value) <= 4096 and value.isprintable()


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InputError(f"size is {_shown(value)}.", "It must be a height and a width in pixels.", field="size")
    return _whole(value[0], "size"), _whole(value[1], "size")


def _options(value: Any) -> dict[str, bool | int | float | str]:
    if not isinstance(value, Mapping) or len(value) > _OPTIONS:
        raise InputError(f"options is {_shown(value)}.", f"It must be at most {_OPTIONS} named values.",
                         field="options")
    return {_name(key, "options"): _option(entry, key) for key, entry in value.items()}


def _option(value: Any, key: str) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _token(value, key)
    if not _is_number(value) or abs(value) > _NUMBER:
        raise InputError(f"{key} is {_shown(value)}.", f"It must be a finite number of at most {_NUMBER:g}.", field=key)
    return value


def _libraries(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > _LIBRARIES:
        raise InputError(f"libraries is {_shown(value)}.", f"It must be at most {_LIBRARIES} versions.",
                         field="libraries")
    return {_name(key, "libraries"): _token(entry, "libraries") for key, entry in value.items()}


def _version(value: Any) -> int:
    if value != VERSION or isinstance(value, bool):
        raise InputError(f"version is {_shown(value)}.", f"This program writes version {VERSION}.", field="version")
    return VERSION


def _checked(check: Callable[..., Any], *names: str) -> BeforeValidator:
    return BeforeValidator(lambda value: check(value, *names))


class Recipe(BaseModel):
    """What redoes a run. Immutable; every way of making one raises InputError naming the field that is wrong.

    task, solver, spacing: names. model: a shipped name, "hub:owner/name" or "local:FOLDER"; model_sha256: hash of its
    weights. steps, guidance (1 is plain conditional), seed, samples: the common settings. options: the settings of the
    task and of the solver, by name. size: (height, width) in pixels of the result. libraries, device, dtype: where it
    ran.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    version: Annotated[int, _checked(_version)] = VERSION
    task: Annotated[str, _checked(_name, "task")]
    model: Annotated[str, _checked(_model)] = ""
    model_sha256: Annotated[str, _checked(_text, "model_sha256", _SHA256, "It must be 64 hexadecimal digits.")] = ""
    solver: Annotated[str, _checked(_name, "solver")]
    steps: Annotated[int, _checked(_whole, "steps")]
    spacing: Annotated[str, _checked(_name, "spacing")] = "uniform"
    guidance: Annotated[float, _checked(_real, "guidance")] = 1.0
    seed: Annotated[int, _checked(_whole, "seed")] = 0
    samples: Annotated[int, _checked(_whole, "samples")] = 1
    options: Annotated[dict[str, bool | int | float | str], _checked(_options)] = {}
    size: Annotated[tuple[int, int] | None, _checked(_size)] = None
    libraries: Annotated[dict[str, str], _checked(_libraries)] = {}
    device: Annotated[str, _checked(_token, "device")] = ""
    dtype: Annotated[str, _checked(_token, "dtype")] = ""

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _explained(error) from None

    def __hash__(self) -> int:
        return hash((self.model, self.write()))

    def replace(self, **fields: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return type(self)(**{**dict(self), **fields})

    def shareable(self) -> Self:
        """The recipe without the folder of a person's own model: "local:FOLDER" becomes "local" (the hash stays)."""
        return self.replace(model=_LOCAL) if _is_folder(self.model) else self

    def write(self) -> str:
        """Canonical JSON (sorted keys, ASCII, one line) of the shareable recipe. Equal recipes give equal text."""
        return json.dumps(self.shareable().model_dump(), sort_keys=True, allow_nan=False)

    @classmethod
    def read(cls, text: str | bytes) -> tuple[Self, tuple[str, ...]]:
        """The recipe in a JSON text, and notes on what was in it that this program does not know.

        Raises InputError for what is no recipe (too long, no JSON, nested too deep, doubled fields) and for each field
        out of its range. `Recipe.read(r.write())` gives `r.shareable()` and no notes.
        """
        fields, notes = _migrated(_parsed(text))
        unknown = [key for key in fields if key not in cls.model_fields]
        notes += [f"The recipe's field {_shown(key)} is not known here and was left out." for key in unknown[:10]]
        if len(unknown) > 10:
            notes.append(f"{len(unknown) - 10} more unknown fields were left out.")
        recipe = cls(**{key: value for key, value in fields.items() if key not in unknown})
        if recipe.model == _LOCAL:
            notes.append("The run used a model from a folder. Choose that folder again before you run.")
        return recipe, tuple(notes)


def _explained(error: ValidationError) -> InputError:
    """The first problem in full, and the other fields that are wrong beside it."""
    problems = [_problem(entry) for entry in error.errors()]
    first, others = problems[0], problems[1:]
    if not others:
        return first
    return InputError(f"{len(problems)} fields of the recipe are wrong.", " ".join(str(p) for p in problems[:8]),
                      field=first.field)


def _problem(entry: Mapping[str, Any]) -> InputError:
    cause = entry.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    field = str(entry["loc"][0])[:40]
    if entry["type"] == "missing":
        return InputError(f"{field} is missing.", "Every recipe needs it.", field=field)
    return InputError(f"{_shown(field)} is not a field of a recipe.", fix="Leave it out.", field=field)


def _parsed(text: str | bytes) -> dict[str, Any]:
    size = len(text)
    if size > TEXT_BYTES:
        raise InputError(f"The recipe has {size} bytes.", f"The limit is {TEXT_BYTES}.",
                         "Give the JSON or picture that this program saved.", field="recipe")
    try:
        value = json.loads(text, object_pairs_hook=_without_doubles)
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError("The recipe is not readable.", "It must be JSON as this program saves it.",
                         "Give the JSON or picture that this program saved.", field="recipe") from None
    if not isinstance(value, dict):
        raise InputError("The file holds no recipe.", "A recipe is a list of named settings.",
                         "Give the JSON or picture that this program saved.", field="recipe")
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise InputError(f"The recipe gives {_shown(double)} twice.", "Each field may stand once.",
                         "Remove one of them.", field="recipe")
    return fields


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""What turns the fields of version n into those of version n + 1. None so far."""


def _migrated(fields: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    version = fields.get("version")
    if not _is_number(version) or version != int(version) or version < min(MIGRATIONS, default=VERSION):
        raise InputError(f"The recipe's version is {_shown(version)}.", f"This program reads versions up to {VERSION}.",
                         field="version")
    if version > VERSION:
        return {**fields, "version": VERSION}, [f"The recipe is of the newer version {_shown(version)}. Fields that "
                                                f"version {VERSION} knows were read."]
    for number in range(int(version), VERSION):
        fields = MIGRATIONS[number](fields)
    return {**fields, "version": VERSION}, []


def changes(before: Recipe, after: Recipe) -> list[str]:
    """What differs between two recipes, one short line per setting, for people: "steps: 20 to 5"."""
    return [f"{name}: {_plain(old)} to {_plain(new)}" for name, old, new in _differences(before, after)]


def _differences(before: Recipe, after: Recipe) -> Iterator[tuple[str, Any, Any]]:
    old, new = dict(before.shareable()), dict(after.shareable())
    for field in Recipe.model_fields:
        if not isinstance(old[field], dict):
            if old[field] != new[field]:
                yield field, old[field], new[field]
            continue
        for key in sorted(old[field].keys() | new[field].keys()):
            if old[field].get(key) != new[field].get(key):
                yield key, old[field].get(key), new[field].get(key)


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, tuple):
        return " x ".join(str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def libraries() -> dict[str, str]:
    """Versions of the installed packages that a result depends on, read without importing them."""
    return {name: metadata.version(name) for name in ("torch", "numpy", "pillow")}
