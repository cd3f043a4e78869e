"""Families of the rest: airplane, car, mug, tower, tree. Lengths are in units of the family before scaling."""

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud.shapes.primitives import ball, box, mirrored, prism, revolve, ring, rod
from engine.tasks.pointcloud.shapes.shape import NUMBERS, Builder, chance, graded, one_of


def airplane(rng: Generator) -> Builder:
    """Body along z with the nose in front, straight or swept wings, tail, engines or a propeller."""
    made = Builder()
    radius, fat = graded(rng, 0.07, 0.09, 0.12, 0.16, ("slim", "thick"))
    length, span = rng.uniform(1.4, 2.1), rng.uniform(0.65, 1.1)
    half = length / 2
    body = rod((0, 0, -0.2 * half), (0, 0, 0.75 * half), radius, sides=14)
    nose = ball((0, 0, 0.75 * half), (radius, radius, rng.uniform(0.1, 0.28) * half))
    made.add("body", body, nose, rod((0, 0, -0.2 * half), (0, 0.5 * radius, -half), radius, 0.25 * radius, 14))
    made.say(fat)
    swept = chance(rng, 0.6)
    sweep = rng.uniform(0.3, 0.6) if swept else rng.uniform(0, 0.06)
    chord, tip = rng.uniform(0.2, 0.38), rng.uniform(0.35, 0.8)
    level = radius * rng.choice([-0.5, 0.0, 0.9])
    made.tell("wings", "swept" if swept else "straight", "long" if span > 0.95 else "short" if span < 0.78 else "")
    wing = _wing(0.15 * half + chord / 2, chord, sweep, tip, span, level)
    made.add("wings", wing, mirrored(wing))
    fin, level_tail = rng.uniform(0.2, 0.38), rng.uniform(0.22, 0.4)
    made.tell("tail", "tall" if fin > 0.32 else "low" if fin < 0.25 else "")
    flat = _wing(-half + 0.24, 0.2, 0.12, 0.6, level_tail, 0.5 * radius)
    upright = prism([(0, -half + 0.28), (fin + radius, -half + 0.08), (fin + radius, -half - 0.04), (0, -half)],
                    -0.015, 0.015, 0)
    made.add("tail", flat, mirrored(flat), upright)
    _engines(made, rng, half, radius, span, sweep, level, nose_z=0.98 * half)
    return made


def _wing(front: float, chord: float, sweep: float, tip: float, span: float, level: float) -> tuple:
    """The right wing as a thin flat prism: leading edge at z = front by the body, moved back by `sweep` at the tip."""
    outline = [(front, 0), (front - sweep, span), (front - sweep - tip * chord, span), (front - chord, 0)]
    return prism(outline, level - 0.015, level + 0.015, 1)


def _engines(made: Builder, rng: Generator, half: float, radius: float, span: float, sweep: float, level: float,
             nose_z: float) -> None:
    count = int(rng.choice([0, 1, 2, 2, 4]))
    if count == 1:
        made.tell("engines", "single", "front")
        blade = rng.uniform(0.2, 0.32)
        made.add("engines", ball((0, 0, nose_z), (0.04, 0.04, 0.06)), box((0, 0, nose_z), (0.05, 2 * blade, 0.02)),
                 box((0, 0, nose_z), (2 * blade, 0.05, 0.02)))
    elif count:
        made.tell("engines", NUMBERS[count])
        size = rng.uniform(0.04, 0.07)
        for share in ((0.4,) if count == 2 else (0.32, 0.62)):
            z = 0.15 * half - sweep * share + 0.12
            x, y = share * span, level - size - 0.02
            pod = rod((x, y, z - 0.13), (x, y, z + 0.15), size)
            made.add("engines", pod, mirrored(pod))


