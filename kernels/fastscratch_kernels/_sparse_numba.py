"""Sums over the few numbers of a gradient that are not zero: the backward pass of convolution, ReLU and max-pooling.

Of the pixels under a pooling window one at most has a gradient, and none where ReLU switched the window off. The
numbers that remain are kept as *lists*: each entry of a list is a scalar and the offset of a row that it multiplies.

    dw    one list a filter: rows are patches of the image, their sum is a row of dw.T
    dx    one list a pixel of the convolution's output: rows are filters of w.T, their sum goes to the pixel's patch
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._jit_numba import leaf
from ._simd_numba import Offset, add, fill, lanes, load, madd, store

Array = np.ndarray[Any, np.dtype[Any]]

ONE = np.uint64(1)


@leaf
def _add_ten(
    source: Array, at: Offset, offsets: Array, scalars: Array, first: Offset, stop: Offset, out: Array, to: Offset
) -> None:
    """Add to ten vectors of `out`: all sums in registers, one entry after the other."""
    v = lanes(out)
    v2, v3, v4, v5 = v + v, v + v + v, v + v + v + v, v + v + v + v + v
    v6, v7, v8, v9 = v3 + v3, v3 + v4, v4 + v4, v4 + v5
    zero = fill(out, 0)
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 = zero, zero, zero, zero, zero, zero, zero, zero, zero, zero
    for e in range(first, stop):
        scalar = scalars[e]
        row = at + offsets[e]
        s0 = madd(s0, scalar, load(source, row))
        s1 = madd(s1, scalar, load(source, row + v))
        s2 = madd(s2, scalar, load(source, row + v2))
        s3 = madd(s3, scalar, load(source, row + v3))
        s4 = madd(s4, scalar, load(source, row + v4))
        s5 = madd(s5, scalar, load(source, row + v5))
        s6 = madd(s6, scalar, load(source, row + v6))
        s7 = madd(s7, scalar, load(source, row + v7))
        s8 = madd(s8, scalar, load(source, row + v8))
        s9 = madd(s9, scalar, load(source, row + v9))
    store(out, to, add(load(out, to), s0))
    store(out, to + v, add(load(out, to + v), s1))
    store(out, to + v2, add(load(out, to + v2), s2))
    store(out, to + v3, add(load(out, to + v3), s3))
    store(out, to + v4, add(load(out, to + v4), s4))
    store(out, to + v5, add(load(out, to + v5), s5))
    store(out, to + v6, add(load(out, to + v6), s6))
    store(out, to + v7, add(load(out, to + v7), s7))
    store(out, to + v8, add(load(out, to + v8), s8))
    store(out, to + v9, add(load(out, to + v9), s9))


@leaf
def _add_four(
    source: Array, at: Offset, offsets: Array, scalars: Array, first: Offset, stop: Offset, out: Array, to: Offset
) -> None:
    """Add to four vectors of `out`: even and odd entries apart, so that no sum waits for the one before it."""
    v = lanes(out)
    v2, v3 = v + v, v + v + v
    zero = fill(out, 0)
    s0, s1, s2, s3, t0, t1, t2, t3 = zero, zero, zero, zero, zero, zero, zero, zero
    e = first
    while e + ONE < stop:
        scalar, other = scalars[e], scalars[e + ONE]
        row, other_row = at + offsets[e], at + offsets[e + ONE]
        s0 = madd(s0, scalar, load(source, row))
        s1 = madd(s1, scalar, load(source, row + v))
        s2 = madd(s2, scalar, load(source, row + v2))
        s3 = madd(s3, scalar, load(source, row + v3))
        t0 = madd(t0, other, load(source, other_row))
        t1 = madd(t1, other, load(source, other_row + v))
        t2 = madd(t2, other, load(source, other_row + v2))
        t3 = madd(t3, other, load(source, other_row + v3))
        e += ONE + ONE
    if e < stop:
        scalar = scalars[stop - ONE]
        row = at + offsets[stop - ONE]
        s0 = madd(s0, scalar, load(source, row))
        s1 = madd(s1, scalar, load(source, row + v))
        s2 = madd(s2, scalar, load(source, row + v2))
        s3 = madd(s3, scalar, load(source, row + v3))
    store(out, to, add(load(out, to), add(s0, t0)))
    store(out, to + v, add(load(out, to + v), add(s1, t1)))
    store(out, to + v2, add(load(out, to + v2), add(s2, t2)))
    store(out, to + v3, add(load(out, to + v3), add(s3, t3)))


@leaf
def _add_one(
    source: Array, at: Offset, offsets: Array, scalars: Array, first: Offset, stop: Offset, out: Array, to: Offset
) -> None:
    """Add to one vector of `out`."""
    total = fill(out, 0)
    for e in range(first, stop):
        total = madd(total, scalars[e], load(source, at + offsets[e]))
    store(out, to, add(load(out, to), total))


@leaf
def add_lists(
    source: Array,
    source_pieces: Array,
    offsets: Array,
    scalars: Array,
    counts: Array,
    capacity: int,
    out: Array,
    out_rows: Array,
    out_pieces: Array,
    length: int,
) -> None:
    """Add the sum of each list's scaled rows of `source` to a row of `out`.

    A row is made of pieces of `length` numbers, whole vectors: piece i lies ``source_pieces[i]`` behind an entry's
    offset, and ``out_pieces[i]`` behind the list's ``out_rows[slot]``. List `slot` begins at place ``slot * capacity``.
    """
    width = lanes(out)
    vectors = np.int64(length) // np.int64(width)
    for i in range(len(source_pieces)):
        part = 0
        while part < vectors:
            left = vectors - part
            skip = np.uint64(part) * width
            at, piece = source_pieces[i] + skip, out_pieces[i] + skip
            for slot in range(np.uint64(len(counts))):
                if counts[slot] > 0:
                    first, to = slot * np.uint64(capacity), out_rows[slot] + piece
                    if left >= 10:
                        _add_ten(source, at, offsets, scalars, first, first + counts[slot], out, to)
                    elif left >= 4:
                        _add_four(source, at, offsets, scalars, first, first + counts[slot], out, to)
                    else:
                        _add_one(source, at, offsets, scalars, first, first + counts[slot], out, to)
            part += 10 if left >= 10 else 4 if left >= 4 else 1


@leaf
def lists_by_filter(
    dy: Array,
    argmax: Array,
    row: int,
    f: int,
    first: int,
    places: int,
    rows: Array,
    offsets: Array,
    scalars: Array,
    counts: Array,
    capacity: int,
) -> None:
    """Sort the live gradients of some pooled pixels by filter, for ``len(counts)`` filters from `first` on.

    Pooled pixel p lies at ``(row + p) * f`` of `dy` and `argmax`; its place q is at offset ``rows[p * places + q]``.
    """
    counts[:] = 0
    step, filters, size, alive = np.uint64(f), np.uint64(len(counts)), np.uint64(capacity), np.uint64(places)
    at, window = np.uint64(row * f + first), np.uint64(0)
    while window < np.uint64(len(rows)):
        for slot in range(filters):
            place = np.uint64(argmax[at + slot])
            live = place < alive
            e = slot * size + counts[slot]
            # Written in any case and overwritten by the next one where this one is dead: no branch to mispredict.
            offsets[e] = rows[window + (place if live else np.uint64(0))]
            scalars[e] = dy[at + slot]
            counts[slot] += np.uint64(live)
        at += step
        window += alive


@leaf
def lists_by_pixel(
    dy: Array, argmax: Array, row: int, f: int, places: int, k: int, offsets: Array, scalars: Array, counts: Array
) -> None:
    """Sort the live gradients of some pooled pixels by pixel, into ``len(counts)`` lists; filter c is at ``c * k``."""
    counts[:] = 0
    filters, alive, distance = np.uint64(f), np.uint64(places), np.uint64(k)
    at, pixel = np.uint64(row * f), np.uint64(0)
    while pixel < np.uint64(len(counts)):
        for c in range(filters):
            place = np.uint64(argmax[at + c])
            if place < alive:
                slot = pixel + place
                e = slot * filters + counts[slot]
                offsets[e] = c * distance
                scalars[e] = dy[at + c]
                counts[slot] += ONE
        at += filters
        pixel += alive


@leaf
def transpose(a: Array, rows: int, columns: int, row_step: int, out: Array, out_step: int) -> None:
    """Fill `out` (columns, rows) from `a` (rows, columns), both flat, in squares that fit into the cache."""
    height, width, side = np.uint64(rows), np.uint64(columns), np.uint64(16)
    step, to = np.uint64(row_step), np.uint64(out_step)
    for top in range(np.uint64(0), height, side):
        for left in range(np.uint64(0), width, side):
            for c in range(left, min(left + side, width)):
                for r in range(top, min(top + side, height)):
                    out[c * to + r] = a[r * step + c]


@leaf
def copy_patch(x: Array, pixel: Offset, pieces: Array, length: int, patch: Array, to: Offset) -> None:
    """Write the pieces of one patch to `patch` from `to` on, and behind them the constant 1.

    In whole vectors: what one writes past its piece the next one overwrites, and what the last one writes past its
    patch the next patch does, written after it. Past the constant a patch holds whatever lay there in the image.
    """
    width, size, at = lanes(x), np.uint64(length), np.uint64(to)
    last = pixel + pieces[len(pieces) - 1] + size + width
    for i in range(len(pieces)):
        piece = pixel + pieces[i]
        if last <= np.uint64(len(x)):
            v = np.uint64(0)
            while v < size:
                store(patch, at + v, load(x, piece + v))
                v += width
        else:  # a vector would reach past the end of the images
            for k in range(size):
                patch[at + k] = x[piece + k]
        at += size
    patch[at] = 1
