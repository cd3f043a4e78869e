"""What the kinds of teeth look like: outline, faces, edges, cusps and ridges of each (after dental anatomy texts)."""

from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[float, float, float]
"""Mesial and buccal place in half widths from the middle; height in mm, relative to the crown's."""


@dataclass(frozen=True)
class Ridge:
    """A crest between two places; a cusp's tip is a short one."""

    start: Place
    end: Place


@dataclass(frozen=True)
class Form:
    """How a kind of tooth deviates from a plain column.

    roundness: exponent of the outline (2 ellipse, above: squarer). contact: level of the greatest width, mesial and
    distal, as a share of the height; top: share of the width left at the rim. crest: level of the greatest depth,
    buccal and lingual; face: share of the depth left at the rim, or for teeth with an edge the exponents of both faces.
    edge_mm: thickness of an incisal edge (0: a chewing surface), edge_at: its place in half depths. slope: of the
    ridges' flanks; blunt_mm: radius of their crests. taper: how much narrower the lingual side is; shear: slant of the
    outline. scallop: height of the gum line's wave, as a share of the crown's height.
    """

    ridges: Sequence[Ridge]
    roundness: float = 2.6
    contact: tuple[float, float] = (0.62, 0.58)
    top: tuple[float, float] = (0.84, 0.82)
    crest: tuple[float, float] = (0.3, 0.5)
    face: tuple[float, float] = (0.70, 0.74)
    edge_mm: float = 0.0
    edge_at: float = 0.1
    slope: float = 0.72
    blunt_mm: float = 0.55
    taper: float = 0.0
    shear: float = 0.0
    scallop: float = 0.06


def _edge(mesial_loss: float, distal_loss: float, at: float) -> tuple[Ridge, ...]:
    """An incisal edge that loses so many mm towards its corners."""
    return (Ridge((-0.55, at, -0.3 * distal_loss), (0.65, at, 0.0)), Ridge((0.65, at, 0.0), (0.9, at, -mesial_loss)),
            Ridge((-0.55, at, -0.3 * distal_loss), (-0.86, at, -distal_loss)))


def _tip(mesial_loss: float, distal_loss: float, at: float) -> tuple[Ridge, ...]:
    """A canine's tip, a little mesial of the middle, its two arms, and the ridge down the lingual face."""
    return (Ridge((0.06, at, 0.0), (0.85, at, -mesial_loss)), Ridge((0.06, at, 0.0), (-0.85, at, -distal_loss)),
            Ridge((0.06, at, 0.0), (0.0, -0.4, -2.0)))


def _cusp(x: float, y: float, loss: float, arm: float = 0.2, to_middle: float = 0.5) -> tuple[Ridge, ...]:
    """A cusp: its mesial and distal arm and the triangular ridge towards the middle."""
    tip = (x, y, -loss)
    return (Ridge(tip, (x + arm, y * 1.03, -loss - 0.55)), Ridge(tip, (x - arm, y * 1.03, -loss - 0.6)),
            Ridge(tip, (x * 0.8, y * (1 - to_middle), -loss - 1.15)))


def _margins(mesial: float, distal: float, at: float = 0.78, half: float = 0.45) -> tuple[Ridge, ...]:
    """The ridges that close the chewing surface towards both neighbours, so many mm below the highest cusp."""
    return (Ridge((at, -half, -mesial), (at, half, -mesial)), Ridge((-at, -half, -distal), (-at, half, -distal)))


_INCISOR = dict(roundness=2.15, contact=(0.82, 0.72), top=(0.965, 0.93), crest=(0.22, 0.22), face=(1.7, 1.9), slope=0.9,
                blunt_mm=0.25, taper=0.10, scallop=0.10)
_CANINE = dict(roundness=1.95, contact=(0.68, 0.58), top=(0.74, 0.68), crest=(0.28, 0.24), face=(1.9, 1.6), slope=0.8,
               blunt_mm=0.35, taper=0.12, scallop=0.09)

