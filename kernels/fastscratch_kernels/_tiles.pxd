# What the Cython kernels share: the C tiles of tile.h, and how a convolution is described to them.

from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memcpy, memset

cdef extern from "tile.h" nogil:
    struct tile_patches:
        const Py_ssize_t *pix
        const Py_ssize_t *seg
        Py_ssize_t npix, nseg, seglen, window

    enum:
        TILE_DEAD

    enum tile_form:
        TILE_F2K3, TILE_F4K3, TILE_F2K5

    struct tile_winograd:
        int form
        Py_ssize_t H, W, C, ph, pw, OH, OW, F
        Py_ssize_t TH, TW
        Py_ssize_t ustep, vstep, mstep, zstep
        const void *zeros

    struct tile_adam:
        double lr, beta1, beta2, eps, decay, shrink

    struct tile_functions_f32:
        void (*pack)(const float *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t n, float *y) noexcept nogil
        void (*transpose)(const float *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t columns, float *y,
                          Py_ssize_t ldy) noexcept nogil
        void (*forward)(const float *x, const tile_patches *p, const float *w, const float *bias, Py_ssize_t nf,
                        float *buf, float *y, Py_ssize_t ldy) noexcept nogil
        void (*forward_pool)(const float *x, const tile_patches *p, const float *w, const float *bias, Py_ssize_t nf,
                             float *buf, float *y, uint8_t *argmax, Py_ssize_t ldy) noexcept nogil
        void (*scatter)(const float *dy, Py_ssize_t ldy, Py_ssize_t nf, const float *wt, Py_ssize_t nc,
                        const Py_ssize_t *pix, Py_ssize_t npix, float *dxp) noexcept nogil
        void (*dweight)(const float *x, Py_ssize_t ldx, const tile_patches *p, Py_ssize_t nk, const float *dy,
                        Py_ssize_t lddy, Py_ssize_t ldg, Py_ssize_t nf, Py_ssize_t n, float *dw,
                        Py_ssize_t ldw) noexcept nogil
        void (*patches)(const float *x, const tile_patches *p, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t ldr,
                        float *rows) noexcept nogil
        void (*pooled)(const float *rows, Py_ssize_t window, Py_ssize_t ldr, const float *zeros, const float *dy,
                       const uint8_t *argmax, Py_ssize_t F, Py_ssize_t n, float *out) noexcept nogil
        void (*gather)(const float *rows, Py_ssize_t step, const int32_t *at, const float *g, Py_ssize_t n,
                       Py_ssize_t nv, float *out) noexcept nogil
        void (*winograd_filters)(const tile_winograd *s, const float *w, int turn, Py_ssize_t o0,
                                 Py_ssize_t c0, Py_ssize_t c1, float *u) noexcept nogil
        void (*winograd_forward)(const tile_winograd *s, const float *x, const float *u, const float *bias,
                                 Py_ssize_t t0, Py_ssize_t n, float *v, float *m, float *y,
                                 uint8_t *argmax) noexcept nogil
        void (*winograd_tiles)(const tile_winograd *s, const float *x, const float *dy, Py_ssize_t t0, Py_ssize_t n,
                               float *v, float *z) noexcept nogil
        void (*winograd_back)(const tile_winograd *s, const float *du, Py_ssize_t pstep, Py_ssize_t c, Py_ssize_t f0,
                              float *dw) noexcept nogil
        void (*depthwise)(const float *x, const tile_patches *p, const float *w, const float *bias, Py_ssize_t C,
                          Py_ssize_t n, float *y) noexcept nogil
        void (*depthwise_back)(const float *dy, const tile_patches *p, const float *w, Py_ssize_t C, Py_ssize_t n,
                               float *dx) noexcept nogil
        void (*depthwise_sums)(const float *x, const tile_patches *p, const float *dy, Py_ssize_t C, Py_ssize_t n,
                               float *dw) noexcept nogil
        void (*sums)(const float *x, Py_ssize_t rows, Py_ssize_t ldx, Py_ssize_t C, float *sum) noexcept nogil
        void (*moments)(const float *x, Py_ssize_t rows, Py_ssize_t C, float *mean, float *squares) noexcept nogil
        void (*normalize)(const float *x, Py_ssize_t rows, Py_ssize_t C, const float *mean, const float *scale,
                          const float *shift, int relu, float *y) noexcept nogil
        void (*gradient_sums)(const float *dy, const float *x, Py_ssize_t rows, Py_ssize_t C, const float *mean,
                              const float *scale, const float *shift, int relu, float *sum,
                              float *product) noexcept nogil
        void (*gradient_rows)(const float *dy, const float *x, Py_ssize_t rows, Py_ssize_t C, const float *mean,
                              const float *scale, const float *shift, const float *offset, const float *slope,
                              int relu, float *dx) noexcept nogil
        void (*maxpool)(const float *const *pixel, const uint8_t *places, Py_ssize_t n, Py_ssize_t C, float *y,
                        uint8_t *argmax) noexcept nogil
        void (*maxpool_back)(const float *dy, const uint8_t *argmax, uint8_t place, Py_ssize_t C, Py_ssize_t n,
                             Py_ssize_t step, int add, float *dx) noexcept nogil
        void (*sgd)(Py_ssize_t n, const float *value, const float *grad, const float *velocity, float *out,
                    float *out_velocity, float lr, float momentum, int nesterov, float decay) noexcept nogil
        void (*adam)(Py_ssize_t n, const float *value, const float *grad, const float *m, const float *v, float *out,
                     float *out_m, float *out_v, const tile_adam *s) noexcept nogil
        void (*relu)(Py_ssize_t n, const float *x, float *out) noexcept nogil
        void (*relu_back)(Py_ssize_t n, const float *dy, const float *y, float *dx) noexcept nogil
        Py_ssize_t block, vector, pixels, gather_max, buffer

    struct tile_functions_f64:
        void (*pack)(const double *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t n, double *y) noexcept nogil
        void (*transpose)(const double *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t columns, double *y,
                          Py_ssize_t ldy) noexcept nogil
        void (*forward)(const double *x, const tile_patches *p, const double *w, const double *bias, Py_ssize_t nf,
                        double *buf, double *y, Py_ssize_t ldy) noexcept nogil
        void (*forward_pool)(const double *x, const tile_patches *p, const double *w, const double *bias, Py_ssize_t nf,
                             double *buf, double *y, uint8_t *argmax, Py_ssize_t ldy) noexcept nogil
        void (*scatter)(const double *dy, Py_ssize_t ldy, Py_ssize_t nf, const double *wt, Py_ssize_t nc,
                        const Py_ssize_t *pix, Py_ssize_t npix, double *dxp) noexcept nogil
        void (*dweight)(const double *x, Py_ssize_t ldx, const tile_patches *p, Py_ssize_t nk, const double *dy,
                        Py_ssize_t lddy, Py_ssize_t ldg, Py_ssize_t nf, Py_ssize_t n, double *dw,
                        Py_ssize_t ldw) noexcept nogil
        void (*patches)(const double *x, const tile_patches *p, Py_ssize_t i0, Py_ssize_t i1, Py_ssize_t ldr,
                        double *rows) noexcept nogil
        void (*pooled)(const double *rows, Py_ssize_t window, Py_ssize_t ldr, const double *zeros, const double *dy,
                       const uint8_t *argmax, Py_ssize_t F, Py_ssize_t n, double *out) noexcept nogil
        void (*gather)(const double *rows, Py_ssize_t step, const int32_t *at, const double *g, Py_ssize_t n,
                       Py_ssize_t nv, double *out) noexcept nogil
        void (*winograd_filters)(const tile_winograd *s, const double *w, int turn, Py_ssize_t o0,
                                 Py_ssize_t c0, Py_ssize_t c1, double *u) noexcept nogil
        void (*winograd_forward)(const tile_winograd *s, const double *x, const double *u, const double *bias,
                                 Py_ssize_t t0, Py_ssize_t n, double *v, double *m, double *y,
                                 uint8_t *argmax) noexcept nogil
        void (*winograd_tiles)(const tile_winograd *s, const double *x, const double *dy, Py_ssize_t t0, Py_ssize_t n,
                               double *v, double *z) noexcept nogil
        void (*winograd_back)(const tile_winograd *s, const double *du, Py_ssize_t pstep, Py_ssize_t c, Py_ssize_t f0,
                              double *dw) noexcept nogil
        void (*depthwise)(const double *x, const tile_patches *p, const double *w, const double *bias, Py_ssize_t C,
                          Py_ssize_t n, double *y) noexcept nogil
        void (*depthwise_back)(const double *dy, const tile_patches *p, const double *w, Py_ssize_t C, Py_ssize_t n,
                               double *dx) noexcept nogil
        void (*depthwise_sums)(const double *x, const tile_patches *p, const double *dy, Py_ssize_t C, Py_ssize_t n,
                               double *dw) noexcept nogil
        void (*sums)(const double *x, Py_ssize_t rows, Py_ssize_t ldx, Py_ssize_t C, double *sum) noexcept nogil
        void (*moments)(const double *x, Py_ssize_t rows, Py_ssize_t C, double *mean, double *squares) noexcept nogil
        void (*normalize)(const double *x, Py_ssize_t rows, Py_ssize_t C, const double *mean, const double *scale,
                          const double *shift, int relu, double *y) noexcept nogil
        void (*gradient_sums)(const double *dy, const double *x, Py_ssize_t rows, Py_ssize_t C, const double *mean,
                              const double *scale, const double *shift, int relu, double *sum,
                              double *product) noexcept nogil
        void (*gradient_rows)(const double *dy, const double *x, Py_ssize_t rows, Py_ssize_t C, const double *mean,
                              const double *scale, const double *shift, const double *offset, const double *slope,
                              int relu, double *dx) noexcept nogil
        void (*maxpool)(const double *const *pixel, const uint8_t *places, Py_ssize_t n, Py_ssize_t C, double *y,
                        uint8_t *argmax) noexcept nogil
        void (*maxpool_back)(const double *dy, const uint8_t *argmax, uint8_t place, Py_ssize_t C, Py_ssize_t n,
                             Py_ssize_t step, int add, double *dx) noexcept nogil
        void (*sgd)(Py_ssize_t n, const double *value, const double *grad, const double *velocity, double *out,
                    double *out_velocity, double lr, double momentum, int nesterov, double decay) noexcept nogil
        void (*adam)(Py_ssize_t n, const double *value, const double *grad, const double *m, const double *v,
                     double *out, double *out_m, double *out_v, const tile_adam *s) noexcept nogil
        void (*relu)(Py_ssize_t n, const double *x, double *out) noexcept nogil
        void (*relu_back)(Py_ssize_t n, const double *dy, const double *y, double *dx) noexcept nogil
        Py_ssize_t block, vector, pixels, gather_max, buffer

    struct tile_table:
        const char *isa
        tile_functions_f32 f32
        tile_functions_f64 f64
        Py_ssize_t pass_pixels
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


