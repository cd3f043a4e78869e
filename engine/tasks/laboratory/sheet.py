"""A labelled table of pictures as one picture."""

from collections.abc import Mapping, Sequence
from itertools import chain
from textwrap import wrap

import numpy as np

_TEXT_PX = 13
_LINE_PX = 17
_PAD_PX = 8
_LEFT_PX = 130
_LEAST_CELL_PX = 150
_FIGURE_LINES = 2
_MOST_LINES = 6
_INK, _PALE = (20, 20, 20), (110, 110, 110)

Entry = tuple[np.ndarray | None, str]


def draw(names: Sequence[str], values: Sequence[Sequence[str]], entries: Mapping[tuple[int, ...], Entry],
         heading: str) -> np.ndarray:
    """(H, W, 3) uint8. names, values: of up to three axes: the last runs to the right, the one before it down, the
    first in blocks. entries: picture (H, W, 3) uint8 or None, and a text, by index; missing ones stay empty."""
    from PIL import Image, ImageDraw, ImageFont

    padding = 3 - len(names)
    names, values = [*[""] * padding, *names], [*[[""]] * padding, *values]
    placed = {(0,) * padding + index: entry for index, entry in entries.items()}
    shapes = [picture.shape for picture, _ in placed.values() if picture is not None]
    tall, wide = max((s[0] for s in shapes), default=0), max((s[1] for s in shapes), default=0)
    font = ImageFont.load_default(_TEXT_PX)
    cell_w = max(wide, _LEAST_CELL_PX) + _PAD_PX
    texts = {index: _wrapped(text, font, cell_w - _PAD_PX) for index, (_, text) in placed.items()}
    lines = max((len(text) for text in texts.values()), default=_FIGURE_LINES)
    cell_h = max(tall, 2 * _LINE_PX) + lines * _LINE_PX + _PAD_PX
    block_h = 2 * _LINE_PX + len(values[1]) * cell_h + _PAD_PX
    width, top = _LEFT_PX + len(values[2]) * cell_w + _PAD_PX, _PAD_PX
    title = _wrapped(heading, font, width - 2 * _PAD_PX)
    image = Image.new("RGB", (width, 2 * _PAD_PX + len(title) * _LINE_PX + len(values[0]) * block_h), "white")
    pen = ImageDraw.Draw(image)

    def write(left: int, top: int, rows: Sequence[str], ink: tuple[int, int, int]) -> None:
        for i, row in enumerate(rows):
            pen.text((left, top + i * _LINE_PX), row, ink, font)

    write(_PAD_PX, top, title, _PALE)
    top += len(title) * _LINE_PX
    for block, block_value in enumerate(values[0]):
        write(_PAD_PX, top, _wrapped(_labelled(names[0], block_value), font, _LEFT_PX - _PAD_PX)[:2], _INK)
        for column, value in enumerate(values[2]):
            write(_LEFT_PX + column * cell_w, top, _wrapped(_labelled(names[2], value), font, cell_w - _PAD_PX)[:2],
                  _INK)
        for row, row_value in enumerate(values[1]):
            down = top + 2 * _LINE_PX + row * cell_h
            write(_PAD_PX, down, _wrapped(_labelled(names[1], row_value), font, _LEFT_PX - 2 * _PAD_PX), _INK)
            for column in range(len(values[2])):
                index = block, row, column
                if index not in placed:
                    continue
                left, picture = _LEFT_PX + column * cell_w, placed[index][0]
                if picture is not None:
                    image.paste(Image.fromarray(picture), (left, down))
                write(left, down + (tall if picture is not None else 0), texts[index], _PALE)
        top += block_h
    return np.asarray(image)


def _labelled(name: str, value: str) -> str:
    return f"{name}: {value}" if name else value


def _wrapped(text: str, font, width: int) -> list[str]:
    """The text in lines that fit, at most six; the rest is cut."""
    lines: list[str] = []
    longest = max(1, int(width / font.getlength("o")))
    for part in text.split("\n"):
        lines.append("")
        for word in chain.from_iterable(wrap(word, longest) for word in part.split()):
            joined = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(joined) > width:
                lines.append(word)
            else:
                lines[-1] = joined
    return [*lines[:_MOST_LINES - 1], lines[_MOST_LINES - 1] + " ..."] if len(lines) > _MOST_LINES else lines
