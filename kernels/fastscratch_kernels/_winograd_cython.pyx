"""Winograd's convolutions in Cython: the transforms and products of tile_winograd.h, and threads over them.

    forward          blocks of tiles, each a thread's own: transform, multiply, transform back
    input gradient   the same, from dy and the filters turned round
    filter gradient  for some tiles at a time, first both transforms by all threads, then the sums over these tiles, of
                     which every thread owns some positions: each sum runs over all tiles in order

Raw functions: they fill their caller's arrays and check nothing but memory.
"""

from cython.parallel cimport parallel, prange

from fastscratch_kernels._tasks cimport barrier, next_task, share_out, tile_share
from fastscratch_kernels._tiles cimport *

from ._threads import get_num_threads

FORMS = {"F(2x2,3x3)": TILE_F2K3, "F(4x4,3x3)": TILE_F4K3, "F(2x2,5x5)": TILE_F2K5}

cdef enum:
    # Slots of scratch memory: the calling thread's, and each worker's.
    FILTERS, ZEROS, SUMS, SHARED, INPUTS, PRODUCTS, TABLES, SHARES
    FEW = 16     # inputs whose filters are transformed in a row
    SPREAD = 16  # numbers between positions beyond what they hold: at multiples of 4096 bytes few of them fit a cache

cdef Py_ssize_t TILES_BYTES = 256 << 10   # of transformed inputs that stay in a second-level cache
cdef Py_ssize_t SHARED_BYTES = 2 << 20    # of both transforms that are in memory for the filters' gradient


cdef inline Py_ssize_t positions(int form) noexcept nogil:
    return 16 if form == TILE_F2K3 else 36


cdef tile_winograd winograd(int form, Py_ssize_t[4] x_shape, Py_ssize_t OH, Py_ssize_t OW, Py_ssize_t F,
                            Py_ssize_t ph, Py_ssize_t pw) noexcept nogil:
    cdef tile_winograd s
    cdef Py_ssize_t M = 4 if form == TILE_F4K3 else 2
    s.form = form
    s.H, s.W, s.C, s.ph, s.pw = x_shape[1], x_shape[2], x_shape[3], ph, pw
    s.OH, s.OW, s.F = OH, OW, F
    s.TH, s.TW = (OH + M - 1) // M, (OW + M - 1) // M
    s.ustep = s.vstep = s.mstep = s.zstep = 0
    s.zeros = NULL
    return s