cdef inline int no_memory() except -1 with gil:
    raise MemoryError("no memory for the working arrays of a convolution")


# The functions of the table, for either precision.


cdef inline void pack(const tile_table *t, const real *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t n,
                      real *y) noexcept nogil:
    if real is float:
        t.f32.pack(x, ldx, rows, n, y)
    else:
        t.f64.pack(x, ldx, rows, n, y)


cdef inline void transpose(const tile_table *t, const real *x, Py_ssize_t ldx, Py_ssize_t rows, Py_ssize_t columns,
                           real *y, Py_ssize_t ldy) noexcept nogil:
    if real is float:
        t.f32.transpose(x, ldx, rows, columns, y, ldy)
    else:
        t.f64.transpose(x, ldx, rows, columns, y, ldy)


cdef inline void conv(const tile_table *t, const real *x, const tile_patches *p, const real *w, const real *bias,
                      Py_ssize_t nf, real *buf, real *y, Py_ssize_t ldy) noexcept nogil:
    if real is float:
        t.f32.forward(x, p, w, bias, nf, buf, y, ldy)
    else:
        t.f64.forward(x, p, w, bias, nf, buf, y, ldy)


cdef inline void scatter(const tile_table *t, const real *dy, Py_ssize_t ldy, Py_ssize_t nf, const real *wt,
                         Py_ssize_t nc, const Py_ssize_t *pix, Py_ssize_t npix, real *dxp) noexcept nogil:
    if real is float:
        t.f32.scatter(dy, ldy, nf, wt, nc, pix, npix, dxp)
    else:
        t.f64.scatter(dy, ldy, nf, wt, nc, pix, npix, dxp)


