"""What people might say of a shape: sentences made by a small grammar, only with words that are true of it.

Attributes are left out at random, so that a network learns what is open, and words have synonyms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from engine.tasks.pointcloud.palette import COLOURS, MAIN, NAMES, Palette
from engine.tasks.pointcloud.shapes.shape import NUMBERS, PARTS, Shape

NOUNS: Mapping[str, tuple[str, ...]] = {
    "chair": ("chair",), "table": ("table", "desk"), "lamp": ("lamp", "light"), "sofa": ("sofa", "couch"),
    "bed": ("bed",), "airplane": ("airplane", "plane", "aircraft"), "car": ("car", "automobile"),
    "mug": ("mug", "cup"), "tower": ("tower", "turret"), "tree": ("tree",)}

PART_NOUNS: Mapping[str, tuple[str, ...]] = {part: (part,) for part in PARTS} | {
    "back": ("back", "backrest"), "arms": ("arms", "armrests"), "legs": ("legs", "feet"), "top": ("top", "tabletop"),
    "shade": ("shade", "lampshade"), "stand": ("stand", "pole"), "cabin": ("cabin", "cab"), "body": ("body", "hull"),
    "wheels": ("wheels", "tyres"), "saucer": ("saucer", "plate"), "trunk": ("trunk", "stem"),
    "crown": ("crown", "leaves", "foliage"), "fruit": ("fruit", "apples"), "mattress": ("mattress", "bedding"),
    "engines": ("engines", "motors")}

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "tall": ("tall", "high"), "low": ("low", "short"), "wide": ("wide", "broad"), "thin": ("thin", "slender"),
    "thick": ("thick", "heavy"), "round": ("round", "circular"), "large": ("large", "big"),
    "small": ("small", "little"), "grey": ("grey", "gray"), "purple": ("purple", "violet"),
    "turquoise": ("turquoise", "cyan"), "pointed": ("pointed", "peaked"), "plain": ("plain", "completely")}

ADJECTIVES = (
    "narrow", "wide", "low", "tall", "round", "slatted", "barred", "thin", "thick", "single", "star", "splayed",
    "straight", "square", "rectangular", "long", "solid", "short", "dome", "bent", "conical", "cylindrical", "domed",
    "large", "small", "corner", "bunk", "slim", "swept", "front", "saloon", "van", "pickup", "sports", "tapered",
    "pointed", "flat", "battlements", "palm", "layered", "bushy", "plain")

MISSING: Mapping[str, tuple[str, ...]] = {"chair": ("back", "arms"), "mug": ("handle",), "airplane": ("engines",)}
"""Parts worth saying that a shape has none of."""

GLUE = ("a", "an", "with", "and", "the", "is", "are", "without", "it", "has", "all", "of", "in", "handles")

KAYKIT_NOUNS = ("wall", "building", "thing", "dish", "banner", "crate", "rock", "shelf", "grave", "tool")

_PLURAL = frozenset({"legs", "arms", "cushions", "pillows", "wings", "engines", "wheels", "walls", "fruit", "feet"})


@dataclass(frozen=True)
class Caption:
    """A sentence, and the colour that it gives to parts."""

    text: str
    colours: Mapping[str, str]


def vocabulary() -> tuple[str, ...]:
    """All words of the grammar, sorted."""
    tables = (*NOUNS.values(), *PART_NOUNS.values(), *SYNONYMS.values(), ADJECTIVES, NUMBERS, NAMES, GLUE, KAYKIT_NOUNS)
    return tuple(sorted({word for table in tables for word in table}))


def colour_words() -> list[tuple[str, list[float]]]:
    """Every word for a colour with the red, green and blue in [0, 1] that it means, in the order of NAMES."""
    return [(word, list(COLOURS[name])) for name in NAMES for word in SYNONYMS.get(name, (name,))]


def caption(shape: Shape, palette: Palette | None, rng: Generator, full: bool = False) -> Caption:
    """A sentence about a shape, and about its colours where there is a palette. full: nothing is left out.

    "A tall red chair with four thin black legs and a slatted back", or "... the legs are black".
    """
    said: dict[str, str] = {}
    lead = [w for w in shape.adjectives if full or rng.random() < 0.75]
    if palette and (full or rng.random() < 0.65):
        lead = [*lead, *_whole_colour(shape, palette, rng, said)]
    due = [p for p in MAIN[shape.family] if said and p in shape.parts and p not in said]
    phrases, later = [], []
    for part in (shape.parts[i] for i in rng.permutation(len(shape.parts))):
        coloured = palette is not None and part not in said and (part in due or full or rng.random() < 0.55)
        words = [w for w in shape.details.get(part, ()) if full or rng.random() < 0.75]
        if coloured:
            said[part] = palette.names[part]
        if coloured and rng.random() < 0.35:
            later.append((part, palette.names[part]))
            coloured = False
        if coloured or words or rng.random() < 0.15:
            phrases.append(_phrase(part, words + ([palette.names[part]] if coloured else []), rng))
    sentence = [*_article(lead, rng), *(_word(w, rng) for w in lead), _word_of(NOUNS[shape.family], rng)]
    if phrases:
        sentence += ["with", _joined(phrases)]
    gone = [p for p in MISSING.get(shape.family, ()) if p not in shape.parts and rng.random() < 0.4]
    if gone:
        sentence += ["without", _joined([_word_of(PART_NOUNS[p], rng) for p in gone])]
    closing = [f"the {_word_of(PART_NOUNS[part], rng)} {'are' if part in _PLURAL else 'is'} {_word(colour, rng)}"
               for part, colour in later]
    return Caption(" ".join(sentence) + (", " + _joined(closing) if closing else ""), said)


def of_prop(noun: str, colours: Sequence[str], rng: Generator) -> str:
    """A sentence about a thing of which only the kind and its most common colours are known."""
    shown = [_word(c, rng) for c in colours if rng.random() < 0.75]
    if len(shown) > 1 and rng.random() < 0.5:
        return f"a {_word_of(NOUNS.get(noun, (noun,)), rng)} in {_joined(shown)}"
    return f"a {' and '.join(shown)} {_word_of(NOUNS.get(noun, (noun,)), rng)}".replace("  ", " ")


def _whole_colour(shape: Shape, palette: Palette, rng: Generator, said: dict[str, str]) -> list[str]:
    """Words for the main colour; `said` takes the parts that they are about."""
    main = palette.names[MAIN[shape.family][0]]
    everything = palette.plain and rng.random() < 0.8
    said.update({part: main for part in shape.parts
                 if everything or (part in MAIN[shape.family] and palette.names[part] == main)})
    return ["plain", main] if everything else [main]


def _phrase(part: str, words: list[str], rng: Generator) -> str:
    counted = bool(words) and words[0] in (*NUMBERS, "single")
    several = counted and part == "handle"
    noun = [_word(w, rng) for w in words] + ["handles" if several else _word_of(PART_NOUNS[part], rng)]
    return " ".join(noun if part in _PLURAL or counted else [*_article(words, rng), *noun])


def _article(words: Sequence[str], rng: Generator) -> list[str]:
    return [] if rng.random() < 0.1 else ["an" if words and words[0][0] in "aeiou" else "a"]


def _joined(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def _word(word: str, rng: Generator) -> str:
    return _word_of(SYNONYMS.get(word, (word,)), rng)


def _word_of(choices: Sequence[str], rng: Generator) -> str:
    """The first of the choices more often than the others."""
    return choices[0] if rng.random() < 0.5 else choices[rng.integers(len(choices))]
