"""The ten forms of shapes10 as signed distances, for many images at once.

A signed distance d(u, v) is negative inside a form, positive outside and 0 on its edge, so `clip(0.5 - d / s, 0, 1)`
paints the form with an edge s wide, and max, min and abs of distances cut, join and hollow forms. Derivations: Inigo
Quilez, "2D distance functions" (iquilezles.org/articles/distfunctions2d). Every form lies about within |u|, |v| <= 1, v
points down as rows do.

Only +, -, *, /, square root, floor, minimum, maximum and comparisons are used: IEEE 754 rounds these alike everywhere,
so the pictures have the same bits on every machine, which sin, cos or exp would not promise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[Any]  # float32: (M, H, W) coordinates or distances, or (M, 1, 1), one number an image

CLASSES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "spiral", "stripes", "checkers")
STRIPES, CHECKERS = CLASSES.index("stripes"), CLASSES.index("checkers")
HOLLOWABLE = tuple(map(CLASSES.index, ("square", "triangle", "star", "heart")))  # not the circle: that is a ring


def length(u: Field, v: Field) -> Field:
    """Return the distance of (u, v) from the origin."""
    distance: Field = np.sqrt(u * u + v * v)
    return distance


def box(u: Field, v: Field, half_u: Field | float, half_v: Field | float) -> Field:
    """Return the distance to a rectangle of the given half widths."""
    out_u, out_v = np.abs(u) - half_u, np.abs(v) - half_v
    return length(np.maximum(out_u, 0), np.maximum(out_v, 0)) + np.minimum(np.maximum(out_u, out_v), 0)


def segment(u: Field, v: Field, end_u: Field, end_v: Field) -> Field:
    """Return the distance to the line from the origin to (end_u, end_v)."""
    along = (u * end_u + v * end_v) / (end_u * end_u + end_v * end_v)
    along = np.clip(along, 0, 1)
    return length(u - along * end_u, v - along * end_v)


def wave(x: Field) -> Field:
    """Return a triangle wave of period 1 between -1 and 1, in place of a sine."""
    return 1 - 4 * np.abs(x - np.floor(x) - np.float32(0.5))


def circle(u: Field, v: Field, t: Field) -> Field:
    """Disk; `t` in [0, 1) is each image's own variation of a form, here not needed."""
    return length(u, v) - 0.9


def square(u: Field, v: Field, t: Field) -> Field:
    """Square with slightly rounded corners."""
    corner = 0.2 * t
    return box(u, v, 0.8 - corner, 0.8 - corner) - corner


def triangle(u: Field, v: Field, t: Field) -> Field:
    """Equilateral triangle, point up: three half planes at 0.5 from the centre."""
    side = 0.8660254 * np.abs(u) - 0.5 * v
    return np.maximum(side, v) - 0.5


def star(u: Field, v: Field, t: Field) -> Field:
    """Five-pointed star: the plane folded onto one half of one point, then one edge."""
    u, v = np.abs(u), -v
    for normal_u, normal_v in ((0.8090170, -0.5877853), (-0.8090170, -0.5877853)):
        beyond = 2 * np.maximum(normal_u * u + normal_v * v, 0)
        u, v = u - beyond * normal_u, v - beyond * normal_v
    u, v = np.abs(u), v - 1
    # From the tip (0, 1) down to the notch; a larger share of the inner radius makes a fatter star.
    inner = 0.38 + 0.12 * t
    edge_u, edge_v = 0.5877853 * inner, 0.8090170 * inner - 1
    along = np.clip((u * edge_u + v * edge_v) / (edge_u * edge_u + edge_v * edge_v), 0, 1)
    away = length(u - along * edge_u, v - along * edge_v)
    return np.where(v * edge_u - u * edge_v > 0, away, -away)


def heart(u: Field, v: Field, t: Field) -> Field:
    """Heart: two circles above a corner of 90 degrees."""
    u, v = np.abs(u) / 1.6, (0.75 - v) / 1.6
    upper = length(u - 0.25, v - 0.75) - 0.35355339
    onto_edge = 0.5 * np.maximum(u + v, 0)
    lower = np.minimum(length(u, v - 1), length(u - onto_edge, v - onto_edge))
    lower = np.where(u > v, lower, -lower)
    return 1.6 * np.where(u + v > 1, upper, lower)


def cross(u: Field, v: Field, t: Field) -> Field:
    """Two bars at right angles."""
    half = 0.22 + 0.12 * t
    return np.minimum(box(u, v, 0.92, half), box(u, v, half, 0.92))


def ring(u: Field, v: Field, t: Field) -> Field:
    """Disk with a round hole."""
    return np.abs(length(u, v) - 0.7) - (0.14 + 0.1 * t)


def turn(u: Field, v: Field) -> Field:
    """Return the angle of (u, v) in turns, within [-0.5, 0.5], to 2e-4: a polynomial, as arctan2 is not exact."""
    small, large = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
    z = small / np.maximum(large, np.float32(1e-6))
    square_z = z * z
    angle = z * (0.1585149 + square_z * (-0.0465139 + square_z * 0.0132087))
    angle = np.where(np.abs(v) > np.abs(u), 0.25 - angle, angle)
    angle = np.where(u < 0, 0.5 - angle, angle)
    return np.where(v < 0, -angle, angle)


def spiral(u: Field, v: Field, t: Field) -> Field:
    """One arm that winds out in about two and a half turns, to the left or to the right."""
    radius = length(u, v)
    hand = np.where(t < 0.5, np.float32(1), np.float32(-1))
    pitch = np.float32(0.36)
    windings = radius / pitch - hand * turn(u, v)
    arm: Field = pitch * np.abs(windings - np.floor(windings) - 0.5) - 0.085
    return np.maximum(arm, radius - 0.95)


def patch(u: Field, v: Field, t: Field) -> Field:
    """Outline of the textured classes: between a square and a circle."""
    corner = 0.15 + 0.6 * t
    return box(u, v, 0.85 - corner, 0.85 - corner) - corner


FORMS: tuple[Callable[[Field, Field, Field], Field], ...] = (
    circle, square, triangle, star, heart, cross, ring, spiral, patch, patch
)  # fmt: skip


def signed_distance(kind: NDArray[np.int64], u: Field, v: Field, t: Field) -> Field:
    """Evaluate for every image the form of its class.

    Parameters
    ----------
    kind : ndarray of shape (M,), int
        Index into `CLASSES`.
    u, v : ndarray of shape (M, H, W), float32
        Each pixel in the form's own coordinates.
    t : ndarray of shape (M, 1, 1), float32
        Variation of the form, in [0, 1).

    Returns
    -------
    ndarray of shape (M, H, W), float32
        Distances in the form's own units.
    """
    distance = np.empty_like(u)
    for index, form in enumerate(FORMS):
        chosen = np.flatnonzero(kind == index)
        if len(chosen):
            distance[chosen] = form(u[chosen], v[chosen], t[chosen])
    return distance


def texture(kind: NDArray[np.int64], u: Field, v: Field) -> Field:
    """Return the pattern of stripes or checkers at (u, v) in periods: about -1 or 1 with slopes between."""
    across = wave(u)
    return np.where((kind == CHECKERS)[:, None, None], across * wave(v), across)