cdef inline void filter_sums(const tile_table *t, const real *x, Py_ssize_t ldx, const tile_patches *p, Py_ssize_t nk,
                             const real *dy, Py_ssize_t lddy, Py_ssize_t ldg, Py_ssize_t nf, Py_ssize_t n,
                             real *dw, Py_ssize_t ldw) noexcept nogil:
    if real is float:
        t.f32.dweight(x, ldx, p, nk, dy, lddy, ldg, nf, n, dw, ldw)
    else:
        t.f64.dweight(x, ldx, p, nk, dy, lddy, ldg, nf, n, dw, ldw)


cdef inline void conv_relu_pool(const tile_table *t, const real *x, const tile_patches *p, const real *w,
                                const real *bias, Py_ssize_t nf, real *buf, real *y, uint8_t *argmax,
                                Py_ssize_t ldy) noexcept nogil:
    if real is float:
        t.f32.forward_pool(x, p, w, bias, nf, buf, y, argmax, ldy)
    else:
        t.f64.forward_pool(x, p, w, bias, nf, buf, y, argmax, ldy)


cdef inline void write_patches(const tile_table *t, const real *x, const tile_patches *p, Py_ssize_t i0, Py_ssize_t i1,
                               Py_ssize_t ldr, real *rows) noexcept nogil:
    if real is float:
        t.f32.patches(x, p, i0, i1, ldr, rows)
    else:
        t.f64.patches(x, p, i0, i1, ldr, rows)