def car(rng: Generator) -> Builder:
    """Saloon, small car, van, pickup or bus; body, cabin, four wheels."""
    made = Builder()
    kind = one_of(rng, "saloon", "small", "van", "pickup", "sports")
    length = {"saloon": 2.2, "small": 1.7, "van": 2.1, "pickup": 2.3, "sports": 2.1}[kind] * rng.uniform(0.92, 1.08)
    width, wheel = rng.uniform(0.8, 0.98), rng.uniform(0.16, 0.24) + (0.04 if kind == "pickup" else 0)
    body = {"sports": 0.26, "van": 0.45}.get(kind, 0.38) * rng.uniform(0.9, 1.1)
    rise = {"sports": 0.26, "van": 0.5}.get(kind, 0.38) * rng.uniform(0.9, 1.1)
    low, half = wheel * rng.uniform(0.7, 1.0), length / 2
    made.say({"saloon": "", "small": "small"}.get(kind, kind))
    slope = rng.uniform(0, 0.12)
    made.add("body", prism([(low, -half), (low + body, -half), (low + body * (1 - slope), half), (low, half)],
                           -width / 2, width / 2, 0))
    start, end = {"saloon": (-0.55, 0.3), "small": (-0.95, 0.35), "van": (-0.99, 0.7), "pickup": (-0.05, 0.5),
                  "sports": (-0.55, 0.15)}[kind]
    start, end = start * half, (end + rng.uniform(-0.06, 0.06)) * half
    glass, rear = rng.uniform(0.5, 0.9) * rise, rng.uniform(0.05, 0.5) * rise
    made.tell("cabin", "low" if rise < 0.28 else "tall" if rise > 0.48 else "")
    floor = low + body * (1 - slope * 0.6)
    inset = 0.04
    made.add("cabin", prism([(floor, start), (floor + rise, start + rear), (floor + rise, end - glass), (floor, end)],
                            -width / 2 + inset, width / 2 - inset, 0))
    if kind == "pickup":
        made.add("body", *(box((s * (width / 2 - 0.03), low + body + 0.06, (start - half) / 2),
                               (0.06, 0.12, half + start)) for s in (-1, 1)),
                 box((0, low + body + 0.06, -half + 0.03), (width, 0.12, 0.06)))
    thick = rng.uniform(0.1, 0.18)
    made.tell("wheels", "four", "large" if wheel > 0.225 else "small" if wheel < 0.185 else "")
    for x in (-1, 1):
        for z in (-0.6, 0.62):
            made.add("wheels", rod((x * (width / 2 - thick * 0.7), wheel, z * half),
                                   (x * (width / 2 + thick * 0.3), wheel, z * half), wheel, sides=14))
    return made


def mug(rng: Generator) -> Builder:
    """A hollow body, straight, tapered or bellied; one or two handles or none; some on a saucer."""
    made = Builder()
    radius = 0.4
    height, tall = graded(rng, 0.45, 0.65, 1.0, 1.4, ("low", "tall"))
    form = one_of(rng, "straight", "conical", "round")
    made.say(tall, "" if form == "straight" else form)
    share = np.linspace(0, 1, 7)
    narrow, belly = rng.uniform(0.5, 0.75), rng.uniform(0.15, 0.3)
    swell = {"straight": np.ones(7), "conical": np.linspace(narrow, 1, 7),
             "round": 0.85 + belly * np.sin(np.pi * (share * 0.9 + 0.05))}[form]
    outer = list(zip(radius * swell, height * share))
    inner = [(r - 0.04, max(y, 0.06)) for r, y in reversed(outer)]
    made.add("body", revolve([(0, 0), *outer, *inner, (0, 0.06)], sides=20))
    count = int(rng.choice([0, 1, 1, 1, 1, 2]))
    edge = float(np.interp(0.5, share, radius * swell))
    if count:
        reach, tube = height * rng.uniform(0.24, 0.34), rng.uniform(0.03, 0.065)
        out = rng.uniform(0.6, 0.95)
        made.tell("handle", NUMBERS[count] if count == 2 else "", "thin" if tube < 0.042 else "thick" if tube > 0.054
                  else "", "large" if reach / height > 0.305 else "small" if reach / height < 0.27 else "")
        arc = ring((edge - 0.03, height / 2, 0), reach, tube, (0, 0, 1), (0, np.pi), out)
        made.add("handle", arc, *([mirrored(arc)] if count == 2 else []))
    if chance(rng, 0.3):
        wide = rng.uniform(0.62, 0.85)
        made.tell("saucer", "wide" if wide > 0.77 else "")
        made.add("saucer", revolve([(0, -0.06), (wide * 0.55, -0.06), (wide, 0.05), (wide, 0.08), (wide * 0.5, -0.02),
                                    (0, -0.02)], sides=20))
    return made


