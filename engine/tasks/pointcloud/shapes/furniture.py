"""Families of furniture: chair, table, lamp, sofa, bed. Lengths are in metres before a shape is scaled."""

from itertools import pairwise

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud.shapes.primitives import ball, box, revolve, ring, rod
from engine.tasks.pointcloud.shapes.shape import NUMBERS, Builder, chance, graded, one_of


def chair(rng: Generator) -> Builder:
    """Seat on legs or a pedestal; backs solid, slatted, barred or none (a stool); arms on some."""
    made = Builder()
    width, wide = graded(rng, 0.36, 0.42, 0.56, 0.68, ("narrow", "wide"))
    height, tall = graded(rng, 0.28, 0.38, 0.58, 0.78, ("low", "tall"))
    depth, thick = rng.uniform(0.38, 0.55), rng.uniform(0.03, 0.1)
    style = one_of(rng, "solid", "solid", "slatted", "barred", "none")
    round_seat = chance(rng, 0.6 if style == "none" else 0.15)
    made.say(wide, tall)
    made.tell("seat", "round" if round_seat else "")
    if round_seat:
        made.add("seat", revolve([(0, 0), (width / 2, 0), (width / 2, thick), (0, thick)], (0, height, 0)))
        depth = width
    else:
        made.add("seat", box((0, height + thick / 2, 0), (width, thick, depth)))
    _legs(made, rng, width, depth, height, inset=0.7 if round_seat else 0.92)
    if style != "none":
        _back(made, rng, style, width, depth, height + thick)
        if chance(rng, 0.4):
            _arms(made, rng, width, depth, height + thick)
    return made


def _back(made: Builder, rng: Generator, style: str, width: float, depth: float, low: float) -> None:
    rise, high = graded(rng, 0.25, 0.36, 0.55, 0.75, ("low", "tall"))
    lean, thin, z = rng.uniform(-0.15, 0) * rise / 0.4, rng.uniform(0.02, 0.06), -depth / 2
    made.tell("back", high, "" if style == "solid" else style)
    if style == "solid":
        taper = (rng.uniform(0.7, 1), 1)
        made.add("back", box((0, low + rise / 2, z + thin / 2), (width, rise, thin), (0, lean), taper))
        return
    post = max(thin / 2, 0.015)
    places = [-width / 2 + post, width / 2 - post]
    if style == "barred":
        places = list(np.linspace(*places, rng.integers(4, 7)))
    made.add("back", *(rod((x, low, z + post), (x, low + rise, z + post + lean), post) for x in places))
    count = rng.integers(2, 5) if style == "slatted" else 1
    for share in (np.arange(count) + 1) / count:
        level = low + rise * share - rise * 0.08
        slat = rise * (0.5 / count if style == "slatted" else 0.14)
        made.add("back", box((0, level, z + post + lean * share), (width, slat, thin * 0.7)))


def _arms(made: Builder, rng: Generator, width: float, depth: float, low: float) -> None:
    rise, thick = rng.uniform(0.16, 0.25), rng.uniform(0.03, 0.06)
    made.tell("arms", "thick" if thick > 0.048 else "thin" if thick < 0.038 else "")
    for side in (-1, 1):
        x = side * (width / 2 - thick / 2)
        made.add("arms", box((x, low + rise, 0.02), (thick, thick, depth * 0.95)),
                 rod((x, low, depth * 0.38), (x, low + rise, depth * 0.38), thick / 2))


def _legs(made: Builder, rng: Generator, width: float, depth: float, height: float, inset: float) -> None:
    """Four legs, straight or splayed, round or square; or one pedestal on a disc or on a star."""
    radius = rng.uniform(0.012, 0.04)
    size = "thin" if radius < 0.02 else "thick" if radius > 0.031 else ""
    if chance(rng, 0.2):
        reach, radius = min(width, depth) * rng.uniform(0.38, 0.5), radius + 0.01
        made.add("legs", rod((0, 0.02, 0), (0, height, 0), radius))
        if chance(rng, 0.5):
            made.tell("legs", "single", "round")
            made.add("legs", revolve([(0, 0), (reach, 0), (reach, 0.02), (radius, 0.05)]))
        else:
            made.tell("legs", "single", "star")
            angles = np.arange(5) * 2 * np.pi / 5 + np.pi / 2
            made.add("legs", *(rod((0, 0.06, 0), (reach * np.cos(a), 0.015, reach * np.sin(a)), 0.02) for a in angles))
        return
    splay = rng.uniform(0.08, 0.25) * height if chance(rng, 0.3) else 0.0
    square = chance(rng, 0.5)
    made.tell("legs", "four", size, "splayed" if splay else "straight", "square" if square else "")
    x, z = inset * width / 2 - radius, inset * depth / 2 - radius
    for sx, sz in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        top, foot = (sx * x, height, sz * z), (sx * (x + splay), 0, sz * (z + splay))
        if square:
            middle = (foot[0], height / 2, foot[2])
            made.add("legs", box(middle, (2 * radius, height, 2 * radius), (top[0] - foot[0], top[2] - foot[2])))
        else:
            made.add("legs", rod(foot, top, radius * rng.uniform(0.6, 1), radius))