cdef inline void pooled(const tile_table *t, const real *rows, Py_ssize_t window, Py_ssize_t ldr, const real *zeros,
                        const real *dy, const uint8_t *argmax, Py_ssize_t F, Py_ssize_t n, real *out) noexcept nogil:
    if real is float:
        t.f32.pooled(rows, window, ldr, zeros, dy, argmax, F, n, out)
    else:
        t.f64.pooled(rows, window, ldr, zeros, dy, argmax, F, n, out)


cdef inline void gather(const tile_table *t, const real *rows, Py_ssize_t step, const int32_t *at, const real *g,
                        Py_ssize_t n, Py_ssize_t nv, real *out) noexcept nogil:
    if real is float:
        t.f32.gather(rows, step, at, g, n, nv, out)
    else:
        t.f64.gather(rows, step, at, g, n, nv, out)


cdef inline void winograd_filters(const tile_table *t, const tile_winograd *s, const real *w, int turn, Py_ssize_t o0,
                                  Py_ssize_t c0, Py_ssize_t c1, real *u) noexcept nogil:
    if real is float:
        t.f32.winograd_filters(s, w, turn, o0, c0, c1, u)
    else:
        t.f64.winograd_filters(s, w, turn, o0, c0, c1, u)


cdef inline void winograd_forward(const tile_table *t, const tile_winograd *s, const real *x, const real *u,
                                  const real *bias, Py_ssize_t t0, Py_ssize_t n, real *v, real *m, real *y,
                                  uint8_t *argmax) noexcept nogil:
    if real is float:
        t.f32.winograd_forward(s, x, u, bias, t0, n, v, m, y, argmax)
    else:
        t.f64.winograd_forward(s, x, u, bias, t0, n, v, m, y, argmax)


cdef inline void winograd_tiles(const tile_table *t, const tile_winograd *s, const real *x, const real *dy,
                                Py_ssize_t t0, Py_ssize_t n, real *v, real *z) noexcept nogil:
    if real is float:
        t.f32.winograd_tiles(s, x, dy, t0, n, v, z)
    else:
        t.f64.winograd_tiles(s, x, dy, t0, n, v, z)


cdef inline void winograd_back(const tile_table *t, const tile_winograd *s, const real *du, Py_ssize_t pstep,
                               Py_ssize_t c, Py_ssize_t f0, real *dw) noexcept nogil:
    if real is float:
        t.f32.winograd_back(s, du, pstep, c, f0, dw)
    else:
        t.f64.winograd_back(s, du, pstep, c, f0, dw)