UPPER_FORMS = (
    Form(_edge(0.15, 0.8, 0.34), edge_mm=1.1, edge_at=0.34, **_INCISOR),
    Form(_edge(0.4, 1.2, 0.30), edge_mm=1.0, edge_at=0.30, **_INCISOR),
    Form(_tip(1.6, 2.1, 0.26), edge_mm=1.8, edge_at=0.26, **_CANINE),
    Form((*_cusp(-0.04, 0.56, 0.0, 0.42), *_cusp(0.06, -0.56, 0.9, 0.36), *_margins(2.0, 2.1)), roundness=2.3,
         taper=0.08),
    Form((*_cusp(0.0, 0.54, 0.0, 0.42), *_cusp(0.04, -0.54, 0.3, 0.38), *_margins(1.6, 1.7)), roundness=2.3,
         taper=0.05),
    Form((*_cusp(0.45, 0.60, 0.3, 0.28), *_cusp(-0.42, 0.58, 0.5, 0.27), *_cusp(0.40, -0.52, 0.0, 0.32),
          *_cusp(-0.48, -0.62, 0.9, 0.22), Ridge((0.40, -0.52, -0.3), (-0.42, 0.58, -1.4)), *_margins(1.6, 1.8)),
         roundness=2.7, shear=0.12, face=(0.72, 0.78)),
    Form((*_cusp(0.42, 0.60, 0.2, 0.28), *_cusp(-0.42, 0.54, 0.6, 0.26), *_cusp(0.34, -0.52, 0.0, 0.34),
          *_cusp(-0.50, -0.60, 1.3, 0.18), Ridge((0.34, -0.52, -0.4), (-0.42, 0.54, -1.5)), *_margins(1.5, 1.8)),
         roundness=2.5, shear=0.14, taper=0.05, face=(0.72, 0.78)),
    Form((*_cusp(0.40, 0.56, 0.2, 0.28), *_cusp(-0.42, 0.48, 0.8, 0.24), *_cusp(0.10, -0.52, 0.0, 0.36),
          *_margins(1.4, 1.7)), roundness=2.2, shear=0.12, taper=0.12, face=(0.72, 0.78)),
)
"""Central incisor to third molar of the upper jaw."""

LOWER_FORMS = (
    Form(_edge(0.1, 0.15, 0.26), edge_mm=0.9, edge_at=0.26, **_INCISOR),
    Form(_edge(0.1, 0.45, 0.26), edge_mm=0.9, edge_at=0.26, **_INCISOR),
    Form(_tip(1.1, 1.9, 0.22), edge_mm=1.5, edge_at=0.22, **_CANINE),
    Form((*_cusp(0.04, 0.36, 0.0, 0.46, 0.7), *_cusp(0.10, -0.62, 2.4, 0.26), *_margins(2.4, 2.2)), roundness=2.1,
         taper=0.12, face=(0.60, 0.80)),
    Form((*_cusp(0.04, 0.42, 0.0, 0.42, 0.6), *_cusp(0.34, -0.58, 1.0, 0.24), *_cusp(-0.34, -0.58, 1.5, 0.2),
          *_margins(2.0, 2.0)), roundness=2.3, face=(0.62, 0.80)),
    Form((*_cusp(0.52, 0.48, 0.3, 0.22), *_cusp(-0.06, 0.54, 0.4, 0.22), *_cusp(-0.64, 0.34, 0.9, 0.15),
          *_cusp(0.44, -0.58, 0.0, 0.26), *_cusp(-0.40, -0.58, 0.1, 0.26), *_margins(1.6, 1.8, 0.82)), roundness=2.7,
         taper=0.04, face=(0.66, 0.80)),
    Form((*_cusp(0.44, 0.50, 0.2, 0.28), *_cusp(-0.44, 0.50, 0.4, 0.28), *_cusp(0.42, -0.58, 0.0, 0.28),
          *_cusp(-0.42, -0.58, 0.1, 0.28), *_margins(1.5, 1.6, 0.82)), roundness=2.9, face=(0.66, 0.80)),
    Form((*_cusp(0.44, 0.48, 0.2, 0.28), *_cusp(-0.44, 0.46, 0.6, 0.26), *_cusp(0.40, -0.56, 0.0, 0.28),
          *_cusp(-0.40, -0.56, 0.3, 0.26), *_margins(1.4, 1.5, 0.82)), roundness=2.4, face=(0.66, 0.80)),
)
"""Central incisor to third molar of the lower jaw."""