def table(rng: Generator) -> Builder:
    """Rectangular, square or round top on four legs, a pedestal or two slabs; some with a shelf."""
    made = Builder()
    height, tall = graded(rng, 0.3, 0.45, 0.85, 1.1, ("low", "tall"))
    thick, heavy = graded(rng, 0.02, 0.04, 0.07, 0.12, ("thin", "thick"))
    outline = one_of(rng, "rectangular", "rectangular", "square", "round")
    width = rng.uniform(0.6, 1.1)
    depth = width if outline != "rectangular" else width * rng.uniform(0.4, 0.75)
    long = outline == "rectangular" and depth / width < 0.55
    made.say(tall, outline, "long" if long else "")
    made.tell("top", heavy)
    if outline == "round":
        rim = [(0, height), (width / 2, height), (width / 2, height + thick), (0, height + thick)]
        made.add("top", revolve(rim, sides=24))
    else:
        made.add("top", box((0, height + thick / 2, 0), (width, thick, depth)))
    if outline != "round" and chance(rng, 0.2):
        wall = rng.uniform(0.03, 0.08)
        made.tell("legs", "two", "solid")
        made.add("legs", *(box((s * (width / 2 - wall), height / 2, 0), (wall, height, depth * 0.9)) for s in (-1, 1)))
    else:
        _legs(made, rng, width, depth, height, inset=0.68 if outline == "round" else 0.95)
    if chance(rng, 0.25):
        level, share = height * rng.uniform(0.2, 0.5), 0.5 if outline == "round" else 0.85
        made.tell("shelf")
        made.add("shelf", box((0, level, 0), (width * share, 0.03, depth * share)))
    return made


def lamp(rng: Generator) -> Builder:
    """A shade on a straight or bent stand on a base."""
    made = Builder()
    height, tall = graded(rng, 0.3, 0.5, 1.0, 1.5, ("short", "tall"))
    foot, radius = rng.uniform(0.1, 0.2), rng.uniform(0.01, 0.03)
    base = one_of(rng, "round", "square", "dome")
    made.say(tall)
    made.tell("base", base)
    if base == "square":
        made.add("base", box((0, 0.02, 0), (1.7 * foot, 0.04, 1.7 * foot)))
    elif base == "round":
        made.add("base", revolve([(0, 0), (foot, 0), (foot, 0.04), (0, 0.04)]))
    else:
        made.add("base", revolve([(0, 0), (foot, 0), (0.8 * foot, 0.45 * foot), (0.4 * foot, 0.7 * foot),
                                  (0, 0.75 * foot)]))
    place = 0.0
    bent = chance(rng, 0.3)
    made.tell("stand", "bent" if bent else "straight", "thin" if radius < 0.016 else "thick" if radius > 0.024 else "")
    if bent:
        place = rng.uniform(0.2, 0.4)
        corners = [(0, 0, 0), (0, height * 0.75, 0), (place * 0.45, height * 1.02, 0), (place, height, 0)]
        made.add("stand", *(rod(a, b, radius) for a, b in pairwise(corners)))
    else:
        made.add("stand", rod((0, 0, 0), (0, height, 0), radius))
    _shade(made, rng, place, height)
    return made


def _shade(made: Builder, rng: Generator, x: float, y: float) -> None:
    width, drop = rng.uniform(0.13, 0.26), rng.uniform(0.16, 0.32)
    kind = one_of(rng, "cone", "cylinder", "ball", "dome")
    made.tell("shade", {"cone": "conical", "cylinder": "cylindrical", "ball": "round", "dome": "domed"}[kind],
              "large" if width > 0.215 else "small" if width < 0.165 else "")
    if kind == "ball":
        made.add("shade", ball((x, y, 0), (width * 0.85,) * 3))
        return
    top = {"cone": rng.uniform(0.25, 0.6), "cylinder": 1.0, "dome": 0.0}[kind]
    profile = [(width, -drop * 0.7), (width * top, drop * 0.3)]
    if kind == "dome":
        angle = np.linspace(0, np.pi / 2, 6)
        profile = [(width * np.cos(a), drop * (np.sin(a) - 0.7)) for a in angle]
    made.add("shade", revolve(profile, (x, y, 0)))


