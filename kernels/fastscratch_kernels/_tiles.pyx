"""The C tiles in use, chosen once for this CPU, and the tables of offsets that describe a convolution to them."""

import os

ISAS = ("avx512", "avx2", "baseline")
"""Instruction sets, the best first. "baseline" is what every CPU of its architecture has."""

cdef extern from *:
    """
    #if defined(__clang__)
    #define BUILT_BY __VERSION__
    #else
    #define BUILT_BY "GCC " __VERSION__
    #endif
    """
    const char *BUILT_BY
    const char *FASTSCRATCH_FLAGS

cdef const tile_table *_table = NULL


def available_isas():
    """Return the instruction sets that this build and this CPU have, the best first."""
    return tuple(name for name in ISAS if tile_select(name.encode()) != NULL)


def use_isa(name):
    """Take the tiles of the instruction set `name`.

    Raises
    ------
    ValueError
        If there is no such instruction set, or this CPU lacks it.
    """
    global _table
    if name not in available_isas():
        raise ValueError(
            f"FASTSCRATCH_ISA must be one of {', '.join(available_isas())} on this CPU, got {name!r}"
        )
    _table = tile_select(name.encode())


def isa():
    """Return the name of the instruction set in use."""
    return (<bytes> _table.isa).decode()


def built_by():
    """Return the compiler, and the flags that it was given."""
    return f"{BUILT_BY.decode()} with {FASTSCRATCH_FLAGS.decode()}"


cdef const tile_table *table() noexcept nogil:
    return _table


cdef Geometry geometry(Py_ssize_t[4] x_shape, Py_ssize_t[4] w_shape, Py_ssize_t OH, Py_ssize_t OW, tuple stride,
                       tuple padding, tuple dilation, Py_ssize_t groups):
    cdef Geometry g
    g.N, g.H, g.W, g.C = x_shape[0], x_shape[1], x_shape[2], x_shape[3]
    g.KH, g.KW, g.CG, g.F = w_shape[0], w_shape[1], w_shape[2], w_shape[3]
    g.OH, g.OW = OH, OW
    g.sh, g.sw = stride
    g.ph, g.pw = padding
    g.dh, g.dw = dilation
    g.groups, g.FG, g.K = groups, g.F // groups, g.KH * g.KW * g.CG
    g.HP, g.WP = g.H + 2 * g.ph, g.W + 2 * g.pw
    if g.dw == 1 and groups == 1:  # a kernel row is one run
        g.nseg, g.seglen = g.KH, g.KW * g.C
    else:
        g.nseg, g.seglen = g.KH * g.KW, g.CG
    return g


cdef void fill_segments(const Geometry *g, Py_ssize_t channels, Py_ssize_t *seg) noexcept nogil:
    # Where each segment of a patch begins within it, in a padded image of so many `channels`.
    cdef Py_ssize_t s, columns = g.nseg // g.KH
    for s in range(g.nseg):
        seg[s] = (s // columns * g.dh * g.WP + s % columns * g.dw) * channels


cdef void fill_pixels(const Geometry *g, Py_ssize_t channels, Py_ssize_t *pix) noexcept nogil:
    # Where the patch of each output pixel begins, row by row.
    cdef Py_ssize_t i, j
    for i in range(g.OH):
        for j in range(g.OW):
            pix[i * g.OW + j] = (i * g.sh * g.WP + j * g.sw) * channels


cdef void fill_windows(const Geometry *g, Py_ssize_t PH, Py_ssize_t PW, Py_ssize_t QH, Py_ssize_t QW,
                       Py_ssize_t *pix) noexcept nogil:
    # The same for PH x PW pooling windows of QH x QW pixels side by side: window after window.
    cdef Py_ssize_t py, px, i, j, at = 0
    for py in range(PH):
        for px in range(PW):
            for i in range(QH):
                for j in range(QW):
                    pix[at] = ((py * QH + i) * g.sh * g.WP + (px * QW + j) * g.sw) * g.C
                    at += 1


use_isa(os.environ.get("FASTSCRATCH_ISA", available_isas()[0]))
