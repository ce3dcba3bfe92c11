# What the Cython kernels share: the C tiles of tile.h, and how a convolution is described to them.

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

cdef extern from "tile.h" nogil:
    struct tile_patches:
        const Py_ssize_t *pix
        Py_ssize_t npix
        const Py_ssize_t *seg
        Py_ssize_t nseg
        Py_ssize_t seglen
        Py_ssize_t window

    struct tile_functions_f32:
        void (*forward)(const float *x, const tile_patches *p, const float *w, const float *bias, Py_ssize_t nf,
                        float *buf, float *y, Py_ssize_t ldy) noexcept nogil
        void (*forward_pool)(const float *x, const tile_patches *p, const float *w, const float *bias, Py_ssize_t nf,
                             float *buf, float *y, uint8_t *argmax, Py_ssize_t ldy) noexcept nogil
        void (*scatter)(const float *dy, Py_ssize_t ldy, Py_ssize_t nf, const float *wt, const Py_ssize_t *pix,
                        Py_ssize_t npix, float *dxp) noexcept nogil
        void (*dweight)(const float *x, Py_ssize_t ldx, const Py_ssize_t *pix, Py_ssize_t npix, const float *dy,
                        Py_ssize_t lddy, Py_ssize_t n, Py_ssize_t nk, float *dw) noexcept nogil
        void (*patches)(const float *x, const tile_patches *p, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t ldr,
                        float *rows) noexcept nogil
        void (*gather)(const float *rows, Py_ssize_t step, const int32_t *at, const float *g, Py_ssize_t n,
                       Py_ssize_t nv, float *out) noexcept nogil
        Py_ssize_t block, vector, gather_max, buffer

    struct tile_functions_f64:
        void (*forward)(const double *x, const tile_patches *p, const double *w, const double *bias, Py_ssize_t nf,
                        double *buf, double *y, Py_ssize_t ldy) noexcept nogil
        void (*forward_pool)(const double *x, const tile_patches *p, const double *w, const double *bias, Py_ssize_t nf,
                             double *buf, double *y, uint8_t *argmax, Py_ssize_t ldy) noexcept nogil
        void (*scatter)(const double *dy, Py_ssize_t ldy, Py_ssize_t nf, const double *wt, const Py_ssize_t *pix,
                        Py_ssize_t npix, double *dxp) noexcept nogil
        void (*dweight)(const double *x, Py_ssize_t ldx, const Py_ssize_t *pix, Py_ssize_t npix, const double *dy,
                        Py_ssize_t lddy, Py_ssize_t n, Py_ssize_t nk, double *dw) noexcept nogil
        void (*patches)(const double *x, const tile_patches *p, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t ldr,
                        double *rows) noexcept nogil
        void (*gather)(const double *rows, Py_ssize_t step, const int32_t *at, const double *g, Py_ssize_t n,
                       Py_ssize_t nv, double *out) noexcept nogil
        Py_ssize_t block, vector, gather_max, buffer

    struct tile_table:
        const char *isa
        tile_functions_f32 f32
        tile_functions_f64 f64
        void *(*scratch)(int slot, size_t bytes) noexcept nogil
        unsigned long (*flush_denormals)() noexcept nogil
        void (*restore_denormals)(unsigned long state) noexcept nogil

    const tile_table *tile_select(const char *isa)

ctypedef fused real:
    float
    double

# The tiles in use: those of the best instruction set that this CPU has, or of FASTSCRATCH_ISA.
cdef const tile_table *table() noexcept nogil


cdef struct Geometry:
    # A convolution: sizes, and the padded image that its offsets lie in.
    Py_ssize_t N, H, W, C, F, KH, KW, OH, OW
    Py_ssize_t sh, sw, ph, pw, dh, dw, groups
    Py_ssize_t CG, FG, K                # channels, filters and patch size of a group
    Py_ssize_t HP, WP                   # height and width with the border
    Py_ssize_t nseg, seglen


cdef Geometry geometry(Py_ssize_t[4] x_shape, Py_ssize_t[4] w_shape, Py_ssize_t OH, Py_ssize_t OW, tuple stride,
                       tuple padding, tuple dilation, Py_ssize_t groups)
cdef void fill_segments(const Geometry *g, Py_ssize_t channels, Py_ssize_t *seg) noexcept nogil
cdef void fill_pixels(const Geometry *g, Py_ssize_t channels, Py_ssize_t *pix) noexcept nogil
cdef void fill_windows(const Geometry *g, Py_ssize_t PH, Py_ssize_t PW, Py_ssize_t QH, Py_ssize_t QW,
                       Py_ssize_t *pix) noexcept nogil


cdef inline Py_ssize_t round_up(Py_ssize_t n, Py_ssize_t step) noexcept nogil:
    return (n + step - 1) // step * step


cdef inline Py_ssize_t block_size(real *kind) noexcept nogil:
    # Filters of a packed block; `kind` only says which precision is meant.
    if real is float:
        return table().f32.block
    else:
        return table().f64.block


cdef inline Py_ssize_t buffer_size(real *kind) noexcept nogil:
    # Numbers that the accumulators of a chunk of pixels take.
    if real is float:
        return table().f32.buffer
    else:
        return table().f64.buffer


cdef inline void pack_filters(const Geometry *g, const real *w, real *packed) noexcept nogil:
    # (K, F) -> for each group (blocks, K, block), zeros behind the last filter: a tile reads it straight through.
    cdef Py_ssize_t block = block_size(packed)
    cdef Py_ssize_t group, b, f, k, n
    for group in range(g.groups):
        for b in range(round_up(g.FG, block) // block):
            f = b * block
            n = min(block, g.FG - f)
            for k in range(g.K):
                memcpy(packed, w + k * g.F + group * g.FG + f, n * sizeof(real))
                if n < block:
                    memset(packed + n, 0, (block - n) * sizeof(real))
                packed += block


cdef inline void pad_image(const Geometry *g, const real *x, real *padded) noexcept nogil:
    # (H, W, C) -> (HP, WP, C) with zeros around.
    cdef Py_ssize_t row = g.WP * g.C, i
    memset(padded, 0, g.ph * row * sizeof(real))
    for i in range(g.H):
        memset(padded + (g.ph + i) * row, 0, g.pw * g.C * sizeof(real))
        memcpy(padded + (g.ph + i) * row + g.pw * g.C, x + i * g.W * g.C, g.W * g.C * sizeof(real))
        memset(padded + (g.ph + i) * row + (g.pw + g.W) * g.C, 0, g.pw * g.C * sizeof(real))
    memset(padded + (g.ph + g.H) * row, 0, g.ph * row * sizeof(real))