def tower(rng: Generator) -> Builder:
    """Round or square walls, a pointed, domed, flat or battlemented roof; some with base, balcony, door."""
    made = Builder()
    radius = rng.uniform(0.22, 0.4)
    height, tall = graded(rng, 0.8, 1.1, 1.6, 2.2, ("low", "tall"))
    round_walls, taper = chance(rng, 0.5), rng.uniform(0.65, 1.0)
    made.say(tall, "round" if round_walls else "square")
    made.tell("walls", "tapered" if taper < 0.8 else "straight" if taper > 0.92 else "")
    top = radius * taper
    if round_walls:
        made.add("walls", revolve([(radius, 0), (top, height)]))
    else:
        made.add("walls", box((0, height / 2, 0), (2 * radius, height, 2 * radius), taper=(taper, taper)))
    _roof(made, rng, top, height, 24 if round_walls else 4)
    if chance(rng, 0.4):
        rise, out = rng.uniform(0.08, 0.2), radius * rng.uniform(1.25, 1.6)
        made.tell("base", "wide" if out > 1.45 * radius else "")
        made.add("base", revolve([(0, 0), (out, 0), (out, rise), (radius, rise)]) if round_walls
                 else box((0, rise / 2, 0), (2 * out, rise, 2 * out)))
    if chance(rng, 0.4):
        level, out = height * rng.uniform(0.55, 0.85), radius * rng.uniform(1.3, 1.6)
        made.tell("balcony", "wide" if out > 1.47 * radius else "")
        inner = 0.7 * radius
        profile = [(inner, 0), (out, 0.04), (out, 0.14), (out - 0.03, 0.14), (out - 0.03, 0.06), (inner, 0.05)]
        made.add("balcony", revolve(profile, (0, level, 0), sides=20) if round_walls
                 else box((0, level + 0.05, 0), (2 * out, 0.1, 2 * out)))
    if chance(rng, 0.6):
        wide, high = radius * rng.uniform(0.5, 0.8), rng.uniform(0.25, 0.45)
        made.tell("door", "tall" if high > 0.38 else "low" if high < 0.31 else "")
        made.add("door", box((0, high / 2, radius), (wide, high, 0.14)))
    return made


def _roof(made: Builder, rng: Generator, top: float, height: float, sides: int) -> None:
    kind = one_of(rng, "pointed", "pointed", "domed", "flat", "battlements")
    out = top * (1.41 if sides == 4 else 1.0) * rng.uniform(1.05, 1.35)
    made.tell("roof", kind)
    if kind == "domed":
        angle = np.linspace(0, np.pi / 2, 7)
        made.add("roof", revolve([(top * 1.08 * np.cos(a), height + top * 1.1 * np.sin(a)) for a in angle]))
    elif kind == "pointed":
        rise, share = rng.uniform(0.3, 0.9), (np.pi / 4 if sides == 4 else 0)
        points, faces = revolve([(0, height), (out, height), (0, height + rise)], sides=sides)
        turn = np.array([[np.cos(share), 0, np.sin(share)], [0, 1, 0], [-np.sin(share), 0, np.cos(share)]])
        made.add("roof", (points @ turn, faces))
    else:
        slab = box((0, height + 0.05, 0), (2.3 * top, 0.1, 2.3 * top)) if sides == 4 else \
            revolve([(0, height), (1.15 * top, height), (1.15 * top, height + 0.1), (0, height + 0.1)])
        made.add("roof", slab)
        if kind == "battlements":
            size, count = 0.32 * top, 8
            for angle in np.arange(count) * 2 * np.pi / count:
                x, z = np.cos(angle), np.sin(angle)
                reach = 0.98 * top / (max(abs(x), abs(z)) if sides == 4 else 1)
                made.add("roof", box((x * reach, height + 0.1 + size / 2, z * reach), (size, size, size)))