cdef inline void depthwise(const tile_table *t, const real *x, const tile_patches *p, const real *w, const real *bias,
                           Py_ssize_t C, Py_ssize_t n, real *y) noexcept nogil:
    if real is float:
        t.f32.depthwise(x, p, w, bias, C, n, y)
    else:
        t.f64.depthwise(x, p, w, bias, C, n, y)


cdef inline void depthwise_back(const tile_table *t, const real *dy, const tile_patches *p, const real *w, Py_ssize_t C,
                                Py_ssize_t n, real *dx) noexcept nogil:
    if real is float:
        t.f32.depthwise_back(dy, p, w, C, n, dx)
    else:
        t.f64.depthwise_back(dy, p, w, C, n, dx)


cdef inline void depthwise_sums(const tile_table *t, const real *x, const tile_patches *p, const real *dy, Py_ssize_t C,
                                Py_ssize_t n, real *dw) noexcept nogil:
    if real is float:
        t.f32.depthwise_sums(x, p, dy, C, n, dw)
    else:
        t.f64.depthwise_sums(x, p, dy, C, n, dw)


cdef inline void column_sums(const tile_table *t, const real *x, Py_ssize_t rows, Py_ssize_t ldx, Py_ssize_t C,
                             real *sum) noexcept nogil:
    if real is float:
        t.f32.sums(x, rows, ldx, C, sum)
    else:
        t.f64.sums(x, rows, ldx, C, sum)


cdef inline void add_images(real *sums, Py_ssize_t N, Py_ssize_t F, real *total) noexcept nogil:
    # sums (N, F), one row an image, to total (F,): a single long sum in float32 would lose digits.
    cdef Py_ssize_t n, f
    memcpy(total, sums, F * sizeof(real))
    for n in range(1, N):
        for f in range(F):
            total[f] += sums[n * F + f]


cdef inline Py_ssize_t vector_size(real *kind) noexcept nogil:
    if real is float:
        return table().f32.vector
    else:
        return table().f64.vector


cdef inline Py_ssize_t tile_pixels(real *kind) noexcept nogil:
    if real is float:
        return table().f32.pixels
    else:
        return table().f64.pixels


cdef inline Py_ssize_t gather_limit(real *kind) noexcept nogil:
    if real is float:
        return table().f32.gather_max
    else:
        return table().f64.gather_max


cdef inline void pack_block(const Geometry *g, const real *w, Py_ssize_t q, real *packed) noexcept nogil:
    # Block q of (K, F) -> for each group (blocks, K, block), zeros behind the last filter: a tile reads it straight
    # through.
    cdef Py_ssize_t block = block_size(packed), blocks = round_up(g.FG, block) // block
    cdef Py_ssize_t f = q % blocks * block
    pack(table(), w + q // blocks * g.FG + f, g.F, g.K, min(block, g.FG - f), packed + q * g.K * block)


cdef inline tile_patches plain_patches(const tile_table *t, const Geometry *g, int slot) noexcept nogil:
    # The tables of a plain convolution: every output pixel for itself. `pix` is NULL where there is no memory.
    cdef tile_patches p
    cdef Py_ssize_t *tables = <Py_ssize_t *> t.scratch(slot, (g.OH * g.OW + g.nseg) * sizeof(Py_ssize_t))
    p.pix, p.npix, p.window = tables, g.OH * g.OW, 1
    p.seg, p.nseg, p.seglen = tables + g.OH * g.OW, g.nseg, g.seglen
    if tables != NULL:
        fill_pixels(g, g.C, tables)
        fill_segments(g, g.C, tables + g.OH * g.OW)
    return p


cdef inline void pad_image(const Geometry *g, const real *x, real *padded) noexcept nogil:
    # (H, W, C) -> (HP, WP, C) with zeros around.
    cdef Py_ssize_t row = g.WP * g.C, i
    memset(padded, 0, g.ph * row * sizeof(real))
    for i in range(g.H):
        memset(padded + (g.ph + i) * row, 0, g.pw * g.C * sizeof(real))
        memcpy(padded + (g.ph + i) * row + g.pw * g.C, x + i * g.W * g.C, g.W * g.C * sizeof(real))
        memset(padded + (g.ph + i) * row + (g.pw + g.W) * g.C, 0, g.pw * g.C * sizeof(real))
    memset(padded + (g.ph + g.H) * row, 0, g.ph * row * sizeof(real))