cdef int _forward(tile_winograd *s, Py_ssize_t N, const real *x, const real *w, const real *b, bint turn, real *y,
                  uint8_t *argmax, real *u, real *bias, real *zeros, int threads) except -1 nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(y), FP = round_up(s.F, block), pieces = (s.C + FEW - 1) // FEW
    cdef Py_ssize_t tiles = N * s.TH * s.TW, P = positions(s.form), unit = tile_pixels(y), units, most, parts, q, first
    cdef real *v = NULL
    cdef real *m = NULL
    cdef tile_share *shares
    cdef unsigned long state = 0
    cdef int worker, failed = 0
    cdef int *failure = &failed
    # Products are made of `unit` tiles at a time: parts of whole units leave no smaller ones that pay less.
    unit = unit if tiles >= 4 * threads * unit else 1
    units = (tiles + unit - 1) // unit
    most = max(1, TILES_BYTES // <Py_ssize_t> (P * s.C * sizeof(real)) // unit)
    parts = min(units, round_up((units + most - 1) // most, threads))
    most = (units + parts - 1) // parts * unit
    s.ustep, s.vstep, s.mstep = s.C * block + SPREAD, most * s.C + SPREAD, most * block + SPREAD
    s.zeros = zeros
    memset(zeros, 0, s.C * sizeof(real))
    memset(bias, 0, FP * sizeof(real))
    if b != NULL:
        memcpy(bias, b, s.F * sizeof(real))
    shares = share_out(t, SHARES, parts, threads)
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        v = <real *> t.scratch(INPUTS, P * s.vstep * sizeof(real))
        m = <real *> t.scratch(PRODUCTS, P * s.mstep * sizeof(real))
        for q in prange(FP // block * pieces, schedule="static"):
            winograd_filters(t, s, w, turn, q // pieces * block, s.C * (q % pieces) // pieces,
                             s.C * (q % pieces + 1) // pieces, u)
        barrier()
        for worker in prange(threads, schedule="static"):
            while True:
                q = next_task(shares, threads, worker)
                if q < 0:
                    break
                if v == NULL or m == NULL:
                    failure[0] = 1
                    continue
                first = units * q // parts * unit
                winograd_forward(t, s, x, <const real *> u, <const real *> bias, first,
                                 min(tiles, units * (q + 1) // parts * unit) - first, v, m, y, argmax)
        t.restore_denormals(state)
    return no_memory() if failed else 0


cdef _forward_typed(int form, const real[:, :, :, ::1] x, const real[:, :, :, ::1] w, const real[::1] b, bint turn,
                    real[:, :, :, ::1] y, uint8_t[:, :, :, ::1] argmax, Py_ssize_t ph, Py_ssize_t pw):
    cdef int threads = get_num_threads()
    cdef const tile_table *t = table()
    cdef Py_ssize_t scale = 1 if argmax is None else 2
    cdef tile_winograd s = winograd(form, x.shape, y.shape[1] * scale, y.shape[2] * scale, y.shape[3], ph, pw)
    cdef Py_ssize_t block = block_size(<real *> NULL), FP = round_up(s.F, block)
    cdef Py_ssize_t size = FP // block * positions(form) * (s.C * block + SPREAD)
    cdef real *u = <real *> t.scratch(FILTERS, (size + FP) * sizeof(real))
    cdef real *zeros = <real *> t.scratch(ZEROS, s.C * sizeof(real))
    if x.shape[0] == 0:
        return
    if u == NULL or zeros == NULL:
        no_memory()
    with nogil:
        _forward(&s, x.shape[0], &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], turn, &y[0, 0, 0, 0],
                 NULL if argmax is None else &argmax[0, 0, 0, 0], u, u + size, zeros, threads)


def forward(form, x, w, b, out, padding):
    """Fill `out` (N, OH, OW, F) with the convolution of `x` (N, H, W, C) by `w` (3, 3, C, F), plus `b`."""
    if out.itemsize == 4:
        _forward_typed[float](FORMS[form], x, w, b, False, out, None, padding[0], padding[1])
    else:
        _forward_typed[double](FORMS[form], x, w, b, False, out, None, padding[0], padding[1])


def forward_pool(form, x, w, b, out, argmax, padding):
    """Fill `out` and `argmax` (N, PH, PW, F) with the 2 x 2 maxima of ReLU of the convolution by `w`, and places."""
    if out.itemsize == 4:
        _forward_typed[float](FORMS[form], x, w, b, False, out, argmax, padding[0], padding[1])
    else:
        _forward_typed[double](FORMS[form], x, w, b, False, out, argmax, padding[0], padding[1])


def input_gradient(form, dy, w, dx, padding):
    """Fill `dx` (N, H, W, C) from `dy` (N, OH, OW, F) and `w` (3, 3, C, F)."""
    if dx.itemsize == 4:
        _forward_typed[float](FORMS[form], dy, w, None, True, dx, None, 2 - padding[0], 2 - padding[1])
    else:
        _forward_typed[double](FORMS[form], dy, w, None, True, dx, None, 2 - padding[0], 2 - padding[1])


cdef inline void _add_tiles(const tile_table *t, const tile_winograd *s, const real *v, const Py_ssize_t *rows,
                            Py_ssize_t count, const real *z, Py_ssize_t filters, Py_ssize_t block,
                            real *du) noexcept nogil:
    # du (C, block) += v.T z for one position, from v (count, C) and z (count, block), of which so many filters count.
    cdef tile_patches p
    cdef Py_ssize_t start = 0
    p.pix, p.npix, p.seg, p.nseg, p.seglen, p.window = rows, count, &start, 1, s.C, 1
    filter_sums(t, v, 0, &p, s.C, z, 0, block, filters, 1, du, block)


cdef void _filter_gradient(tile_winograd *s, Py_ssize_t N, const real *x, const real *dy, real *dw, real *db,
                           Py_ssize_t most, real *v, real *z, real *du, real *sums, Py_ssize_t *rows,
                           int threads) noexcept nogil:
    cdef const tile_table *t = table()
    cdef Py_ssize_t block = block_size(dw), blocks = round_up(s.F, block) // block, P = positions(s.form)
    cdef Py_ssize_t tiles = N * s.TH * s.TW, chunks = (tiles + most - 1) // most, parts = min(most, 4 * threads)
    cdef Py_ssize_t chunk = 0, q, i, first = 0, count = 0, a, n, size = s.C * block
    cdef unsigned long state = 0
    memset(du, 0, P * blocks * size * sizeof(real))
    for i in range(most):
        rows[i] = i * s.C
    with parallel(num_threads=threads):
        state = t.flush_denormals()
        for chunk in range(chunks):
            first = tiles * chunk // chunks
            count = tiles * (chunk + 1) // chunks - first
            for q in prange(parts, schedule="static"):
                a = count * q // parts
                n = count * (q + 1) // parts - a
                winograd_tiles(t, s, x, dy, first + a, n, v + a * s.C, z + a * block)
            barrier()
            for q in prange(P * blocks, schedule="static"):
                _add_tiles(t, s, <const real *> v + q // blocks * s.vstep, rows, count,
                           <const real *> z + (q % blocks * P + q // blocks) * s.zstep, s.F - q % blocks * block, block,
                           du + q * size)
            barrier()
        for q in prange(blocks * s.C, schedule="static"):
            winograd_back(t, s, <const real *> du + q // s.C * size, blocks * size, q % s.C, q // s.C * block, dw)
        if db != NULL:
            for q in prange(N, schedule="static"):
                column_sums(t, dy + q * s.OH * s.OW * s.F, s.OH * s.OW, s.F, s.F, sums + q * s.F)
        t.restore_denormals(state)
    if db != NULL:
        add_images(sums, N, s.F, db)


cdef _filter_gradient_typed(int form, const real[:, :, :, ::1] dy, const real[:, :, :, ::1] x,
                            real[:, :, :, ::1] dw, real[::1] db, Py_ssize_t ph, Py_ssize_t pw):
    cdef int threads = get_num_threads()
    cdef const tile_table *t = table()
    cdef tile_winograd s = winograd(form, x.shape, dy.shape[1], dy.shape[2], dy.shape[3], ph, pw)
    cdef Py_ssize_t block = block_size(&dw[0, 0, 0, 0]), FP = round_up(s.F, block), P = positions(form)
    cdef Py_ssize_t tiles = x.shape[0] * s.TH * s.TW
    cdef Py_ssize_t most = min(tiles, max(32, SHARED_BYTES // <Py_ssize_t> (P * (s.C + FP) * sizeof(real))))
    cdef real *v
    cdef real *du
    cdef real *zeros = <real *> t.scratch(ZEROS, s.C * sizeof(real))
    cdef Py_ssize_t *rows = <Py_ssize_t *> t.scratch(TABLES, most * sizeof(Py_ssize_t))
    s.vstep, s.zstep, s.zeros = most * s.C + SPREAD, most * block + SPREAD, zeros
    v = <real *> t.scratch(SHARED, P * (s.vstep + FP // block * s.zstep) * sizeof(real))
    du = <real *> t.scratch(SUMS, (P * s.C * FP + x.shape[0] * s.F) * sizeof(real))
    if v == NULL or du == NULL or zeros == NULL or rows == NULL:
        no_memory()
    memset(zeros, 0, s.C * sizeof(real))
    with nogil:
        _filter_gradient(&s, x.shape[0], &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dw[0, 0, 0, 0],
                         NULL if db is None else &db[0], most, v, v + P * s.vstep, du, du + P * s.C * FP, rows, threads)


def filter_gradient(form, dy, x, dw, db, padding):
    """Fill `dw` (3, 3, C, F) and `db` (F,), unless it is None, from `dy` (N, OH, OW, F) and `x` (N, H, W, C)."""
    if len(x) == 0:
        dw[...] = 0
        if db is not None:
            db[...] = 0
    elif dw.itemsize == 4:
        _filter_gradient_typed[float](FORMS[form], dy, x, dw, db, padding[0], padding[1])
    else:
        _filter_gradient_typed[double](FORMS[form], dy, x, dw, db, padding[0], padding[1])