def tree(rng: Generator) -> Builder:
    """A trunk with a crown of cones (fir), of one or several balls, or of palm leaves; some with fruit."""
    made = Builder()
    radius, heavy = graded(rng, 0.03, 0.05, 0.08, 0.12, ("thin", "thick"))
    height = rng.uniform(0.25, 0.8)
    kind = one_of(rng, "fir", "round", "bushy", "palm")
    made.tell("trunk", heavy, "long" if height > 0.6 else "short" if height < 0.4 else "")
    wide = rng.uniform(0.28, 0.55)
    if kind == "palm":
        height += 0.5
        lean = rng.uniform(-0.2, 0.2)
        made.add("trunk", rod((0, 0, 0), (lean, height, 0), radius, 0.7 * radius))
        count = int(rng.integers(5, 9))
        for angle in np.arange(count) * 2 * np.pi / count:
            tip = np.array([np.cos(angle), 0, np.sin(angle)]) * wide
            middle = (lean + 0.55 * tip[0], height + 0.16, 0.55 * tip[2])
            made.add("crown", rod((lean, height, 0), middle, 0.03, 0.05, 6),
                     rod(middle, (lean + tip[0], height - 0.1, tip[2]), 0.05, 0.008, 6))
        made.say("palm")
        return made
    made.add("trunk", rod((0, 0, 0), (0, height + 0.1, 0), radius, 0.8 * radius))
    if kind == "fir":
        layers, rise = int(rng.integers(1, 5)), rng.uniform(0.8, 1.4)
        made.say("pointed")
        made.tell("crown", NUMBERS[layers], "layered")
        for i in range(layers):
            base, step = height + rise * i / layers * 0.85, rise / layers * (1.5 if layers > 1 else 1)
            out = wide * (1 - 0.6 * i / layers)
            made.add("crown", revolve([(0, base), (out, base), (0, base + step)]))
        return made
    made.say(kind)
    count = 1 if kind == "round" else int(rng.integers(3, 7))
    centres = [(0.0, height + 0.85 * wide, 0.0)]
    if kind == "round":
        stretch, grown = graded(rng, 0.75, 0.9, 1.15, 1.5, ("flat", "tall"))
        made.tell("crown", grown)
        made.add("crown", ball(centres[0], (wide, wide * stretch, wide), 10))
    else:
        turn = rng.uniform(0, 2 * np.pi)
        for i in range(1, count):
            a = turn + i * 2 * np.pi / (count - 1)
            centres.append((0.6 * wide * np.cos(a), height + wide * rng.uniform(0.5, 1.1), 0.6 * wide * np.sin(a)))
        made.add("crown", *(ball(c, (wide * rng.uniform(0.45, 0.65),) * 3) for c in centres))
    if chance(rng, 0.3):
        made.tell("fruit")
        size = rng.uniform(0.06, 0.09)
        for i in range(8):
            a, level = i * 2.4, rng.uniform(-0.4, 0.5)
            out = wide * (1.0 if kind == "round" else 1.1) * np.sqrt(1 - level**2)
            made.add("fruit", ball((out * np.cos(a), centres[0][1] + level * wide, out * np.sin(a)), (size,) * 3, 4))
    return made