def sofa(rng: Generator) -> Builder:
    """Seat, cushions, back and arms; some go round a corner."""
    made = Builder()
    count = int(rng.integers(1, 5))
    width, depth = 0.3 + 0.55 * count * rng.uniform(0.85, 1.1), rng.uniform(0.65, 0.95)
    low, rise = rng.uniform(0.05, 0.2), rng.uniform(0.12, 0.28)
    back, high = graded(rng, 0.22, 0.3, 0.45, 0.58, ("low", "tall"))
    arm, thick = graded(rng, 0.08, 0.12, 0.19, 0.26, ("thin", "thick"))
    inner, top = width - 2 * arm, low + rise
    made.say("narrow" if count == 1 else "long" if count == 4 else "")
    made.add("seat", box((0, low + rise / 2, 0), (width, rise, depth)))
    made.tell("back", high)
    made.add("back", box((0, top + back / 2, -depth / 2 + 0.09), (width, back, 0.18), (0, rng.uniform(-0.08, 0))))
    puff = rng.uniform(0.08, 0.16)
    made.tell("cushions", NUMBERS[count])
    for i in range(count):
        x = (i + 0.5) * inner / count - inner / 2
        size = (inner / count * 0.95, puff, depth * 0.78)
        made.add("cushions", box((x, top + puff / 2, 0.09), size, taper=(0.93, 0.93)))
    reach = rng.uniform(0.16, 0.3)
    rounded = chance(rng, 0.4)
    made.tell("arms", thick, "round" if rounded else "")
    for side in (-1, 1):
        x = side * (width - arm) / 2
        made.add("arms", box((x, top + reach / 2, 0), (arm, reach, depth)))
        if rounded:
            made.add("arms", rod((x, top + reach, -depth / 2), (x, top + reach, depth / 2), arm * 0.6))
    _feet(made, rng, width, depth, low)
    if count > 1 and chance(rng, 0.25):
        side = one_of(rng, "left", "right")
        made.say("corner")
        x, length = (-1 if side == "left" else 1) * (width / 2 - 0.35), rng.uniform(0.5, 0.9)
        made.add("seat", box((x, low + rise / 2, depth / 2 + length / 2), (0.7, rise, length)))
        made.add("cushions", box((x, top + puff / 2, depth / 2 + length / 2), (0.65, puff, length * 0.95)))
    return made


def _feet(made: Builder, rng: Generator, width: float, depth: float, height: float) -> None:
    radius = rng.uniform(0.025, 0.05)
    made.tell("legs", "four", "short")
    made.add("legs", *(rod((x * (width / 2 - 0.1), 0, z * (depth / 2 - 0.1)), (x * (width / 2 - 0.1), height,
                                                                            z * (depth / 2 - 0.1)), radius)
                       for x in (-1, 1) for z in (-1, 1)))


def bed(rng: Generator) -> Builder:
    """Mattress on a frame, with pillows and a headboard; some are bunks."""
    made = Builder()
    width, wide = graded(rng, 0.8, 1.1, 1.5, 1.9, ("narrow", "wide"))
    length, low, rise = rng.uniform(1.8, 2.2), rng.uniform(0.1, 0.35), rng.uniform(0.1, 0.2)
    puff, board = rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.8)
    bunk, slatted, rounded = chance(rng, 0.2), chance(rng, 0.35), chance(rng, 0.3)
    made.say(wide, "bunk" if bunk else "")
    count = 1 if width < 1.2 else 2
    made.tell("pillows", NUMBERS[count])
    levels = [low, low + rng.uniform(0.9, 1.2)] if bunk else [low]
    for level in levels:
        top = level + rise + puff
        made.add("frame", box((0, level + rise / 2, 0), (width + 0.08, rise, length + 0.08)))
        made.add("mattress", box((0, top - puff / 2, 0), (width, puff, length), taper=(0.97, 0.97)))
        for i in range(count):
            x = (i + 0.5) * width / count - width / 2
            made.add("pillows", ball((x, top + 0.04, -length / 2 + 0.3), (0.42 * width / count, 0.1, 0.2)))
    top, z = levels[-1] + rise + puff, -length / 2 - 0.04
    made.tell("headboard", "slatted" if slatted else "", "round" if rounded and not slatted else "",
              "tall" if board > 0.62 else "low" if board < 0.42 else "")
    if slatted:
        made.add("headboard", *(rod((x, levels[-1], z), (x, top + board, z), 0.03)
                                for x in np.linspace(-width / 2, width / 2, 7)))
        made.add("headboard", box((0, top + board, z), (width + 0.08, 0.08, 0.07)))
    else:
        made.add("headboard", box((0, levels[-1] + (top - levels[-1] + board) / 2, z),
                                  (width + 0.08, top - levels[-1] + board, 0.08)))
        if rounded:
            arch = rng.uniform(0.15, 0.4)
            made.add("headboard", ring((0, top + board, z), arch, 0.05, (0, 0, 1), (-np.pi / 2, np.pi / 2),
                                       (width / 2 - 0.05) / arch))
    post = rng.uniform(0.03, 0.06)
    height = levels[-1]
    made.tell("legs", "four", "thick" if post > 0.05 else "thin" if post < 0.04 else "")
    made.add("legs", *(box((x * width / 2, height / 2, s * length / 2), (2 * post, height, 2 * post))
                       for x in (-1, 1) for s in (-1, 1)))
    return made
