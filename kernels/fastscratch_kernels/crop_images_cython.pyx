"""Shifted and mirrored images in Cython: row by row, the bytes of a pixel one after the other.

One thread: a batch is prepared while another is trained on, whose threads have the cores.
Raw kernels: they fill their caller's arrays and check nothing.
"""

from libc.string cimport memcpy, memset

import numpy as np

ctypedef unsigned char byte


cdef inline void _mirror(const byte *source, byte *to, Py_ssize_t pixels, Py_ssize_t size) noexcept nogil:
    """Write `pixels` of `size` bytes from the last to the first."""
    cdef Py_ssize_t p, c
    for p in range(pixels):
        for c in range(size):
            to[p * size + c] = source[(pixels - 1 - p) * size + c]


cdef void _crop_row(const byte *row, byte *cut, Py_ssize_t left, bint mirrored, Py_ssize_t width,
                    Py_ssize_t size) noexcept nogil:
    # The columns of the cut that show some image, before it is mirrored: `before` and `after` them it is black.
    cdef Py_ssize_t before = max(0, -left), after = max(0, left), shown = width - before - after
    row += (before + left) * size
    if mirrored:
        before, after = after, before
    memset(cut, 0, before * size)
    cut += before * size
    if not mirrored:
        memcpy(cut, row, shown * size)
    elif size == 3:  # a number that the compiler knows: no loop is left in a pixel
        _mirror(row, cut, shown, 3)
    else:
        _mirror(row, cut, shown, size)
    memset(cut + shown * size, 0, after * size)


cdef void _crop_images(const byte[:, :, :, ::1] images, const Py_ssize_t[::1] tops, const Py_ssize_t[::1] lefts,
                       const byte[::1] mirrored, byte[:, :, :, ::1] out) noexcept nogil:
    cdef Py_ssize_t H = images.shape[1], W = images.shape[2], size = images.shape[3], b, i, top, left
    for b in range(images.shape[0]):
        top, left = min(max(tops[b], -H), H), min(max(lefts[b], -W), W)
        for i in range(H):
            if 0 <= top + i < H:
                _crop_row(&images[b, top + i, 0, 0], &out[b, i, 0, 0], left, mirrored[b], W, size)
            else:
                memset(&out[b, i, 0, 0], 0, W * size)


def crop_images(images, tops, lefts, mirrored, out):
    """Fill `out` (B, H, W, C) with `images` (B, H, W, C), each cut out at its own place and mirrored or not."""
    cdef const byte[:, :, :, ::1] source = images.view(np.uint8)
    cdef const Py_ssize_t[::1] rows = tops, columns = lefts
    cdef const byte[::1] flips = mirrored.view(np.uint8)
    cdef byte[:, :, :, ::1] to = out.view(np.uint8)
    with nogil:
        _crop_images(source, rows, columns, flips, to)
