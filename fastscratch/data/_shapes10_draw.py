"""How the pictures of shapes10 are painted: back to front, a block of images at once, planes of (B, 32, 32).

Each image has its own stretch of one counter-based random stream, so image i of a split depends on (seed, split, i)
alone: not on the block it is drawn in, nor on threads. Like the forms, painting uses only operations that IEEE 754
rounds alike everywhere, and random bits rather than NumPy's distributions, whose streams may change between versions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ._shapes10_forms import (
    CHECKERS,
    CLASSES,
    HOLLOWABLE,
    STRIPES,
    Field,
    segment,
    signed_distance,
    texture,
)

SIZE = 32
WORDS = 1152  # 64-bit random words set aside for each image, more than are used; a multiple of Philox's block of 4
ROW, COLUMN = (np.mgrid[:SIZE, :SIZE].astype(np.float32) - np.float32((SIZE - 1) / 2))[:, None]  # 0 in the middle


class Dice:
    """Random numbers for images `start` to `stop` of a split, handed out in the order they are asked for."""

    def __init__(self, seed: int, split: int, start: int, stop: int) -> None:
        stream = np.random.Philox(key=np.array([seed, split], np.uint64), counter=start * (WORDS // 4))
        self._words = stream.random_raw((stop - start) * WORDS).reshape(stop - start, WORDS)
        self._used = 0

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the next `count` words of every image: (B, count)."""
        first, self._used = self._used, self._used + count
        return self._words[:, first : self._used]

    def uniform(self, low: float, high: float, *shape: int) -> Field:
        """Return (B, *shape) numbers in [low, high), 24 bits fine; one an image, (B, 1, 1), by default."""
        shape = shape or (1, 1)
        words = self.words(math.prod(shape))
        unit = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return np.float32(low) + np.float32(high - low) * unit.reshape(len(words), *shape)

    def happens(self, probability: float) -> NDArray[np.float32]:
        """Return 1 with this probability, else 0: (B, 1, 1)."""
        return (self.uniform(0, 1) < np.float32(probability)).astype(np.float32)

    def tilt(self, most: float) -> tuple[Field, Field]:
        """Return cosine and sine of an angle within about +-`most` right angles, from q = tan(angle / 2)."""
        q = self.uniform(-most, most)
        return (1 - q * q) / (1 + q * q), 2 * q / (1 + q * q)

    def direction(self) -> tuple[Field, Field]:
        """Return cosine and sine of an angle anywhere on the circle."""
        (cosine, sine), sign = self.tilt(1), 1 - 2 * self.happens(0.5)
        return cosine * sign, sine * sign

    def color(self, saturation: tuple[float, float], value: tuple[float, float]) -> Field:
        """Return RGB planes (3, B, 1, 1) of any hue."""
        return rgb(self.uniform(0, 1), self.uniform(*saturation), self.uniform(*value))

    def clouds(self, points: int) -> Field:
        """Return smooth noise (B, 32, 32) in [-1, 1): random values on a grid of `points` squared, joined up."""
        grid = self.uniform(-1, 1, points, points)
        at = np.arange(SIZE, dtype=np.float32) * np.float32((points - 1) / SIZE)
        low = at.astype(np.intp)
        share = at - low.astype(np.float32)
        share = share * share * (3 - 2 * share)
        rows = grid[:, low] + (grid[:, low + 1] - grid[:, low]) * share[:, None]  # (B, 32, points)
        field: Field = rows[:, :, low] + (rows[:, :, low + 1] - rows[:, :, low]) * share
        return field

    def grain(self) -> Field:
        """Return noise (3, B, 32, 32), mean 0 and standard deviation 1: sums of two random bytes."""
        pixels = SIZE * SIZE
        pair = self.words(2 * 3 * pixels // 8).astype("<u8").view(np.uint8).reshape(-1, 2, 3, SIZE, SIZE)
        both = pair[:, 0].astype(np.float32) + pair[:, 1] - 255
        return np.moveaxis(both * np.float32(1 / 104.5), 1, 0)


def rgb(hue: Field, saturation: Field, value: Field) -> Field:
    """Turn a color into RGB planes: (M, 1, 1) each -> (3, M, 1, 1). Hue in turns."""
    planes = []
    for offset in (5, 3, 1):
        k = offset + 6 * (hue - np.floor(hue))
        k = np.where(k >= 6, k - 6, k)
        planes.append(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.stack(planes)


def cover(canvas: Field, share: Field, color: Field) -> None:
    """Paint `color` over the canvas (3, B, 32, 32), in place, where `share` (B, 32, 32) is above 0."""
    for plane, paint in zip(canvas, color, strict=True):
        plane += share * (paint - plane)


def inside(distance: Field, softness: Field | float = 1.0) -> Field:
    """Turn distances in pixels into the share of each pixel covered, over an edge `softness` wide."""
    return np.clip(0.5 - distance / softness, 0, 1)


def background(dice: Dice) -> tuple[Field, Field]:
    """Paint two cloudy colors that meet in a gradient or at a horizon, sometimes with a faint texture.

    Returns the canvas (3, B, 32, 32) and the brightness of its first color, (B, 1, 1).
    """
    hue, bright = dice.uniform(0, 1), dice.uniform(0.2, 0.9)
    first = rgb(hue, dice.uniform(0.1, 0.75), bright)
    second_bright = np.clip(bright + dice.uniform(-0.35, 0.35), 0.05, 1)
    second = rgb(hue + dice.uniform(-0.3, 0.3), dice.uniform(0.1, 0.75), second_bright)

    cosine, sine = dice.direction()
    across = cosine * COLUMN + sine * ROW + dice.uniform(-8, 8)
    horizon = dice.happens(0.3)
    steepness = horizon * dice.uniform(0.2, 1) + (1 - horizon) * dice.uniform(0, 0.04)
    share = 0.5 + across * steepness + dice.clouds(5) * dice.uniform(0.1, 0.7)
    canvas = first + (second - first) * np.clip(share, 0, 1)

    cosine, sine = dice.direction()
    period = dice.uniform(3, 10)
    along, down = (cosine * COLUMN + sine * ROW) / period, (cosine * ROW - sine * COLUMN) / period
    kind = np.where(dice.happens(0.5)[:, 0, 0] > 0, STRIPES, CHECKERS)
    canvas *= 1 + dice.happens(0.2) * dice.uniform(0.05, 0.25) * texture(kind, along, down)
    canvas *= 1 + dice.clouds(11) * dice.uniform(0, 0.18)
    return canvas, bright


def bar(
    canvas: Field, dice: Dice, middle: tuple[Field, Field], length: tuple[float, float], *, often: float, front: bool
) -> None:
    """Paint a rounded bar of any direction and color through `middle`, in a share `often` of the images.

    Bars in `front` are thick, solid and cast a shadow; the others are thin and may be see-through.
    """
    cosine, sine = dice.direction()
    reach = dice.uniform(*length)
    column, row = COLUMN - middle[0] + 0.5 * cosine * reach, ROW - middle[1] + 0.5 * sine * reach
    distance = segment(column, row, cosine * reach, sine * reach)
    distance -= dice.uniform(1, 2.8) if front else dice.uniform(0.4, 2.2)
    color, present = dice.color((0, 0.9), (0.1, 1)), dice.happens(often)
    if front:
        canvas *= 1 - 0.3 * present * np.clip(1 - 0.4 * distance, 0, 1)
    else:
        present = present * dice.uniform(0.3, 1)
    cover(canvas, present * inside(distance), color)


def form(
    canvas: Field,
    dice: Dice,
    kind: NDArray[np.int64],
    center: tuple[Field, Field],
    radius: Field,
    *,
    tilt: tuple[Field, Field],
    backdrop: Field,
    present: Field,
) -> None:
    """Paint the form of each image's class, with its shadow, fill and rim, where `present` is 1.

    The form is tilted, stretched and sheared; its brightness keeps a distance from the `backdrop`. Textured classes are
    filled with two colors in their pattern, the others with a gradient between two related ones, and some are hollow.
    """
    cosine, sine = tilt
    column, row = COLUMN - center[0], ROW - center[1]
    stretch = dice.uniform(0.85, 1.18)
    v = (cosine * row - sine * column) / (stretch * radius)
    u = (cosine * column + sine * row) * stretch / radius + dice.uniform(-0.2, 0.2) * v
    distance = signed_distance(kind, u, v, dice.uniform(0, 1))
    hollow = np.isin(kind, HOLLOWABLE)[:, None, None] & (dice.happens(0.15) > 0)
    wall = dice.uniform(0.26, 0.36)
    distance = np.where(hollow, np.maximum(distance, -distance - wall), distance) * radius  # now in pixels

    textured = (kind >= STRIPES)[:, None, None]
    hue, saturation, bright = dice.uniform(0, 1), dice.uniform(0.2, 1), dice.uniform(0.2, 1)
    gap = np.where(backdrop > 0.55, np.float32(-0.3), np.float32(0.3))
    bright = np.where(np.abs(bright - backdrop) < 0.3, backdrop + gap, bright)
    step = np.where(textured, dice.uniform(0.28, 0.7), dice.uniform(0, 0.35))
    second_bright = np.clip(np.where(bright > 0.55, bright - step, bright + step), 0.03, 1)
    second_hue = hue + dice.uniform(-0.3, 0.3) * np.where(textured, np.float32(1), np.float32(0.5))
    second_saturation = np.clip(saturation + dice.uniform(-0.4, 0.4), 0, 1)
    first, second = rgb(hue, saturation, bright), rgb(second_hue, second_saturation, second_bright)

    period = dice.uniform(0.36, 0.62)
    pattern = texture(kind, u / period + dice.uniform(0, 1), v / period + dice.uniform(0, 1))
    pattern = np.clip(0.5 + pattern * (period * radius / 3), 0, 1)
    gradient = np.clip(0.5 + 0.6 * (u * dice.uniform(-1, 1) + v * dice.uniform(-1, 1)), 0, 1)
    fill = first + (second - first) * np.where(textured, pattern, gradient)
    fill *= 1 + dice.clouds(5) * dice.uniform(0, 0.3)
    fill *= 1 + dice.happens(0.5) * dice.uniform(-0.5, 0.5) * np.clip(1.5 + distance, 0, 1)  # the rim

    canvas *= 1 - present * dice.uniform(0, 0.5) * np.clip(1 - 0.25 * distance, 0, 1)  # the shadow
    cover(canvas, present * inside(distance, dice.uniform(0.8, 1.6)), fill)


def develop(canvas: Field, dice: Dice) -> NDArray[np.uint8]:
    """Light the scene from one side, vary saturation, contrast and exposure, add grain: -> (B, 32, 32, 3)."""
    cosine, sine = dice.direction()
    canvas = canvas * (1 + (cosine * COLUMN + sine * ROW) * dice.uniform(0, 0.02))
    gray = 0.25 * (canvas[0] + 2 * canvas[1] + canvas[2])
    canvas = gray + (canvas - gray) * np.minimum(dice.uniform(0.6, 1.6), np.float32(1.15))
    canvas = 0.5 + (canvas - 0.5) * dice.uniform(0.7, 1.1) + dice.uniform(-0.12, 0.12)
    canvas += dice.grain() * (dice.uniform(0.06, 0.2) * dice.uniform(0.06, 0.2))
    pixels = np.floor(np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))  # (3, B, 32, 32) -> (B, 32, 32, 3)


def draw_block(seed: int, split: int, start: int, stop: int) -> NDArray[np.uint8]:
    """Draw images `start` to `stop` of a split: (stop - start, 32, 32, 3). Image i shows class i mod 10."""
    dice = Dice(seed, split, start, stop)
    labels = np.arange(start, stop, dtype=np.int64) % len(CLASSES)
    canvas, backdrop = background(dice)
    for _ in range(3):
        bar(canvas, dice, (dice.uniform(-16, 16), dice.uniform(-16, 16)), (3, 22), often=0.5, front=False)

    # A small form of another class in a corner: what counts is the large one.
    other = (labels + 1 + dice.uniform(0, 9)[:, 0, 0].astype(np.int64)) % len(CLASSES)
    column, row = dice.uniform(-5, 5), dice.uniform(-5, 5)
    (cosine, sine), away = dice.direction(), dice.uniform(9, 15)
    corner = column + cosine * away, row + sine * away
    form(
        canvas, dice, other, corner, dice.uniform(2.5, 4.5),
        tilt=dice.direction(), backdrop=backdrop, present=dice.happens(0.2),
    )  # fmt: skip
    form(
        canvas, dice, labels, (column, row), dice.uniform(8, 13.5),
        tilt=dice.tilt(0.27), backdrop=backdrop, present=np.ones_like(column),
    )  # fmt: skip
    bar(canvas, dice, (column + dice.uniform(-7, 7), row + dice.uniform(-7, 7)), (8, 24), often=0.25, front=True)
    return develop(canvas, dice)
